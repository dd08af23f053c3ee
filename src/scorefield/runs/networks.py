"""Which network learns which data, and how the options of `scorefield train` become its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.runs import build, fit, recipes
from scorefield.runs.draft import Draft
from scorefield.runs.noising import root_mean_square
from scorefield.runs.recipes_ordered import OTHERS as ORDERED
from scorefield.runs.recipes_other import OTHERS

_GRID, _ROWS = ("images", "signals", "categories", "regions"), ("vectors", "table")
LEARNS = {
    "unet": _GRID,
    "dit": _GRID,
    "edm2": _GRID,
    "mlp": (*_ROWS, "rows"),
    "transformer": _ROWS,
    "sequence": ("text",),
    "pixelcnn": ("levels",),
    "pixelcnn++": ("levels",),
}
KIND_WORDS = {
    "images": "images",
    "vectors": "points",
    "signals": "signals",
    "table": "tables",
    "text": "text",
    "categories": "images of categories",
    "regions": "regions of text",
    "rows": "tables",  # with categories
    "levels": "images",  # by the numbers of their levels
}

CODINGS = {"transformer": "numbers"}  # of a table, where the network has no tokens

_DEEP = {"channels": "width", "blocks": "depth", "dropout": "dropout"}
# network → option → argument of its constructor
OPTIONS: dict[str, dict[str, str]] = {
    "unet": {name: name for name in ("channels", "mult", "blocks", "attention", "heads", "dropout")},
    "dit": _DEEP | {"heads": "heads", "patch": "patch"},
    "edm2": {name: name for name in ("channels", "mult", "blocks", "attention", "dropout")},
    "mlp": _DEEP,
    "transformer": _DEEP | {"heads": "heads"},
    "sequence": _DEEP | {"heads": "heads"},
    "pixelcnn": {"channels": "channels", "blocks": "depth", "dropout": "dropout"},
    "pixelcnn++": {name: name for name in ("channels", "blocks", "dropout")},
}


def choose(dataset: Dataset, options: dict[str, Any]) -> str:
    """The name of the network: the one asked for, else the one for this kind of data.

    Raises UserError where it cannot learn such data, or was given an option of another network."""
    asked = options["model"]
    model = recipes.MODELS[dataset.kind] if asked in (None, "auto") else asked
    if dataset.kind not in LEARNS[model]:
        shape = "×".join(map(str, dataset.shape))
        *others, last = dict.fromkeys(KIND_WORDS[kind] for kind in LEARNS[model])
        learns = f"{', '.join(others)} and {last}" if others else last
        fitting = [name for name, kinds in LEARNS.items() if dataset.kind in kinds]
        raise UserError(
            f"model={model} learns {learns}, but {dataset.name} holds {dataset.kind} of {shape}. "
            f"Write {' or '.join(f'model={name}' for name in fitting)}, or leave model out."
        )
    for name in sorted({option for known in OPTIONS.values() for option in known} - set(OPTIONS[model])):
        if options[name] is not None:
            owners = " and ".join(f"model={owner}" for owner, known in OPTIONS.items() if name in known)
            raise UserError(f"{name} is an option of {owners}; this run's model is {model}. Leave {name} out.")
    return model


def edge_of(dataset: Dataset) -> int:
    """The longest edge of images, the length of signals, the columns of rows: what recipes are listed by."""
    shape = dataset.shape
    return max(shape[1:] if len(shape) > 1 and recipes.FAMILIES[dataset.kind] == recipes.GAUSSIAN else shape)


def recipe(dataset: Dataset, model: str, device: str) -> recipes.Recipe:
    """Sizes and training for this network on this data and device."""
    return recipes.recipe(dataset.kind, edge_of(dataset), device, (OTHERS | ORDERED).get(model, recipes.RECIPES))


def write(draft: Draft, dataset: Dataset, model: str, recipe: recipes.Recipe, classes: int, device: str) -> None:
    """The section [net] of a config. Raises UserError for edges that the network cannot take."""
    option_of = {argument: option for option, argument in OPTIONS[model].items()}
    draft.value("net.type", model, draft.origin("model", f"chosen: the data are {dataset.kind}"))
    arguments = FITTED[model](draft, dataset, recipe) | {"dropout": recipe.dropout}
    why = f"for {dataset.kind} of {edge_of(dataset)} on {device}"
    for argument, value in arguments.items():
        if argument in option_of:
            draft.option(f"net.{argument}", option_of[argument], value, why)
        else:
            draft.value(f"net.{argument}", value, f"chosen: {why}")
    for option, argument in OPTIONS[model].items():
        if argument not in arguments and draft.options[option] is not None:
            draft.option(f"net.{argument}", option, None, None)
    if dataset.conditions is not None:
        count = dataset.conditions.shape[1]
        draft.value("net.condition", count, draft.origin("condition", "found in the data"))
    draft.value("net.classes", classes, draft.origin("conditional", f"chosen: {classes or 'no'} classes in the data"))


def _fit_unet(draft: Draft, dataset: Dataset, recipe: recipes.Recipe) -> dict[str, Any]:
    edge = max(_fit_grid(draft, dataset))
    draft.value("net.size", edge, "found in the data")
    mult = draft.options["mult"] or fit.levels(draft, dataset, recipe.net["mult"])
    return recipe.net | {"mult": mult, "attention": fit.attention(edge, len(mult), recipe.net["attention"])}


def _fit_dit(draft: Draft, dataset: Dataset, recipe: recipes.Recipe) -> dict[str, Any]:
    _fit_grid(draft, dataset)
    return recipe.net | {"patch": draft.options["patch"] or fit.patch(draft, dataset, recipe.net["patch"])}


def _fit_grid(draft: Draft, dataset: Dataset) -> tuple[int, ...]:
    edges = build.edges(draft.config)
    ENTRANCES[dataset.kind](draft)
    draft.value("net.dims", len(edges), "found in the data")
    return edges


def _channels(draft: Draft) -> None:
    draft.value("net.in_channels", build.encoded_shape(draft.config)[0], "found in the data")


def _categories(draft: Draft) -> None:
    """Categories become channels, and channels logits, around the network that was chosen."""
    draft.value("net.body", draft.config["net"]["type"], draft.origins["net.type"])
    draft.value("net.type", "categories", "found in the data")
    _tokens(draft)


def _tokens(draft: Draft) -> None:
    process = build.process(draft.config)
    draft.value("net.tokens", process.classes, "found in the data")
    draft.value("net.states", process.states, "chosen: as the noise has")


def _fit_sequence(draft: Draft, dataset: Dataset, recipe: recipes.Recipe) -> dict[str, Any]:
    _tokens(draft)
    return recipe.net


def _dim(draft: Draft) -> None:
    draft.value("net.dim", build.encoded_shape(draft.config)[0], "found in the data")


def _beside_tokens(draft: Draft) -> None:
    codec: Any = build.codec(draft.config)
    draft.value("net.dim", codec.columns, "found in the data")
    draft.value("net.tokens", codec.sizes, "found in the data")


ENTRANCES: dict[str, Callable[[Draft], None]] = {
    "images": _channels,
    "signals": _channels,
    "categories": _categories,
    "regions": _channels,
    "vectors": _dim,
    "table": _dim,
    "rows": _beside_tokens,
}


def _fit_rows(draft: Draft, dataset: Dataset, recipe: recipes.Recipe) -> dict[str, Any]:
    ENTRANCES[dataset.kind](draft)
    return recipe.net


def _fit_mlp(draft: Draft, dataset: Dataset, recipe: recipes.Recipe) -> dict[str, Any]:
    arguments = _fit_rows(draft, dataset, recipe)
    if not arguments.get("waves"):
        return arguments
    codec = build.codec(draft.config)
    scale = root_mean_square(dataset, codec)
    return arguments | {"numbers": codec.numbers, "scale": scale}  # pyrefly: ignore[missing-attribute]


def _fit_ordered(draft: Draft, dataset: Dataset, recipe: recipes.Recipe) -> dict[str, Any]:
    """As many numbers a pixel as the law of a pixel takes."""
    process, law, channels = build.process(draft.config), build.law(draft.config), dataset.shape[0]
    draft.value("net.in_channels", channels, "found in the data")
    draft.value("net.out_channels", law.outputs(process.levels, channels), "chosen: as the law of a pixel takes")
    return recipe.net


def _fit_scaled(draft: Draft, dataset: Dataset, recipe: recipes.Recipe) -> dict[str, Any]:
    """At most as many scales as the edges can be halved."""
    halvings = min((edge & -edge).bit_length() - 1 for edge in dataset.shape[1:])
    return _fit_ordered(draft, dataset, recipe) | {"scales": min(recipe.net["scales"], 1 + halvings)}


FITTED: dict[str, Callable[[Draft, Dataset, recipes.Recipe], dict[str, Any]]] = {
    "unet": _fit_unet,
    "dit": _fit_dit,
    "edm2": _fit_unet,
    "mlp": _fit_mlp,
    "transformer": _fit_rows,
    "sequence": _fit_sequence,
    "pixelcnn": _fit_ordered,
    "pixelcnn++": _fit_scaled,
}

"""Codecs that a run chooses by a word: a quantiser that it trains first (or takes from another run), and argmax flows.

A run with a quantiser keeps it in its folder, ``codec/model.safetensors``, and again inside ``final/``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scorefield.data import Dataset, codec_for
from scorefield.data.argmax import Argmax
from scorefield.data.indexed import Indexed
from scorefield.data.levels import levels_of
from scorefield.errors import UserError
from scorefield.nets import Quantised
from scorefield.registry import from_config, to_config
from scorefield.runs import build, densities, recipes_coded, weights
from scorefield.runs.draft import Draft
from scorefield.runs.folder import RUNS, RunFolder, find

VQ, ARGMAX = "vq", "argmax"
OTHER_CODECS = ("characters", "bytes", "palette", "binary")  # words of codec= that say how data are read
ORDERED_NETS = ("pixelcnn", "pixelcnn++")  # of levels
SAME_SHAPE = ("rows", "levels")  # kinds that a codec makes of data without another shape
PREFIX = "codec."  # of its tensors, where they lie beside those of the network


def quantised(config: dict[str, Any]) -> bool:
    """Whether a run with this config diffuses the codes of a quantiser."""
    return config["codec"]["type"] == VQ


def folder_of(folder: RunFolder) -> RunFolder:
    """Where the training of a run's quantiser is recorded, as that of a run is."""
    return RunFolder(folder.path / "codec")


def file_of(folder: RunFolder) -> Path:
    """The trained quantiser of a run."""
    return folder_of(folder).path / "model.safetensors"


def lent(word: str | None, runs: str | Path = RUNS) -> Path | None:
    """The file of the quantiser that ``codec=word`` names, a run; None where the word says something else."""
    if word is None or word == VQ or word in OTHER_CODECS or word.endswith(".json"):
        return None
    try:
        found = find(word, runs)
    except UserError:
        return None  # no run: whoever reads the data says what the word could be
    if found.folder is None or not file_of(found.folder).is_file():
        raise UserError(
            f"codec={word} is a run, but it has no trained quantiser to lend. Those are made by codec=vq and lie in "
            "RUN/codec/model.safetensors."
        )
    return file_of(found.folder)


def reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` without a codec that is no matter of how data are read."""
    word = options.get("codec")
    foreign = word == VQ or lent(word, options.get("runs") or RUNS) is not None
    return {name: value for name, value in options.items() if not (foreign and name == "codec")}


def chosen(draft: Draft, dataset: Dataset, device: str, how: dict[str, str]) -> Any:
    """The codec that the options of a draft ask for; its section is written. Raises UserError for data it cannot
    take."""
    word, noise = draft.chosen("codec"), draft.chosen("noise")
    file = lent(word, draft.options.get("runs") or RUNS)
    if word == VQ or file is not None:
        if draft.options.get("classifier"):
            raise UserError(f"classifier=yes tells noisy numbers apart, and codec={word} makes tokens. Leave one out.")
        return _quantiser(draft, dataset, device, file)
    if draft.chosen("model") in ORDERED_NETS and dataset.kind == "images":
        return _indexed(draft, dataset)
    made = densities.codec_for(draft, dataset) or codec_for(dataset, **how)
    origin = "chosen: what the data are made of"
    if noise == ARGMAX:
        made, origin = _flow(draft, dataset, made), draft.origin("noise", "")
    draft.section("codec", to_config(made), origin)
    return made


def _indexed(draft: Draft, dataset: Dataset) -> Indexed:
    levels = levels_of(dataset)
    made = Indexed(levels.count, levels.first, levels.step)
    draft.section("codec", to_config(made), f"found in the data: {levels.count} levels")
    return made


def _flow(draft: Draft, dataset: Dataset, inner: Any) -> Argmax:
    if dataset.kind not in recipes_coded.VIEWS[ARGMAX]:
        raise UserError(f"noise=argmax is for text and categories, but {dataset.name} holds {dataset.kind}.")
    return Argmax(inner, draft.options.get("codec.form") or "gumbel", first=True)


def _quantiser(draft: Draft, dataset: Dataset, device: str, file: Path | None) -> Quantised:
    if dataset.kind != "images":
        raise UserError(
            f"codec={draft.chosen('codec')} makes codes of images, but {dataset.name} holds {dataset.kind}. Leave it "
            "out, or write what text is made of: characters, bytes, a tokenizer's .json."
        )
    own = {key.removeprefix(PREFIX): value for key, value in draft.options.items() if key.startswith(PREFIX)}
    channels, *edges = dataset.shape
    if file is not None:
        if own:
            raise UserError(f"codec.{next(iter(own))} belongs to a quantiser that is trained; this one is lent.")
        return _lent(draft, dataset, file)
    recipe = recipes_coded.coder(max(edges), device)
    section = {"type": VQ, "in_channels": channels} | recipe.codec | own
    with torch.device("meta"):
        made = from_config(section, "codec", "codec")
    _fits(made, dataset)
    draft.section("codec", section, f"chosen: for images of {max(edges)} on {device}")
    return made


def write_stage(draft: Draft, dataset: Dataset, device: str) -> None:
    """How the quantiser is trained, where it is."""
    if draft.config["codec"]["type"] != VQ or draft.chosen("codec") != VQ:
        if draft.chosen("codec_steps"):
            raise UserError(
                f"codec_steps={draft.chosen('codec_steps')} says how long a quantiser of images is trained: it goes "
                "with codec=vq alone. Leave it out."
            )
        return
    recipe = recipes_coded.coder(max(dataset.shape[1:]), device)
    why = f"chosen: for images of {max(dataset.shape[1:])} on {device}"
    steps, minutes = draft.chosen("codec_steps"), draft.chosen("minutes")
    share = None if steps or not minutes else round(recipes_coded.SHARE * minutes, 4)
    part = f"chosen: {recipes_coded.SHARE:.0%} of the minutes"
    draft.value("train.codec.steps", None if share else steps or recipe.steps, draft.origin("codec_steps", why))
    draft.value("train.codec.minutes", share, part if share else "default")
    devices, batch = draft.chosen("devices") or 1, min(recipe.batch, draft.chosen("batch") or recipe.batch)
    draft.value("train.codec.batch", max(1, batch // devices) * devices, why)
    draft.value("train.codec.lr", recipe.lr, why)


def _lent(draft: Draft, dataset: Dataset, file: Path) -> Quantised:
    word = draft.chosen("codec")
    stored = weights.read(file)
    with torch.device("meta"):
        made = build.codec(stored.config)
    draft.section("codec", stored.config["codec"], f"chosen: that of {word}")
    _fits(made, dataset)
    return made  # pyrefly: ignore[bad-return]


def _fits(made: Any, dataset: Dataset) -> None:
    channels, *edges = dataset.shape
    if channels != made.in_channels:
        wanted = {1: "gray", 3: "rgb"}.get(made.in_channels, "another")
        raise UserError(
            f"The quantiser takes images of {made.in_channels} channels, but those of {dataset.name} have {channels}. "
            f"Write color={wanted}."
        )
    if any(edge % made.factor for edge in edges):
        near = max(1, max(edges) // made.factor) * made.factor
        raise UserError(
            f"Images of {'×'.join(map(str, edges))} cannot be cut into codes of {made.factor}×{made.factor} pixels. "
            f"Write size={near}, or another codec.factor."
        )


def seen(dataset: Dataset, codec: Any) -> Dataset:
    """What the network is told of the data: the data, or an outline of what the codec makes of them."""
    kind = recipes_coded.view(dataset.kind, to_config(codec)["type"])
    if kind == dataset.kind:
        return dataset
    if kind in SAME_SHAPE:
        return replace(dataset, kind=kind)
    shape = codec.sites(dataset.shape) if kind == "categories" else (codec.classes, *dataset.shape)
    return replace(dataset, kind=kind, x=torch.empty(1, *shape, device="meta").expand(len(dataset), *shape))


def load(config: dict[str, Any], folder: RunFolder | None, tensors: dict[str, Tensor], device: Any = "cpu") -> Any:
    """The codec of a run, with its weights where it has some: those among ``tensors``, else those in the folder.

    Raises UserError where they are nowhere."""
    made = build.codec(config)
    if not quantised(config):
        return made
    own, file = of_codec(tensors), None if folder is None else file_of(folder)
    if not own and (file is None or not file.is_file()):
        where = "this file" if folder is None else str(folder.path)
        raise UserError(f"{where} has no trained codec yet. Give the command that made the run again.")
    if not own:
        own = weights.read(file).tensors  # pyrefly: ignore[bad-argument-type]
    weights.fill(made, own, file or Path("model.safetensors"))  # pyrefly: ignore[bad-argument-type]
    return made.to(device).eval().requires_grad_(False)  # pyrefly: ignore[missing-attribute]


def of_codec(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the codec among those of a file."""
    return {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}


def of_network(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The others."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX)}


def tensors_of(run: Any) -> dict[str, Tensor]:
    """The weights of a loaded run's codec, named as they lie beside those of its network; empty where it has none."""
    if not quantised(run.config):
        return {}
    return {f"{PREFIX}{name}": tensor for name, tensor in run.codec.state_dict().items()}


def beside(folder: RunFolder) -> dict[str, Tensor]:
    """The weights of a run's codec, named as they lie beside those of its network; empty where it has none."""
    file = file_of(folder)
    return {f"{PREFIX}{name}": tensor for name, tensor in weights.read(file).tensors.items()} if file.is_file() else {}


def copy(word: str | None, runs: str | Path, folder: RunFolder) -> None:
    """Put the quantiser that another run lends into ``folder``."""
    file = lent(word, runs)
    if file is None:
        return
    stored = weights.read(file)
    file_of(folder).parent.mkdir(parents=True, exist_ok=True)
    weights.write(file_of(folder), stored.tensors, stored.config, stored.step)


@dataclass(frozen=True)
class Codes:
    """The codec of data that are codes already."""

    def encode(self, raw: Tensor) -> Tensor:
        """(B, *D) whole numbers → int64."""
        return raw.long()

    def decode(self, z: Tensor) -> Tensor:
        """As it is."""
        return z

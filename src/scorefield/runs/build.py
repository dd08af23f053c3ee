"""config → objects: the one place where a run's sections become a codec, a denoiser, an objective and a solver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from scorefield import data, denoisers, likelihood, nets, noise, objectives, solvers  # noqa: F401  (importing registers)
from scorefield.core import Codec, Objective, Solver
from scorefield.registry import from_config
from scorefield.runs import recipes, recipes_coded
from scorefield.solvers import named
from scorefield.training import Settings

Config = dict[str, Any]
UNSET = ("steps", "images", "minutes", "clip", "warmup")  # settings that TOML leaves out when they are None


def codec(config: Config) -> Codec:
    """Raises UserError for an unknown type or argument, as do the others here; the message begins with the path. Of a
    codec that is learned the weights are not there yet (``coding.load``)."""
    with torch.random.fork_rng(devices=[]):
        return from_config(config["codec"], "codec", "config.codec")


def family(config: Config) -> str:
    """What the noise of this run does: it is added to numbers, or it replaces tokens."""
    return recipes.FAMILIES[recipes_coded.view(config["data"]["found"]["kind"], config["codec"]["type"])]


def blank(config: Config) -> torch.Tensor:
    """One encoded example of zeros, (1, *D): the shape and type of what the network sees, which for tables is not what
    is stored."""
    found = config["data"]["found"]
    with torch.device("meta" if config["codec"]["type"] == "vq" else "cpu"):  # whose weights are of no use here
        made = codec(config)
    if config["codec"]["type"] in BLANKS:
        return BLANKS[config["codec"]["type"]](made, found["shape"])
    if family(config) == recipes.TOKENS:
        return torch.zeros(1, *found["shape"], dtype=torch.int64)
    return made.encode(torch.zeros(1, *found["shape"]))


def _points(made: Any, shape: list[int]) -> torch.Tensor:
    return torch.zeros(1, made.classes, *shape) if made.first else torch.zeros(1, *shape, made.classes)


BLANKS: dict[str, Callable[[Any, list[int]], torch.Tensor]] = {  # of codecs to which 0 may be nothing known
    "vq": lambda made, shape: torch.zeros(1, *made.sites(shape), dtype=torch.int64),
    "argmax": _points,
    "levels": lambda made, shape: torch.zeros(1, *shape, dtype=torch.int64),
}


def encoded_shape(config: Config) -> tuple[int, ...]:
    """The event shape of one encoded example."""
    return tuple(blank(config).shape[1:])


def edges(config: Config) -> tuple[int, ...]:
    """The edge lengths of an example on a grid: without its channels, which categories have not."""
    shape = encoded_shape(config)
    return shape if family(config) == recipes.TOKENS else shape[1:]


def denoiser(config: Config, made: Any = None) -> nn.Module:
    """The denoiser of ``config`` with fresh weights, drawn from torch's global generator; on a process that is made
    already, where that is given."""
    return from_config(
        config["denoiser"],
        "denoiser",
        "config.denoiser",
        net=from_config(config["net"], "net", "config.net"),
        process=process(config) if made is None else made,
    )


def process(config: Config) -> Any:
    """The process: how the data are destroyed."""
    return from_config(config["process"], "process", "config.process")


def law(config: Config) -> Any:
    """The law of a pixel that an autoregressive network gives the numbers of."""
    return from_config(config["denoiser"]["law"], "law", "config.denoiser.law")


def objective(config: Config) -> Objective:
    """The objective: what training minimises."""
    return from_config(config["objective"], "objective", "config.objective")


def settings(config: Config) -> Settings:
    """The [train] section as the training loop wants it."""
    known, train = Settings.__dataclass_fields__, config["train"]
    return Settings(**{key: train.get(key) for key in UNSET} | {key: train[key] for key in train if key in known})


def solver(name: str, eta: float | None = None) -> Solver:
    """The solver called ``name``. Raises UserError for an unknown one, or an eta it has no use for."""
    return named(name, eta)


def grid(config: Config | str) -> Any:
    """A grid from its config, or from its name alone."""
    return from_config(config if isinstance(config, dict) else {"type": config}, "grid", "config.sample.grid")


def outline(config: Config) -> nn.Module:
    """The denoiser without memory for its weights: whether it can be built, and how large it is, in milliseconds."""
    made = process(config)  # with memory: its numbers are asked for
    with torch.device("meta"):
        return denoiser(config, made)


def parameters(module: nn.Module) -> int:
    """How many numbers training adjusts."""
    return sum(p.numel() for p in module.parameters())

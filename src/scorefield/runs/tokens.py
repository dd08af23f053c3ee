"""What runs on tokens do otherwise than runs on numbers: how their states are shown, and how sure their walks are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from scorefield.core import as_time
from scorefield.errors import UserError
from scorefield.guidance.truncation import Temperature, TopK, TopP
from scorefield.options.shared import ORDERED_SOLVERS, SOLVERS, TOKEN_SOLVERS
from scorefield.runs.recipes import GAUSSIAN, MIXED, ORDERED, TOKENS
from scorefield.show.writing import MASKED

WALKS = {ORDERED: " pixel after pixel"}  # what a solver has to do, where the data do not say it
DESTROYED = {1.0: "masked", 0.0: "replaced"}  # by the share that is masked
SHARPER: dict[str, Callable[..., Any]] = {"temperature": Temperature, "top_k": TopK, "top_p": TopP}


def texts_of(codec: Any, z: Tensor) -> tuple[str, ...]:
    """Categories (N, L), masks among them, as they read."""
    return tuple(codec.text(z, MASKED))


def images_of(codec: Any, z: Tensor) -> Tensor:
    """Categories (N, H, W), masks among them, in their colours: uint8 (N, 3, H, W)."""
    return codec.pictures(z)


def sharpened(denoiser: Any, asked: dict[str, float | None]) -> Any:
    """The denoiser, surer or bolder where somebody asked for it. Raises UserError for a run that has no tokens."""
    for name, value in asked.items():
        if value is None:
            continue
        if getattr(denoiser.process, "tokens", None) is not None:
            raise UserError(f"{name}={value:g} makes texts surer; of a table that is not done. Leave {name} out.")
        if getattr(denoiser.process, "classes", None) is None:
            raise UserError(f"{name}={value:g} chooses among tokens, and this run has none. Leave {name} out.")
        denoiser = SHARPER[name](denoiser, value)
    return denoiser


def left(process: Any, t: float) -> str:
    """How much noise there is at time t, in words: the share of tokens that it has taken."""
    share = float(process.keep.lost(as_time(torch.tensor(t))))
    return f"{share:.0%} {DESTROYED.get(process.masked, 'masked or replaced')}"


def refuse(run: Any, what: str, instead: str) -> None:
    """Raises UserError where ``run`` is on tokens, which ``what`` cannot do: ``instead`` says what can be done."""
    if run.family == ORDERED:
        raise UserError(f"{what}, but {run.name} draws pixel after pixel, and there is no noise to walk over.")
    if run.family == TOKENS:
        raise UserError(f"{what}, but {run.name} is a run on {run.kind}, whose noise replaces them. {instead}")


def refuse_mixed(run: Any, what: str) -> None:
    """Raises UserError where ``run`` has tokens beside its numbers, with which ``what`` cannot be done."""
    if run.family == MIXED:
        raise UserError(f"{what}, but {run.name} has tokens as well. Train it with coding=numbers for that.")


def guidance_of(run: Any) -> str:
    """An example of guidance for a command that asks for a class; "" where beliefs have no mixture."""
    return "" if run.family == ORDERED else " guidance=2"


def check_solver(run: Any, name: str | None) -> None:
    """Raises UserError for a solver of numbers where there are tokens, and the other way round."""
    known = {GAUSSIAN: SOLVERS, TOKENS: TOKEN_SOLVERS, MIXED: SOLVERS, ORDERED: ORDERED_SOLVERS}[run.family]
    if name is not None and name not in known and name in (*SOLVERS, *TOKEN_SOLVERS, *ORDERED_SOLVERS):
        raise UserError(
            f"solver={name} does not walk {run.kind}{WALKS.get(run.family, '')}. "
            f"Write one of {', '.join(known)}, or leave it out."
        )

"""Tokens that are known: prompts, blanks, and text longer than a model's window. Denoiser → denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..belief import Logits
from ..core import Denoiser, Rng
from ..errors import UserError


@dataclass(frozen=True, eq=False)
class Infilled:
    """Some tokens are given: ``known`` int64 (B, *D) where ``where`` bool (B, *D) holds, one row for every example or
    one for all (1, *D); what ``known`` holds elsewhere is not looked at.

    The model sees the given tokens from the beginning, and is not asked what they are. Under noise that only masks an
    exact belief then gives exactly p(x₀ | given), with every solver that is exact without. Under other noise the model
    takes what it sees for noisy, and trusts it too little: approximate, though nearer than showing tokens that were
    noised to the level (RePaint; Lugmayr et al. 2022), and ``Corrected`` mends most of it. Put it round guidance and
    truncation: ``Infilled(TopP(model, 0.9), known, where)``. Raises UserError for shapes or dtypes that do not fit and
    for tokens that the process has not.
    """

    inner: Denoiser
    known: Tensor
    where: Tensor

    def __post_init__(self) -> None:
        known, where = self.known, self.where
        if known.dtype != torch.int64 or where.dtype != torch.bool or known.shape != where.shape or known.ndim < 2:
            raise UserError(
                "infilling needs known, int64 (B, *D), and where, bool of the same shape, got "
                f"{known.dtype} {tuple(known.shape)} and {where.dtype} {tuple(where.shape)}."
            )
        given, classes = known[where], self.inner.process.classes
        if given.numel() and not (given.min() >= 0 and given.max() < classes):
            raise UserError(
                f"known tokens are numbers from 0 to {classes - 1}, got {given.min()} to {given.max()}. "
                "A blank is where `where` is False."
            )

    @property
    def process(self) -> Any:
        """That of the denoiser, with a prior that shows the given tokens."""
        return _Shown(self.inner.process, self)

    def shown(self, x: Tensor) -> Tensor:
        """x (B, *D) with the given tokens in their places."""
        return torch.where(self.where.to(x.device), self.known.to(x.device), x)

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Logits:
        logits = self.inner(self.shown(x), t, **cond).logits
        where = self.where.to(x.device)
        token = self.known.to(x.device).masked_fill(~where, 0).expand(x.shape)[..., None]
        sure = torch.full_like(logits, -math.inf).scatter(-1, token, 0.0)
        return Logits(torch.where(where[..., None], sure, logits))


class _Shown:
    """A process whose prior shows the tokens that are given; all else is the process itself."""

    def __init__(self, process: Any, given: Infilled) -> None:
        self._process, self._given = process, given

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)

    def prior(self, like: Tensor, rng: Rng) -> Tensor:
        return self._given.shown(self._process.prior(like, rng))


def prompt(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """(known, where) (B, length) that begin with ``tokens`` (B, n) int64 and leave the rest open: what ``Infilled``
    takes. Raises UserError where the prompt is longer."""
    if tokens.shape[1] > length:
        raise UserError(
            f"a prompt of {tokens.shape[1]} tokens does not fit into {length}. Cut it or use a longer text."
        )
    known = tokens.new_zeros(len(tokens), length)
    known[:, : tokens.shape[1]] = tokens
    return known, (torch.arange(length, device=tokens.device) < tokens.shape[1]).expand(len(tokens), -1)


def extended(
    draw: Callable[[Tensor, Tensor], Tensor], start: Tensor, length: int, window: int, overlap: int | None = None
) -> Tensor:
    """Sequences (B, length) that begin with ``start`` (B, n), written window by window: each window of ``window``
    tokens is begun with the last ``overlap`` (half of it by default) that are there (semi-autoregressive generation:
    Sahoo et al. 2024, section 4.2).

    ``draw`` (known, where) ↦ (B, window) samples one: ``lambda known, where: sample(Infilled(model, known, where),
    known.shape, solver=…, rng=rng)``. Exact with exact windows of a Markov chain whose memory is at most the overlap.
    Raises UserError for an overlap outside [0, window).
    """
    shared = window // 2 if overlap is None else overlap
    if not 0 <= shared < window:
        raise UserError(f"windows of {window} tokens can share 0 to {window - 1}, got overlap={shared}.")
    x = start
    while x.shape[1] < length:
        last = x[:, max(x.shape[1] - shared, 0) :]
        x = torch.cat([x, draw(*prompt(last, window))[:, last.shape[1] :]], 1)
    return x[:, :length]


def blanks(tokens: Sequence[int | None]) -> tuple[Tensor, Tensor]:
    """(known, where) (1, L) of one sequence in which None is a blank: ``blanks([3, None, 5])``."""
    known = torch.tensor([[0 if token is None else token for token in tokens]], dtype=torch.int64)
    return known, torch.tensor([[token is not None for token in tokens]])

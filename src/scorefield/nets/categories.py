"""Grids of categories, such as images of sixteen colours or of class labels, for the networks of images and signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError, suggest
from ..registry import from_config, register
from .layers import parameters_millions
from .sequence import check_tokens, embedded, table

AXES = {1: "(B, L)", 2: "(B, H, W)"}


def logistic(out: Tensor, x: Tensor, tokens: int) -> Tensor:
    """Logits (B, *D, K) of a logistic law on K even cells of [−1, 1] that is cut off outside of them, from out
    (B, *D, 2) and the state x (B, *D): mean tanh(out₀ + x̃), x̃ = x on [−1, 1] (0 for a mask), scale exp(out₁ − 2)
    (D3PM: Austin et al. 2021, appendix A.8). A cell from a to b has log σ(b) + log σ(−a), and a constant, which is
    log(σ(b) − σ(a)) without a difference."""
    cell = 2 / (tokens - 1)
    seen = torch.where(x < tokens, x.to(out.dtype) * cell - 1, 0.0)
    mean, scale = (out[..., 0] + seen).tanh(), (out[..., 1] - 2).exp()
    centre = torch.linspace(-1, 1, tokens, dtype=out.dtype, device=out.device)
    away, half = (centre - mean[..., None]) / scale[..., None], cell / 2 / scale[..., None]
    return F.logsigmoid(away + half) + F.logsigmoid(half - away)


class Head(NamedTuple):
    """How many channels the network gives (0: one a token), and what becomes of them."""

    channels: int
    logits: Callable[[Tensor, Tensor, int], Tensor]


def _free(out: Tensor, x: Tensor, tokens: int) -> Tensor:
    return out


HEADS = {"free": Head(0, _free), "logistic": Head(2, logistic)}


@register("categories", "net")
class TokenGrid(nn.Module):
    """A U-Net or a DiT over categories: tokens become ``features`` channels by a table, and the network of images gives
    as many channels as there are things to choose from (the discretised images of Austin et al. 2021, app. B.2, whose
    input is one-hot).

    forward(x, level, label, condition): x (B, H, W) int64 in 0 … states − 1, or (B, L) for ``dims=1``; level, label and
    condition as the network of images takes them → logits (B, H, W, tokens), zero at initialisation where its output
    is.

    ``tokens`` is K; ``states`` S ≥ K is K + 1 with a mask (None: K). ``head`` says how K logits are made: "free" as K
    channels, "logistic" as two, for ordered categories (``logistic``). ``body`` is the name of the network ("unet",
    "dit", "edm2"), ``options`` are its arguments (channels, mult, size, dims, classes …) without the numbers of
    channels that go in and out. Weights are drawn by torch's global generator: seed it before. Raises UserError for
    other networks and arguments, and at forward for an input it cannot take.
    """

    def __init__(
        self,
        tokens: int,
        *,
        states: int | None = None,
        body: str = "unet",
        features: int = 32,
        head: str = "free",
        **options: Any,
    ) -> None:
        super().__init__()
        self.tokens, self.states = tokens, tokens if states is None else states
        check_tokens(self.tokens, self.states)
        if features < 1:
            raise UserError(f"features must be at least 1, got {features}.")
        if head not in HEADS:
            raise UserError(f"no head is called {head!r}.{suggest(head, HEADS)}")
        self.head = HEADS[head]
        own = {"in_channels": features, "out_channels": self.head.channels or tokens}
        taken = sorted(set(own) & set(options))
        if taken:
            raise UserError(f"{taken[0]} follows from features and tokens. Leave it out.")
        self.body = from_config({"type": body} | options, "net", "body", **own)
        self.dims = options.get("dims", 2)
        self.table = table(self.states, features)

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        if x.ndim != self.dims + 1 or x.dtype.is_floating_point:
            kind = str(x.dtype).removeprefix("torch.")
            raise UserError(
                f"This TokenGrid takes int64 {AXES[self.dims]}; got an input of shape {tuple(x.shape)}, {kind}."
            )
        out = self.body(embedded(x, self.table).movedim(-1, 1), level, label, condition).movedim(1, -1)
        return self.head.logits(out, x, self.tokens)

    def __repr__(self) -> str:
        return f"TokenGrid({parameters_millions(self):.1f}M)"

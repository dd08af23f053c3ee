"""Grids of categories, such as images of sixteen colours or of class labels, for the networks of images and signals."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..errors import UserError
from ..registry import from_config, register
from .layers import parameters_millions
from .sequence import check_tokens, embedded, table

AXES = {1: "(B, L)", 2: "(B, H, W)"}


@register("categories", "net")
class TokenGrid(nn.Module):
    """A U-Net or a DiT over categories: tokens become ``features`` channels by a table, and the network of images gives
    as many channels as there are things to choose from (the discretised images of Austin et al. 2021, app. B.2, whose
    input is one-hot).

    forward(x, level, label, condition): x (B, H, W) int64 in 0 … states − 1, or (B, L) for ``dims=1``; level, label and
    condition as the network of images takes them → logits (B, H, W, tokens), zero at initialisation where its output
    is.

    ``tokens`` is K; ``states`` S ≥ K is K + 1 with a mask (None: K). ``body`` is the name of the network ("unet",
    "dit", "edm2"), ``options`` are its arguments (channels, mult, size, dims, classes …) without the numbers of
    channels that go in and out. Weights are drawn by torch's global generator: seed it before. Raises UserError for
    other networks and arguments, and at forward for an input it cannot take.
    """

    def __init__(
        self, tokens: int, *, states: int | None = None, body: str = "unet", features: int = 32, **options: Any
    ) -> None:
        super().__init__()
        self.tokens, self.states = tokens, tokens if states is None else states
        check_tokens(self.tokens, self.states)
        if features < 1:
            raise UserError(f"features must be at least 1, got {features}.")
        own = {"in_channels": features, "out_channels": tokens}
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
        return self.body(embedded(x, self.table).movedim(-1, 1), level, label, condition).movedim(1, -1)

    def __repr__(self) -> str:
        return f"TokenGrid({parameters_millions(self):.1f}M)"

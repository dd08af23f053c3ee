"""Denoisers of numbers for data on levels: they know how a level is spread over its bin."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from ..belief import Moments
from ..core import Rng
from ..errors import UserError
from ..noise.gaussian import Gaussian
from ..registry import register
from .preconditioned import Around, Preconditioned

INSIDE = 1e-6  # of a bin: uniform numbers stay this far from its ends, where their logit is finite


@register("dequantised", "denoiser")
class Dequantised(Around):
    """``Preconditioned`` for levels 2v/(L − 1) − 1 in [−1, 1], with q(u | v) beside it: what is diffused is v − ½ + u,
    a density, and −log P(v) ≤ E[log q(u | v) − log p(v − ½ + u)] (Theis et al. 2016; Ho et al. 2019, eq. 11).

    ``levels`` is L; q is uniform without a ``dequantiser``, a flow (levels, uniform numbers) ↦ (u, log q(u | v)) such
    as ``Couplings``. ``predict`` and ``sigma_data`` as in ``Preconditioned``.
    Raises UserError for fewer than 2 levels, and as ``Preconditioned`` does.
    """

    def __init__(
        self,
        net: nn.Module,
        process: Gaussian,
        predict: str = "edm",
        sigma_data: float = 1.0,
        levels: int = 256,
        dequantiser: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if levels < 2:
            raise UserError(f"data on levels have at least 2 of them, got {levels}.")
        self.mean = Preconditioned(net, process, predict, sigma_data)
        self.dequantiser, self.levels = dequantiser, levels

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        """x_t (B, *D), t () or (B,) → the belief about x₀."""
        return self.mean(x, t, **cond)

    def under(self, process: Gaussian) -> Preconditioned:
        """The same network on another process."""
        return self.mean.under(process)

    def dequantise(self, x0: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
        """Levels x0 (B, C, H, W) in [−1, 1] → a point in the bin of each, and the log-density of that point in nats, in
        the units of x0, (B,)."""
        half, size = 1 / (self.levels - 1), x0[0].numel()
        w = INSIDE + (1 - 2 * INSIDE) * rng.uniform(x0)
        u, log_q = (w, x0.new_zeros(len(x0))) if self.dequantiser is None else self.dequantiser(x0, w)
        return x0 + half * (2 * u - 1), log_q - size * math.log(2 * half)

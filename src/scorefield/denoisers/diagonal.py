"""Reverse steps whose mean and variance are both learned without bounds, as in the first diffusion model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..belief import Moments
from ..core import as_time, like
from ..errors import UserError
from ..noise.gaussian import Gaussian
from ..registry import register
from .preconditioned import LEVEL_BOUND

MOST = 10.0  # of |log| of a variance in units of a Gaussian's: finite whatever a network says


@register("diagonal", "denoiser")
class Diagonal(nn.Module):
    """The belief N(m, diag v) about x₀ from a network of twice the numbers of x (``out_channels``): the mean as
    ``predict="edm"`` has it, and log v, which is added to that of Gaussian data.

    A step t → s then has the learned mean and the learned diagonal variance β̃ + aim² v ≥ β̃, which no step that is
    right can be below. Where the network says 0, the belief is that of N(0, σ_data²) data, and with σ_data = 1 on a
    variance-preserving schedule every step is the forward kernel N(√(1 − β) x, β): the m = b = 0 of Sohl-Dickstein et
    al. (2015), at which their bound is the entropy of a standard normal law exactly.

    With ``steps`` T the last step to data, from t = 1/T, stays at that, as theirs does. A learned schedule is trained
    along. Raises UserError for sigma_data ≤ 0, fewer than 2 steps, and at forward for a network of another width.
    """

    def __init__(self, net: nn.Module, process: Gaussian, sigma_data: float = 1.0, steps: int | None = None) -> None:
        super().__init__()
        if not sigma_data > 0:
            raise UserError(f"sigma_data must be greater than 0, got {sigma_data}.")
        if steps is not None and steps < 2:
            raise UserError(f"a chain needs at least 2 steps, got {steps}.")
        self.net, self.process, self.sigma_data, self.steps = net, process, sigma_data, steps
        self.schedule = process.schedule  # a learned one is a module, whose weights are then among those trained

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        """x_t (B, *D), t () or (B,) → the belief about x₀ with its variance (B, *D)."""
        (alpha, sigma), data2 = self.process.scales(as_time(t), x), self.sigma_data**2
        spread = alpha**2 * data2 + sigma**2  # of x_t
        dtype = next((p.dtype for p in self.net.parameters()), x.dtype)
        level = (-self.process.log_ratio(t)).clamp(-LEVEL_BOUND, LEVEL_BOUND).to(x.device, dtype)
        out = self.net((spread.rsqrt() * x).to(dtype), level.expand(x.shape[0]), **cond).to(x.dtype)
        if out.shape[1] != 2 * x.shape[1]:
            raise UserError(
                f"a diagonal belief about {x.shape[1]} numbers (channels) needs a network that answers "
                f"{2 * x.shape[1]}, got {out.shape[1]}. Build it with out_channels={2 * x.shape[1]}."
            )
        if self.steps is not None:
            out = out * like((as_time(t) * self.steps > 1.5).double(), x)
        shift, log_var = out.chunk(2, 1)
        scale = self.sigma_data * sigma * spread.rsqrt()  # the deviation of Gaussian data given x_t
        mean = alpha * data2 / spread * x + scale * shift
        return Moments(mean, scale**2 * torch.exp(log_var.clamp(-MOST, MOST)))

    def under(self, process: Gaussian) -> Diagonal:
        """The same network on another process, every step of it learned."""
        return Diagonal(self.net, process, self.sigma_data)

    def extra_repr(self) -> str:
        steps = "" if self.steps is None else f", steps={self.steps}"
        return f"{self.process}, sigma_data={self.sigma_data:.4g}{steps}"

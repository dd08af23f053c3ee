"""A network on a Gaussian process."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..belief import Moments
from ..core import as_time, like
from ..errors import UserError, suggest
from ..noise.gaussian import Gaussian
from ..registry import register
from .predictions import NEEDS_SIGNAL, PREDICTIONS, UNTOLD, Coefficients

LEVEL_BOUND = 10.0  # |log σ/α| beyond e^±10 is told to the network as ±10: at either end nothing is left to learn


@register("preconditioned", "denoiser")
class Preconditioned(nn.Module):
    """Turns ``net(x, level, **cond)`` into a denoiser; ``level`` (B,) is log σ/α, never the time.

    The network sees x_t scaled to unit root mean square and the clamped noise level, so it can be trained under one
    schedule and sampled under another (``under``). ``predict`` names what it outputs (see ``PREDICTIONS``);
    ``sigma_data`` is the root mean square of the data it is trained on.
    Raises UserError for an unknown prediction, sigma_data ≤ 0, or a prediction that divides by α on a schedule whose
    terminal signal is zero.
    """

    def __init__(self, net: nn.Module, process: Gaussian, predict: str = "edm", sigma_data: float = 1.0) -> None:
        super().__init__()
        if predict not in PREDICTIONS:
            raise UserError(f"no prediction is called {predict!r}.{suggest(predict, PREDICTIONS)}")
        if not sigma_data > 0:
            raise UserError(f"sigma_data must be greater than 0, got {sigma_data}.")
        if predict in NEEDS_SIGNAL and process.schedule(as_time(1.0)).alpha < 1e-8:
            raise UserError(
                f"predict={predict!r} divides by α, which is 0 at t = 1 on {process.schedule}. "
                "Use predict='v', 'x0', 'flow' or 'edm', or a schedule that keeps some signal, such as vp or ddpm."
            )
        self.net, self.process, self.predict, self.sigma_data = net, process, predict, sigma_data
        self.schedule = process.schedule  # a learned one is a module, whose weights are then among those trained

    def coefficients(self, t: Tensor, x: Tensor) -> Coefficients:
        """skip, out and inp at times t, ready to multiply x (B, *D)."""
        scales = self.process.schedule(as_time(t))
        return Coefficients(*(like(c, x) for c in PREDICTIONS[self.predict](*scales, self.sigma_data)))

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        """x_t (B, *D), t () or (B,) → the belief about x₀. The network runs in its own dtype, the rest in that of x."""
        return self.believe(x, self.coefficients(t, x), self.level(t), **cond)

    def level(self, t: Tensor) -> Tensor:
        """What the network is told of the noise: log σ/α of t, clamped, in the shape of t; 0 where it is to see for
        itself (``predict="ncsn"``)."""
        level = (-self.process.log_ratio(t)).clamp(-LEVEL_BOUND, LEVEL_BOUND)
        return torch.zeros_like(level) if self.predict in UNTOLD else level

    def believe(self, x: Tensor, c: Coefficients, level: Tensor, **cond: Any) -> Moments:
        """``forward`` with the coefficients and the level, () or (B,), worked out before: what exports do."""
        return Moments(c.skip * x + c.out * self.answer(x, c, level, **cond))

    def answer(self, x: Tensor, c: Coefficients, level: Tensor, **cond: Any) -> Tensor:
        """What the network says of x_t, in the dtype of x."""
        dtype = next((p.dtype for p in self.net.parameters()), x.dtype)
        level = level.to(x.device, dtype).expand(x.shape[0])  # not len(x), which an export would freeze
        return self.net((c.inp * x).to(dtype), level, **cond).to(x.dtype)

    def under(self, process: Gaussian) -> Preconditioned:
        """The same network on another process: train under one schedule, sample under another."""
        return Preconditioned(self.net, process, self.predict, self.sigma_data)

    def extra_repr(self) -> str:
        return f"{self.process}, predict={self.predict!r}, sigma_data={self.sigma_data:.4g}"


class Around(nn.Module):
    """What denoisers inherit that are more than the ``Preconditioned`` in them, ``mean``."""

    mean: Preconditioned

    @property
    def net(self) -> nn.Module:
        """The network of the denoiser."""
        return self.mean.net

    @property
    def process(self) -> Gaussian:
        """How the data are destroyed."""
        return self.mean.process

    @property
    def sigma_data(self) -> float:
        """The root mean square of the data."""
        return self.mean.sigma_data

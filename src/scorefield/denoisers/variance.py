"""Beliefs that know their variance: what widens an ancestral step (``Ancestral(variance="belief")``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..belief import Moments
from ..core import Denoiser, Rng, as_time, like
from ..errors import UserError
from ..noise.gaussian import Gaussian
from ..registry import register
from .preconditioned import Around, Preconditioned


@dataclass(frozen=True, eq=False)
class AnalyticVariance:
    """Any denoiser with a variance that depends on the noise level alone, measured on data: the mean square of
    x₀ − x̂₀. It is what makes the reverse step optimal for the denoiser as it is (Bao et al. 2022, theorem 1; in the
    form that needs no exact score, Bao et al. 2022b, theorem 3.2).

    ``log_ratios`` (L,) falling λ = log α/σ, ``variances`` (L,) ≥ 0; linear in λ between them, constant outside.
    """

    inner: Denoiser
    log_ratios: Tensor
    variances: Tensor

    @property
    def process(self) -> Any:
        """That of the denoiser inside."""
        return self.inner.process

    @classmethod
    def measured(
        cls, inner: Denoiser, batches: Iterable[Tensor], rng: Rng, levels: int = 50, low: float = 0.002
    ) -> AnalyticVariance:
        """On ``batches`` of clean examples (B, *D), at ``levels`` noise levels uniform in λ from that of t = 1 to
        σ/α = ``low``. Raises UserError for fewer than 2 levels or no examples."""
        if levels < 2:
            raise UserError(f"measuring a variance needs at least 2 noise levels, got {levels}.")
        top = inner.process.log_ratio(as_time(1.0)).clamp_min(-10.0)
        log_ratios = torch.linspace(top.item(), -as_time(low).log().item(), levels, dtype=torch.float64)
        times, total, count = inner.process.time(log_ratios), torch.zeros(levels, dtype=torch.float64), 0
        with torch.no_grad():
            for x0 in batches:
                count += x0.numel()
                for i, t in enumerate(times.unbind()):
                    total[i] += inner(inner.process.corrupt(x0, t, rng), t).error(x0).double().sum().cpu()
        if not count:
            raise UserError("measuring a variance needs at least one example, got none.")
        return cls(inner, log_ratios, total / count)

    def variance(self, t: Tensor) -> Tensor:
        """Var of each coordinate at times t, of the shape of t."""
        at, known = self.process.log_ratio(as_time(t)), self.log_ratios.contiguous()
        at = at.clamp(known[0], known[-1])
        i = (torch.searchsorted(known, at.contiguous(), right=True) - 1).clamp(0, len(known) - 2)
        return torch.lerp(self.variances[i], self.variances[i + 1], (at - known[i]) / (known[i + 1] - known[i]))

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        return Moments(self.inner(x, t, **cond).mean, like(self.variance(t), x))


@register("learned-variance", "denoiser")
class LearnedVariance(Around):
    """A network of 2 C output channels: the prediction, and v in [−1, 1] that places the log variance of a step between
    β̃ (−1) and β (+1) (Nichol and Dhariwal 2021, eq. 15; ADM's networks are of this kind).

    The step it speaks of is one of the ``steps`` it was trained with, t → t − 1/steps. As the variance of a belief this
    is (σ² − β̃)/aim², so that a sampler of those steps draws with just that σ², and one of fewer steps, or of another
    kind, by the law of total variance. ``predict`` and ``sigma_data`` as in ``Preconditioned``.
    Raises UserError for fewer than 2 steps, and as ``Preconditioned`` does.
    """

    def __init__(
        self, net: nn.Module, process: Gaussian, steps: int = 1000, predict: str = "eps", sigma_data: float = 1.0
    ) -> None:
        super().__init__()
        if steps < 2:
            raise UserError(f"a learned variance needs at least 2 steps, got {steps}.")
        self.steps = steps
        self.mean = Preconditioned(net, process, predict, sigma_data)

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        """x_t (B, *D), t () or (B,) → the belief about x₀, with its variance (B, *D)."""
        t = as_time(t)
        c = self.mean.coefficients(t, x)
        first, v = self.mean.answer(x, c, self.mean.level(t), **cond).chunk(2, dim=1)
        s = (t - 1 / self.steps).clamp_min(0)
        aim, small, large = self.variances(t, s)
        share = (v + 1) / 2
        log_small, log_large = (like(part.clamp_min(1e-20).log(), x) for part in (small, large))
        square = (share * log_large + (1 - share) * log_small).exp()
        excess = (square - like(small, x)).clamp_min(0) / like(aim.square(), x)
        return Moments(c.skip * x + c.out * first, excess * like((small > 0).double(), x))

    def under(self, process: Gaussian) -> Preconditioned:
        """The mean on another process, without the variance, which is of steps of its own."""
        return Preconditioned(_First(self.mean.net), process, self.mean.predict, self.mean.sigma_data)

    def variances(self, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(aim of the bridge, β̃, β) of a step t → s. On the step to clean data, where DDPM draws nothing, β̃ is 0."""
        _, aim, fresh = self.process.bridge(t, s)
        (a_t, s_t), (a_s, s_s) = self.process.schedule(t), self.process.schedule(s)
        return aim, fresh.square(), (s_t**2 - (a_t / a_s * s_s) ** 2).clamp_min(0)


class _First(nn.Module):
    """The first half of what a network answers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, level: Tensor, **cond: Any) -> Tensor:
        return self.net(x, level, **cond).chunk(2, dim=1)[0]

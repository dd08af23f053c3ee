"""The objective of variational diffusion models, whose noise schedule is learned with the network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, like, need
from ..errors import UserError
from ..registry import register
from .denoising import check_dropout, forgetful


@register("vdm", "objective")
@dataclass(frozen=True)
class VDM:
    """Prior + diffusion + reconstruction, the bound on −log p(x₀) in nats a dimension (Kingma et al. 2021, eq. 11), for
    denoisers on the schedule ``Learned``.

    In continuous time the middle term is ½ γ′(u) ‖ε − ε̂‖², u one a slice of (0, 1) over the batch (eq. 17 and appendix
    I.1). Its mean depends on the ends of γ alone, so the ends and the network follow the bound, and what lies between
    follows the square of the loss, that is, the variance of the estimate (section 5.1). With ``steps`` T it is
    ½ T (e^{γ_t − γ_s} − 1) ‖ε − ε̂‖² (eq. 14), where everything follows the bound.

    ``decoder`` is p(x₀ | z₀) around the state: ``Softmax`` for bytes on levels. Without one the last term is left out,
    which is right only where γ₀ is not learned: a density of real data has no least noise.
    ``label_dropout`` as in ``Denoising``. Raises UserError for steps < 1, and for another schedule.
    """

    steps: int | None = None
    decoder: Any = None
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_dropout(self.label_dropout)
        if self.steps is not None and self.steps < 1:
            raise UserError(f"steps must be at least 1, got {self.steps}; leave steps out for continuous time.")

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D) → (B,)."""
        return sum(self.terms(denoiser, x0, rng, **cond), torch.zeros(()))

    def terms(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Prior, diffusion and reconstruction apart, (B,) each."""
        schedule = denoiser.process.schedule
        need(schedule, "The objective vdm", "interior", "held")
        (u,) = rng.over_batch(_strata, torch.empty(len(x0), dtype=torch.float64))
        cond = forgetful(cond, self.label_dropout, rng)
        low, gap = schedule.bounds(u).unbind()
        size = math.prod(x0.shape[1:])
        diffusion = (self._steps if self.steps else self._rate)(denoiser, x0, u, rng, cond) / size
        prior = 0.5 * like((-low - gap).exp(), x0) * x0.flatten(1).square().sum(1) / size
        return prior, diffusion, self._reconstruction(x0, low, rng) / size

    def _rate(self, denoiser: Any, x0: Tensor, u: Tensor, rng: Rng, cond: dict[str, Any]) -> Tensor:
        schedule, seen = denoiser.process.schedule, []
        low, gap = schedule.bounds(u).unbind()
        value, slope = (_squared(part, seen) for part in schedule.interior(u))
        gamma = low + gap * value
        loss = like(0.5 * gap * slope * (-gamma).exp(), x0).flatten() * _error(denoiser, x0, gamma, rng, cond)
        seen.append(loss.detach().to(u) / math.prod(x0.shape[1:]))
        return loss

    def _steps(self, denoiser: Any, x0: Tensor, u: Tensor, rng: Rng, cond: dict[str, Any]) -> Tensor:
        steps, gamma = self.steps or 1, denoiser.process.schedule.gamma
        i = (u * steps).floor().clamp_max(steps - 1) + 1
        here, before = gamma(i / steps), gamma((i - 1) / steps)
        factor = 0.5 * steps * torch.expm1(here - before) * (-here).exp()
        return like(factor, x0).flatten() * _error(denoiser, x0, here, rng, cond)

    def _reconstruction(self, x0: Tensor, low: Tensor, rng: Rng) -> Tensor:
        """−log p(x₀ | z₀/α₀), z₀/α₀ = x₀ + e^{γ₀/2} ε."""
        if self.decoder is None:
            return x0.new_zeros(len(x0))
        var = low.exp().to(x0.device, x0.dtype)
        return self.decoder(x0, x0 + var.sqrt() * rng.normal(x0), var)


def _error(denoiser: Any, x0: Tensor, gamma: Tensor, rng: Rng, cond: dict[str, Any]) -> Tensor:
    """‖x₀ − x̂₀‖² at γ (B,), with the gradient of x_t and of all coefficients led through that γ."""
    process = replace(denoiser.process, schedule=denoiser.process.schedule.held(gamma))
    t = as_time(torch.ones(len(x0)))  # any: the noise is held
    return denoiser.under(process)(process.corrupt(x0, t, rng), t, **cond).error(x0)


def _squared(part: Tensor, seen: list[Tensor]) -> Tensor:
    """``part`` (B,), whose gradient becomes that of the square of the loss: 2 L_i times it, L (B,) the last of what was
    ``seen`` when the backward pass comes here."""
    if part.requires_grad:
        part.register_hook(lambda grad: grad * 2 * seen[-1])
    return part


def _strata(u: Tensor) -> tuple[Tensor]:
    """One uniform number in each of B equal slices."""
    return ((torch.arange(len(u), dtype=u.dtype) + u) / len(u),)

"""Times drawn where the loss was large: importance sampling by what was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Denoiser, Rng
from ..errors import UserError
from ..registry import register
from .denoising import forgetful
from .discrete import Elbo
from .times import Draw, Stratified


@dataclass(frozen=True)
class Slices:
    """Times whose slice k of (0, 1] is drawn with probability p_k, uniform in it: the mean is that of uniform times."""

    p: Tensor  # (bins,) float64

    def __call__(self, u: Tensor, process: Any) -> Draw:
        """u ~ U[0, 1)ᴮ ↦ times (B,) and 1/(bins p_k)."""
        upper = self.p.cumsum(0)
        k = torch.searchsorted(upper, u * upper[-1], right=True).clamp_max(len(self.p) - 1)
        within = ((u * upper[-1] - (upper[k] - self.p[k])) / self.p[k]).clamp(0, 1 - 1e-9)
        return Draw((k + 1 - within) / len(self.p), 1 / (len(self.p) * self.p[k]))


@register("by-history", "objective")
class ByHistory(nn.Module):
    """``inner`` at times drawn with p ∝ √E[L²], the law of least variance (Nichol & Dhariwal 2021, section 3.3), with
    E[L²] remembered for each of ``bins`` slices of time.

    The memory fades by ``decay`` an observation; until every slice has more than ``fewest`` of them, times are uniform
    (Hoogeboom et al. 2021, code), and ``uniform`` of the probability always is. The expected loss is that of uniform
    times, whatever the memory holds, for the loss is divided by what its time was drawn with. Of a bound in T steps,
    take ``bins`` = T. What is remembered is part of a checkpoint; with several processes it is that of the first.
    Raises UserError for bins < 1, fewest < 0, and shares outside [0, 1).
    """

    squares: Tensor
    counts: Tensor

    def __init__(
        self, inner: Any = None, bins: int = 100, *, decay: float = 0.9, fewest: int = 10, uniform: float = 0.001
    ) -> None:
        super().__init__()
        if bins < 1 or fewest < 0 or not (0 <= decay < 1 and 0 <= uniform < 1):
            raise UserError(
                f"by-history needs bins ≥ 1, fewest ≥ 0, and decay and uniform in [0, 1); got bins={bins}, "
                f"fewest={fewest}, decay={decay}, uniform={uniform}."
            )
        self.inner: Any = Elbo() if inner is None else inner
        self.decay, self.fewest, self.uniform = decay, fewest, uniform
        self.register_buffer("squares", torch.zeros(bins, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(bins, dtype=torch.int64))

    @property
    def law(self) -> Tensor:
        """p of each slice, (bins,) float64 on the CPU."""
        bins, counts = len(self.counts), self.counts.cpu()
        flat = torch.full((bins,), 1 / bins, dtype=torch.float64)
        root = self.squares.cpu().sqrt()
        if int(counts.min()) <= self.fewest or not root.sum() > 0:
            return flat
        return self.uniform * flat + (1 - self.uniform) * root / root.sum()

    def forward(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example, (B, *D) → (B,)."""
        drawing, process = replace(self.inner, times=Stratified(Slices(self.law))), denoiser.process
        look = drawing.look(process, x0, rng)
        cond = forgetful(cond, drawing.label_dropout, rng)
        plain = look._replace(correction=torch.ones_like(look.correction))
        loss = drawing.judged(process, plain, x0, denoiser(look.x, look.t, **cond))
        if self.training:
            self._remember(look.t, loss.detach())
        return look.correction.to(loss) * loss

    @torch.no_grad()
    def _remember(self, t: Tensor, loss: Tensor) -> None:
        """As if each slice had seen its losses one after the other, all of their mean square."""
        where = self.squares.device
        k = (t.to(where) * len(self.squares)).ceil().long().clamp(1, len(self.squares)) - 1
        seen = torch.zeros_like(self.counts).index_add_(0, k, torch.ones_like(k))
        total = torch.zeros_like(self.squares).index_add_(0, k, loss.to(self.squares).square())
        mean = total / seen.clamp_min(1)
        kept = torch.where(self.counts > 0, self.decay ** seen.double(), 0.0)
        self.squares.copy_(torch.where(seen > 0, kept * self.squares + (1 - kept) * mean, self.squares))
        self.counts.add_(seen)

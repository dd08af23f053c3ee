"""Training on levels that are spread over their bins by a law that is learned too."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..core import Denoiser, Rng, as_time
from ..registry import register
from .denoising import Denoising, check_dropout
from .times import Importance, Stratified, TimeLaw
from .weights import Likelihood, Weight


@register("dequantised", "objective")
@dataclass(frozen=True)
class Dequantised:
    """Denoising of x = v + u, u ~ q(u | v), + log q(u | v)/D + what the prior costs: an upper bound on −log P(v) in
    nats a dimension, up to a constant, where the weight is ``Likelihood`` (variational dequantisation: Ho et al. 2019,
    eq. 11; with diffusion Song et al. 2021b, section 5.2).

    For denoisers with a ``dequantise``. Where q is uniform the second part is constant, and any weight will do.
    ``times``, ``weight`` and ``label_dropout`` as in ``Denoising``, and the same errors.
    """

    times: TimeLaw = field(default_factory=lambda: Stratified(Importance()))
    weight: Weight | None = field(default_factory=Likelihood)
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_dropout(self.label_dropout)

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: levels x0 (B, *D) in [−1, 1] → (B,)."""
        spreading: Any = denoiser
        x, log_q = spreading.dequantise(x0, rng)
        prior = 0.5 * (2 * denoiser.process.log_ratio(as_time(1.0))).exp().item() * x.flatten(1).square().sum(1)
        denoising = Denoising(self.times, self.weight, self.label_dropout)
        return denoising(denoiser, x, rng, **cond) + (prior + log_q) / math.prod(x0.shape[1:])

"""Averages of the weights over training, whose length follows the length of the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from math import sqrt

import numpy as np
import torch
from torch import Tensor, nn

WIDEST = 0.28  # σ_rel of the flattest power that still rises, γ = 0, is 1/√12 = 0.2887


def gamma_of(width: float) -> float:
    """σ_rel → γ ≥ 0: the power whose profile p(t) ∝ t^γ on [0, 1] has standard deviation σ_rel.

    σ_rel² = (γ + 1) / ((γ + 2)² (γ + 3)), a cubic in γ (Karras et al. 2024, EDM2, section 3.1).
    """
    return float(np.roots([1.0, 7.0, 16.0 - width**-2, 12.0 - width**-2]).real.max())


def width_of(gamma: float) -> float:
    """γ → σ_rel, the inverse of ``gamma_of``."""
    return sqrt((gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)))


def width_of_decay(decay: float, steps: int) -> float:
    """The σ_rel whose average over a run of ``steps`` spreads over as many steps as one that keeps ``decay`` of itself
    a step, about 1/(1 − decay); three decimals, and ``WIDEST`` where the run is too short for that (NCSNv2's fifth
    technique is 0.999: Song and Ermon 2020, section 3.5)."""
    return min(WIDEST, max(1e-3, round(1 / ((1 - decay) * steps), 3)))


def beta_at(gamma: float, steps: float) -> float:
    """What share of the average survives the update after ``steps`` steps: β_t = (1 − 1/t)^(γ + 1) (ibid.)."""
    return (1.0 - 1.0 / max(steps, 1.0)) ** (gamma + 1)


class PowerEMA:
    """Several power-function averages of one module's weights, θ̂ ← θ̂ + (1 − β_t)(θ − θ̂).

    The profile is a share of the run so far, never a number of steps: the average of a short run is short, so it has
    always caught up. Only floating-point weights that are trained are averaged; frozen weights and buffers are those
    of the module at the moment of reading. The averages are kept in the weights' own dtype (float32 here).
    """

    def __init__(self, module: nn.Module, widths: Sequence[float]) -> None:
        self.module = module
        self.names = [name for name, p in module.named_parameters() if p.requires_grad]
        self._live = [p.detach() for p in module.parameters() if p.requires_grad]
        self.averages = {width: [p.clone() for p in self._live] for width in widths}
        self._gammas = {width: gamma_of(width) for width in widths}
        self.late: set[float] = set()  # widths that began in the middle of the run: their profile is no pure power
        self._shadow: nn.Module | None = None

    @torch.no_grad()
    def update(self, steps: float) -> None:
        """Take in the present weights, those after ``steps`` steps (1 is the first; it replaces the average)."""
        for width, average in self.averages.items():
            torch._foreach_lerp_(average, self._live, 1.0 - beta_at(self._gammas[width], steps))

    def averaged(self, width: float) -> dict[str, Tensor]:
        """The averages of this profile alone, by the names of the weights."""
        return dict(zip(self.names, self.averages[width], strict=True))

    def state(self, width: float) -> dict[str, Tensor]:
        """A state dict of the whole module with the averages of this profile in it."""
        return self.module.state_dict() | self.averaged(width)

    @torch.no_grad()
    def load(self, width: float, state: dict[str, Tensor]) -> None:
        """Read the averages of a profile back from what ``state`` gave."""
        torch._foreach_copy_(self.averages[width], [state[name].to(p.device) for name, p in self._pairs()])

    def denoiser(self, width: float | None = None) -> nn.Module:
        """The averaged module in eval mode, without gradients: a copy kept aside and overwritten by the next call, so
        sampling from it cannot disturb training. ``None`` is the first profile, or the weights themselves when there
        is none."""
        self._shadow = _copy_of(self.module) if self._shadow is None else self._shadow
        width = next(iter(self.averages), None) if width is None else width
        self._shadow.load_state_dict(self.module.state_dict() if width is None else self.state(width))
        return self._shadow

    def _pairs(self) -> Iterable[tuple[str, Tensor]]:
        return zip(self.names, self._live, strict=True)


def _copy_of(module: nn.Module) -> nn.Module:
    return deepcopy(module).eval().requires_grad_(False)

"""The spacings of discrete DDPM models, with the off-by-one conventions of diffusers under diffusers' names.

A model of T training steps counts them k = 0 … T − 1; step k has the noise of t = (k + 1)/T. All three grids give n of
these steps, noisiest first, and then clean data, t = 0 (diffusers' ``final_sigmas_type="zero"`` and
``set_alpha_to_one=True``).

Three of diffusers' habits are not reproduced. Its DDIM ignores the list and steps from k to k − ⌊T/n⌋, which leaves
the list for ``linspace``, and for ``trailing`` where n does not divide T. Its ``trailing`` list is one too long, ending
at k = −1, for 62 of the n up to 1000 (61, 103, 121 …). And it takes N(0, I) for the first state, whatever its level;
here noise at a first time t₀ < 1 is x = σ(t₀) ε, 0.4 % less at k = 960 of Stable Diffusion. Such a start is biased
either way, as the model expects a trace of data there (Lin et al. 2024, section 3.3): ``trailing`` starts from noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import UserError
from ...registry import register


def _times(indices: Tensor, total: int) -> Tensor:
    return torch.cat([(indices + 1) / total, indices.new_zeros(1)])


def _require_total(total: int, offset: int = 0) -> None:
    if total < 1 or offset < 0:
        raise UserError(f"a discrete model needs total ≥ 1 steps and offset ≥ 0, got total={total}, offset={offset}.")


def _refuse_more_than(total: int, steps: int) -> None:
    if steps > total:
        raise UserError(f"a model of {total} steps cannot be sampled in {steps}: use at most {total}.")


@register("trailing", "grid")
@dataclass(frozen=True)
class Trailing:
    """Counted from the end: k_i = round(T − i T/n) − 1, so always from t = 1 (Lin et al. 2024, table 2; diffusers'
    ``trailing``). n = 25 of 1000: k = 999, 959, … 39. Raises UserError for more steps than the model has."""

    total: int = 1000

    def __post_init__(self) -> None:
        _require_total(self.total)

    def __call__(self, process: Any, steps: int) -> Tensor:
        _refuse_more_than(self.total, steps)
        # numpy.arange(T, 0, −T/n), as diffusers writes it, adds up this very difference: ties round as there
        step = (self.total - self.total / steps) - self.total
        k = (self.total + torch.arange(steps, dtype=torch.float64) * step).round() - 1
        return _times(k, self.total)


@register("leading", "grid")
@dataclass(frozen=True)
class Leading:
    """Counted from the beginning: k_i = (n − 1 − i) ⌊T/n⌋ + offset (Song et al. 2021a; diffusers' ``leading``, whose
    ``steps_offset`` is 1 for Stable Diffusion). n = 25 of 1000: k = 960, 920, … 0, so the first time is 0.961.

    ``skip_cleanest`` is the variant of diffusers' DPM-Solver, DEIS and UniPC: of n + 1 steps, ⌊T/(n + 1)⌋ apart, the
    cleanest is left out. Raises UserError for more steps than the model has, or an offset that leaves it.
    """

    total: int = 1000
    offset: int = 0
    skip_cleanest: bool = False

    def __post_init__(self) -> None:
        _require_total(self.total, self.offset)

    def __call__(self, process: Any, steps: int) -> Tensor:
        _refuse_more_than(self.total - self.skip_cleanest, steps)
        levels = steps + self.skip_cleanest
        k = torch.arange(levels - 1, -1, -1, dtype=torch.float64) * (self.total // levels) + self.offset
        if k[0] >= self.total:
            raise UserError(
                f"leading with offset={self.offset} and {steps} steps begins at step {k[0]:g}, but the model's last is "
                f"{self.total - 1}. Use a smaller offset, or fewer steps."
            )
        return _times(k[:steps], self.total)


@register("linspace", "grid")
@dataclass(frozen=True)
class Linspace:
    """Both ends included: k_i = round((T − 1)(1 − i/(n − 1))) (diffusers' ``linspace``; its Euler and Heun do not
    round). n = 25 of 1000: k = 999, 957, … 0, so the last step is from t = 0.001 to 0 and all but lost.

    ``skip_cleanest`` is the variant of diffusers' DPM-Solver, DEIS and UniPC: of n + 1 steps the cleanest is left out.
    Raises UserError for more steps than the model has, and for a single one, which would be the cleanest.
    """

    total: int = 1000
    skip_cleanest: bool = False

    def __post_init__(self) -> None:
        _require_total(self.total)

    def __call__(self, process: Any, steps: int) -> Tensor:
        _refuse_more_than(self.total - self.skip_cleanest, steps)
        levels = steps + self.skip_cleanest
        if levels == 1:
            raise UserError("linspace in one step would begin at the cleanest level. Use trailing, or skip_cleanest.")
        k = (torch.arange(levels, dtype=torch.float64) * ((self.total - 1) / (levels - 1))).round().flip(0)
        return _times(k[:steps], self.total)

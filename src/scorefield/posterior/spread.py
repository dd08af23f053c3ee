"""How uncertain a denoiser is at each noise level, measured once on data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, need
from ..errors import UserError


@dataclass(frozen=True)
class Spread:
    """r²(s), the mean squared error of x̂₀ a coordinate at noise s = σ/α: known at falling or rising ``levels``, between
    them a straight line in log r² over log s; below the lowest it falls with s², above the highest it stays.

    Raises UserError for levels and errors that are no curve.
    """

    levels: tuple[float, ...]
    errors: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.errors) or not self.levels or min(*self.levels, *self.errors) <= 0:
            raise UserError(
                f"a Spread needs as many errors as levels, all above 0, got {len(self.levels)} levels and "
                f"{len(self.errors)} errors."
            )

    def __call__(self, level: Tensor) -> Tensor:
        """r² at s (…), of its shape."""
        s, order = torch.tensor(self.levels, dtype=torch.float64).sort()
        r2 = torch.tensor(self.errors, dtype=torch.float64)[order].log()
        x, s = level.double().cpu().log(), s.log()
        i = torch.searchsorted(s, x.contiguous()).clamp(1, len(s) - 1) if len(s) > 1 else torch.zeros_like(x).long()
        before = (i - 1).clamp_min(0)
        share = ((x - s[before]) / (s[i] - s[before]).clamp_min(1e-12)).clamp(0, 1)
        inside = r2[before] + share * (r2[i] - r2[before])
        return (inside + 2 * (x - s[0]).clamp_max(0)).exp().to(level.device)


@torch.no_grad()
def spread_of(denoiser: Denoiser, x0: Tensor, rng: Rng, levels: int = 24) -> Spread:
    """The mean squared error of the denoiser on noised data x0 (N, *D) at ``levels`` noise levels from σ/α = 0.01 to
    100 (or what the process has): one evaluation of N examples each (Peng et al. 2024, appendix). Raises UserError for
    levels < 2."""
    process = denoiser.process
    need(process, "spread_of", "corrupt", "log_ratio", "time")
    if levels < 2:
        raise UserError(f"spread_of needs at least 2 levels, got {levels}.")
    clocks = torch.linspace(4.6, -4.6, levels, dtype=torch.float64)
    clocks = clocks.clamp_min(process.log_ratio(as_time(1.0)).item()).unique()
    found = []
    for t in process.time(clocks):
        x = process.corrupt(x0, t, rng)
        found.append((denoiser(x, t).mean - x0).square().mean().item())
    return Spread(tuple((-clocks).exp().tolist()), tuple(max(error, 1e-12) for error in found))

"""How strongly to guide at a time: a number or a function of the noise level, within an interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..core import need
from ..errors import UserError

Scale = float | Callable[[float], float]  # a number, or σ/α ↦ a number
Interval = tuple[float, float] | None  # (low, high] in σ/α


def check_interval(interval: Interval) -> None:
    """Raises UserError for an interval that holds no noise level."""
    if interval is not None and not 0 <= interval[0] < interval[1]:
        raise UserError(f"a guidance interval needs 0 ≤ low < high (in σ/α), got {interval}.")


def strength(guidance: Any, process: Any, t: Tensor, x: Tensor, off: float = 1.0) -> float | Tensor:
    """The scale of ``guidance`` (its ``scale`` and ``interval``) at t, ``off`` outside the interval: a number, or for
    one t per example a tensor that multiplies x (B, *D). Raises UserError where the process knows no noise level."""
    if guidance.interval is None and not callable(guidance.scale):
        return guidance.scale
    need(process, guidance, "log_ratio")
    levels = (-process.log_ratio(t)).exp()
    if levels.ndim == 0:
        return _at(guidance, levels.item(), off)
    scales = levels.new_tensor([_at(guidance, level, off) for level in levels.tolist()])
    if (scales == scales[0]).all():
        return scales[0].item()
    return scales.to(x.device, x.dtype if x.is_floating_point() else scales.dtype).reshape(-1, *[1] * (x.ndim - 1))


def _at(guidance: Any, level: float, off: float) -> float:
    low, high = guidance.interval or (-1.0, float("inf"))
    if not low < level <= high:
        return off
    return float(guidance.scale(level)) if callable(guidance.scale) else guidance.scale

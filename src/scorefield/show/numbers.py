"""Numbers as people read them: round ticks, few digits, errors that match their values."""

from __future__ import annotations

import math
import sys

import numpy as np
from numpy.typing import ArrayLike


def array(values: object) -> np.ndarray:
    """A NumPy array from an ndarray, a list or a torch tensor on any device, with or without a gradient."""
    torch = sys.modules.get("torch")  # where torch was never imported nothing can be a tensor
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values
    return np.asarray(values)


def finite(values: ArrayLike) -> np.ndarray:
    """The finite entries of ``values``, flat, float64."""
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    return flat[np.isfinite(flat)]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers (1, 2, 2.5 or 5 times a power of ten) from ``low`` to ``high``, ends included
    where they are round. Returns ``[low]`` when there is no room between them."""
    if not high > low:
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round positive numbers for a logarithmic axis: powers of ten, with 2 and 5 between them where there is room."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        marks = [float(f"{d}e{k}") for k in decades for d in digits]
        inside = [m for m in marks if low * (1 - 1e-9) <= m <= high * (1 + 1e-9)]
        if len(inside) <= count + 1 and len(inside) >= 2:
            return inside
    if len(inside) < 2:
        return ticks(low, high, count)
    return inside[:: math.ceil(len(inside) / count)]


def short(value: float, digits: int = 3) -> str:
    """A number for a label: ``0.0312``, ``12``, ``1.5k``, ``2.4M``, ``3.1e-6``. Never more than about seven letters."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(power)}"
    rounded = float(f"{value:.{digits}g}")  # first, so that 999,999 is 1M and not 1000k
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(rounded) >= unit and size >= 1e4:
            return f"{rounded / unit:.{digits}g}{name}"
    return f"{value:.{max(digits, len(str(int(size))))}g}"


def with_error(value: float, error: float | None) -> str:
    """``0.0042 ± 0.0006``: the error to two figures (one from 3 up), the value to the same decimal place."""
    if error is None or not math.isfinite(error) or error <= 0 or not math.isfinite(value):
        return short(value, 4)
    place = math.floor(math.log10(error))
    decimals = -place + (1 if error / 10.0**place < 3 else 0)
    if decimals > 7:
        return f"{value:.2e} ± {error:.1e}"
    decimals = max(decimals, 0)
    return f"{value:,.{decimals}f} ± {error:,.{decimals}f}"


def smooth(values: ArrayLike, width: float) -> np.ndarray:
    """A centred Gaussian mean of a noisy curve, ``width`` points of standard deviation: no lag, unlike a running mean.

    values (N,) finite; returns (N,) float64. Near the ends the window is cut and renormalised.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size < 3 or width <= 0:
        return values
    reach = min(math.ceil(3 * width), values.size - 1)
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    total = np.convolve(values, window)[reach:-reach]
    return total / np.convolve(np.ones_like(values), window)[reach:-reach]

"""Laws of denoisers and of guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, as_time


def check_denoiser(denoiser: Denoiser, shape: Sequence[int], **cond: Tensor) -> None:
    """Finite beliefs of the shape of x from nearly clean data to pure noise; one time for all equals that time given
    per example; and examples do not see each other. ``shape`` is (B, *D) with B ≥ 2; ``cond`` holds (B, …) tensors."""
    x = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t in (1e-3, 0.5, 1.0):
        together = denoiser(x, as_time(t), **cond).mean
        assert together.shape == x.shape, f"{denoiser}: belief of shape {tuple(together.shape)} about {tuple(x.shape)}"
        assert together.isfinite().all(), f"{denoiser}: a belief at t = {t} is not finite"
        each = denoiser(x, as_time([t] * len(x)), **cond).mean
        _close(each, together, f"{denoiser}: a time per example differs from one time at t = {t}")
        alone = denoiser(x[:1], as_time(t), **{k: v[:1] for k, v in cond.items()}).mean
        _close(alone, together[:1], f"{denoiser}: an example depends on its batch at t = {t}")


def check_guidance(build: Callable[[float], Denoiser], shape: Sequence[int], **cond: Any) -> None:
    """``build(scale)``: at scale 1 the conditional belief, at 0 the unconditional one, and affine in between and
    beyond. The conditional and unconditional beliefs are those of ``build(1)`` and ``build(0)``."""
    x, t = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64), as_time(0.5)
    zero, one = (build(scale)(x, t, **cond).mean for scale in (0.0, 1.0))
    assert (zero - one).abs().max() > 0, "the condition changes nothing, so guidance cannot be checked"
    for scale in (0.5, 3.0):
        _close(build(scale)(x, t, **cond).mean, zero + scale * (one - zero), f"guidance is not affine at {scale}")


def _close(got: Tensor, want: Tensor, what: str) -> None:
    tolerance = 1e-5 * (1 + want.abs().max().item())  # a float32 network: rounding of differently blocked products
    assert (got - want).abs().max() <= tolerance, f"{what}: {(got - want).abs().max():.1e}"

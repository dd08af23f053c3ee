"""What a label and a condition must be, and what of them is known: the same for every network."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UserError


def known_classes(label: Tensor, classes: int, batch: int) -> tuple[Tensor, Tensor]:
    """label (B,) → the index of each (0 for none) and whether there is one, (B,) int64 and (B, 1) bool.

    Raises UserError for a network without classes, another shape or kind of number and, where that can be seen without
    waiting for an accelerator (on the CPU, outside torch.compile), a label that is not −1 … classes − 1."""
    if not classes:
        raise UserError("This network was built without classes, so it takes no label. Build it with classes=K.")
    if label.shape != (batch,) or label.dtype.is_floating_point:
        kind = f"{label.dtype} of shape {tuple(label.shape)}".removeprefix("torch.")
        raise UserError(f"label must hold one whole number per example, int64 of shape ({batch},); got {kind}.")
    if label.device.type == "cpu" and not torch.compiler.is_compiling():
        _check_range(label, classes)
    return label.clamp(min=0), (label >= 0).unsqueeze(-1)


def _check_range(label: Tensor, classes: int) -> None:
    outside = label[(label < -1) | (label >= classes)]
    if len(outside):
        raise UserError(
            f"label {int(outside[0])} is out of range: this network has {classes} classes, "
            f"so a label is 0 … {classes - 1}, or −1 for no class."
        )


def known_numbers(condition: Tensor, numbers: int, batch: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """condition (B, V), NaN where not known → the row [c, known] with 0 for such a c, and whether any is known:
    (B, 2 V) of ``dtype`` and (B, 1) bool.

    Raises UserError for a network without conditions, and for another shape or kind of number."""
    if not numbers:
        raise UserError("This network was built without conditions. Build it with condition=V for V numbers each.")
    if condition.shape != (batch, numbers) or not condition.dtype.is_floating_point:
        kind = f"{condition.dtype} of shape {tuple(condition.shape)}".removeprefix("torch.")
        raise UserError(
            f"condition must hold {numbers} numbers per example, float of shape ({batch}, {numbers}), "
            f"NaN for what is not known; got {kind}."
        )
    known = ~condition.isnan()
    row = torch.cat((torch.where(known, condition, 0.0).to(dtype), known.to(dtype)), 1)
    return row, known.any(1, keepdim=True)

"""Whether a written program gives what the library gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ROUNDINGS = {"denoiser": 1_000, "sampler": 10_000}  # of float32, relative to the largest number of the output


class Parity(NamedTuple):
    """The largest difference of ``program`` to the library, and the bound it must keep: whole levels for uint8, else
    float32 roundings of the largest number."""

    program: str
    difference: float
    bound: float
    batches: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether it is kept."""
        return self.difference <= self.bound


def compare(
    name: str,
    what: str,
    program: Callable[[Mapping[str, Tensor]], Tensor],
    cases: Sequence[tuple[Mapping[str, Tensor], Tensor]],
) -> Parity:
    """``program`` against (inputs, what the library gives) at several batch sizes.

    Sums are taken in another order by another runtime, and a sampler carries that along its steps; pixels that lie
    between two values of uint8 may then be rounded to either. Another shape or type is an infinite difference."""
    difference, bound = 0.0, 0.0
    for inputs, expected in cases:
        got = program(inputs)
        same = got.shape == expected.shape and got.dtype == expected.dtype
        off = (got.double() - expected.double()).abs().max().item() if same else float("inf")
        difference = max(difference, off if off >= 0 else float("inf"))  # NaN is as bad as can be
        whole = not expected.dtype.is_floating_point
        room = 1.0 if whole else ROUNDINGS[what] * torch.finfo(torch.float32).eps * expected.abs().max().item()
        bound = max(bound, room)
    return Parity(name, difference, bound, tuple(len(expected) for _, expected in cases))

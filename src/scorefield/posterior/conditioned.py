"""What every edit of a belief by a measurement is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..core import Denoiser
from ..operators import Measurement
from .requirements import std_of
from .tangent import Isotropic


@dataclass(frozen=True, eq=False)
class Conditioned:
    """A denoiser that has been told of a measurement: the one inside and what it was told."""

    inner: Denoiser
    measurement: Measurement

    @property
    def process(self) -> Any:
        """That of the denoiser inside."""
        return self.inner.process

    @cached_property
    def _solved(self) -> Isotropic:
        return Isotropic(self.measurement.operator, std_of(self.measurement))

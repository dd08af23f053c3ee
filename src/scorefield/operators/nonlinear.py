"""Measurements that are not linear: compression, rounding, lost phases, clipping."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from .protocol import Composes, expect


@dataclass(frozen=True, eq=False)
class _Same(Composes):
    """What is measured has the shape of the event."""

    event: tuple[int, ...]
    linear = False

    @property
    def measured(self) -> tuple[int, ...]:
        """That of the event."""
        return tuple(self.event)


@dataclass(frozen=True, eq=False)
class Jpeg(_Same):
    """A picture (1 or 3, H, W) in [−1, 1] as it comes back from a JPEG file of ``quality`` 1 to 95 (Pillow's, chroma at
    half the size), still in [−1, 1].

    Not differentiable, unless ``straight_through``, which takes the identity as its gradient. Runs on the CPU, picture
    by picture. Raises UserError for other channels or qualities.
    """

    quality: int
    straight_through: bool = False

    def __post_init__(self) -> None:
        if len(self.event) != 3 or self.event[0] not in (1, 3) or not 1 <= self.quality <= 95:
            raise UserError(
                f"JPEG takes grey or RGB pictures (1 or 3, H, W) and a quality from 1 to 95, "
                f"got {tuple(self.event)} and {self.quality}."
            )

    @property
    def differentiable(self) -> bool:
        """Whether a gradient was asked for."""
        return self.straight_through

    def __call__(self, x: Tensor) -> Tensor:
        return _through(self._coded, expect(self, self.event, x), self.straight_through)

    def _coded(self, x: Tensor) -> Tensor:
        pixels = ((x.float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
        back = np.stack([self._one(picture) for picture in pixels])
        return (torch.from_numpy(back).double() / 127.5 - 1).to(x)

    def _one(self, pixels: np.ndarray) -> np.ndarray:
        from PIL import Image

        file = io.BytesIO()
        image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        image.save(file, "JPEG", quality=self.quality)
        file.seek(0)
        with Image.open(file) as coded:
            decoded = np.array(coded)
        return decoded[None] if decoded.ndim == 2 else decoded.transpose(2, 0, 1)


@dataclass(frozen=True, eq=False)
class Quantise(_Same):
    """Each number of [−1, 1] rounded to the nearest of ``levels`` even ones, with −1 and 1 among them.

    Not differentiable, unless ``straight_through``, which takes the identity as its gradient. Raises UserError below 2
    levels.
    """

    levels: int
    straight_through: bool = False

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise UserError(f"rounding needs at least 2 levels, got {self.levels}.")

    @property
    def differentiable(self) -> bool:
        """Whether a gradient was asked for."""
        return self.straight_through

    def __call__(self, x: Tensor) -> Tensor:
        return _through(self._rounded, expect(self, self.event, x), self.straight_through)

    def _rounded(self, x: Tensor) -> Tensor:
        half = (self.levels - 1) / 2
        return ((x.clamp(-1, 1) + 1) * half).round() / half - 1


@dataclass(frozen=True, eq=False)
class HighDynamicRange(_Same):
    """y = clip(scale · x, −1, 1): an overexposed picture, whose light and dark ends are lost. Differentiable, with the
    gradient 0 where it clips. Raises UserError unless scale > 0."""

    scale: float = 2.0
    differentiable = True

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise UserError(f"the exposure must be multiplied by more than 0, got {self.scale:g}.")

    def __call__(self, x: Tensor) -> Tensor:
        return (self.scale * expect(self, self.event, x)).clamp(-1, 1)


@dataclass(frozen=True, eq=False)
class PhaseRetrieval(Composes):
    """y = |F x|, the moduli of the orthonormal 2-D transform of each channel, with zeros round the picture up to
    ``oversample`` times its height and width: more than 2 determines it up to shifts, sign and point reflection.

    Its gradient is 0 where a modulus is 0. Raises UserError for events other than (C, H, W) or oversample < 1.
    """

    event: tuple[int, ...]
    oversample: float = 2.0
    linear = False
    differentiable = True

    def __post_init__(self) -> None:
        if len(self.event) != 3 or not self.oversample >= 1:
            raise UserError(
                f"phase retrieval takes pictures (C, H, W) and oversample ≥ 1, got {tuple(self.event)} and "
                f"{self.oversample:g}."
            )

    @property
    def measured(self) -> tuple[int, ...]:
        """(C, H′, W′), the padded sizes."""
        return (self.event[0], *(round(self.oversample * n) for n in self.event[1:]))

    def __call__(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(expect(self, self.event, x), s=self.measured[1:], norm="ortho").abs()


def _through(f: Callable[[Tensor], Tensor], x: Tensor, straight: bool) -> Tensor:
    """f(x), with the gradient of the identity where that was asked for, else none."""
    found: Any = _Straight.apply if straight else _plain
    return found(x, f)


def _plain(x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    return f(x.detach())


class _Straight(torch.autograd.Function):
    """f with the derivative of the identity, in whichever mode it is asked for."""

    @staticmethod
    def forward(x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        return f(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is kept: the derivative is the same everywhere."""

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return slopes[0], None

    @staticmethod
    def jvp(ctx: Any, *directions: Tensor) -> Tensor:
        return directions[0].clone()

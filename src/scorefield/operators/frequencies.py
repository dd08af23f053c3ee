"""Operators that are diagonal in frequency: blur, undersampled Fourier measurements, compressed sensing.

Their real orthogonal V is Hartley's transform, Re F − Im F with the orthonormal F: its own inverse, as fast as an FFT,
and it diagonalises every even multiplier (Bracewell 1983).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from .protocol import Composes, Kept, Spectrum, expect


def hartley(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Re F x − Im F x over ``dims``, orthogonal and its own inverse; of the shape of x."""
    X = torch.fft.fftn(x, dim=dims, norm="ortho")
    return X.real - X.imag


@dataclass(frozen=True, eq=False)
class Blur(Composes):
    """Circular convolution with ``kernel``: (h, w) for pictures (C, H, W), (t,) for signals (C, T) and vectors, each
    channel alike; its middle is entry (h // 2, w // 2). Singular values are the moduli of its transform.

    Frequencies whose modulus is rounding (below D · ε of the largest) are not measured. Raises UserError for a kernel
    of another number of axes, larger than the event, or not finite.
    """

    event: tuple[int, ...]
    kernel: Tensor
    linear = True
    differentiable = True

    def __post_init__(self) -> None:
        places = self._places
        fits = self.kernel.ndim == len(places) and all(k <= n for k, n in zip(self.kernel.shape, places, strict=True))
        if not fits or not self.kernel.isfinite().all() or not self.kernel.any():
            raise UserError(
                f"a blur of an event {tuple(self.event)} needs a finite kernel of at most {places}, "
                f"got {tuple(self.kernel.shape)}."
            )

    @classmethod
    def gaussian(cls, event: tuple[int, ...], std: float) -> Blur:
        """A round Gaussian of ``std`` pixels, wrapped round the edges. Raises UserError unless std > 0."""
        if not std > 0:
            raise UserError(f"a Gaussian blur needs std > 0 pixels, got {std:g}.")
        axes = [_wrapped(n, std) for n in _places(event)]
        return cls(event, axes[0] if len(axes) == 1 else axes[0][:, None] * axes[1])

    @classmethod
    def motion(cls, event: tuple[int, ...], length: float, angle: float = 0.0) -> Blur:
        """A straight stroke of ``length`` pixels at ``angle`` degrees, counter-clockwise from the right. Raises
        UserError unless it fits into the picture."""
        most = (min(event[-2:]) - 1) // 2 * 2 if len(event) > 2 else 0
        if not 0 < length <= most:
            raise UserError(f"a motion blur of an event {tuple(event)} is 0 to {most} pixels long, got {length:g}.")
        r = math.ceil(length / 2)
        along = torch.linspace(-length / 2, length / 2, 16 * r + 1, dtype=torch.float64)
        turn = math.radians(angle)
        y, x = r - along * math.sin(turn), r + along * math.cos(turn)
        kernel = torch.zeros(2 * r + 3, 2 * r + 3, dtype=torch.float64)
        top, left = y.floor().long(), x.floor().long()
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):  # each point is shared among its four pixels
            share = (1 - (y - top - dy).abs()) * (1 - (x - left - dx).abs())
            kernel.index_put_((top + dy, left + dx), share, accumulate=True)
        kernel = kernel[: 2 * r + 1, : 2 * r + 1]
        return cls(event, kernel / kernel.sum())

    @classmethod
    def file(cls, event: tuple[int, ...], path: str) -> Blur:
        """A kernel from a picture (white is weight, normalised to 1) or a .npy file (as it is). Raises UserError for a
        file that is neither, or black all over."""
        import numpy as np

        from .picture import grey

        if str(path).lower().endswith(".npy"):
            try:
                return cls(event, torch.from_numpy(np.load(path, allow_pickle=False)).double())
            except (OSError, ValueError, TypeError) as error:
                raise UserError(f"'{path}' holds no array of numbers: {error}") from error
        kernel = grey(path)
        return cls(event, kernel / kernel.sum().clamp_min(1e-12))

    @property
    def _places(self) -> tuple[int, ...]:
        return _places(self.event)

    @property
    def measured(self) -> tuple[int, ...]:
        """That of the event."""
        return tuple(self.event)

    @cached_property
    def _dims(self) -> tuple[int, ...]:
        return tuple(range(-len(self._places), 0))

    @cached_property
    def _gain(self) -> Tensor:
        """The transform of the kernel, complex128, its middle at the origin."""
        padded = torch.zeros(self._places, dtype=torch.float64)
        padded[tuple(slice(k) for k in self.kernel.shape)] = self.kernel.double().cpu()
        middle = [-(k // 2) for k in self.kernel.shape]
        return torch.fft.fftn(padded.roll(middle, self._dims))

    @cached_property
    def _half(self) -> Kept:
        return Kept(torch.view_as_real(self._gain[..., : self._places[-1] // 2 + 1].clone()))

    def __call__(self, x: Tensor) -> Tensor:
        gain = torch.view_as_complex(self._half.like(x))
        return self._filtered(expect(self, self.event, x), gain)

    def adjoint(self, y: Tensor) -> Tensor:
        gain = torch.view_as_complex(self._half.like(y))
        return self._filtered(expect(self, self.event, y), gain.conj())

    def _filtered(self, x: Tensor, gain: Tensor) -> Tensor:
        X = torch.fft.rfftn(x, dim=self._dims)
        return torch.fft.irfftn(X * gain, s=self._places, dim=self._dims)

    @cached_property
    def _spectrum(self) -> Spectrum:
        """A = P |A|: the modulus in Hartley's basis, and the phases P, themselves an orthogonal filter."""
        modulus = self._gain.abs()
        phase = torch.where(modulus > 0, self._gain / modulus.clamp_min(1e-300), 1.0)
        turn = Kept(torch.view_as_real(phase[..., : self._places[-1] // 2 + 1].clone()))
        everywhere = modulus.expand(self.event).flatten()
        known = everywhere > prod(self.event) * torch.finfo(torch.float64).eps * modulus.max()
        order = Kept(torch.cat([known.nonzero()[:, 0], (~known).nonzero()[:, 0]]))
        back, r = Kept(order.tensor.argsort()), int(known.sum())

        def to_v(x: Tensor) -> Tensor:
            return hartley(x, self._dims).flatten(1).index_select(1, order.on(x))

        def from_v(c: Tensor) -> Tensor:
            return hartley(c.index_select(1, back.on(c)).unflatten(1, self.event), self._dims)

        def to_u(y: Tensor) -> Tensor:
            return to_v(self._filtered(y, torch.view_as_complex(turn.like(y)).conj()))[:, :r]

        def from_u(c: Tensor) -> Tensor:
            filled = torch.cat([c, c.new_zeros(len(c), prod(self.event) - r)], 1)
            return self._filtered(from_v(filled), torch.view_as_complex(turn.like(c)))

        return Spectrum(everywhere[order.tensor[:r]], to_v, from_v, to_u, from_u, prod(self.event))

    def spectrum(self) -> Spectrum:
        return self._spectrum


@dataclass(frozen=True, eq=False)
class Fourier(Composes):
    """Some of the frequencies of a picture, as a scanner measures them (MRI): the orthonormal 2-D transform where
    ``mask`` bool (H, W) is True, the frequency 0 in its middle, as such masks are drawn.

    An event (2, H, W) is a complex picture (real, imaginary) unless ``complex_pair`` is False: y (2, K), s = 1. Other
    channels are real pictures: y (C, 2, K), and s = 1 where a frequency and its mirror are measured, √½ where one of
    the two is. Raises UserError for a mask of another size or of nothing.
    """

    event: tuple[int, ...]
    mask: Tensor
    complex_pair: bool | None = None
    linear = True
    differentiable = True

    def __post_init__(self) -> None:
        if len(self.event) != 3 or self.mask.dtype != torch.bool or tuple(self.mask.shape) != tuple(self.event[1:]):
            raise UserError(
                f"Fourier measurements of an event {tuple(self.event)} need a bool mask (H, W) of its size, "
                f"got {self.mask.dtype} {tuple(self.mask.shape)}."
            )
        pair = self.event[0] == 2 if self.complex_pair is None else self.complex_pair
        if not self.mask.any() or (pair and self.event[0] != 2):
            raise UserError(
                "Fourier measurements need a mask that is True somewhere, and 2 channels for a complex pair."
            )
        object.__setattr__(self, "complex_pair", pair)

    @classmethod
    def lines(cls, event: tuple[int, ...], acceleration: float, seed: int = 0, centre: float = 0.08) -> Fourier:
        """Whole columns of frequencies: the middle share ``centre`` of them, and random ones until 1 in
        ``acceleration`` is measured (fastMRI; Zbontar et al. 2018). Raises UserError for an acceleration below 1."""
        if not acceleration >= 1 or len(event) != 3:
            raise UserError(f"pictures (C, H, W) and an acceleration ≥ 1 are needed, got {event}, {acceleration:g}.")
        w = event[-1]
        wanted, middle = max(1, round(w / acceleration)), max(1, round(centre * w))
        columns = torch.zeros(w, dtype=torch.bool)
        start = w // 2 - middle // 2
        columns[start : start + min(middle, wanted)] = True
        others = (~columns).nonzero()[:, 0]
        columns[others[Rng(seed).permutation(len(others))[: wanted - int(columns.sum())]]] = True
        return cls(event, columns.expand(event[1], w).clone())

    @property
    def measured(self) -> tuple[int, ...]:
        """(2, K) of a complex picture, (C, 2, K) of real ones."""
        k = int(self.mask.sum())
        return (2, k) if self.complex_pair else (self.event[0], 2, k)

    @cached_property
    def _known(self) -> Tensor:
        """The mask in the order of the FFT, on the CPU."""
        return torch.fft.ifftshift(self.mask.cpu())

    @cached_property
    def _places(self) -> Kept:
        return Kept(self._known.flatten().nonzero()[:, 0])

    def _complex(self, x: Tensor) -> Tensor:
        """(B, C, H, W) complex: one channel of a pair."""
        return torch.complex(x[:, 0], x[:, 1])[:, None] if self.complex_pair else x

    def __call__(self, x: Tensor) -> Tensor:
        X = torch.fft.fft2(self._complex(expect(self, self.event, x)), norm="ortho")
        some = X.flatten(2).index_select(2, self._places.on(x))
        return torch.stack([some.real, some.imag], 2).reshape(-1, *self.measured)

    def adjoint(self, y: Tensor) -> Tensor:
        parts = expect(self, self.measured, y).reshape(len(y), -1, 2, self.measured[-1])
        some = torch.complex(parts[:, :, 0], parts[:, :, 1])
        empty = torch.zeros(*some.shape[:2], self.mask.numel(), dtype=some.dtype, device=y.device)
        X = empty.index_copy(2, self._places.on(y), some).unflatten(2, self.event[1:])
        x = torch.fft.ifft2(X, norm="ortho")
        return torch.cat([x.real, x.imag], 1) if self.complex_pair else x.real

    @cached_property
    def _spectrum(self) -> Spectrum:
        mirror = self._known.flip(0, 1).roll((1, 1), (0, 1))  # the mask at −k
        both = self._known.double() if self.complex_pair else (self._known.double() + mirror.double()) / 2
        energy = both.expand(self.event).flatten()
        order = Kept(torch.cat([energy.nonzero()[:, 0], (energy == 0).nonzero()[:, 0]]))
        back = Kept(order.tensor.argsort())

        def forward(x: Tensor, inverse: bool) -> Tensor:
            if not self.complex_pair:
                return hartley(x, (-2, -1))
            X = (torch.fft.ifft2 if inverse else torch.fft.fft2)(self._complex(x), norm="ortho")
            return torch.cat([X.real, X.imag], 1)

        return with_v(
            self,
            energy[energy > 0].sqrt(),
            lambda x: forward(x, False).flatten(1).index_select(1, order.on(x)),
            lambda c: forward(c.index_select(1, back.on(c)).unflatten(1, self.event), True),
        )

    def spectrum(self) -> Spectrum:
        return self._spectrum


def with_v(
    operator: Any, values: Tensor, to_v: Callable[[Tensor], Tensor], from_v: Callable[[Tensor], Tensor]
) -> Spectrum:
    """The spectrum of an operator whose V and s are known, s far from 0: U = A V diag(1/s)."""
    r, size, kept = len(values), prod(operator.event), Kept(values)

    def from_u(c: Tensor) -> Tensor:
        scaled = c / kept.like(c)
        return operator(from_v(torch.cat([scaled, scaled.new_zeros(len(c), size - r)], 1)))

    return Spectrum(values, to_v, from_v, lambda y: to_v(operator.adjoint(y))[:, :r] / kept.like(y), from_u, size)


def _places(event: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(event[-2:] if len(event) > 2 else event[-1:])


def _wrapped(n: int, std: float) -> Tensor:
    """A Gaussian on a circle of n places, its middle at n // 2."""
    turns = math.ceil(4 * std / n) + 1
    at = torch.arange(n, dtype=torch.float64) - n // 2
    laps = n * torch.arange(-turns, turns + 1, dtype=torch.float64)[:, None]
    w = (-0.5 * ((at + laps) / std) ** 2).exp().sum(0)
    return w / w.sum()

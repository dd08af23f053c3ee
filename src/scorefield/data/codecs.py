"""Where data stop and diffusion begins: invertible scalings to numbers of order one, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from scorefield.data import alphabet, argmax, indexed, palette, tokenizer  # noqa: F401  (importing registers)
from scorefield.data.dataset import Dataset
from scorefield.data.describe import moments
from scorefield.data.mixed import table_codec
from scorefield.errors import UserError
from scorefield.registry import from_config, register


@register("pixels", "codec")
class Pixels:
    """Bytes to [−1, 1], z = 2v/(L − 1) − 1, because the noise levels of the literature assume that range.

    ``levels`` is L, the number of values v = 0 … L − 1 a pixel can take (2 to 256), which are stored as the bytes
    round(first + step v): ``data.levels`` finds the three. Raises ``UserError`` outside that.
    """

    def __init__(self, levels: int = 256, first: int = 0, step: float = 1.0) -> None:
        if not 2 <= levels <= 256:
            raise UserError(f"levels must be from 2 to 256, got {levels}.")
        if not step > 0 or not 0 <= first <= round(first + step * (levels - 1)) <= 255:
            raise UserError(f"{levels} levels from {first} in steps of {step:g} are not all between 0 and 255.")
        self.levels, self.first, self.step = levels, first, step
        self._plain = (first, step) == (0, 1.0)  # bytes are the numbers of their levels

    def __repr__(self) -> str:
        return f"Pixels({self.levels})"

    def encode(self, raw: Tensor) -> Tensor:
        """(B, *D) uint8 (or real values as stored, for likelihoods) to float32 (real values keep their dtype) in
        [−1, 1]; a byte goes to its level exactly."""
        if raw.is_floating_point():
            return (raw - self.first) * (2 / (self.step * (self.levels - 1))) - 1
        v = raw.float() if self._plain else ((raw.float() - self.first) / self.step).round()
        return v * (2 / (self.levels - 1)) - 1

    def decode(self, z: Tensor) -> Tensor:
        """(B, *D) real to uint8, rounded to the nearest level and clamped to those there are."""
        v = ((z.float() + 1) * ((self.levels - 1) / 2)).round().clamp(0, self.levels - 1)
        return (v if self._plain else (self.first + self.step * v).round()).to(torch.uint8)

    def log_det(self, shape: Sequence[int]) -> float:
        """log |∂z/∂v| of one example of event shape D, v as stored: |D| log(2/(step (L − 1))), nats."""
        return math.prod(shape) * math.log(2 / (self.step * (self.levels - 1)))


@register("standardise", "codec")
class Standardise:
    """z = (v − μ)/s per column of (B, D) or channel of (B, C, L), so that the units of the data do not matter.

    ``mean`` and ``std`` are lists of length D or C. ``pad`` repeats the last value of a signal so many times, and
    ``decode`` drops it: then networks can halve a length that the data happen to have. Raises ``UserError`` for lists
    of different length, for a deviation that is not above zero and a pad below it.
    """

    def __init__(self, mean: list[float], std: list[float], pad: int = 0) -> None:
        if len(mean) != len(std):
            raise UserError(f"mean has {len(mean)} entries but std has {len(std)}; write one of each per column.")
        if not all(0 < s < math.inf for s in std) or not all(map(math.isfinite, mean)):
            raise UserError("mean must be finite and std above zero. For a constant column write a std of 1.0.")
        if pad < 0:
            raise UserError(f"pad must be at least 0, got {pad}.")
        self.mean, self.std, self.pad = mean, std, pad

    def __repr__(self) -> str:
        padded = f", padded by {self.pad}" if self.pad else ""
        return f"Standardise({len(self.mean)} columns{padded})"

    def encode(self, raw: Tensor) -> Tensor:
        """(B, C, *rest) real to the same dtype and, but for the padding, shape: z = (v − μ)/s."""
        mean, std = self._like(raw)
        z = (raw - mean) / std
        return torch.cat([z, z[..., -1:].expand(*z.shape[:-1], self.pad)], -1) if self.pad else z

    def decode(self, z: Tensor) -> Tensor:
        """(B, C, *rest) to the data's own units, v = μ + s z, without the padding."""
        mean, std = self._like(z)
        return mean + std * (z[..., : z.shape[-1] - self.pad] if self.pad else z)

    def log_det(self, shape: Sequence[int]) -> float:
        """log |∂z/∂v| of one example of event shape (C, *rest): −|rest| Σ log s, nats. Padding has no volume."""
        return -math.prod(shape[1:]) * sum(map(math.log, self.std))

    def _like(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim < 2 or x.shape[1] != len(self.mean):
            raise UserError(f"standardise knows {len(self.mean)} columns, but the data have shape {tuple(x.shape)}.")
        shape = (-1,) + (1,) * (x.ndim - 2)
        mean, std = (torch.tensor(v, dtype=x.dtype, device=x.device).view(shape) for v in (self.mean, self.std))
        return mean, std


def codec_for(dataset: Dataset, **how: str) -> Any:
    """The codec a kind of data calls for, fitted to the training part; a constant column is only centred. That of text
    and of categories knows the whole file, and was found with it (``Dataset.coded``).

    ``how`` are options of tables, see ``table_codec``: scaling and coding."""
    return CODECS[dataset.kind](dataset, **how)


def _standardise(dataset: Dataset) -> Standardise:
    mean, std = moments(dataset.x)
    # A constant column has a deviation of rounding errors, not of data.
    constant = std <= 1e-6 * mean.abs()
    return Standardise(mean.tolist(), torch.where(constant, 1.0, std).tolist())


def _signals(dataset: Dataset) -> Standardise:
    """Padded to the largest of the MULTIPLES that adds at most an eighth, so that a U-Net has several levels."""
    codec, length = _standardise(dataset), dataset.shape[-1]
    pads = (-length % multiple for multiple in MULTIPLES)
    return Standardise(codec.mean, codec.std, next((pad for pad in pads if 8 * pad <= length), 0))


def _found(dataset: Dataset) -> Any:
    return from_config(dataset.coded, "codec", "dataset.coded")


MULTIPLES = (64, 32, 16, 8, 4, 2)  # lengths that can be halved six times, five times …
CODECS: dict[str, Callable[..., Any]] = {
    "images": lambda dataset: Pixels(),
    "vectors": _standardise,
    "signals": _signals,
    "table": table_codec,
    "text": _found,
    "categories": _found,
}

"""Parts that keep the magnitude of what passes through them: root mean square 1 in, 1 out (Karras et al. 2024).

The magnitude of a weight then says nothing, only its direction is learned, and training drifts nowhere.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-4
SILU_RMS = 0.596  # √E[silu(z)²] for z ~ N(0, 1), eq. 81
CONVOLVE = {1: F.conv1d, 2: F.conv2d}


def normalise(x: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """x / (ε + rms(x)) with the root mean square over ``dim`` (ibid., eq. 30): unit magnitude, in float32 at least."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True, dtype=dtype)  # its gradient at 0 is 0, not NaN
    count = math.prod(x.shape[d] for d in ((dim,) if isinstance(dim, int) else dim))  # numel would freeze the batch
    return x / (EPS + norm * math.sqrt(1 / count)).to(x.dtype)


def mp_silu(x: Tensor) -> Tensor:
    """silu(x) / 0.596 (ibid., eq. 81)."""
    return F.silu(x) / SILU_RMS


def mp_sum(a: Tensor, b: Tensor, t: float = 0.5) -> Tensor:
    """((1 − t) a + t b) / √((1 − t)² + t²) for independent a and b (ibid., eq. 88)."""
    length = math.hypot(1 - t, t)
    return a * ((1 - t) / length) + b * (t / length)


def mp_cat(a: Tensor, b: Tensor, t: float = 0.5) -> Tensor:
    """a and b one after the other along the channels, each with the share 1 − t and t of the whole, however many
    channels it has (ibid., eq. 103)."""
    n_a, n_b = a.shape[1], b.shape[1]
    whole = math.sqrt(n_a + n_b) / math.hypot(1 - t, t)
    return torch.cat((a * (whole * (1 - t) / math.sqrt(n_a)), b * (whole * t / math.sqrt(n_b))), 1)


class MPFourier(nn.Module):
    """√2 cos(f x + φ) with f ~ N(0, (2π)²) and φ ~ U(0, 2π), drawn once (ibid., eq. 75), (B,) → (B, count)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", nn.init.normal_(torch.empty(count), std=2 * math.pi))
        self.register_buffer("phases", nn.init.uniform_(torch.empty(count), 0, 2 * math.pi))

    def forward(self, x: Tensor) -> Tensor:
        frequencies, phases = self.get_buffer("frequencies"), self.get_buffer("phases")
        dtype = torch.promote_types(x.dtype, torch.float32)
        return torch.addcmul(phases.to(dtype), x.to(dtype).unsqueeze(-1), frequencies.to(dtype)).cos() * math.sqrt(2)


class MPConv(nn.Module):
    """A convolution, or a linear layer where ``kernel`` has no edge, whose rows of weights have unit magnitude: it maps
    independent inputs of unit variance to outputs of unit variance (ibid., eq. 47). ``gain`` multiplies the result.

    The parameter itself may have any length, which would shrink its effective learning rate over training;
    ``force`` puts it back on the sphere (ibid., eq. 66), which networks do at the start of each forward pass in
    training.
    """

    def __init__(self, inputs: int, outputs: int, *kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(outputs, inputs, *kernel)))
        self.fan_in = inputs * math.prod(kernel)

    @torch.no_grad()
    def force(self) -> None:
        """Give every row of weights its unit magnitude, in place."""
        self.weight.copy_(self.normal())

    def normal(self) -> Tensor:
        """The weights with rows of unit magnitude."""
        return normalise(self.weight, tuple(range(1, self.weight.ndim)))

    def forward(self, x: Tensor, gain: float | Tensor = 1.0) -> Tensor:
        weight = (self.normal() * (gain / math.sqrt(self.fan_in))).to(x.dtype)
        if weight.ndim == 2:
            return x @ weight.t()
        return CONVOLVE[weight.ndim - 2](x, weight, padding=weight.shape[-1] // 2)

    def column(self, index: Tensor) -> Tensor:
        """What a one-hot input of length √inputs gives, (B,) int64 → (B, outputs): an embedding of unit magnitude."""
        return F.embedding(index, self.normal().t())

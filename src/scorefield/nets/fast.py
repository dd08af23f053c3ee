"""The same functions, computed with less work on a CPU. What they return differs from the plain form by rounding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pointwise(nn.Conv2d):
    """A 1×1 convolution, (B, inputs, H, W) → (B, outputs, H, W): a matrix product over channels, and computed as one
    where they lie last in a CPU's memory, because oneDNN's convolution of that kind runs at half the speed of its
    product."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, input: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H, W), channels last when the input is."""
        if input.device.type != "cpu" or not input.is_contiguous(memory_format=torch.channels_last):
            return super().forward(input)
        flat = F.linear(input.permute(0, 2, 3, 1).flatten(0, 2), self.weight.flatten(1), self.bias)
        return flat.view(input.shape[0], *input.shape[2:], self.out_channels).permute(0, 3, 1, 2)


def convolve_doubled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Every pixel repeated to 2×2, then a 3×3 convolution that keeps the edge, (B, C, H, W) → (B, O, 2H, 2W), without
    making the repeated image.

    Among the 9 pixels that meet an output only 4 differ, so the weights of equal ones are added beforehand: a
    transposed convolution of stride 2 whose 4×4 kernel is the 3×3 one convolved with 2×2 ones. It multiplies 4/9 as
    often (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?").
    """
    wide = F.pad(weight, (0, 1)) + F.pad(weight, (1, 0))
    wide = F.pad(wide, (0, 0, 0, 1)) + F.pad(wide, (0, 0, 1, 0))
    return F.conv_transpose2d(x, wide.flip(2, 3).transpose(0, 1), bias, stride=2, padding=1)

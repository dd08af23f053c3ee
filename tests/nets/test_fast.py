"""What is computed with less work is the same function: values and gradients in float64 differ by rounding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from scorefield.nets.fast import Pointwise, convolve_doubled
from scorefield.nets.layers import LEAST_DOUBLED, Double, convolution

CLOSE = {"rtol": 1e-12, "atol": 1e-12}  # sums of 9 · 6 products of size 1


def gradients(y: Tensor, inputs: list[Tensor], seen: Tensor) -> list[Tensor]:
    return [y, *torch.autograd.grad(y, inputs, seen, create_graph=True)]


@pytest.mark.parametrize("shape", [(2, 6, 7, 9), (1, 3, 8, 8)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_doubling_inside_the_convolution(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    draw = lambda *s: torch.randn(*s, dtype=torch.float64)  # noqa: E731
    x = draw(*shape).contiguous(memory_format=layout).requires_grad_()
    weight, bias = draw(5, shape[1], 3, 3).requires_grad_(), draw(5).requires_grad_()
    plain = F.conv2d(F.interpolate(x, scale_factor=2.0), weight, bias, padding=1)
    seen, inputs = draw(*plain.shape), [x, weight, bias]
    fast = gradients(convolve_doubled(x, weight, bias), inputs, seen)
    for ours, theirs in zip(fast, gradients(plain, inputs, seen), strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def test_every_edge_is_doubled_alike() -> None:
    conv, double = convolution(2, 4, 4).double(), Double(2)
    for edge in (LEAST_DOUBLED - 1, LEAST_DOUBLED):
        x = torch.randn(2, 4, edge, edge, dtype=torch.float64)
        torch.testing.assert_close(double.into(conv, x), conv(double(x)), **CLOSE)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_pointwise_convolution_keeps_the_layout(layout: torch.memory_format) -> None:
    net = Pointwise(6, 5).double()
    x = torch.randn(3, 6, 4, 5, dtype=torch.float64).contiguous(memory_format=layout)
    x.requires_grad_()
    plain = F.conv2d(x, net.weight, net.bias)
    y, seen, inputs = net(x), torch.randn_like(plain), [x, *net.parameters()]
    assert y.is_contiguous(memory_format=layout)
    for ours, theirs in zip(gradients(y, inputs, seen), gradients(plain, inputs, seen), strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)

"""What is computed with less work is the same function: values and gradients in float64 differ by rounding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scorefield.nets.fast import WORTH, Pointwise, convolve_doubled, modulated
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


@pytest.mark.parametrize("told", [None, 3, 1], ids=["untold", "told each", "told all"])
@pytest.mark.parametrize("silu", [True, False])
def test_a_modulated_norm_and_its_gradients_of_both_orders(told: int | None, silu: bool) -> None:
    """Laid last it goes by its own formulas, contiguous by torch's. Sums run over the 80² pixels of 3 images, hence the
    wider tolerance."""
    close = {"rtol": 1e-9, "atol": 1e-9}
    draw = lambda *s: torch.randn(*s, dtype=torch.float64)  # noqa: E731
    norm = nn.GroupNorm(4, 16, dtype=torch.float64)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x = (draw(3, 16, 80, 80) + 2).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert x.numel() > WORTH
    given = [] if told is None else [draw(told, 16, 1, 1).requires_grad_() for _ in range(2)]
    inputs, seen = [x, *norm.parameters(), *given], draw(*x.shape)
    fast, plain = modulated(norm, x, *given, silu=silu), modulated(norm, x.contiguous(), *given, silu=silu)
    assert "Modulated" in str(fast.grad_fn) and "Modulated" not in str(plain.grad_fn)
    once = torch.autograd.grad(fast, inputs, seen, retain_graph=True)  # what training takes
    fast, plain = gradients(fast, inputs, seen), gradients(plain, inputs, seen)
    for ours, theirs in zip([*fast[1:], *once], [*plain[1:], *plain[1:]], strict=True):
        torch.testing.assert_close(ours, theirs, **close)
    twice = [
        torch.autograd.grad(sum(g.square().sum() for g in found[1:]), inputs, allow_unused=True)
        for found in (fast, plain)
    ]
    for ours, theirs in zip(*twice, strict=True):
        torch.testing.assert_close(ours, theirs, **close)

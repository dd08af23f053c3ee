"""The MLP: zero start, gradients everywhere, conditioning, derivatives, sentences for wrong input."""

from __future__ import annotations

import pytest
import torch

from scorefield.errors import UserError
from scorefield.nets import MLP
from scorefield.registry import from_config, to_config


@pytest.mark.parametrize("classes", [0, 3])
def test_zero_start_and_a_gradient_for_every_parameter(awake, classes: int) -> None:
    net = MLP(2, width=16, depth=2, classes=classes, dropout=0.1).double()
    x, level = torch.randn(4, 2, dtype=torch.float64), torch.linspace(-10, 10, 4, dtype=torch.float64)
    label = torch.tensor([0, 1, 2, -1]) if classes else None
    assert torch.equal(net(x, level, label), torch.zeros_like(x))
    awake(net)(x, level, label).square().sum().backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]


def test_conditioning_and_independence_of_examples(awake) -> None:
    net = awake(MLP(2, width=16, depth=2, classes=3))
    x, level = torch.randn(3, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    label = torch.tensor([-1, 0, 2])
    mixed, without = net(x, level, label), net(x, level[0])
    torch.testing.assert_close(mixed[0], without[0], rtol=1e-12, atol=1e-12)
    assert not torch.isclose(mixed[1:], without[1:]).any()
    alone = torch.cat([net(x[i : i + 1], level[i : i + 1], label[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(mixed, alone, rtol=1e-12, atol=1e-12)


def test_forward_mode_agrees_with_reverse_mode(awake) -> None:
    net, level = awake(MLP(3, width=16, depth=2)), torch.zeros(1, dtype=torch.float64)
    x = torch.randn(1, 3, dtype=torch.float64)
    forward, reverse = (jacobian(lambda x: net(x, level))(x) for jacobian in (torch.func.jacfwd, torch.func.jacrev))
    torch.testing.assert_close(forward, reverse, rtol=1e-10, atol=1e-12)


def test_a_config_builds_the_same_network_and_print_says_how_large_it_is() -> None:
    net = MLP(2, width=512, depth=3)
    assert to_config(net) == {"type": "mlp", "dim": 2, "width": 512, "depth": 3}
    again = from_config(to_config(net), "net")
    assert repr(again) == repr(net) == "MLP(2.7M)"


@pytest.mark.parametrize("arguments", [{"dim": 0}, {"depth": 0}, {"width": 0}, {"classes": -1}, {"dropout": 1.0}])
def test_arguments_out_of_range_get_a_sentence(arguments: dict[str, float]) -> None:
    with pytest.raises(UserError, match="dim, width and depth must be at least 1, classes at least 0, and dropout"):
        MLP(**{"dim": 2} | arguments)


def test_wrong_input_gets_a_sentence() -> None:
    net = MLP(2, width=8, depth=1)
    with pytest.raises(UserError, match=r"^This MLP takes \(B, 2\); got an input of shape \(4, 3\)\.$"):
        net(torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(UserError, match="without classes"):
        net(torch.zeros(4, 2), torch.zeros(4), torch.zeros(4, dtype=torch.int64))

"""The MLP: zero start, gradients everywhere, conditioning, derivatives, sentences for wrong input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from scorefield.errors import UserError
from scorefield.nets import MLP
from scorefield.nets.mlp import Waves
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


def test_waves_are_the_mean_over_the_noise_and_end_where_the_noise_hides_them() -> None:
    """Σᵢ wᵢ cos ω(x + σ zᵢ) by Gauss and Hermite's rule is what stands in the features of x."""
    count, scale, sigma = 4, 0.3, 0.2
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    values = torch.tensor([-0.7, 0.05, 1.3], dtype=torch.float64)
    seen = (values / (sigma**2 + scale**2) ** 0.5).unsqueeze(1)  # as a network sees x_t
    waves = Waves(count, [0], scale)(seen, torch.tensor(sigma, dtype=torch.float64).log().expand(3))
    moved = values[:, None, None] + sigma * torch.tensor(nodes)
    phase = moved * 2.0 ** torch.arange(count)[:, None]
    law = torch.tensor(weights / weights.sum())
    torch.testing.assert_close(waves, torch.cat(((phase.cos() * law).sum(2), (phase.sin() * law).sum(2)), 1))
    assert Waves(8, [0], scale)(seen, torch.full((3,), 10.0, dtype=torch.float64)).abs().max() == 0


def test_waves_see_only_the_columns_that_are_numbers() -> None:
    net = MLP(5, width=8, depth=1, told=4, waves=3, numbers=[1, 4], scale=0.5)
    assert (net.stem.in_features, net.blocks[0].told.in_features) == (5 + 2 * 3 * 2, 4)
    assert from_config(to_config(net), "net")(torch.zeros(2, 5), torch.zeros(())).shape == (2, 5)
    assert MLP(5, width=8, depth=1, waves=3, numbers=[]).stem.in_features == 5


@pytest.mark.parametrize("arguments", [{"told": -1}, {"waves": -1}, {"scale": 0.0}, {"numbers": [2]}])
def test_waves_out_of_range_get_a_sentence(arguments: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="told and waves must be at least 0, scale greater than 0, and numbers columns"):
        MLP(2, **arguments)

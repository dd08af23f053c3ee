"""The averages against the theory of their profile."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from scorefield.training import PowerEMA, gamma_of, width_of
from scorefield.training.ema import beta_at
from tests.training.toy import Net

# Computed with the published formula (Karras et al. 2024, EDM2): σ_rel → γ.
TABLE = {0.01: 96.99490, 0.05: 16.97220, 0.10: 6.937204, 0.15: 3.557869, 0.20: 1.826214}


@pytest.mark.parametrize(("width", "gamma"), TABLE.items())
def test_the_table_of_widths(width: float, gamma: float) -> None:
    assert gamma_of(width) == pytest.approx(gamma, rel=1e-6)
    assert width_of(gamma_of(width)) == pytest.approx(width, rel=1e-9)


def _weights(width: float, steps: int) -> np.ndarray:
    """What each step's weights count in the average after ``steps`` updates, by unrolling the recursion."""
    betas = np.array([beta_at(gamma_of(width), t) for t in range(1, steps + 1)])
    surviving = np.append(np.cumprod(betas[:0:-1])[::-1], 1.0)
    return (1 - betas) * surviving


@pytest.mark.parametrize("width", [0.05, 0.10, 0.20])
def test_the_average_is_the_unrolled_sum(width: float) -> None:
    net = nn.Linear(1, 1, bias=False).double()
    ema, path = PowerEMA(net, [width]), np.random.default_rng(0).normal(size=50)
    for t, value in enumerate(path, 1):
        nn.init.constant_(net.weight, value)
        ema.update(t)
    # Rounding of 50 float64 updates of numbers near 1.
    assert ema.state(width)["weight"].item() == pytest.approx(_weights(width, 50) @ path, abs=50 * 2.3e-16 * 4)


@pytest.mark.parametrize("width", [0.05, 0.10, 0.20])
def test_the_profile_has_the_width_it_is_named_after(width: float) -> None:
    steps = 4000
    weights, times = _weights(width, steps), np.arange(1, steps + 1) / steps
    mean = weights @ times
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert mean == pytest.approx((gamma_of(width) + 1) / (gamma_of(width) + 2), abs=1 / steps)
    assert np.sqrt(weights @ (times - mean) ** 2) == pytest.approx(width, abs=1 / steps)


def test_buffers_and_frozen_weights_are_those_of_the_moment() -> None:
    net = Net().double()
    net.embed.requires_grad_(False)
    ema = PowerEMA(net, [0.1])
    ema.update(1)
    with torch.no_grad():
        net.seen += 5
        net.embed.weight += 1
        net.first.weight += 1
    average = ema.denoiser()
    assert average.get_buffer("seen").item() == 5
    assert torch.equal(average.get_parameter("embed.weight"), net.embed.weight)
    torch.testing.assert_close(average.get_parameter("first.weight"), net.first.weight.detach() - 1)


def test_the_averaged_denoiser_is_a_copy_kept_aside() -> None:
    net = Net().train()
    ema = PowerEMA(net, [0.05, 0.1])
    first = ema.denoiser()
    assert first is ema.denoiser(0.1) and first is not net
    assert net.training and not first.training and not any(p.requires_grad for p in first.parameters())
    assert PowerEMA(net, []).denoiser().get_parameter("first.weight") is not net.first.weight

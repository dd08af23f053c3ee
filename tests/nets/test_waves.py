"""Fourier features of pixels: the mean of the waves under noise, and a network that sees them."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield.nets import UNet
from scorefield.nets.waves import PixelWaves

F = torch.float64


def test_waves_are_those_of_the_data_with_what_noise_leaves_of_them():
    """Without noise sin and cos of 2πf x₀, f = 1/spacing is blind to which level it is. With noise, by the mean over
    200,000 draws: the feature is unbiased for exp(−½(2πf s)²) of its own square mean, 0.5 % (4.5 standard errors)."""
    waves, x = PixelWaves([4.0, 8.0], scale=1.0), torch.linspace(-1, 1, 17, dtype=F).view(1, 1, 1, 17)
    clean = torch.tensor([-10.0], dtype=F)
    found = waves(x, clean)
    assert found.shape == (1, 4, 1, 17)
    torch.testing.assert_close(found[:, 3], torch.ones_like(x[:, 0]), atol=1e-5, rtol=0)  # cos 2π·8·k/8
    torch.testing.assert_close(found[:, 1, 0], (8 * math.pi * x[0, 0]).cos(), atol=1e-5, rtol=0)
    level, count = math.log(0.05), 200_000
    noisy = x[..., 3] + 0.05 * torch.randn(count, 1, 1, dtype=F, generator=torch.Generator().manual_seed(0))
    seen = waves((noisy / math.sqrt(1 + 0.05**2)).unsqueeze(-1), torch.full((count,), level, dtype=F))
    left = math.exp(-0.5 * (8 * math.pi * 0.05) ** 2)
    wanted = left**2 * (8 * math.pi * x[0, 0, 0, 3]).cos()
    assert seen[:, 1].mean().item() == pytest.approx(wanted.item(), abs=4.5 * seen[:, 1].std().item() / count**0.5)


def test_a_unet_with_waves_is_told_them_and_begins_at_zero():
    torch.manual_seed(0)
    net = UNet(1, channels=8, mult=(1,), blocks=1, waves=[2.0], scale=0.5)
    x, level = torch.randn(2, 1, 4, 4), torch.zeros(2)
    assert not net(x, level).any()
    assert net.stem.weight.shape[1] == 3
    assert UNet(1, channels=8, mult=(1,), blocks=1).stem.weight.shape[1] == 1

"""Distances between signals against closed forms: white noise, autoregressive noise, gains."""

from __future__ import annotations

import math

import pytest
import torch

from scorefield.errors import UserError
from scorefield.metrics import autocorrelation, evaluate, power_spectra

LENGTH = 64


def white(n: int, seed: int, channels: int = 2, length: int = LENGTH) -> torch.Tensor:
    return torch.randn(n, channels, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def autoregressive(n: int, phi: float, seed: int) -> torch.Tensor:
    """x_t = φ x_{t−1} + ε_t, after it has forgotten where it began."""
    noise = white(n, seed, length=LENGTH + 100)
    x = torch.zeros(n, 2, dtype=torch.float64)
    out = []
    for t in range(noise.shape[-1]):
        x = phi * x + noise[..., t]
        out.append(x)
    return torch.stack(out[100:], -1)


def test_a_gain_is_decibels_and_leaves_the_memory_alone():
    x = white(50, 0)
    assert power_spectra(2 * x, x).value == pytest.approx(20 * math.log10(2), abs=1e-6)
    mean = x.mean((0, 2))[:, None]
    assert autocorrelation(mean + 3 * (x - mean), x).value == pytest.approx(0, abs=1e-12)
    assert power_spectra(x, x).value == autocorrelation(x, x).value == 0


@pytest.mark.parametrize("phi", [0.5, -0.8])
def test_the_memory_of_an_autoregression(phi: float):
    """r(k) = φᵏ against that of white noise, 0 for k ≥ 1. Each of the 32 lags of 2 channels has a standard error of
    about (n · (64 − k))^−½ ≤ 0.004, times 1/(1 − φ²) at most: six of those are allowed."""
    found = autocorrelation(autoregressive(2000, phi, 1), white(2000, 2))
    expected = math.sqrt(sum(phi ** (2 * k) for k in range(1, 33)) / 32)
    assert found.value == pytest.approx(expected, abs=0.025)
    assert 0 < found.se < 0.02


def test_the_spectrum_of_an_autoregression():
    """10 log₁₀ of 1/|1 − φ e^{−iω}|² in the mean over the bands; a leakage of the window and the noise of 2,000 spectra
    (0.1 dB a frequency) leave 0.4 dB."""
    from scorefield.metrics.series import _bands

    phi = 0.6
    band, count = _bands(LENGTH)
    omega = 2 * math.pi * torch.arange(1, LENGTH // 2 + 1, dtype=torch.float64) / LENGTH
    power = 1 / (1 - 2 * phi * omega.cos() + phi**2)
    mean = torch.zeros(count, dtype=torch.float64).index_add_(0, band, power) / band.bincount()
    expected = (10 * mean.log10()).square().mean().sqrt().item()
    assert power_spectra(autoregressive(2000, phi, 3), white(2000, 4)).value == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize("measure", [power_spectra, autocorrelation])
@pytest.mark.parametrize("length", [2, 3, 5, 1000])
def test_any_length(measure, length: int):
    found = measure(white(20, 0, 1, length), white(20, 1, 1, length))
    assert math.isfinite(found.value) and math.isfinite(found.se)
    silent = torch.zeros(20, 1, length)
    assert measure(silent, silent).value == 0


def test_the_error_covers_the_spread_of_repetitions():
    """The jackknife's mean over 20 repetitions against the spread of the values: within a factor of two. A spread of 20
    values is itself within 40 % of the truth with a probability of 99 %."""
    found = [autocorrelation(autoregressive(100, 0.5, 10 + i), white(100, 50 + i)) for i in range(20)]
    spread = torch.tensor([f.value for f in found]).std().item()
    assert 0.5 < sum(f.se for f in found) / 20 / spread < 2


def test_evaluate_measures_signals_with_their_floors():
    """Two-sided by construction: samples of the same law come within 4 errors of their floor (false alarm 1e-4)."""
    real, train = white(200, 0).float(), white(200, 1).float()
    good = evaluate(white(200, 2).float(), real, train=train, metrics=["power_spectra", "autocorrelation"])
    bad = evaluate(autoregressive(200, 0.9, 2).float(), real, train=train, metrics=["power_spectra", "autocorrelation"])
    for name in ("power_spectra", "autocorrelation"):
        assert good[name].value == pytest.approx(
            good[name].floor, abs=4 * math.hypot(good[name].se, good[name].floor_se)
        )
        assert bad[name].excess > 10
    assert {"power_spectra", "autocorrelation"} <= {score.name for score in evaluate(white(40, 3), real, train=train)}
    with pytest.raises(UserError, match="power_spectra"):
        evaluate(torch.randn(40, 3), torch.randn(40, 3), metrics=["power_spectra"])

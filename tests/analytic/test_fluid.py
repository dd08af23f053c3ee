from __future__ import annotations

import math

import pytest
import torch

from scorefield import Rng, UserError
from scorefield.analytic.fluid import Kolmogorov

IDEAL = Kolmogorov(32, viscosity=0.0, drag=0.0, force=0.0)


def grid(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(y, x) on [0, 2π)²."""
    axis = torch.arange(n, dtype=torch.float64) * (2 * math.pi / n)
    return axis[:, None].expand(n, n), axis.expand(n, n)


def test_an_ideal_flow_conserves_energy_and_enstrophy():
    """The discrete equations do; the rest is the time step, of fourth order or better."""
    w = IDEAL.start(2, Rng(0))
    drift = []
    for steps in (20, 40):
        after = IDEAL.advance(w, 1.0, steps)
        assert (after - w).abs().max() > 0.5  # it moved
        energy, enstrophy = (
            [f(x).square().flatten(1).mean(1) for x in (w, after)] for f in (IDEAL.velocity, lambda x: x)
        )
        drift.append(max((b / a - 1).abs().max().item() for a, b in (energy, enstrophy)))
    assert drift[0] < 1e-7 and drift[1] < drift[0] / 12, drift


def test_taylor_green_vortices_decay_and_do_nothing_else():
    """ω = 2 cos x cos y is an exact solution with e^{−(2ν + drag) t}."""
    y, x = grid(16)
    w = (2 * x.cos() * y.cos())[None]
    after = Kolmogorov(16, 0.3, 0.1, force=0.0).advance(w, 0.7, 3)
    torch.testing.assert_close(after, w * math.exp(-(2 * 0.3 + 0.1) * 0.7))


def test_the_laminar_flow_is_steady():
    """force · wave · cos(wave y) / (ν wave² + drag), with the sign of the force."""
    flow = Kolmogorov(24, 0.2, 0.1, 1.5, 3)
    y, _ = grid(24)
    w = (-1.5 * 3 * (3 * y).cos() / (0.2 * 9 + 0.1))[None]
    torch.testing.assert_close(flow.advance(w, 2.0, 40), w, rtol=0, atol=1e-6)
    u = flow.velocity(w)[0]
    torch.testing.assert_close(u[0], 1.5 * (3 * y).sin() / (0.2 * 9 + 0.1))
    assert u[1].abs().max() < 1e-12


def test_films_are_free_of_divergence_and_their_curl_is_the_vorticity():
    flow = Kolmogorov(16, 0.05)
    film = flow.films(2, 3, Rng(1), warm=1.0)
    assert film.shape == (2, 3, 2, 16, 16) and film.isfinite().all() and not torch.equal(film[:, 0], film[:, 1])
    w = flow.start(1, Rng(2))
    k = 1j * torch.fft.fftfreq(16, 1 / 16, dtype=torch.float64)
    u, v = torch.fft.fft2(flow.velocity(w))[0]
    assert (k * u + k[:, None] * v).abs().max() < 1e-10
    torch.testing.assert_close(torch.fft.ifft2(k * v - k[:, None] * u).real, w[0])
    with pytest.raises(UserError, match="even size ≥ 8"):
        Kolmogorov(9)

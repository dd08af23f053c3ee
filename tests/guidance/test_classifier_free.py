from __future__ import annotations

import pytest
import torch

from scorefield import ClassifierFree, Gaussian, UserError
from scorefield.core import as_time
from scorefield.noise import EDM, VP
from scorefield.sampling import trajectory
from scorefield.solvers import Ancestral, RungeKutta
from scorefield.testing import check_guidance
from tests.guidance.laws import Impulses, TwoClasses


def test_guidance_obeys_its_laws():
    label = torch.zeros(4, dtype=torch.long)
    check_guidance(lambda w: ClassifierFree(TwoClasses(Gaussian(VP())), w), (4, 1), label=label)


# Mean and deviation of guided samples of p(x | c) = N(1, ¼), p(x) = N(0, 1), σ from 80 to 0: guidance is not tilting.
# (scale): probability-flow ODE, reverse SDE. Computed by adaptive integration of the moment equations.
TABLE = {
    1: ((0.993750, 0.499990), (0.999961, 0.500000)),
    1.5: ((1.231822, 0.353557), (1.166637, 0.395285)),
    2: ((1.373923, 0.250010), (1.249980, 0.330719)),
    3: ((1.495312, 0.125012), (1.312493, 0.258073)),
    5: ((1.498047, 0.031257), (1.332030, 0.192450)),
}


@pytest.mark.parametrize("scale", TABLE)
def test_guided_samplers_reach_the_known_laws(scale):
    process = Gaussian(EDM())
    ode, sde = TABLE[scale]
    guided = ClassifierFree(TwoClasses(process), float(scale))
    # Heun's error falls as n⁻², the SDE's as 1/n. The bounds were set from errors seen at these n, not derived;
    # the deviations of the rows differ by three times as much or more.
    for solver, steps, (mean, std), bound in ((RungeKutta("heun"), 120, ode, 1e-3), (Ancestral(), 400, sde, 2e-2)):
        sigmas = torch.linspace(80.0**0.25, 1e-3**0.25, steps).double() ** 4
        times = torch.cat([sigmas / 80, torch.zeros(1).double()])
        times[0] = 1
        got = endpoint(guided, solver, times)
        assert got == pytest.approx((mean, std), abs=bound)


def endpoint(denoiser, solver, times):
    rng, rows = Impulses(), len(times) + 3
    x = denoiser.process.prior(torch.zeros(rows, 1).double(), rng)
    label = torch.zeros(rows, dtype=torch.long)
    *_, last = trajectory(denoiser, x, times, solver=solver, rng=rng, label=label)
    response = last.x[1 : 1 + rng.draws] - last.x[0]
    return last.x[0].item(), response.square().sum().sqrt().item()


def test_scale_one_and_levels_outside_the_interval_cost_one_evaluation():
    x, label = torch.zeros(3, 1).double(), torch.zeros(3, dtype=torch.long)
    inner = TwoClasses(Gaussian(EDM()))
    ClassifierFree(inner, 1.0)(x, as_time(0.1), label=label)
    assert inner.calls == 1
    guided = ClassifierFree(inner, 2.0, interval=(0.5, 4.0))  # σ = 80 t
    plain = inner(x, as_time(0.1), label=label).mean
    inner.calls = 0
    assert torch.equal(guided(x, as_time(0.1), label=label).mean, plain) and inner.calls == 1  # σ = 8
    assert not torch.equal(guided(x, as_time(0.02), label=label).mean, plain) and inner.calls == 3  # σ = 1.6


def test_an_empty_interval_is_refused():
    with pytest.raises(UserError, match=r"0 ≤ low < high \(in σ/α\), got \(2.0, 1.0\)"):
        ClassifierFree(TwoClasses(Gaussian(VP())), 2.0, interval=(2.0, 1.0))

from __future__ import annotations

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Rng, UserError, sample, trajectory
from scorefield.noise import VE, VP, Flow
from scorefield.solvers.gotta_go_fast import Ahead, GottaGoFast
from scorefield.testing import check_solver
from tests.solvers.laws import normal_law


def test_it_obeys_the_laws_of_solvers():
    for process in (Gaussian(VP()), Gaussian(Flow())):
        check_solver(GottaGoFast(0.1), process)


@pytest.mark.parametrize("schedule", [VP(), VE(), Flow()], ids=repr)
def test_moments_and_evaluations(schedule):
    """1-D data N(0.3, ¼), the worst case of the published algorithm (deviation 0.76 on VP and 0.99 on VE, at this
    tolerance): mean and deviation of 1,000 samples, rtol 0.05, within five standard errors, a false alarm in 9·10⁵
    seeds, and a bias of 0.05 · 0.5 at most, the tolerance. A larger tolerance costs fewer evaluations."""
    process, n = Gaussian(schedule), 1000
    calls = []
    for rtol in (0.05, 0.2):
        x = process.prior(torch.empty(n, 1, dtype=torch.float64), Rng(0))
        *_, last = trajectory(
            normal_law(0.3, 0.25).denoiser(process), x, [1.0, 0.0], solver=GottaGoFast(rtol), rng=Rng(1)
        )
        calls.append(last.nfe)
        if rtol == 0.05:
            assert abs(last.x.mean().item() - 0.3) < 5 * 0.5 / n**0.5 + 0.025
            assert abs(last.x.std().item() - 0.5) < 5 * 0.5 / (2 * n) ** 0.5 + 0.025
    assert calls[0] > 1.3 * calls[1]


def test_no_example_depends_on_its_batch_over_several_grid_steps():
    """Also where a batch mate needs more attempts, hence more draws, in an earlier step of the grid."""
    law = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64), 0.1)
    denoiser, times = law.denoiser(Gaussian(VP())), [1.0, 0.6, 0.3, 0.0]
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[2] *= 20
    solver = GottaGoFast(0.05)
    *_, together = trajectory(denoiser, x, times, solver=solver, rng=Rng.each(0, range(3)))
    for row in range(3):
        *_, alone = trajectory(denoiser, x[row : row + 1], times, solver=solver, rng=Rng.each(0, [row]))
        torch.testing.assert_close(alone.x[0], together.x[row], rtol=1e-9, atol=1e-9)


def test_a_path_gives_back_what_was_put_nearest_first():
    x = torch.zeros(3, 2)
    path, which = Ahead(x), torch.tensor([True, False, True])
    for value in (1.0, 2.0):
        path.put(which, torch.full((3,), value).double(), torch.full_like(x, 10 * value))
    assert path.depth.tolist() == [2, 0, 2]
    one = torch.tensor([True, False, False])
    duration, increment = path.take(one, torch.full((3,), 7.0).double(), torch.full_like(x, 70.0))
    assert duration.tolist() == [2, 7, 7] and increment[:, 0].tolist() == [20, 70, 70]
    duration, _ = path.take(which, duration, increment)
    assert duration.tolist() == [1, 7, 2] and path.depth.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda d: GottaGoFast(rtol=0.0), "0 < rtol < 1"),
        (lambda d: GottaGoFast(theta=1.5), "0 < theta ≤ 1, 0.5 ≤ power ≤ 1 and start > 0"),
        (lambda d: GottaGoFast().init(object(), torch.ones(2)), "GottaGoFast needs a process with bridge"),
        (lambda d: sample(d, (2, 1), times=[1.0, 0.0], solver=GottaGoFast(max_evaluations=9)), "max_evaluations=9"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(normal_law(0.0, 1.0).denoiser(Gaussian(VP())))

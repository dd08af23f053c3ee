"""Sample i of a seed is the same whether one process draws all of them or each of two draws its half."""

from __future__ import annotations

import multiprocessing

import pytest
import torch
from torch import Tensor

import scorefield
from scorefield.solvers import NAMES

SEED, STEPS = 5, 6


def drawn(part: range) -> dict[str, list[list[float]]]:
    """Solver → the examples ``part`` (n, 2) of the seed, from an exact denoiser: numbers, as they cross processes."""
    torch.set_num_threads(1)
    mixture = scorefield.GaussianMixture(
        torch.tensor([0.4, 0.6]), torch.tensor([[-1.0, 0.5], [1.0, 0.0]]), 0.1 * torch.eye(2).expand(2, 2, 2)
    )
    denoiser = mixture.denoiser(scorefield.Gaussian(scorefield.noise.VP()))

    def walked(name: str) -> Tensor:
        rng = scorefield.Rng.each(SEED, part)
        return scorefield.sample(denoiser, (len(part), 2), steps=STEPS, solver=scorefield.solver(name), rng=rng)

    return {name: walked(name).tolist() for name in NAMES}


@pytest.mark.slow
def test_two_processes_draw_what_one_draws():
    """All named solvers. Halves of equal shape are the same to the bit in their own processes and here; against all
    eight at once, float32 sums of other lengths round differently (a few ulp a step), and a discrete decision of a
    solver that chooses its own steps could then differ, which at this seed none does."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(drawn, [range(4), range(4, 8)])
    here, whole = drawn(range(4)), drawn(range(8))
    for name in NAMES:
        assert first[name] == here[name], name
        both = torch.tensor(first[name] + second[name])
        assert torch.isfinite(both).all(), name
        torch.testing.assert_close(
            both, torch.tensor(whole[name]), rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
        assert not torch.equal(both[:4], both[4:]), name

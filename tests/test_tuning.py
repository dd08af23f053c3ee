from __future__ import annotations

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Rng, UserError, sample, tabulate, tune
from scorefield.belief import Moments
from scorefield.noise import EDM, VP, BetaTable, Flow
from scorefield.solvers import Exponential, Karras, LogSNR, Uniform, named
from scorefield.testing.solvers import Constant
from scorefield.tuning import Rows, tunable

MEANS = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.2, -1.2]], dtype=torch.float64)
FEW = {"examples": 128, "held_out": 128, "iterations": 60, "dtype": torch.float64}


def mixture(schedule):
    """Three modes in the plane, with the exact belief."""
    return GaussianMixture.isotropic(MEANS, 0.3).denoiser(Gaussian(schedule))


def end_error(denoiser, table, seed):
    """Root mean square against a fine solver, on the noise of ``seed``."""
    fine = tabulate(Exponential(3), denoiser.process, Karras()(denoiser.process, 400))
    got, truth = (sample(denoiser, (512, 2), table=t, seed=seed, dtype=torch.float64) for t in (table, fine))
    return (got - truth).square().mean().sqrt().item()


@pytest.mark.parametrize("schedule", [VP(), EDM(), Flow(), BetaTable("scaled-linear")], ids=repr)
def test_rows_begin_as_their_table(schedule):
    denoiser = mixture(schedule)
    for name in ("dpmpp3m", "unipc2", "deis3"):
        table = tabulate(named(name), denoiser.process, LogSNR()(denoiser.process, 6))
        x = denoiser.process.prior(torch.empty(5, 2, dtype=torch.float64), Rng(0))
        rows = Rows(table, denoiser.process)
        with torch.no_grad():
            torch.testing.assert_close(rows(denoiser, x), table.run(denoiser, x, Rng(0)), rtol=0, atol=1e-9)
        assert tunable(rows.table({}))


@pytest.mark.parametrize("schedule", [VP(), Flow()], ids=repr)
def test_tuning_halves_the_error_of_the_best_untuned_solver_on_new_noise(schedule):
    """On seeds that neither the tuning nor its stopping saw, against solvers that it does not begin with alone."""
    denoiser = mixture(schedule)
    result = tune(denoiser, (2,), 5, **FEW)
    assert result.table.nfe == 5 and result.after <= result.before
    untuned = min(
        end_error(denoiser, tabulate(named(name), denoiser.process, grid(denoiser.process, 5)), seed=77)
        for name in ("dpmpp2m", "dpmpp3m", "unipc2", "unipc3", "deis3")
        for grid in (Karras(), LogSNR(0.02), Uniform())
    )
    assert end_error(denoiser, result.table, seed=77) < untuned / 2


def test_a_tuned_table_reproduces_a_constant_belief():
    process = Gaussian(VP())
    result = tune(mixture(VP()), (2,), 4, **FEW | {"iterations": 20})
    value = torch.tensor([[0.3, -0.8]], dtype=torch.float64)
    x = process.prior(torch.empty(1, 2, dtype=torch.float64), Rng(3))
    assert (result.table.run(Constant(value, process), x, Rng(0)) - value).abs().max() < 1e-12
    alpha = torch.tensor(result.table.alphas[:-1], dtype=torch.float64)
    following = torch.tensor([*result.table.alphas[1:-1], 1.0], dtype=torch.float64)
    sums = torch.tensor([sum(row.beliefs) for row in result.table.rows], dtype=torch.float64)
    keep = torch.tensor([row.keep for row in result.table.rows], dtype=torch.float64)
    torch.testing.assert_close(sums, following - alpha * keep, rtol=0, atol=1e-12)


def test_tuning_is_a_function_of_its_seed():
    """To the bit; another seed is another lesson."""
    a, b, c = (tune(mixture(EDM()), (2,), 3, seed=s, **FEW | {"iterations": 20}).table for s in (0, 0, 1))
    assert a == b and a != c


def test_a_given_table_is_where_it_starts():
    denoiser = mixture(VP())
    start = tabulate(named("dpmpp2m"), denoiser.process, Karras()(denoiser.process, 4))
    result = tune(denoiser, (2,), 4, table=start, **FEW | {"iterations": 10})
    assert result.begun_with == "the given table" and result.after < result.before


def test_a_belief_in_bfloat16_can_be_tuned():
    """Rounded beliefs make the loss a staircase; the error must fall nevertheless, towards the order of the rounding
    (2⁻⁹ of beliefs near 1, several of them mixed). Seen: from 0.021 to 0.014."""
    exact = mixture(VP())

    class Half:
        process = exact.process

        def __call__(self, x, t):
            return Moments(exact(x.bfloat16().double(), t).mean.bfloat16())

    result = tune(Half(), (2,), 5, **FEW | {"dtype": torch.float32})
    assert result.after < 0.8 * result.before


def test_progress_is_told_and_conditions_reach_the_denoiser():
    seen, asked = [], set()
    exact = mixture(VP())

    class Conditional:
        process = exact.process

        def __call__(self, x, t, label):
            asked.update(label.tolist())
            return exact(x, t)

    few = FEW | {"iterations": 30, "batch": 50}
    tune(Conditional(), (2,), 3, cond=lambda part: {"label": torch.tensor(part)}, tell=seen.append, **few)
    assert [look.iteration for look in seen] == [20, 30] and seen[-1].held_out <= seen[0].held_out
    assert asked == set(range(128))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": 1}, "at least 2 steps, got 1"),
        ({"steps": 3, "examples": 0}, "must all be at least 1"),
        ({"steps": 3, "table": "heun"}, "deterministic table of 3 rows"),
        ({"steps": 3, "table": "ddpm"}, "deterministic table of 3 rows"),
    ],
)
def test_refusals_cost_no_evaluation(options, sentence):
    class Asked:
        process = Gaussian(VP())

        def __call__(self, x, t):
            raise AssertionError("evaluated")

    if "table" in options:
        table = tabulate(named(options["table"]), Asked.process, Karras()(Asked.process, 3))
        options = options | {"table": table}
    with pytest.raises(UserError, match=sentence):
        tune(Asked(), (2,), **options)

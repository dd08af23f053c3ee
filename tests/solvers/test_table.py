from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import torch

from scorefield import Gaussian, GaussianMixture, Rng, UserError, sample, trajectory
from scorefield.belief import Moments
from scorefield.noise import EDM, VP, Cosine, Flow
from scorefield.solvers import NAMES, Exponential, Karras, Table, named, tabulate
from scorefield.testing.solvers import Constant
from tests.components import CONTINUOUS, SOLVERS

MIXTURE = GaussianMixture.isotropic(torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64), 0.3)
AFFINE = [name for name, solver in SOLVERS.items() if solver.tabulates]


def walked(solver, denoiser, times, seed=3, n=5, d=2):
    """(the start, the end) of the solver itself, with one generator per example."""
    rng = Rng.each(seed, range(n))
    x = denoiser.process.prior(torch.empty(n, d, dtype=torch.float64), rng)
    *_, last = trajectory(denoiser, x, times, solver=solver, rng=rng)
    return x, last


@pytest.mark.parametrize("name", AFFINE)
def test_a_table_is_its_solver(name):
    """On a nonlinear denoiser, with the same draws: to rounding, 7 steps of numbers of order 100. Seven is prime, so no
    grid fits by chance."""
    for schedule in (VP(), EDM(), Flow(), Cosine()):
        process = Gaussian(schedule)
        denoiser, times = MIXTURE.denoiser(process), Karras()(process, 7)
        table = tabulate(SOLVERS[name], process, times)
        x, last = walked(SOLVERS[name], denoiser, times)
        got = sample(denoiser, (5, 2), table=table, seed=3, dtype=torch.float64)
        torch.testing.assert_close(got, last.x, rtol=0, atol=1e-11)
        assert table.nfe == last.nfe
        rng = Rng.each(3, range(5))
        process.prior(x, rng)
        steps = list(trajectory(denoiser, x, table=table, rng=rng))
        assert torch.equal(steps[-1].x, got) and steps[-1].nfe == table.nfe == len(steps) - 1


@pytest.mark.parametrize("name", AFFINE)
def test_sample_runs_the_table_of_the_solver(name):
    process = Gaussian(VP())
    denoiser, times = MIXTURE.denoiser(process), Karras()(process, 4)
    direct = sample(denoiser, (3, 2), times=times, solver=SOLVERS[name], dtype=torch.float64)
    by_table = sample(denoiser, (3, 2), table=tabulate(SOLVERS[name], process, times), dtype=torch.float64)
    assert torch.equal(direct, by_table)


def test_multistep_rows_are_as_short_as_their_history():
    process = Gaussian(VP())
    for name, beliefs in {"ddim": 1, "dpmpp2m": 2, "dpmpp3m": 3, "unipc2": 3, "sa-solver": 4, "heun": 2}.items():
        table = tabulate(named(name), process, Karras()(process, 20))
        assert max(len(row.beliefs) for row in table.rows) == beliefs
        assert not any(row.start for row in table.rows)


def test_a_row_of_ddim_is_the_formula():
    """x_s = (σ_s/σ_t) x + (α_s − α_t σ_s/σ_t) D."""
    process, times = Gaussian(VP()), torch.tensor([1.0, 0.4, 0.1, 0.0], dtype=torch.float64)
    table, (alpha, sigma) = tabulate(Exponential(1), process, times), process.schedule(times)
    for i, row in enumerate(table.rows):
        assert row.t == times[i]
        assert row.keep == pytest.approx((sigma[i + 1] / sigma[i]).item(), abs=1e-15)
        assert row.beliefs == pytest.approx([(alpha[i + 1] - alpha[i] * row.keep).item()], abs=1e-15)
        assert row.start == row.fresh == 0


@pytest.mark.parametrize("schedule", CONTINUOUS, ids=repr)
def test_tables_reproduce_a_constant_belief(schedule):
    process = Gaussian(schedule)
    for name in AFFINE:
        table = tabulate(SOLVERS[name], process, Karras()(process, 6))
        value = torch.tensor([[0.3, -0.8]], dtype=torch.float64)
        got = table.run(Constant(value, process), 2 * process.schedule(torch.ones(()).double()).sigma * value, Rng(0))
        assert (got - value).abs().max() < 1e-9 * max(1.0, table.sigmas[0])


def test_json_keeps_every_bit(tmp_path):
    process = Gaussian(Flow())
    table = tabulate(named("unipc3"), process, Karras()(process, 6))
    table.save(tmp_path / "6.json")
    again = Table.load(tmp_path / "6.json")
    assert again == table and again.made == table.made and not list(tmp_path.glob("*.part"))
    denoiser = MIXTURE.denoiser(process)
    assert torch.equal(sample(denoiser, (3, 2), table=again), sample(denoiser, (3, 2), table=table))


def test_print_shows_every_row():
    process = Gaussian(EDM())
    text = str(tabulate(named("dpmpp2m"), process, Karras()(process, 4))).splitlines()
    assert text[0].split() == ["row", "t", "σ/α", "keep", "D", "D-1", "fresh"]
    assert len(text) == 6 and text[1].split()[2] == "80" and text[-1] == "ends at t = 0 after 4 evaluations"


@dataclass(frozen=True)
class Curious:
    """A solver that looks at the state, so that no table can hold it; it says that it can be tabulated."""

    tabulates = True

    def init(self, process, times):
        return None

    def step(self, denoiser, x, t, s, memory, rng):
        noise = rng.normal(x)
        x = denoiser.process.reverse(x + noise, denoiser(x + noise, t), t, s, rng, eta=0.0)
        return x, None


def test_noise_before_the_first_evaluation_has_no_table():
    with pytest.raises(UserError, match="changes the state before the first evaluation"):
        tabulate(Curious(), Gaussian(VP()), Karras()(Gaussian(VP()), 3))


class Asked:
    """A denoiser that must not be asked."""

    process = Gaussian(VP())

    def __call__(self, x, t, **cond):
        raise AssertionError("evaluated")


def refused(**changes):
    process = Gaussian(VP())
    table = tabulate(named("ddim"), process, Karras()(process, 3))
    content = json.loads(table.to_json()) | changes
    return Table.from_json(json.dumps(content), "tables/3.json")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda t: sample(Asked(), (2, 1), table=t),
            "made for another noise schedule .*EDM.* than .*VP.*: make a new one",
        ),
        (lambda t: sample(Asked(), (2, 1), table=t, solver=named("ddim")), "brings its own times and steps"),
        (lambda t: next(trajectory(Asked(), torch.zeros(1, 1), [1.0, 0.0], table=t)), "brings its own times"),
        (lambda t: next(trajectory(Asked(), torch.zeros(1, 1))), "needs times, or a table"),
        (lambda t: t.init(Gaussian(EDM()), torch.linspace(1, 0, 7).double()), "walks its own 4 times"),
        (lambda t: tabulate(named("ancestral"), Gaussian(VP()), t.times), "depends on more than the times"),
        (lambda t: Table((), 0.0, (), ()), "n ≥ 1 rows"),
        (lambda t: refused(format="scorefield table 9"), "tables/3.json has the format 'scorefield table 9'"),
        (lambda t: refused(rows=[{"t": 1}]), "tables/3.json is not a sampler table"),
        (lambda t: refused(alphas=[1.0]), "3 rows and 1 scales"),
        (lambda t: Table.load("nowhere/6.json"), "nowhere/6.json cannot be read"),
        (lambda t: Table.from_json("{", "x.json"), "x.json is not a sampler table"),
    ],
)
def test_wrong_tables_cost_no_evaluation(call, sentence):
    process = Gaussian(EDM())
    with pytest.raises(UserError, match=sentence):
        call(tabulate(named("ddim"), process, Karras()(process, 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision_stays_near(dtype):
    """The state stays in float32, so the belief alone is rounded: its error passes with weights that sum to one, at
    most about twice the unit roundoff of the belief (|D| ≤ 2, sums of |weights| ≤ 2 for two beliefs), plus that of the
    result. At ε = 2⁻²⁴, 2⁻⁸, 2⁻¹¹ half a unit each: 12 ε covers both, and the noise that enters at σ ≤ 1 (VP)."""
    process = Gaussian(VP())

    class Rounded:
        def __init__(self):
            self.process = process

        def __call__(self, x, t):
            assert x.dtype == dtype
            return Moments(exact(x.double(), t).mean.to(dtype))

    exact = GaussianMixture.isotropic(torch.zeros(1, 2).double(), 1.0).denoiser(process)
    rng = Rng.each(0, range(64))
    x = process.prior(torch.empty(64, 2, dtype=torch.float64), rng).to(dtype)
    table = tabulate(named("dpmpp2m"), process, Karras()(process, 10))
    truth = table.run(exact, x.double(), rng)
    got = [step.x for step in trajectory(Rounded(), x, table=table)][-1]
    assert got.dtype == torch.float32
    assert (got - truth).abs().max() <= 12 * torch.finfo(dtype).eps * max(1.0, truth.abs().max().item())


def test_every_name_with_a_table_says_so():
    without = {name for name in NAMES if not named(name).tabulates}
    assert "ancestral" in without and "dpmpp2m" not in without


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["dpmpp3m", "unipc3", "flow3pc", "heun", "sa-solver"])
def test_a_gpu_gives_the_samples_of_the_cpu(name):
    """The draws come from CPU generators and the coefficients are Python floats, so only the rounding of float32
    differs: a few units of 2⁻²⁴ at each of 10 evaluations, of numbers below 100 at the start."""
    process = Gaussian(VP())
    ends = []
    for device in ("cpu", "cuda"):
        law = GaussianMixture(*(part.float().to(device) for part in (MIXTURE.weights, MIXTURE.means, MIXTURE.covs)))
        ends.append(sample(law.denoiser(process), (64, 2), steps=10, solver=named(name), device=device).cpu())
    torch.testing.assert_close(*ends, rtol=0, atol=2e-4)

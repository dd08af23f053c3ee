"""Solvers against each other on a run: costs counted, errors against a reference whose own error is told."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

import scorefield
from scorefield import UserError
from scorefield.options.compare import COMPARED
from scorefield.options.shared import SOLVERS
from scorefield.runs.compare import FIRST, REFERENCE, Comparison, Entry, Reference, compare
from scorefield.solvers import NAMES


@pytest.fixture(scope="module")
def run(finished: Path) -> scorefield.Run:
    return scorefield.load(finished / "moons")


@pytest.fixture(scope="module")
def compared(run: scorefield.Run) -> Comparison:
    return compare(run, ["ddim", "heun", "unipc3"], [4, 8, 16], n=12)


def test_evaluations_are_those_of_the_network(run: scorefield.Run, compared: Comparison):
    """DDIM asks once a step, Heun twice but for the last; guidance asks the network twice each time."""
    cost = {(e.solver, e.steps): e.nfe for e in compared.entries}
    assert [cost["ddim", n] for n in (4, 8, 16)] == [4, 8, 16]
    assert [cost["heun", n] for n in (4, 8, 16)] == [7, 15, 31]
    guided = compare(run, "heun", 4, n=4, guidance=2.0, label=1)
    assert [e.nfe for e in guided.entries] == [14] and guided.guidance == 2.0


def test_errors_fall_and_the_reference_is_converged(compared: Comparison):
    errors = {name: [e.error for e in compared.entries if e.solver == name] for name in ("ddim", "heun", "unipc3")}
    assert all(row[0] > row[1] > row[2] > 0 for row in errors.values())
    assert compared.trusted and compared.reference.error <= 0.2 * min(min(row) for row in errors.values())
    assert compared.reference.nfe == compared.reference.steps >= FIRST


def test_the_reference_says_how_far_it_moved_when_its_steps_doubled(
    run: scorefield.Run, monkeypatch: pytest.MonkeyPatch
):
    """The reference's own solver at half its steps has exactly that error, whatever the batch."""
    monkeypatch.setattr("scorefield.runs.compare.EXACT", 1.0)  # so that it stops at the first doubling
    solver, grid = REFERENCE
    found = compare(run, solver, FIRST // 2, grid=grid, n=6)
    assert found.reference.steps == FIRST
    assert found.entries[0].error == found.reference.error > 0
    split = compare(run, solver, FIRST // 2, grid=grid, n=6, batch=4)
    assert split.entries[0].nfe == found.entries[0].nfe == FIRST // 2
    # float32: differently blocked products over a hundred steps, in units where the data deviate by 1
    assert split.entries[0].error == pytest.approx(found.entries[0].error, rel=1e-2, abs=2e-5)


def test_solvers_that_draw_noise_are_compared_by_distribution(run: scorefield.Run):
    found = compare(run, ["ddpm", "dpmpp2m"], [2, 20], n=40)
    assert found.of_distributions and found.reference.floor > 0
    assert all(e.error is None and e.distance > 0 for e in found.entries)
    near = {(e.solver, e.steps): e.distance for e in found.entries}
    assert near["dpmpp2m", 20] == pytest.approx(found.reference.floor, rel=0.2)  # exact but for 20 steps' error
    assert found.to_csv().splitlines()[0] == "solver,steps,nfe,distance"
    assert found.picture().width > 100


def test_what_it_hands_back_is_plain(compared: Comparison):
    plain = json.loads(json.dumps(compared.to_json()))
    assert plain["reference"]["solver"] == REFERENCE[0] and len(plain["entries"]) == 9
    rows = list(csv.DictReader(io.StringIO(compared.to_csv())))
    assert [row["solver"] for row in rows] == ["ddim"] * 3 + ["heun"] * 3 + ["unipc3"] * 3 + ["reference"]
    assert [float(row["error"]) for row in rows[:9]] == [e.error for e in compared.entries]


def ranked(*figures: tuple[str, int, float], floor: float | None = None) -> Comparison:
    """A comparison with these (solver, evaluations, figure)."""
    field = "error" if floor is None else "distance"
    entries = tuple(Entry(name, 1, nfe, **{field: value}) for name, nfe, value in figures)
    return Comparison("x", entries, Reference("r", "g", 9, 9, 0.01, floor), 2, 0, 1.0, "karras", 1.0)


def test_the_best_are_those_that_nothing_beats_in_both():
    found = ranked(("a", 5, 0.5), ("b", 5, 0.4), ("c", 9, 0.45), ("d", 10, 0.1), ("e", 3, math.nan), ("f", 20, 0.1))
    assert [e.solver for e in found.best()] == ["b", "d"]
    assert found.trusted and not ranked(("a", 5, 0.02)).trusted
    # below the floor nothing is better than the floor
    assert [e.solver for e in ranked(("a", 5, 0.5), ("b", 9, 0.2), ("c", 12, 0.1), floor=0.3).best()] == ["a", "b"]


def test_the_usual_solvers_exist_and_are_deterministic():
    assert not any(NAMES[name].noisy for name in COMPARED) and set(SOLVERS) == set(NAMES)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"solvers": ["hoin"]}, "no solver is called 'hoin'"),
        ({"solvers": []}, "solvers names no solver. Leave it out for ddim"),
        ({"steps": [4, 0]}, "steps must be numbers from 1 on, got 4, 0"),
        ({"steps": []}, "steps must be numbers from 1 on, got none"),
        ({"n": 1}, "n must be at least 2, got 1"),
        ({"n": 9, "solvers": "ddpm"}, "n must be at least 10, because a solver that draws noise"),
        ({"label": "cat"}, "class 'cat' is not known"),
    ],
)
def test_bad_input_costs_no_evaluation(run: scorefield.Run, monkeypatch: pytest.MonkeyPatch, asked, sentence):
    def fail(*args: object, **options: object) -> None:
        raise AssertionError("evaluated")

    monkeypatch.setattr(run.denoiser, "forward", fail)
    with pytest.raises(UserError, match=sentence):
        compare(run, **asked)

"""Samplers tuned on a run: stored beside the weights they fit, used for these alone, never half written or lost."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import scorefield
from scorefield import Table, UserError
from scorefield.runs import tune as tuning
from scorefield.runs.compare import compare

SMALL = {"examples": 16, "held_out": 12, "iterations": 20}


def tables(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "tables").iterdir()}


def evaluated(*args: object, **options: object) -> None:
    raise AssertionError("evaluated")


@pytest.fixture(scope="module")
def tuned(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with tables/3.json in it."""
    folder = Path(shutil.copytree(finished / "moons", tmp_path_factory.mktemp("tuned") / "moons"))
    scorefield.load(folder).tune(3, **SMALL)
    return folder


@pytest.fixture
def run(tuned: Path, tmp_path: Path) -> scorefield.Run:
    """A run of one's own, with the table."""
    return scorefield.load(shutil.copytree(tuned, tmp_path / "moons"))


def test_a_table_says_what_it_was_tuned_for_and_gains(run: scorefield.Run):
    made = Table.load(run.folder.table_file(3)).made
    assert {"step": 8, "ema": 0.1, "guidance": 1.0, "seed": 0, "examples": 16, "held_out": 12}.items() <= made.items()
    assert made["schedule"] == run.config["process"]["schedule"] and made["solver"].startswith("tuned from ")
    assert made["held_out_error"] < made["untuned_error"]  # what is kept is the best seen on these very seeds
    assert tables(run.folder.path).keys() == {"3.json"}


def test_the_same_seed_gives_the_same_file_and_another_table_is_not_lost(run: scorefield.Run):
    before = tables(run.folder.path)
    (again,) = run.tune(3, **SMALL)
    assert (again.former, tables(run.folder.path)) == (None, before)
    (other,) = run.tune([3], **SMALL, seed=1)
    after = tables(run.folder.path)
    assert after["3-former-1.json"] == before["3.json"] != after["3.json"]
    assert other.former == run.folder.path / "tables/3-former-1.json"
    assert other.after <= other.before


def test_sampling_walks_it_by_default_and_says_so(run: scorefield.Run):
    table = run.folder.table_file(3)
    samples, plain = run.sample(6, steps=3, trajectory=True), run.sample(6, steps=3, table="no")
    assert (samples.table, samples.nfe, len(samples.frames)) == (str(table), 3, 4)
    assert f"walks the tuned table {table}" in samples.note and (plain.table, plain.note) == ("", "")
    assert not torch.equal(samples.x, plain.x)
    rng = scorefield.Rng.each(0, range(6))
    z = Table.load(table).run(run.denoiser, run.process.prior(torch.empty(6, 2), rng), rng, label=samples.labels)
    torch.testing.assert_close(samples.x, run.codec.decode(z), rtol=1e-5, atol=1e-5)  # float32, fused in another order
    for same in ({"table": table}, {"table": "yes", "steps": 3}, {"table": Table.load(table)}):
        assert torch.equal(run.sample(6, **same).x, samples.x)
    for other in ({"solver": "ddim"}, {"grid": "uniform"}, {"solver": "ddim", "eta": 0.0}, {"schedule": "vp"}):
        assert run.sample(2, steps=3, **other).table == ""


def test_other_weights_or_guidance_do_without_it_and_say_how_to_tune(run: scorefield.Run):
    path = run.folder.path
    guided = run.sample(2, steps=3, guidance=2.0)
    assert guided.table == "" and "is for guidance 1, this is guidance 2" in guided.note
    assert guided.note.endswith(f"scorefield tune {path} steps=3 guidance=2")
    earlier = scorefield.load(path / "checkpoints/step-00000004").sample(2, steps=3)
    assert earlier.table == "" and "is for step 8, this is step 4" in earlier.note
    average = scorefield.load(path, ema=0.05).sample(2, steps=3)
    assert "is for ema 0.1, this is ema 0.05" in average.note and average.note.endswith("steps=3 ema=0.05")
    with pytest.raises(UserError, match="is for guidance 1, this is guidance 2"):
        run.sample(2, steps=3, guidance=2.0, table="yes")


def test_comparison_previews_and_evaluation(run: scorefield.Run):
    entries = {(e.solver, e.steps): e for e in compare(run, "ddim", [3, 4], n=12).entries}
    assert entries.keys() == {("ddim", 3), ("ddim", 4), ("tuned", 3)}
    assert entries["tuned", 3].error < entries["ddim", 3].error and entries["tuned", 3].nfe == 3
    guided = compare(run, "ddim", 3, n=4, guidance=2.0)
    assert [e.solver for e in guided.entries] == ["ddim"] and "is for guidance 1" in guided.notes[0]
    assert run.preview(4, steps=3).table == ""
    scores = run.evaluate(n=20, steps=3, metrics=["energy"])
    stored = json.loads(run.folder.evaluation_file.read_text())
    assert stored["table"] == str(run.folder.table_file(3)) and "walks the tuned table" in scores.notes[-1]
    assert not run.evaluate(n=20, steps=3, metrics=["energy"], table="no").notes[len(scores.notes) - 1 :]


def test_conditions_are_all_classes_in_turn(run: scorefield.Run):
    given = tuning._classes(run, 5)
    assert given is not None and given(range(1, 4))["label"].tolist() == [1, 0, 1]


def test_a_kill_leaves_the_table_that_was_there(run: scorefield.Run, monkeypatch: pytest.MonkeyPatch):
    """Killed before the new file takes its place; the older one is there whole, beside its copy."""
    before = tables(run.folder.path)["3.json"]
    renamed = []

    def killed(source: str, target: str) -> None:
        renamed.append(target)
        if len(renamed) == 2:
            raise KeyboardInterrupt
        os.rename(source, target)

    monkeypatch.setattr("scorefield.show.files.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        run.tune(3, **SMALL, seed=2)
    after = {name: text for name, text in tables(run.folder.path).items() if not name.startswith(".")}
    assert after == {"3.json": before, "3-former-1.json": before}
    assert run.sample(1, steps=3).table


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text[:200], r"3\.json is not a sampler table"),
        (lambda text: "[1]", r"3\.json is not a sampler table"),
        (lambda text: text.replace("scorefield table 1", "scorefield table 9"), r"3\.json has the format"),
        (lambda text: _scaled(text), r"3\.json: this table was made for another noise schedule"),
    ],
)
def test_a_table_that_cannot_be_walked_costs_no_evaluation(run: scorefield.Run, monkeypatch, change, sentence):
    file = run.folder.table_file(3)
    file.write_text(change(file.read_text()))
    monkeypatch.setattr(run.denoiser, "forward", evaluated)
    with pytest.raises(UserError, match=sentence):
        run.sample(2, steps=3)
    with pytest.raises(UserError, match=sentence):
        run.sample(2, table=file)


def _scaled(text: str) -> str:
    content = json.loads(text)
    return json.dumps(content | {"alphas": [0.5 * a for a in content["alphas"]]})


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"steps": 1}, "steps must be numbers from 2 on, got 1"),
        ({"steps": []}, "steps must be numbers from 2 on, got none"),
        ({"steps": [4, 0]}, "steps must be numbers from 2 on, got 4, 0"),
        ({"steps": 3, "batch": 0}, "must all be at least 1"),
        ({"steps": 3, "examples": 0}, "must all be at least 1"),
    ],
)
def test_bad_input_costs_no_evaluation(run: scorefield.Run, monkeypatch, asked, sentence):
    monkeypatch.setattr(run.denoiser, "forward", evaluated)
    with pytest.raises(UserError, match=sentence):
        run.tune(**asked)
    for options, message in (
        ({"table": "yes", "steps": 5}, "no table of that many steps. To tune one: scorefield tune"),
        ({"table": run.folder.table_file(3), "steps": 5}, "has 3 steps, got steps=5"),
        ({"table": run.folder.table_file(3), "solver": "ddim"}, "a table brings its own solver and times"),
        ({"table": "nowhere.json"}, r"nowhere\.json cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            run.sample(2, **options)


def test_a_weights_file_alone_has_no_place_for_tables(run: scorefield.Run, tmp_path: Path):
    alone = scorefield.load(shutil.copy(run.folder.weights_file, tmp_path / "alone.safetensors"))
    with pytest.raises(UserError, match="tables are kept in a run folder"):
        alone.tune(3)
    assert alone.sample(2, table=run.folder.table_file(3)).nfe == 3


def test_a_grid_that_begins_below_one_starts_from_the_noise_of_that_time(run: scorefield.Run):
    """x = σ(t₀)/σ(1) · prior: what ``scorefield.sample`` starts from too."""
    from scorefield.runs.conditions import asked
    from scorefield.runs.sample import Walk
    from scorefield.solvers import named

    course = Walk(run.denoiser, torch.tensor([0.9, 0.5, 0.0], dtype=torch.float64), named("ddim"), 0, (2,), run.device)
    first = next(iter(course.states(range(4), asked(run, None, None, 4)))).x
    prior = run.process.prior(torch.empty(4, 2), scorefield.Rng.each(0, range(4)))
    ratio = run.process.schedule(course.times[0]).sigma / run.process.schedule(torch.tensor(1.0)).sigma
    torch.testing.assert_close(first, prior * ratio)

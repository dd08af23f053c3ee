"""The whole path, from data to a finished folder, and every way of coming back to it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import scorefield
from scorefield.errors import UserError
from scorefield.runs.display import Silent
from scorefield.runs.folder import RunFolder
from scorefield.runs.lock import Lock

from .conftest import TINY, Stopping

NOTES: list[str] = []


class Noting(Silent):
    """Remembers sentences."""

    def note(self, sentence: str) -> None:
        NOTES.append(sentence)


@pytest.fixture(autouse=True)
def no_notes(blank_pictures: None) -> None:
    NOTES.clear()


def test_a_finished_run_has_everything(finished: Path):
    folder = RunFolder(finished / "moons")
    assert folder.state() == "done"
    for file in (folder.config_file, folder.env_file, folder.command_file, folder.log_file, folder.done_file):
        assert file.stat().st_size > 0, file
    with Image.open(folder.samples / "final.png") as picture:
        assert picture.width >= 480
    assert [step for step, _ in folder.previews()] == [4]  # the one at the last step is final.png
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == ["snapshots", "step-00000004", "step-00000008"]
    assert not (folder.path / "lock.json").exists()
    events = [record["event"] for record in folder.history()]
    assert (events.count("logged"), events.count("saved"), events[-1]) == (4, 2, "stopped")
    env = folder.env()
    assert env["options"] == {"data": "moons", "channels": 16, "batch": 32}
    assert env["starts"][0]["torch"] == torch.__version__


def test_report_and_card_tell_the_story(finished: Path):
    folder = RunFolder(finished / "moons")
    page, card = folder.report_file.read_text(), folder.card_file.read_text()
    for word in ("moons", "mlp", "data:image", torch.__version__):
        assert word in page
    assert "http://" not in page.replace("http://www.w3.org", "")  # opens offline
    for word in ("moons", "scorefield.load"):
        assert word in card


def test_config_comments_say_where_values_came_from(finished: Path):
    text = RunFolder(finished / "moons").config_file.read_text()
    line = next(line for line in text.splitlines() if line.startswith("batch ="))
    assert line.partition("#")[2].strip() == "command line"
    assert any("chosen: " in line for line in text.splitlines() if line.startswith("lr ="))


def test_resume_through_the_verb_is_bit_exact(tmp_path: Path, finished: Path):
    runs = tmp_path / "runs"
    stop_at = Stopping(4)
    scorefield.train("moons", runs=runs, display=stop_at.factory, steps=8, **TINY)
    folder = RunFolder(runs / "moons")
    assert (folder.state(), folder.step()) == ("interrupted", 5)  # the step under way is finished, then saved
    assert scorefield.load(folder.path).step == 5
    run = scorefield.train("moons", runs=runs, steps=8, **TINY)
    assert run.step == 8
    ours, whole = (load_file(root / "moons/final/model.safetensors") for root in (runs, finished))
    assert ours.keys() == whole.keys()
    assert all(torch.equal(ours[name], whole[name]) for name in ours)
    losses = [
        [r["loss"] for r in RunFolder(root / "moons").history() if r["event"] == "logged"] for root in (runs, finished)
    ]
    assert losses[0] == losses[1]


def test_the_same_command_returns_a_finished_run_and_more_steps_go_on(moons: Path):
    runs = moons.parent
    run = scorefield.train("moons", runs=runs, display=Noting, steps=8, **TINY)
    assert run.step == 8
    assert [f"{moons} is finished (8 steps). To train it longer: steps=16. To begin anew: fresh=yes."] == NOTES
    assert scorefield.train("moons", runs=runs, steps=12, **TINY).step == 12
    assert RunFolder(moons).state() == "done"
    assert len(RunFolder(moons).env()["starts"]) == 2
    assert "steps = 12" in RunFolder(moons).config_file.read_text()


def test_other_options_and_fresh_take_the_next_free_name(moons: Path):
    runs = moons.parent
    other = TINY | {"batch": 16}
    run = scorefield.train("moons", runs=runs, display=Noting, steps=2, **other)
    assert run.folder is not None and run.folder.name == "moons-2"
    assert NOTES[0] == f"{moons} was made with other options, so this run is {runs / 'moons-2'}."
    NOTES.clear()
    assert scorefield.train("moons", runs=runs, steps=2, display=Noting, **other).folder.name == "moons-2"
    assert "is finished" in NOTES[0]
    assert scorefield.train("moons", runs=runs, steps=2, fresh=True, **TINY).folder.name == "moons-3"


def test_a_name_taken_by_another_run_is_refused(moons: Path, tmp_path: Path):
    runs = moons.parent
    with pytest.raises(UserError, match=r"moons was trained with other options: batch=32 then, 64 now\."):
        scorefield.train("moons", runs=runs, name="moons", steps=8, **(TINY | {"batch": 64}))
    (runs / "photos").mkdir()
    (runs / "photos" / "cat.png").touch()
    with pytest.raises(UserError, match=r"photos exists and is not a run folder"):
        scorefield.train("moons", runs=runs, name="photos", steps=8, **TINY)
    with pytest.raises(UserError, match=r"name=a/b is a path\. Write a plain name"):
        scorefield.train("moons", runs=runs, name="a/b", steps=8, **TINY)
    with Lock(moons), pytest.raises(UserError, match="is being trained by process"):
        scorefield.train("moons", runs=runs, steps=16, **TINY)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"stepps": 3}, r"unknown option 'stepps'\. Did you mean 'steps'\?"),
        ({"net.chanels": 3}, "takes no 'chanels'"),
        ({"device": "cuda:99"}, "device"),
    ],
)
def test_refusals_write_nothing(tmp_path: Path, given: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        scorefield.train("moons", runs=tmp_path / "runs", **given)
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_loses_nothing(moons: Path, monkeypatch: pytest.MonkeyPatch):
    before = (moons / "final/model.safetensors").read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"No space left|disk is full"):
            scorefield.train("moons", runs=moons.parent, steps=12, **TINY)
    assert (moons / "final/model.safetensors").read_bytes() == before
    assert not [p for p in moons.rglob("*") if "aside" in p.name or p.name == "lock.json"]
    assert scorefield.train("moons", runs=moons.parent, steps=12, **TINY).step == 12


def test_a_diverged_run_says_what_to_try(tmp_path: Path):
    huge = TINY | {"lr": 1e30, "clip": 0, "warmup": 0, "decay": "constant"}
    with pytest.raises(UserError, match=r"stopped being finite at step \d+ .*Try lr="):
        scorefield.train("moons", runs=tmp_path, steps=20, **huge)
    assert RunFolder(tmp_path / "moons").state() == "diverged"


def test_arrays_are_kept_so_that_the_run_can_go_on(tmp_path: Path):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(80, 3)), np.array(["cat", "dog"] * 40)
    run = scorefield.train(x, label=y, runs=tmp_path, steps=2, **TINY)
    assert (run.name, run.classes) == ("array", ("cat", "dog"))
    assert len(run.dataset()) + len(run.dataset().held_out) == 80
    assert scorefield.train(x, label=y, runs=tmp_path, steps=4, **TINY).folder.name == "array"
    assert scorefield.train(x + 1, label=y, runs=tmp_path, steps=2, **TINY).folder.name == "array-2"


def test_data_that_changed_are_noticed(tmp_path: Path, table: Path):
    scorefield.train(table, runs=tmp_path / "runs", steps=2, **TINY)
    table.write_text(table.read_text().replace("a,b\n", "a,b\n1.0,2.0\n"))
    with pytest.raises(UserError, match=r"trained on other data than these .* or fresh=yes"):
        scorefield.train(table, runs=tmp_path / "runs", steps=4, **TINY)
    table.write_text("a,b,c\n" + "1,2,3\n2,1,0\n" * 30)
    with pytest.raises(UserError, match=r"now holds other columns or categories than those that .* was trained on"):
        scorefield.train(table, runs=tmp_path / "runs", steps=4, **TINY)


def test_evaluation_follows_training(tmp_path: Path, table: Path):
    run = scorefield.train(table, runs=tmp_path, steps=2, holdout=0.5, **(TINY | {"evaluate": True}))
    stored = json.loads(run.folder.evaluation_file.read_text())
    assert (stored["step"], stored["n"]) == (2, 30)
    assert {score["name"] for score in stored["evaluation"]["scores"]} >= {"frechet", "two_sample", "copies"}
    assert "1-NN" in run.folder.report_file.read_text()


def test_too_little_held_out_data_does_not_spoil_a_run(tmp_path: Path, table: Path):
    options = TINY | {"evaluate": True, "holdout": 0.05}
    run = scorefield.train(table, runs=tmp_path, steps=2, display=Noting, **options)
    assert run.folder.state() == "done"
    assert any(note.startswith("Not evaluated: ") for note in NOTES)


@pytest.mark.slow
def test_two_processes_train_and_resume_one_run(tmp_path: Path):
    both = TINY | {"devices": 2}
    scorefield.train("moons", runs=tmp_path / "a", steps=8, **both)
    scorefield.train("moons", runs=tmp_path / "b", steps=4, **both)
    run = scorefield.train("moons", runs=tmp_path / "b", steps=8, **both)
    assert run.step == 8
    a, b = (load_file(tmp_path / name / "moons/checkpoints/step-00000008/model.safetensors") for name in "ab")
    assert a.keys() == b.keys()

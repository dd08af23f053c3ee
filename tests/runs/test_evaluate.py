"""Measuring a run against its own held-out data and against others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import scorefield
from scorefield.errors import UserError
from scorefield.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("blank_pictures")


def test_evaluation_is_stored_and_asks_for_classes_as_the_data_hold_them(moons: Path):
    run = scorefield.load(moons)
    evaluation = run.evaluate(n=60, steps=4, metrics=["two_sample", "class_accuracy", "copies"])
    assert [score.name for score in evaluation] == ["two_sample", "class_accuracy", "copies"]
    stored = json.loads(RunFolder(moons).evaluation_file.read_text())
    assert (stored["n"], stored["step"], stored["sampling"]) == (60, 8, {"steps": 4})
    assert evaluation.to_json() == stored["evaluation"]
    again = run.evaluate(n=60, steps=4, metrics=["two_sample"], keep=False)
    assert again["two_sample"].value == evaluation["two_sample"].value


def test_against_other_data(moons: Path, tmp_path: Path):
    points = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    np.save(tmp_path / "points.npy", points)
    run = scorefield.load(moons)
    evaluation = run.evaluate(tmp_path / "points.npy", n=40, steps=2, metrics=["energy"])
    assert evaluation["energy"].n_real <= 80
    with pytest.raises(UserError, match="digits holds images of 1×8×8, but this run makes vectors of 2"):
        run.evaluate("digits", n=40, steps=2)


def test_nothing_held_out_nothing_to_compare_with(tmp_path: Path, table: Path):
    run = scorefield.train(table, runs=tmp_path, steps=1, holdout=0, channels=8, evaluate=False, device="cpu")
    with pytest.raises(
        UserError, match=r"Nothing of table was held out, .* \(against=PATH\), or train with holdout=0\.1"
    ):
        run.evaluate()

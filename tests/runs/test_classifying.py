"""Runs that classify: the same promises as other runs, and they guide the samples of others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import scorefield
from scorefield.errors import UserError
from scorefield.runs.folder import RunFolder

from .conftest import TINY, Stopping

CLASSIFIER = TINY | {"classifier": True}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/ with a classifier of the moons, and a model of them that knows no classes."""
    root = tmp_path_factory.mktemp("classifying") / "runs"
    learned = CLASSIFIER | {"evaluate": True, "batch": 256, "lr": 5e-3, "save": 75, "preview": 0}
    scorefield.train("moons", runs=root, steps=150, **learned)
    plain = TINY | {"batch": 128, "lr": 5e-3, "save": 100, "preview": 0}
    scorefield.train("moons", runs=root, steps=200, conditional="no", name="plain", **plain)
    return root


def test_a_finished_classifier_has_everything(trained: Path):
    folder = RunFolder(trained / "moons-classifier")
    assert folder.state() == "done" and not list(folder.samples.glob("*.png"))
    page, card = folder.report_file.read_text(), folder.card_file.read_text()
    assert "noise-aware classifier" in page and "accuracy at σ/α 1" in page and "film" not in folder.samples.name
    assert "classifier=" in card
    stored = json.loads(folder.evaluation_file.read_text())
    accuracy = {score["name"]: score["value"] for score in stored["evaluation"]["scores"]}
    assert accuracy["accuracy_0.1"] > 0.9  # the moons are 0.05 wide and 0.5 apart
    assert 0.4 < accuracy["accuracy_10"] < 0.65  # nothing can be told


def test_resume_of_a_classifier_is_bit_exact(tmp_path: Path, blank_pictures: None):
    for name, stop_at in (("whole", None), ("twice", 4)):
        if stop_at:
            display = Stopping(stop_at).factory
            scorefield.train("moons", runs=tmp_path / name, display=display, steps=8, **CLASSIFIER)
            assert RunFolder(tmp_path / name / "moons-classifier").state() == "interrupted"
        scorefield.train("moons", runs=tmp_path / name, steps=8, **CLASSIFIER)
    ours, whole = (load_file(tmp_path / n / "moons-classifier/final/model.safetensors") for n in ("twice", "whole"))
    assert ours.keys() == whole.keys() and all(torch.equal(ours[name], whole[name]) for name in ours)


def test_it_steers_a_run_without_classes(trained: Path):
    """Of the points that are asked to be of a class, more are in its half than of those that nobody steered; the
    classifier that counts them is another one, the mean of the class's data."""
    run = scorefield.load(trained / "plain")
    assert run.classes == ()
    data = scorefield.open_data("moons")
    means = torch.stack([data.x[data.labels == k].float().mean(0) for k in (0, 1)])

    def right(samples) -> float:
        return float((torch.cdist(samples.x, means).argmin(1) == torch.arange(200) % 2).double().mean())

    steered = run.sample(200, classifier="moons-classifier", classifier_scale=1.0, label=[0, 1])
    assert steered.labels.tolist() == [0, 1] * 100 and steered.classes == tuple(data.classes)
    assert right(steered) > right(run.sample(200)) + 0.15
    same = run.sample(5, classifier=scorefield.load(trained / "moons-classifier"), label=[0, 1])
    alone = run.sample(200, classifier="moons-classifier", label=[0, 1], batch=7)
    assert torch.allclose(same.x, alone.x[:5], atol=1e-4)  # batching changes nothing but rounding


def test_what_a_classifier_cannot_do_is_said(trained: Path, tmp_path: Path):
    heard, plain = (scorefield.load(trained / name) for name in ("moons-classifier", "plain"))
    for verb in (heard.sample, heard.preview, lambda: heard.tune(6), heard.compare, lambda: heard.edit("a_")):
        with pytest.raises(UserError, match="moons-classifier is a classifier: it makes no samples"):
            verb()
    with pytest.raises(UserError, match=r"metrics=.* is for samples, and moons-classifier is a classifier"):
        heard.evaluate(metrics=["frechet"])
    with pytest.raises(UserError, match=r"classifier=plain is a run that makes samples. Train a classifier"):
        plain.sample(2, classifier=trained / "plain")
    with pytest.raises(UserError, match="classifier_scale=2 needs a classifier"):
        plain.sample(2, classifier_scale=2.0)
    with pytest.raises(UserError, match="class 'three' is not known"):
        plain.sample(2, classifier=heard, label="three")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"model": "transformer"}, "classifier=yes makes a classifier of model=unet or model=mlp"),
        ({"predict": "eps"}, "predict says how a model that samples is trained"),
        ({"conditional": "no"}, "conditional=no leaves the classes out"),
        ({"label": "none"}, "learns to tell classes apart, and moons has none"),
    ],
)
def test_what_no_classifier_can_learn_is_said_before_anything_is_written(tmp_path: Path, given: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        scorefield.train("moons", runs=tmp_path / "runs", steps=2, **(CLASSIFIER | given))
    assert not (tmp_path / "runs").exists()


def test_other_data_do_not_fit(trained: Path, tmp_path: Path, blank_pictures: None):
    x, y = np.random.default_rng(0).normal(size=(80, 3)), np.array(["a", "b"] * 40)
    other = scorefield.train(x, label=y, runs=tmp_path, steps=2, **CLASSIFIER)
    with pytest.raises(UserError, match="plain makes vectors of 2, but array-classifier tells vectors of 3 apart"):
        scorefield.load(trained / "plain").sample(2, classifier=other)

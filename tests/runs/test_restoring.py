"""Draws given a measurement, of runs whose model is exact: they are the posterior, and calibration says so."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scorefield
from scorefield import GaussianMixture
from scorefield.belief import Moments
from scorefield.errors import UserError
from scorefield.operators.names import operator
from scorefield.runs.measured import given_of
from scorefield.runs.restoring import affordable

COV = torch.tensor([[1.0, 0.6], [0.6, 0.7]])


def half(x: torch.Tensor) -> torch.Tensor:
    """What is measured: the first number."""
    return x[:, :1]


@dataclass(frozen=True)
class Narrow:
    """A model that is surer than it may be: every belief is drawn to the middle."""

    inner: Any

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: torch.Tensor, t: torch.Tensor, **cond: Any) -> Moments:
        return self.inner(x, t).with_mean(0.6 * self.inner(x, t).mean)


@pytest.fixture(scope="module")
def exact(finished: Path) -> Any:
    """The run of the moons, with the exact denoiser of a Gaussian in the place of its network."""
    run = scorefield.load(finished / "moons")
    law = GaussianMixture(torch.ones(1), torch.zeros(1, 2), COV[None])
    config = run.config | {"net": run.config["net"] | {"classes": 0}}
    return replace(run, denoiser=law.denoiser(run.process), config=config)


@pytest.mark.slow
def test_an_exact_sampler_passes_and_one_that_is_too_narrow_fails(exact, monkeypatch: pytest.MonkeyPatch):
    """MMPS is exact on Gaussian priors up to its steps (with 25 χ² is a fifth too large, and this test sees it); the
    verdict of an exact sampler is wrong once in a hundred seeds, and this is one of the others. The same with truths
    of the right law and a model that is too narrow fails."""
    how = {"operator": half, "noise": 0.3, "method": "mmps", "n": 128, "draws": 15, "steps": 120, "seed": 1}
    good = exact.calibrate(**how)
    assert good.found.passed, good.found
    assert (good.method, good.label) == ("mmps", "exact for Gaussian priors")
    assert good.found.chi2 == pytest.approx(1, abs=4 * good.found.chi2_se)
    truths = _truths(exact)
    monkeypatch.setattr(type(exact), "dataset", lambda self: truths)
    bad = replace(exact, denoiser=Narrow(exact.denoiser)).calibrate(**how | {"truth": "data"})
    assert not bad.found.passed and "narrow" in bad.found.verdict
    page = bad.page()
    assert "too narrow" in page and "data:image" in page
    assert json.loads(json.dumps(bad.to_json()))["verdict"] == bad.found.verdict


def _truths(run: Any) -> Any:
    """A dataset whose held-out part follows the law."""
    generator = torch.Generator().manual_seed(0)
    x = run.codec.decode(torch.randn(400, 2, generator=generator) @ torch.linalg.cholesky(COV).mT)
    held = scorefield.open_data(x.numpy(), holdout=0)
    return replace(held, held_out=held)


def test_what_cannot_be_calibrated_is_said(exact, finished: Path):
    with pytest.raises(UserError, match="nothing says what was measured"):
        exact.calibrate()
    with pytest.raises(UserError, match=r"method=mmsp is not known\. Did you mean 'mmps'"):
        exact.calibrate(operator=half, method="mmsp")
    with pytest.raises(UserError, match="dps needs noise, and this measurement is exact"):
        exact.calibrate(operator=half, method="dps", noise=0.0)
    with pytest.raises(UserError, match="ddnm needs the singular values of a linear operator"):
        exact.calibrate(operator=lambda x: x.abs()[:, :1], method="ddnm")


def test_what_a_method_lacks_is_said_before_truths_are_drawn(exact, monkeypatch: pytest.MonkeyPatch):
    """Drawing truths takes minutes; here it raises."""
    from scorefield.runs import calibrating

    monkeypatch.setattr(calibrating, "TRUTHS", {})
    for words, how in (
        ("dps needs", {"noise": 0, "method": "dps"}),
        ("mmps needs", {"operator": torch.round, "method": "mmps"}),
        ("dps has no particles", {"method": "dps", "particles": 8}),
    ):
        with pytest.raises(UserError, match=words):
            exact.calibrate(**{"operator": half} | how)


@pytest.fixture(scope="module")
def digits(finished_digits: Path) -> Any:
    return scorefield.load(finished_digits / "digits")


def test_restoring_writes_everything(digits, picture, tmp_path: Path):
    """Whatever the model is, the draws agree with what was measured: here half of the picture."""
    made = digits.edit(picture, 3, operator="half=right", noise=0.05, method="ddnm", steps=12)
    assert (len(made), made.method, made.label, made.nfe) == (3, "ddnm", "heuristic", 12)
    known = (made.x[..., :4].float() - torch.from_numpy(picture)[..., :4].float()).abs()
    assert known.mean() < 0.05 * 127.5 * 2  # within the noise that was said
    folder = made.save(tmp_path / "edited")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        *(f"draws/00{i}.png" for i in (1, 2, 3)),  # as they are called in the overview
        *("mean.png", "deviation.png", "overview.png", "draws.npz", "result.json", "report.html"),
    }
    stored = np.load(folder / "draws.npz")
    assert stored["x"].shape == (3, 1, 8, 8) and stored["deviation"].shape == (1, 8, 8)
    np.testing.assert_allclose(stored["deviation"], stored["x"].astype(float).std(0, ddof=1), atol=1e-3)
    with Image.open(folder / "draws" / "002.png") as drawn:
        assert np.array_equal(np.asarray(drawn), stored["x"][1, 0])
    page = (folder / "report.html").read_text()
    assert "χ²/M" in page and "data:image" in page and "http://" not in page
    with pytest.raises(UserError, match="exists and is not overwritten"):
        made.save(folder)
    again = digits.edit(picture, 1, operator="half=right", noise=0.05, method="ddnm", steps=12)
    assert torch.equal(again.x[0], made.x[0])  # draw i of a seed is the same whatever n is


def test_particles_tell_their_weight(digits, picture):
    made = digits.edit(picture, 2, super=4, noise=0.5, method="tds-pigdm", particles=4, steps=3)
    assert made.ess is not None and 1 <= made.ess <= 4 and made.particles == 4
    assert made.log_evidence is not None and math.isfinite(made.log_evidence)
    told = dict(made.facts)
    assert "of 4 particles" in told["ESS"] and "nats" in told["evidence"] and "away from it" in told["truth"]


@pytest.mark.parametrize(
    ("word", "noise", "method"),
    [
        ("hdr=2", "0.05", "tds-likelihood"),
        ("hdr=2", "0", "mmps"),
        ("hdr=0.9", "0.05", "mmps"),
        ("phase=2", "0.05", "mmps"),
        ("jpeg=10", "0.05", "mmps"),
        ("blur=1", "poisson:30", "dps"),
        ("half=left", "0.05", "mmps"),
    ],
)
def test_auto_takes_particles_where_pictures_are_clipped(digits, word: str, noise: str, method: str):
    """A linear model of a clipped pixel says nothing; "hdr=0.9" clips nothing in [−1, 1]."""
    measured = given_of(digits, None, np.zeros(_measured(word), np.float32), None, 0, noise, {"operator": word})
    assert affordable(digits, measured.measurement, "auto", None)[0] == method


def _measured(word: str) -> tuple[int, ...]:
    return tuple(operator(word, (1, 8, 8)).measured)


def test_one_class_is_told_to_the_model(digits, picture):
    """The class changes what is drawn; several are refused, and so is one that the run does not know."""
    how = {"super": 4, "noise": 0.5, "method": "ddnm", "steps": 2}
    a, b = (digits.edit(picture, 1, label=label, **how).encoded for label in (None, "3"))
    assert a.shape == b.shape
    with pytest.raises(UserError, match="a picture is of one class"):
        digits.edit(picture, 2, label=["1", "2"], **how)
    with pytest.raises(UserError, match="class=12, but this run has classes"):
        digits.edit(picture, 2, label=12, **how)
    told = digits.config | {"objective": digits.config["objective"] | {"label_dropout": 0.0}}
    with pytest.raises(UserError, match=r"label_dropout=0 and knows nothing without a class\. Write class="):
        replace(digits, config=told).edit(picture, 2, **how)
    with pytest.raises(UserError, match="temperature does not go with a picture"):
        digits.edit(picture, 2, temperature=0.5, **how)
    with pytest.raises(UserError, match="edit needs a picture after the run, or what was measured"):
        digits.edit(None, 2, **how)

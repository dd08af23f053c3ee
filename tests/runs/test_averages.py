"""An average of any width of a run: kept, rebuilt, refused; and the sweep that says which is best."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

import scorefield
from scorefield.errors import UserError
from scorefield.runs import averages
from scorefield.runs.ema import Entry, Sweep, sweep
from scorefield.runs.ema_measures import _loss
from scorefield.training import newest

TINY = {"channels": 16, "batch": 32, "preview": 0, "evaluate": False, "device": "cpu"}
SMALL = {"n": 60, "widths": (0.03, 0.08, 0.1)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``moons`` (40 steps, 10 snapshots) and ``three``, the same but with 0.08 kept and no snapshots."""
    root = tmp_path_factory.mktemp("averages")
    scorefield.train("moons", runs=root, steps=40, **TINY)
    scorefield.train("moons", runs=root, name="three", steps=40, ema=[0.1, 0.05, 0.08], snapshots=0, **TINY)
    return root


def weights(run: scorefield.Run) -> torch.Tensor:
    return torch.cat([p.flatten() for p in run.denoiser.parameters()]).double()


def test_a_rebuilt_average_is_the_one_that_would_have_been_kept(trained: Path):
    """The two runs differ in what they kept and in nothing else. What is left of the distance between two stored widths
    is the profile's error (below 1 %, of a path and not of a distance, hence 5 %) and rounding to 11 bits."""
    kept, rebuilt = (scorefield.load(trained / name, ema=0.08) for name in ("three", "moons"))
    assert (kept.ema, rebuilt.ema, rebuilt.note) == (0.08, 0.08, "")
    apart = weights(scorefield.load(trained / "moons", ema=0.05)) - weights(scorefield.load(trained / "moons"))
    rounding = 2**-11 * weights(kept).abs()
    assert ((weights(rebuilt) - weights(kept)).norm() - rounding.norm()) <= 0.05 * apart.norm()
    assert not torch.equal(weights(rebuilt), weights(scorefield.load(trained / "moons")))


def test_a_kept_width_is_read_and_not_rebuilt(trained: Path):
    exact = scorefield.load(trained / "moons", ema=0.05)
    assert torch.equal(weights(exact), weights(scorefield.load(trained / "three", ema=0.0502)))
    assert exact.ema == 0.05
    checkpoint = newest(trained / "moons" / "checkpoints")
    assert averages.fitted(checkpoint, 0.05).error == 0


def test_the_folder_grows_by_ten_times_the_weights(trained: Path):
    files = sorted((trained / "moons" / "checkpoints" / "snapshots").iterdir())
    held = 4 * sum(p.numel() for p in scorefield.load(trained / "moons").denoiser.parameters())
    assert len(files) == 10 and not (trained / "three" / "checkpoints" / "snapshots").exists()
    headers = 10 * 8000
    assert sum(file.stat().st_size for file in files) <= 10 * held + headers
    with safe_open(files[-1], framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118


def test_an_older_checkpoint_uses_the_snapshots_before_it(trained: Path):
    older = trained / "moons" / "checkpoints" / "step-00000035"
    run = scorefield.load(older, ema=0.08)
    assert run.step == 35
    ends = {s.profile.end for s in averages.stored(averages_checkpoint(older))}
    assert max(ends) == 35 * 32 and len(ends) == 9  # snapshots at 4, 8 … 32, and the checkpoint itself


def averages_checkpoint(path: Path):
    from scorefield.training.checkpoint import read

    checkpoint, _ = read(path)
    assert checkpoint is not None
    return checkpoint


def test_what_cannot_be_rebuilt_is_a_sentence(trained: Path, tmp_path: Path):
    with pytest.raises(
        UserError,
        match=r"ema=0\.2 was not kept by this run\. Kept: 0\.1, 0\.05, 0\.08\. .* stored none: .*ema=.*,0\.2\.",
    ):
        scorefield.load(trained / "three", ema=0.2)
    for width in (0.5, -0.1, 0):
        with pytest.raises(UserError, match=r"ema is a width σ_rel above 0 and up to 0\.28, got"):
            scorefield.load(trained / "moons", ema=width)
    few = Path(shutil.copytree(trained / "moons", tmp_path / "few"))
    for path in sorted((few / "checkpoints" / "snapshots").iterdir())[:8]:
        path.unlink()
    with pytest.raises(
        UserError, match=r"ema=0\.28 cannot be rebuilt from 1 snapshot: .* misses .* by \d+%.* In reach"
    ):
        scorefield.load(few, ema=0.28)
    told = scorefield.load(trained / "moons", ema=0.02)
    assert "profile error of 2" in told.note and told.note in told.sample(2, steps=2).note


def test_a_sweep_measures_every_width_under_the_same_noise(trained: Path, tmp_path: Path):
    folder = Path(shutil.copytree(trained / "moons", tmp_path / "moons"))
    run = scorefield.load(folder)
    before = weights(run).clone()
    found = run.sweep(**SMALL)
    assert [entry.width for entry in found.entries] == [0.0, 0.03, 0.08, 0.1]
    assert (found.n, found.real, found.step) == (60, 60, 40)
    assert found.best.worse == 0 == found.best.worse_se and all(e.worse_se < e.se for e in found.entries)
    stored = json.loads(run.folder.average_file.read_text())
    assert stored["best"] == found.best.width and stored["verdict"] == found.verdict
    with Image.open(run.folder.average_picture) as picture:
        assert picture.size == (1120, 640)
    assert torch.equal(weights(run), before)  # the sweep has a network of its own
    again = sweep(scorefield.load(folder), **SMALL, keep=False)
    assert again == found
    exact = next(entry for entry in found.entries if entry.width == 0.1)
    value, left = _loss(run, run.dataset().held_out, 60, 0, 2048, lambda done, total: None)
    assert exact.value == pytest.approx(value, rel=1e-12)  # the run's own width: no mixing in between
    each = left.sum() - 59 * left  # a jackknife of a mean is its textbook error
    assert exact.se == pytest.approx(each.std().item() / 60**0.5, rel=1e-9)


@pytest.mark.parametrize("metric", ["energy", "frechet"])
def test_a_sweep_over_samples(trained: Path, metric: str):
    run = scorefield.load(trained / "moons")
    found = run.sweep([0.05, 0.08], metric=metric, n=40, steps=3, keep=False)
    assert (found.n, len(found.entries)) == (40, 3) and all(e.se > 0 for e in found.entries)


def test_bad_sweeps_are_sentences(trained: Path, tmp_path: Path):
    run = scorefield.load(trained / "moons")
    with pytest.raises(UserError, match=r"no metric of a sweep is called 'fid'\."):
        run.sweep(metric="fid")
    with pytest.raises(UserError, match=r"metric=loss draws no samples, so it has no use for steps"):
        run.sweep(steps=4)
    with pytest.raises(UserError, match=r"was not kept by this run.*stored none"):
        scorefield.load(trained / "three").sweep([0.02])
    with pytest.raises(UserError, match=r"the weights file of moons alone"):
        scorefield.load(shutil.copy(run.folder.weights_file, tmp_path / "alone.safetensors")).sweep()
    with pytest.raises(UserError, match=r"A distance needs 40 samples and held-out examples, got 20 and"):
        run.sweep(metric="energy", n=20)


def test_the_verdict_claims_no_more_than_two_standard_errors():
    entries = (Entry(0.0, 1.5, 0.3, 0.5, 0.1, 0), Entry(0.05, 1.0, 0.3, 0, 0, 0), Entry(0.1, 1.1, 0.3, 0.1, 0.06, 0))
    found = Sweep("x", 1, "loss", entries, 10, 10, 0)
    assert found.verdict.startswith(
        "Lowest: ema=0.05. Within two standard errors of it, so not to be told apart here: ema=0.1."
    )
    alone = Sweep("x", 1, "loss", entries[:2], 10, 10, 0)
    assert "All others are worse by more than two standard errors." in alone.verdict

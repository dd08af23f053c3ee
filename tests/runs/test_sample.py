"""Samples: the same whatever the batch, by class, under other schedules, and as files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import scorefield
from scorefield.errors import UserError


@pytest.fixture(scope="module")
def run(finished: Path) -> scorefield.Run:
    return scorefield.load(finished / "moons")


@pytest.fixture(scope="module")
def digits(finished_digits: Path) -> scorefield.Run:
    return scorefield.load(finished_digits / "digits")


@pytest.mark.parametrize("solver", ["heun", "ddpm", "dpmpp2m"])
def test_a_sample_is_a_function_of_its_seed_and_number(run: scorefield.Run, solver: str):
    whole = run.sample(10, solver=solver, seed=3, label=1).x
    few = run.sample(4, solver=solver, seed=3, label=1).x
    split = run.sample(10, solver=solver, seed=3, label=1, batch=3).x
    # Products of matrices with another number of rows round differently: float32 over 18 steps.
    torch.testing.assert_close(few, whole[:4], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(split, whole, rtol=1e-4, atol=1e-4)
    assert not torch.equal(run.sample(4, solver=solver, seed=4, label=1).x, few)


def test_images_are_bytes_and_do_not_depend_on_the_batch(digits: scorefield.Run):
    whole, split = digits.sample(5, steps=4), digits.sample(5, steps=4, batch=2)
    assert (whole.x.dtype, tuple(whole.x.shape), whole.nfe) == (torch.uint8, (5, 1, 8, 8), 4)
    assert (whole.x.int() - split.x.int()).abs().max() <= 1


def test_classes_by_name_by_number_and_in_turn(digits: scorefield.Run):
    assert digits.sample(12, steps=1).labels.tolist() == [*range(10), 0, 1]
    assert digits.sample(4, steps=1, label=["3", 7]).labels.tolist() == [3, 7, 3, 7]
    for nothing in ("none", []):  # the second is what the command line makes of class=none
        assert digits.sample(2, steps=1, label=nothing).labels.tolist() == [-1, -1]
    assert digits.sample(2, steps=1, label=torch.tensor([4, 5])).labels.tolist() == [4, 5]
    with pytest.raises(UserError, match=r"class=12, but this run has classes 0…9\."):
        digits.sample(2, label=12)
    with pytest.raises(UserError, match="class 'cat' is not known"):
        digits.sample(2, label="cat")


def test_guidance_changes_samples_and_needs_classes(run: scorefield.Run, tmp_path: Path, blank_pictures: None):
    assert not torch.equal(run.sample(3, guidance=3.0).x, run.sample(3).x)
    points = np.random.default_rng(0).normal(size=(40, 2))
    plain = scorefield.train(points, runs=tmp_path, steps=1, channels=8, evaluate=False, device="cpu")
    assert plain.sample(2).labels is None
    with pytest.raises(UserError, match="guidance=2 strengthens a class, but this run learned no classes"):
        plain.sample(2, guidance=2.0)
    with pytest.raises(UserError, match="class=3 was asked for, but this run learned no classes"):
        plain.sample(2, label=3)


def test_another_schedule_grid_and_number_of_steps(run: scorefield.Run):
    for options in ({"schedule": "vp"}, {"schedule": "flow", "grid": "uniform"}, {"solver": "ddim", "eta": 1.0}):
        samples = run.sample(4, steps=6, **options)
        assert torch.isfinite(samples.x).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"solver": "heum"}, r"no solver is called 'heum'\. Did you mean 'heun'\?"),
        ({"grid": "karas"}, r"no grid is called 'karas'\. Did you mean 'karras'\?"),
        ({"schedule": "vpp"}, r"no schedule is called 'vpp'\."),
        ({"solver": "dpmpp2m", "eta": 1.5}, "eta must be between 0"),
        ({"solver": "flow2pc", "eta": 0.5}, "solver 'flow2pc' takes no eta. Those that do: ddim"),
        ({"solver": "heun", "eta": 0.5}, "solver 'heun' takes no eta"),
    ],
)
def test_refusals(run: scorefield.Run, options: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        run.sample(**{"n": 2} | options)


def test_trajectories_start_with_noise_of_the_size_of_the_data_and_end_with_the_samples(run: scorefield.Run):
    told = []
    samples = run.sample(
        200, steps=5, trajectory=True, batch=120, progress=lambda done, total: told.append((done, total))
    )
    assert (len(samples.frames), samples.times[0], samples.times[-1]) == (6, 1.0, 0.0)
    assert torch.equal(samples.frames[-1], samples.x)
    # 200 draws of variance σ²: the sample deviation is within 5/√(2·200) = 25 % of σ.
    expected = torch.tensor(run.config["codec"]["std"]) * run.config["denoiser"]["sigma_data"]
    torch.testing.assert_close(samples.frames[0].std(0), expected, rtol=0.25, atol=0)
    assert (told[-1], told == sorted(told)) == ((10, 10), True)
    assert len(samples.pictures()) == 6


def test_files(run: scorefield.Run, digits: scorefield.Run, tmp_path: Path):
    points, images = run.sample(5, trajectory=True, steps=3), digits.sample(5, steps=2)
    with np.load(points.save(tmp_path / "a.npz")) as stored:
        assert np.array_equal(stored["x"], points.x.numpy()) and stored["label"].tolist() == [0, 1, 0, 1, 0]
    assert np.load(images.save(tmp_path / "a.npy")).shape == (5, 1, 8, 8)
    with open(points.save(tmp_path / "a.csv")) as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["x", "y", "label"]
    np.testing.assert_allclose([[float(r["x"]), float(r["y"])] for r in rows], points.x.numpy(), rtol=1e-6)
    with Image.open(images.save(tmp_path / "a.png")) as picture:
        assert picture.width >= 480
    folder = images.save(tmp_path / "pngs")
    with Image.open(folder / "3" / "000003.png") as picture:
        assert np.array_equal(np.asarray(picture), images.x[3, 0].numpy())
    with Image.open(points.save(tmp_path / "a.webp")) as film:
        assert film.n_frames >= 3


def test_files_that_cannot_be_written(run: scorefield.Run, digits: scorefield.Run, tmp_path: Path):
    samples = run.sample(2, steps=1)
    (tmp_path / "there.png").touch()
    for path, sentence in {
        "there.png": r"there\.png exists and is not overwritten",
        "a.jpg": r"ends in '\.jpg', which says nothing about the format\. Known: \.png, \.npz",
        "a.webp": "is a film, which needs every step",
        "folder": "a folder of PNGs holds images, but these samples are vectors",
    }.items():
        with pytest.raises(UserError, match=sentence):
            samples.save(tmp_path / path)
    with pytest.raises(UserError, match="holds rows of numbers, but these samples are images"):
        digits.sample(1, steps=1).save(tmp_path / "a.csv")


def test_another_number_of_steps_than_the_runs_own_walks_what_the_guide_advises(run: scorefield.Run):
    """Unless a solver or a grid is named; the run's own number of steps is walked as its config says."""
    own, steps = run.config["sample"], 6
    assert own["steps"] != steps
    advised = run.sample(4, steps=steps, solver="flow2pc", grid="rectified", seed=3).x
    assert torch.equal(run.sample(4, steps=steps, seed=3).x, advised)
    named = run.sample(4, steps=steps, solver=own["solver"], seed=3).x
    assert not torch.equal(named, advised)
    usual = run.sample(4, solver=own["solver"], grid=own["grid"]["type"], seed=3).x
    assert torch.equal(run.sample(4, seed=3).x, usual)

"""What the words of `edit` mean: operators, noise, and what the picture is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scorefield
from scorefield.errors import UserError
from scorefield.operators import GaussianNoise, PoissonNoise
from scorefield.runs.measured import NOISE, given_of, noise_of, operator_of
from scorefield.runs.restored import consistency


@pytest.fixture(scope="module")
def run(finished_digits: Path) -> Any:
    return scorefield.load(finished_digits / "digits")


def given(run: Any, picture: Any, y: Any = None, taken: str | None = None, noise: Any = None, **asked: Any) -> Any:
    return given_of(run, picture, y, taken, 0, noise, asked)


def encoded(run: Any, picture: np.ndarray) -> torch.Tensor:
    return run.codec.encode(torch.from_numpy(picture)[None])


def test_of_a_mask_the_picture_is_what_is_known(run, picture, tmp_path: Path):
    """White is painted: y is the picture under black, without noise added, and the rest is not looked at."""
    white = np.zeros((8, 8), np.uint8)
    white[:, 5:] = 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    other = picture.copy()
    other[:, :, 5:] = 7
    ours, theirs = (given(run, x, mask=tmp_path / "mask.png") for x in (picture, other))
    assert torch.equal(ours.measurement.y, theirs.measurement.y) and ours.truth is None
    assert torch.equal(ours.measurement.y[0], encoded(run, picture)[0, 0, :, :5].flatten())
    assert ours.seen.shape == (4, 8, 8) and (ours.seen[3, :, 5:] == 0).all() and (ours.seen[3, :, :5] == 255).all()
    assert consistency(ours.measurement, encoded(run, picture)).value == 0


def test_of_super_resolution_the_size_says_what_the_picture_is(run, picture):
    clean = given(run, picture, super=4, noise=0.1)
    assert torch.equal(clean.truth, encoded(run, picture)) and "is clean: it was measured first" in clean.note
    residual = clean.measurement.residual(clean.truth)
    assert 0 < residual.abs().max() < 0.5  # five standard deviations of the noise that was added
    small = np.full((1, 2, 2), 128, np.uint8)
    measured = given(run, small, super=4)
    assert measured.truth is None and torch.equal(measured.measurement.y, encoded(run, small))
    assert f"noise={NOISE:g} was chosen" in measured.note and measured.measurement.noise.std == NOISE


def test_where_both_fit_the_picture_is_what_was_measured_unless_told(run, picture):
    blurred = given(run, picture, blur=1.0)
    assert torch.equal(blurred.measurement.y, encoded(run, picture)) and "taken=clean" in blurred.note
    assert "taken=clean would measure it first" in given(run, picture, operator="hdr=2").note
    clean = given(run, picture, taken="clean", blur=1.0, noise=0.0)
    assert torch.equal(clean.measurement.y, operator_of(run, {"blur": 1.0})[0](encoded(run, picture)))


def test_y_and_an_operator_of_ones_own(run, picture, tmp_path: Path):
    file = tmp_path / "own.py"
    file.write_text("def A(x):\n    return x.mean(-1)\n\ndef B(x):\n    return x.clamp(min=0)\n\nC = 3\n")
    np.save(tmp_path / "y.npy", np.zeros((1, 8)))
    found = given(run, picture, tmp_path / "y.npy", operator=f"{file}:A", noise=0.05)
    assert found.measurement.operator.linear and found.measurement.y.dtype == torch.float32
    assert torch.equal(found.truth, encoded(run, picture))
    assert not operator_of(run, {"operator": f"{file}:B"})[0].linear
    in_python = operator_of(run, {"operator": lambda x: x.mean(-1)})[0]
    assert tuple(in_python.measured) == (1, 8)
    with pytest.raises(UserError, match=r"y\.npy has shape \(1, 8\), but the operator gives \(1, 2, 2\)"):
        given(run, None, tmp_path / "y.npy", super=4)
    np.save(tmp_path / "bad.npy", np.full((1, 8), np.nan))
    with pytest.raises(UserError, match="y must be finite"):
        given(run, None, tmp_path / "bad.npy", operator=f"{file}:A")
    for word, sentence in (("D", "has no 'D'"), ("C", "cannot be used")):
        with pytest.raises(UserError, match=sentence):
            operator_of(run, {"operator": f"{file}:{word}"})
    file.write_text("def A(x:\n")
    with pytest.raises(UserError, match=r"cannot be used .SyntaxError"):
        operator_of(run, {"operator": f"{file}:A"})


def test_several_measurements_are_done_in_turn(run, picture):
    made, words = operator_of(run, {"super": 2, "blur": 1.0})
    blur, small = (operator_of(run, {name: value})[0] for name, value in (("blur", 1.0), ("super", 2)))
    x = encoded(run, picture)
    torch.testing.assert_close(made(x), small(blur(x)))
    assert words == "blur=1.0 super=2"


def test_noise_by_name(run):
    assert noise_of("0.05")[0] == GaussianNoise(0.05) and noise_of(0.0)[0].std == 0
    assert noise_of("poisson:30")[0] == PoissonNoise(30.0) and noise_of(PoissonNoise(2.0))[0] == PoissonNoise(2.0)
    with pytest.raises(UserError, match="no noise is called 'gausian'"):
        noise_of("gausian:1")


@pytest.mark.parametrize(
    ("shape", "asked", "sentence"),
    [
        ((1, 8, 8), {}, "nothing says what was measured"),
        ((1, 5, 5), {"super": 4}, r"the picture has 5×5 pixels, but 2×2 .what super=4 gives. or 8×8"),
        ((1, 5, 5), {"operator": "half=left"}, "the picture has 5×5 pixels, but operator=half=left is about a picture"),
        ((1, 8, 8), {"super": 3}, "super=3"),
        ((1, 8, 8), {"operator": "radom=3"}, r"no operator is called 'radom'\. Did you mean 'random'"),
        ((2, 8, 8), {"super": 4}, r"a picture is uint8 .1 or 3, H, W., got uint8 .2, 8, 8."),
    ],
)
def test_what_does_not_fit_is_said_with_both_sizes(run, shape: tuple, asked: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        given(run, np.zeros(shape, np.uint8), **asked)


def test_a_mask_of_another_size_is_said_with_both(run, picture, tmp_path: Path):
    Image.new("L", (9, 8)).save(tmp_path / "mask.png")
    with pytest.raises(UserError, match=r"the mask has 8x9 pixels, but an example has shape \(1, 8, 8\)"):
        given(run, picture, mask=tmp_path / "mask.png")
    with pytest.raises(UserError, match=r"nothing\.png does not exist"):
        given(run, "nothing.png", super=4)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=r"text\.png cannot be read as a picture"):
        given(run, tmp_path / "text.png", super=4)


def test_residuals_of_the_truth_are_those_of_the_noise(run):
    """χ²/M of 64 numbers is 1 within 4 standard deviations, √(2/64) each: false alarms 6e-5; of other noises likewise,
    with the spread that was promised for them."""
    x = torch.zeros(1, 1, 8, 8) + 0.3
    for noise in ("0.3", "laplace:0.2", "poisson:40"):
        law = noise_of(noise)[0]
        from scorefield.core import Rng
        from scorefield.operators import Measurement

        own = Measurement.of(x, operator_of(run, {"operator": lambda x: 2 * x})[0], law, Rng(1))
        found = consistency(own, x)
        assert abs(found.value - 1) < 4 * found.spread and found.ok, noise
        far = consistency(own, x + 1)
        assert not far.ok and "the draws do not explain y" in far.sentence


def test_a_coloured_picture_is_not_what_grey_gives(run, picture):
    """It is clean, and a grey one was measured, in three channels as in one."""
    found = run.config["data"]["found"] | {"shape": [3, 8, 8]}
    coloured = replace(run, config=run.config | {"data": run.config["data"] | {"found": found}})
    three = np.concatenate([picture, picture, picture])
    assert given(coloured, picture, grey=True).truth is None and given(coloured, three, grey=True).truth is None
    three[0, 0, 0] ^= 255
    assert given(coloured, three, grey=True).truth.shape == (1, 3, 8, 8)
    assert given(coloured, three, grey=True, taken="measured").truth is None


def test_where_few_counts_are_expected_a_breath_is_no_contradiction(run):
    """Three quarters of a picture are black, where a draw lies 0.005 off: χ²/M of it and of the truth is 1 within 4 of
    the standard deviations that are promised (false alarms 3e-4), and that of a picture of half the light is not."""
    from scorefield.core import Rng
    from scorefield.operators import Measurement

    x = torch.full((1, 1, 8, 8), -1.0)
    x[..., :2] = 0.5
    own = Measurement.of(x, operator_of(run, {"operator": lambda x: 1 * x})[0], noise_of("poisson:30")[0], Rng(3))
    off = 0.005 * Rng(4).normal(x)
    for draw in (x, x + off):
        found = consistency(own, draw)
        assert abs(found.value - 1) < 4 * found.spread and found.ok and found.spread < 0.5
    assert not consistency(own, (x - 1) / 2).ok


def test_draws_that_went_astray_are_named(run):
    """M = 64, so one draw is named from 1 + 9 √(2/64) on; χ²/M of the others is exactly 1. A small excess of all of
    them is called so, and draws nearer than a noise that was only assumed are no fault."""
    from scorefield.operators import Measurement

    same = operator_of(run, {"operator": lambda x: 2 * x})[0]
    own = Measurement(same, torch.zeros(1, 1, 8, 8), GaussianNoise(0.2))
    x = torch.full((5, 1, 8, 8), 0.1)
    assert consistency(own, x).ok and consistency(own, x).each == pytest.approx((1,) * 5)
    x[3] = 0.4  # χ²/M = 16
    one = consistency(own, x)
    named = "draw 4 (16.0) does not explain y and should be left out, the other 4 do (1.00)"
    assert not one.ok and named in one.sentence
    x[1] = 0.4
    assert "draws 2 (16.0), 4 (16.0) do not explain y" in consistency(own, x).sentence
    x[0] = 0.4
    assert "the draws do not explain y: more steps" in consistency(own, x).sentence
    assert "somewhat farther from y than its noise" in consistency(own, torch.full_like(x, 0.13)).sentence
    near = torch.full_like(x, 0.01)
    assert not consistency(own, near).ok and "the noise was said too large" in consistency(own, near).sentence
    assumed = consistency(own, near, assumed=True)
    assert assumed.ok and "the noise of 0.2 that was assumed: no fault" in assumed.sentence


def test_noise_is_assumed_where_nobody_said_it_and_none_was_added(run, picture):
    assert (
        given(run, picture, operator="half=left").assumed and given(run, np.zeros((1, 2, 2), np.uint8), super=4).assumed
    )
    assert not given(run, picture, super=4).assumed  # simulated with that very noise
    assert not given(run, picture, operator="half=left", noise=0.02).assumed


def test_y_that_cannot_be_read_is_said_without_advice_to_unpickle(run, tmp_path: Path):
    (tmp_path / "y.npy").write_text("0.1 0.2")
    (tmp_path / "y.npz").write_text("0.1 0.2")
    for name in ("y.npy", "y.npz"):
        with pytest.raises(UserError, match=r"cannot be read as numbers\. It should be a \.npy") as told:
            given(run, None, y=tmp_path / name, super=4)
        assert "pickle" not in str(told.value)
    with pytest.raises(UserError, match=r"none\.npy does not exist"):
        given(run, None, y="none.npy", super=4)

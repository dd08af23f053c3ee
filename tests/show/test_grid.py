"""Pictures: each pixel of an image goes to its place, and every kind of data can be seen."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from scorefield import show
from scorefield.errors import UserError
from scorefield.show import api, layout_of, limits_of, picture, thumbnail
from scorefield.show.canvas import Canvas, readable
from scorefield.show.palette import ACCENT, CATEGORIES, PAPER
from scorefield.show.plots import MOST_POINTS
from scorefield.show.tiles import arrange


@pytest.mark.parametrize(("count", "edge"), [(1, 8), (10, 8), (7, 16), (64, 32), (3, 100)])
def test_every_pixel_of_every_image_fills_its_own_square(count: int, edge: int) -> None:
    x = np.random.default_rng(0).integers(0, 256, (count, 3, edge, edge + 2), dtype=np.uint8)
    shown, layout = np.asarray(picture(x, "images")), layout_of(x)
    assert shown.shape[:2][::-1] == layout.size
    assert shown.shape[1] >= 480
    white = np.ones(shown.shape[:2], bool)
    for index in range(count):
        left, top = layout.corner(index)
        high, wide = layout.tile
        block = shown[top : top + high, left : left + wide]
        expected = np.moveaxis(x[index], 0, -1).repeat(layout.scale, 0).repeat(layout.scale, 1)
        assert (block == expected).all()
        white[top : top + high, left : left + wide] = False
    assert (shown[white] == 255).all()  # gaps and margins, nothing else


def test_title_and_captions_leave_the_images_alone() -> None:
    x = torch.full((4, 1, 8, 8), 7, dtype=torch.uint8)
    labels = torch.tensor([0, 1, -1, 5])
    shown = np.asarray(picture(x, "images", labels=labels, classes=["<b>", "été"], title="Title", across=2))
    layout = layout_of(x, title=True, captions=True, across=2)
    assert (layout.across, layout.down) == (2, 2)
    assert shown.shape[:2][::-1] == layout.size
    for index in range(4):
        left, top = layout.corner(index)
        assert (shown[top : top + layout.tile[0], left : left + layout.tile[1]] == 7).all()
    below = [layout.corner(i)[1] + layout.tile[0] for i in range(4)]
    written = [(shown[y : y + layout.foot, layout.corner(i)[0] :][:, : layout.tile[1]] < 200).any() for i, y in
               enumerate(below)]  # fmt: skip
    assert written == [True, True, False, True]  # −1 is no class, 5 has no name and is shown as its number


def test_layout_prefers_full_rows_and_bounds_its_size() -> None:
    assert [arrange(n, 8, 8).across for n in (1, 4, 10, 16, 64)] == [1, 2, 5, 4, 8]
    assert arrange(64, 1024, 1024).size[0] <= 2048 + 11 * 4
    wide = arrange(12, 8, 64)
    assert wide.across < wide.down  # wide images stand in few columns


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_any_number_of_channels(channels: int) -> None:
    x = np.full((2, channels, 8, 8), 90, np.uint8)
    if channels in (2, 4):
        x[:, -1] = 0  # transparent: a light checkerboard, not the hidden colour
    shown, layout = np.asarray(picture(x, "images")), layout_of(x)
    left, top = layout.corner(1)
    tile = shown[top : top + layout.tile[0], left : left + layout.tile[1]]
    assert (tile.min() >= 232) if channels in (2, 4) else (tile == 90).all()


def test_large_images_are_reduced_by_a_whole_factor() -> None:
    x = np.full((9, 1, 1500, 1500), 50, np.uint8)
    layout = layout_of(x)
    assert (layout.scale, layout.shrink) == (1, 3)
    shown = np.asarray(picture(x, "images"))
    left, top = layout.corner(8)
    assert (shown[top : top + 500, left : left + 500] == 50).all()


def test_scatter_puts_a_point_where_it_is_and_keeps_circles_round() -> None:
    limits = [(-1.0, 1.0), (-1.0, 1.0)]
    one = np.asarray(picture(np.array([[0.0, 0.0]]), "vectors", limits=limits)).astype(int)
    two = np.asarray(picture(np.array([[0.5, 0.0]]), "vectors", limits=limits)).astype(int)
    up = np.asarray(picture(np.array([[0.0, 0.5]]), "vectors", limits=limits)).astype(int)

    def centre(shown: np.ndarray) -> np.ndarray:
        blue = shown[..., 2] - shown[..., 0] > 60
        return np.argwhere(blue).mean(0)

    right, higher = centre(two) - centre(one), centre(up) - centre(one)
    assert abs(right[0]) < 0.01 and abs(higher[1]) < 0.01
    assert right[1] == pytest.approx(-higher[0], abs=0.5)  # equal axes, y up
    assert right[1] > 100


def test_points_do_not_depend_on_their_order_and_stay_in_the_box() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(50, 40, (400, 2))
    colours = np.array(CATEGORIES, float)[rng.integers(0, 10, 400)]
    shown = []
    for order in (slice(None), slice(None, None, -1)):
        canvas = Canvas(100, 100)
        canvas.dots((20, 20, 80, 80), points[order], colours[order], 3.0, 0.5)
        shown.append(np.asarray(canvas.finish()).astype(int))
    assert abs(shown[0] - shown[1]).max() <= 1  # one level: sums in another order
    outside = np.ones((100, 100), bool)
    outside[20:80, 20:80] = False
    assert (shown[0][outside] == PAPER).all() and (shown[0][~outside] != PAPER).any()


def test_a_dot_has_the_area_of_its_disc() -> None:
    canvas = Canvas(40, 40)
    canvas.dots((0, 0, 40, 40), np.array([[20.3, 19.6]]), np.zeros((1, 3)), 6.0, 1.0)
    ink = 1 - np.asarray(canvas.finish())[..., 0] / 255
    assert ink.sum() == pytest.approx(np.pi * 36, rel=0.02)  # coverage by distance is exact to O(1/r)


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (np.linspace(0, 1, 50)[:, None], "vectors"),
        (np.zeros((5, 1)), "vectors"),  # no spread
        (np.array([[np.nan, 1.0], [2.0, np.inf], [0.0, 0.0]]), "vectors"),
        (np.full((3, 2), np.nan), "vectors"),
        (np.random.default_rng(0).normal(size=(300, 3)), "vectors"),
        (np.random.default_rng(0).normal(size=(MOST_POINTS + 5, 7)), "vectors"),
        (np.random.default_rng(0).normal(size=(5, 1, 30)), "signals"),
        (np.random.default_rng(0).normal(size=(70, 3, 2)), "signals"),
        (np.full((2, 2, 5), np.nan), "signals"),
        (np.ones((1, 1, 1)), "signals"),
    ],
)
def test_whatever_the_numbers_there_is_a_picture(x: np.ndarray, kind: str) -> None:
    labels = np.arange(len(x)) % 3
    variants: list[dict[str, Any]] = [
        {},
        {"reference": x},
        {"labels": labels, "classes": "abc", "columns": ["first"], "title": "T"},
    ]
    for options in variants:
        shown = picture(x, kind, **options)
        assert shown.mode == "RGB" and shown.width >= 960


def test_samples_are_coloured_and_reference_is_grey() -> None:
    x, real = np.array([[0.0, 0.0]]), np.array([[1.0, 1.0], [-1.0, -1.0]])
    shown = np.asarray(picture(x, "vectors", reference=real)).reshape(-1, 3).astype(int)
    assert abs(shown - ACCENT).max(1).min() < 60
    alone = np.asarray(picture(x, "vectors", reference=real, labels=[1], classes=["a", "b"])).reshape(-1, 3)
    assert abs(alone.astype(int) - CATEGORIES[1]).max(1).min() < 60


def test_limits_hold_all_real_data_and_ignore_one_stray_sample() -> None:
    real = np.random.default_rng(0).normal(size=(500, 2))
    fake = real.copy()
    fake[0] = 1e6
    for (low, high), column in zip(limits_of(fake, real), real.T, strict=True):
        assert low < column.min() and column.max() < high < 10
    assert len(limits_of(np.zeros((4, 2, 9)))) == 1


def test_tensors_of_any_type_on_the_tape() -> None:
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.bfloat16).requires_grad_()
    assert np.array_equal(np.asarray(picture(x, "vectors")), np.asarray(picture(x.detach().float().numpy(), "vectors")))


def test_thumbnail_is_exact_pixels_with_one_pixel_between() -> None:
    x = np.random.default_rng(0).integers(0, 256, (64, 1, 8, 8), dtype=np.uint8)
    shown = np.asarray(thumbnail(x, "images", width=80, rows=4))
    assert shown.shape == (4 * 9 - 1, 9 * 9 - 1, 3)
    assert (shown[9:17, 18:26, 0] == x[11, 0]).all()
    assert thumbnail(np.zeros((9, 3, 64, 64), np.uint8), "images", width=80).width <= 80
    assert thumbnail(np.zeros((9, 2)), "vectors", width=60).width == 60


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (np.zeros((2, 3)), "vector", "Did you mean 'vectors'"),
        (np.zeros((2, 3)), "images", r"\(N, C, H, W\)"),
        (np.zeros((2, 3, 8, 8)), "images", "uint8"),
        (np.zeros((0, 2)), "vectors", "no empty side"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(x: np.ndarray, kind: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        picture(x, kind)
    with pytest.raises(UserError, match=message):
        thumbnail(x, kind)


def test_labels_must_match() -> None:
    with pytest.raises(UserError, match="2 vectors came with 3 labels"):
        picture(np.zeros((2, 2)), "vectors", labels=[0, 1, 2])


def test_text_without_glyphs_in_the_font_is_made_readable() -> None:
    assert readable("Crème 8×8 − ñ\n") == "Creme 8x8 - n"
    assert readable("猫") == "?"


def test_every_public_name_is_there_and_writing_a_file_loads_no_pillow() -> None:
    assert all(getattr(show, name) for name in show.__all__)
    assert sorted(show.__all__) == sorted(api.__all__)
    code = "import sys, scorefield.show.files; sys.exit('PIL' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

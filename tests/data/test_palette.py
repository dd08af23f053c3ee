"""Images of categories: numbers of a palette in and out, and images that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scorefield.data import codec_for, describe, open_data
from scorefield.data.palette import Palette
from scorefield.errors import UserError
from scorefield.registry import from_config, to_config
from scorefield.testing import check_categories

COLORS = [(0, 0, 0), (200, 30, 30), (30, 200, 30), (250, 250, 250)]


def saved(path: Path, numbers: np.ndarray, colors: list[tuple[int, int, int]]) -> None:
    """A palette PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(numbers.astype(np.uint8), "L")
    image.putpalette([part for color in colors for part in color])
    image.save(path)


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A folder of thirty masks of 8 × 6 in two classes, with the numbers 0, 1 and 3 of four colours."""
    numbers = np.random.default_rng(0).choice([0, 1, 3], (30, 8, 6)).astype(np.uint8)
    numbers[:, 0, :3] = [0, 1, 3]
    for i, mask in enumerate(numbers):
        saved(tmp_path / "masks" / ("road" if i < 10 else "town") / f"{i:02}.png", mask, COLORS)
    return tmp_path / "masks", numbers


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), min_size=2, max_size=40, unique=True).map(sorted), st.data())
def test_every_number_of_a_palette_comes_back(values: list[int], data) -> None:
    codec = Palette([[value, 0, 255 - value] for value in values], values)
    raw = torch.tensor(data.draw(st.lists(st.sampled_from(values), min_size=6, max_size=6)), dtype=torch.uint8)
    check_categories(codec, raw.view(1, 2, 3))
    assert to_config(from_config(to_config(codec), "codec")) == to_config(codec)
    z = codec.encode(raw.view(1, 2, 3))
    assert torch.equal(codec.pictures(z)[:, 0], raw.view(1, 2, 3))
    assert codec.pictures(torch.tensor([[[codec.classes]]])).flatten().tolist() == [128] * 3
    flat = codec.bytes()
    assert all(flat[3 * value : 3 * value + 3] == [value, 0, 255 - value] for value in values)


def test_a_folder_of_palette_images_holds_categories(masks: tuple[Path, np.ndarray]) -> None:
    folder, numbers = masks
    data = open_data(folder, holdout=0)
    codec = codec_for(data)
    assert (data.kind, data.shape, data.x.dtype) == ("categories", (8, 6), torch.uint8)
    assert np.array_equal(data.x.numpy(), numbers)
    assert (
        codec.classes == 3
        and codec.values == [0, 1, 3]
        and codec.colors.tolist() == [list(COLORS[i]) for i in (0, 1, 3)]
    )
    assert data.classes == ("road", "town") and data.labels.tolist() == [0] * 10 + [1] * 20
    assert "3 categories" in data.notes[0] and len(open_data(folder).held_out) == 3
    account = describe(data)
    assert account["range"] == [] and sum(account["categories"]["common"].values()) == pytest.approx(1)
    assert account["categories"]["count"] == 3 and "3 #fafafa" in account["categories"]["common"]


def test_the_same_folder_as_pictures_or_smaller(masks: tuple[Path, np.ndarray]) -> None:
    folder, numbers = masks
    assert open_data(folder, color="rgb", size=6).kind == "images"
    small = open_data(folder, size=4, holdout=0)
    assert small.shape == (4, 4) and set(small.x.unique().tolist()) <= {0, 1, 3}  # nothing in between
    halved = open_data(folder, size=6, holdout=0)
    assert np.array_equal(halved.x.numpy(), numbers[:, 1:7])


def test_palettes_that_end_where_their_image_does_are_one(tmp_path: Path) -> None:
    for i, used in enumerate((2, 4, 3)):
        saved(tmp_path / f"{i}.png", np.arange(64).reshape(8, 8) % used, COLORS[:used])
    data = open_data(tmp_path)
    assert data.kind == "categories" and codec_for(data).colors.tolist() == [list(color) for color in COLORS]


def test_images_that_are_no_categories_say_why(masks: tuple[Path, np.ndarray], noise) -> None:
    folder, numbers = masks
    saved(folder / "town" / "40.png", numbers[0], [(1, 2, 3), *COLORS[1:]])
    with pytest.raises(
        UserError, match=r"'town/40.png' and 'road/00.png' in .* palettes that differ, first in colour 0"
    ):
        open_data(folder, codec="palette")
    assert open_data(folder, size=6).kind == "images"  # nobody said that they are categories
    noise(8, 6).save(folder / "town" / "40.png")
    with pytest.raises(UserError, match=r"'town/40.png' in .* has no palette, so its pixels are colours"):
        open_data(folder, codec="palette")
    with pytest.raises(UserError, match="color= does not apply to palette images"):
        open_data(folder, codec="palette", color="gray")
    (folder / "town" / "40.png").write_bytes(b"")
    data = open_data(folder, codec="palette")
    assert [file.reason for file in data.broken] == ["is empty (0 bytes)"]
    for path in folder.rglob("*.png"):
        saved(path, np.ones((8, 6)), COLORS)
    with pytest.raises(UserError, match=r"Every pixel of .* has the number 1"):
        open_data(folder, codec="palette")


def test_arrays_as_categories(tmp_path: Path) -> None:
    digits = open_data("digits", codec="binary")
    assert digits.kind == "categories" and digits.shape == (8, 8) and codec_for(digits).classes == 2
    assert digits.held_out.kind == "categories" and digits.held_out.coded == digits.coded
    numbers = np.random.default_rng(0).integers(0, 5, (40, 12, 12)).astype(np.uint8)
    data = open_data(numbers, codec="palette", holdout=0)
    assert np.array_equal(data.x.numpy(), numbers) and codec_for(data).classes == 5
    np.savez(tmp_path / "art.npz", index=numbers, palette=np.arange(15, dtype=np.uint8).reshape(5, 3))
    art = open_data(tmp_path / "art.npz", columns="index")
    assert art.kind == "categories" and codec_for(art).colors[4].tolist() == [12, 13, 14]
    assert open_data(tmp_path / "art.npz", columns="index", color="gray").kind == "images"
    with pytest.raises(UserError, match=r"codec=pallete does not apply to images\. Did you mean 'palette'"):
        open_data(numbers, codec="pallete")
    with pytest.raises(UserError, match="does not hold whole numbers from 0 to 255"):
        open_data(np.random.default_rng(0).normal(size=(30, 4)), codec="palette")
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(UserError, match="codec= does not apply to a table"):
        open_data(table, codec="palette")


@pytest.mark.parametrize(
    "build, error",
    [
        (lambda: Palette([[0, 0, 0]]), "two colours or more"),
        (lambda: Palette([[0, 0, 0], [1, 1, 1]], [3, 1]), "a rising number for each"),
        (lambda: Palette([[0, 0, 0], [1, 1, 256]]), "three numbers from 0 to 255"),
        (
            lambda: Palette([[0, 0, 0], [1, 1, 1]], [0, 7]).encode(torch.tensor([[0, 7], [7, 5]])),
            r"no number 5 \(example 2\). It has 2: 0, 7.",
        ),
    ],
)
def test_palettes_that_cannot_be(build, error: str) -> None:
    with pytest.raises(UserError, match=error):
        build()


def test_emoji_in_sixteen_colours(shared_data: Path) -> None:
    path = shared_data / "emoji" / "emoji_palette16_32.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is absent")
    data = open_data(path)
    assert data.kind == "categories" and data.shape == (32, 32) and codec_for(data).classes == 16
    check_categories(codec_for(data), data.x)

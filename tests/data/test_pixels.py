"""Every Pillow mode with known values, so that no conversion is a matter of trust."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scorefield.data import pixels
from scorefield.data.decoding import Decoded
from scorefield.data.pixels import centre_square, flatten


def read_image(path: Path, size: int, color: str) -> Decoded:
    return pixels.read_image(partial(open, path, "rb"), size, color)


def solid(mode: str, value: int | float | tuple[int, ...]) -> Image.Image:
    return Image.new(mode, (8, 8), value)


def palette(transparent: bool = False) -> Image.Image:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    if transparent:
        image.info["transparency"] = 1
    return image


def deep(dtype: str, value: float) -> Image.Image:
    return Image.fromarray(np.full((8, 8), value, dtype))


# Half transparent on white: (v·a + 255·(255 − a))/255 with a = 51, that is v/5 + 204.
MODES = {
    "1": (solid("1", 1), "L", 255, ("other",)),
    "L": (solid("L", 77), "L", 77, ()),
    "RGB": (solid("RGB", (10, 20, 30)), "RGB", (10, 20, 30), ()),
    "P": (palette(), "RGB", (10, 200, 30), ("palette",)),
    "P transparent": (palette(transparent=True), "RGB", (255, 255, 255), ("palette", "alpha")),
    "LA": (solid("LA", (100, 51)), "L", 224, ("alpha",)),
    "LA opaque": (solid("LA", (100, 255)), "L", 100, ()),
    "RGBA": (solid("RGBA", (100, 0, 255, 51)), "RGB", (224, 204, 255), ("alpha",)),
    "RGBA clear": (solid("RGBA", (1, 2, 3, 0)), "RGB", (255, 255, 255), ("alpha",)),
    "RGBA opaque": (solid("RGBA", (1, 2, 3, 255)), "RGB", (1, 2, 3), ()),
    "CMYK": (solid("CMYK", (0, 255, 255, 0)), "RGB", (255, 0, 0), ("cmyk",)),
    "YCbCr": (solid("YCbCr", (90, 128, 128)), "RGB", (90, 90, 90), ("other",)),
    "HSV": (solid("HSV", (0, 0, 90)), "RGB", (90, 90, 90), ("other",)),
    "16 bits": (deep("uint16", 257 * 100), "L", 100, ("deep",)),
    "16 bits rounded": (deep("uint16", 257 * 100 + 129), "L", 101, ("deep",)),
    "I as 16 bits": (deep("int32", 65535), "L", 255, ("deep",)),
    "I as 8 bits": (deep("int32", 200), "L", 200, ("deep",)),
    "F in [0, 1]": (deep("float32", 0.4), "L", 102, ("deep",)),
    "F in [0, 255]": (deep("float32", 102.0), "L", 102, ("deep",)),
}


@pytest.mark.parametrize("image, mode, value, steps", MODES.values(), ids=MODES)
def test_every_mode_becomes_plain_with_known_values(image, mode, value, steps):
    flat, taken = flatten(image)
    assert (flat.mode, taken) == (mode, steps)
    assert flat.getcolors() == [(64, value)]


@pytest.mark.parametrize("value, text", [(-1.0, "-1 to -1"), (1e6, "1e+06"), (300.0, "up to 300")])
def test_floats_of_unknown_range_are_refused(value, text):
    with pytest.raises(ValueError, match=text.replace("+", r"\+")):
        flatten(deep("float32", value))


@pytest.mark.parametrize("name, expected", [("a.png", 16), ("a.tif", 16), ("a.webp", 8), ("a.bmp", 8)])
def test_formats_keep_their_values(tmp_path: Path, name: str, expected: int):
    image = deep("uint16", 257 * 60) if expected == 16 else solid("RGB", (60, 60, 60))
    image.save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
    assert (read_image(tmp_path / name, 8, "gray").values == 60).all()


def test_exif_orientation_is_applied(tmp_path: Path):
    # Stored on its side: orientation 6 says "turn by 90° clockwise", so the stored left column becomes the top row.
    stored = np.zeros((8, 8), np.uint8)
    stored[:, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    result = read_image(tmp_path / "a.png", 8, "gray")
    assert result.steps == ("upright",)
    assert result.values is not None
    assert (result.values[0, 0] == 255).all() and not result.values[0, 1:].any()


def test_whole_factors_are_area_averages_of_the_centre_square():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40), np.uint8)
    small = np.asarray(centre_square(Image.fromarray(pixels), 8)).astype(float)
    exact = pixels[:, 8:32].reshape(8, 3, 8, 3).mean((1, 3))
    assert np.abs(small - exact).max() < 0.6  # Pillow rounds to levels in fixed point


def test_a_large_jpeg_is_read_as_well_as_if_it_were_small(tmp_path: Path):
    ramp = np.broadcast_to(np.linspace(0, 255, 512).astype(np.uint8), (512, 512))
    Image.fromarray(ramp).save(tmp_path / "a.jpg", quality=95)
    got = read_image(tmp_path / "a.jpg", 16, "gray").values
    assert got is not None
    assert np.abs(got[0].astype(float) - ramp.reshape(16, 32, 16, 32).mean((1, 3))).max() <= 2


def test_small_pictures_are_enlarged_and_counted(tmp_path: Path):
    solid("RGB", (9, 8, 7)).save(tmp_path / "a.png")
    result = read_image(tmp_path / "a.png", 16, "rgb")
    assert result.steps == ("enlarged",)
    assert result.values is not None
    assert result.values.shape == (3, 16, 16)
    assert [int(channel.max()) for channel in result.values] == [9, 8, 7]


def test_grey_is_a_matter_of_content_not_of_mode(tmp_path: Path):
    solid("RGB", (5, 5, 5)).save(tmp_path / "grey.png")
    solid("RGB", (5, 5, 6)).save(tmp_path / "colour.png")
    assert read_image(tmp_path / "grey.png", 8, "gray").gray
    assert not read_image(tmp_path / "colour.png", 8, "gray").gray


def test_an_animation_gives_its_first_frame(tmp_path: Path):
    solid("RGB", (200, 0, 0)).save(tmp_path / "a.gif", save_all=True, append_images=[solid("RGB", (0, 200, 0))])
    result = read_image(tmp_path / "a.gif", 8, "rgb")
    assert result.values is not None
    assert result.values[:, 0, 0].tolist() == [200, 0, 0]
    assert "moving" in result.steps


def cut(path: Path) -> None:
    Image.effect_noise((64, 64), 90).save(path)
    path.write_bytes(path.read_bytes()[:1000])


DAMAGED = {
    "empty.png": (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
    "text.jpg": (lambda path: path.write_text("<html>not found</html>"), "is not an image that Pillow can read"),
    "cut.png": (cut, "is cut short"),
    "cut.jpg": (cut, "is cut short"),
    "absent.png": (lambda path: None, "does not exist"),
    "folder.png": (lambda path: path.mkdir(), "cannot be decoded ([Errno 21] Is a directory"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_a_reason_not_a_crash(tmp_path: Path, name: str):
    make, reason = DAMAGED[name]
    make(tmp_path / name)
    result = read_image(tmp_path / name, 8, "rgb")
    assert result.values is None
    assert result.reason.startswith(reason)

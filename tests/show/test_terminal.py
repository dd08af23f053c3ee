"""The terminal: colours where there are some, letters where there are none."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from scorefield.show import Blocks, ansi, plain, sparkline

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (7, 10, 3), dtype=np.uint8))


def decoded(text: str) -> np.ndarray:
    """The pixels that ANSI half blocks show."""
    pattern = r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀"
    rows = [np.array(re.findall(pattern, line), int) for line in text.splitlines() if "▀" in line]
    return np.stack([part for row in rows for part in (row[:, :3], row[:, 3:])])


def test_ansi_shows_every_pixel() -> None:
    shown = decoded(ansi(PICTURE, 80))
    assert (shown[:7] == np.asarray(PICTURE)).all() and (shown[7] == 255).all()  # an odd last row gets paper below


def test_rich_shows_the_same_pixels() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=40, no_color=False)
    console.print(Blocks(PICTURE))
    assert (decoded(re.sub(r"\x1b\[0m", "", out.getvalue()))[:7] == np.asarray(PICTURE)).all()


@pytest.mark.parametrize("options", [{"force_terminal": True, "no_color": True}, {"force_terminal": False}])
def test_without_colours_there_are_plain_letters(options: dict[str, Any]) -> None:
    out = io.StringIO()
    Console(file=out, width=40, **options).print(Blocks(PICTURE, width=6))
    text = out.getvalue()
    assert text.isascii() and "\x1b" not in text
    assert text == plain(PICTURE, 6) + "\n"


def test_wide_pictures_fit_the_width_and_keep_their_shape() -> None:
    wide = Image.new("RGBA", (400, 100), (0, 0, 0, 255))
    lines = plain(wide, 40).split("\n")
    assert len(lines) == 5 and set(lines) == {"@" * 40}
    assert plain(Image.new("RGBA", (4, 4), (0, 0, 0, 0))).strip() == ""  # transparent is paper


def test_sparkline_follows_the_values() -> None:
    assert sparkline(range(8)) == "▁▂▃▄▅▆▇█"
    assert sparkline(range(8, 0, -1)) == "█▇▆▅▄▃▂▁"
    curve = sparkline(np.exp(-np.linspace(0, 5, 1000)), width=12)
    assert len(curve) == 12 and list(curve) == sorted(curve, reverse=True)
    assert sparkline([1, float("nan"), 3, float("inf")]) == "▁█"
    assert sparkline([2.0, 2.0, 2.0]) == "▄▄▄"
    assert sparkline([]) == ""

"""Pictures in a terminal: two pixels in one character, and a curve in eight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:  # rich costs a tenth of a second, so it is imported where something is shown
    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement
    from rich.segment import Segment

BARS = "▁▂▃▄▅▆▇█"
INK_RAMP = " .:-=+*#%@"  # from paper to ink


@dataclass(frozen=True)
class Blocks:
    """A picture as half blocks: the upper pixel is the colour of ``▀``, the lower one its background.

    ``console.print(Blocks(image, width=80))`` needs a terminal with colours; where rich finds none (NO_COLOR, a pipe,
    TERM=dumb) the picture appears in plain letters, dark as ``@``. Never wider than the console or the picture itself
    is enlarged: a picture of 40 pixels takes 40 columns.
    """

    image: Image.Image
    width: int = 80

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.color import Color
        from rich.segment import Segment
        from rich.style import Style

        width = min(self.width, options.max_width)
        if console.color_system is None or console.no_color:
            for line in plain(self.image, width).split("\n"):
                yield Segment(line)
                yield Segment.line()
            return
        for upper, lower in _pixel_rows(self.image, width):
            for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
                yield Segment("▀", Style(color=Color.from_rgb(*top), bgcolor=Color.from_rgb(*bottom)))
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        width = min(self.width, self.image.width, options.max_width)
        return Measurement(width, width)


def ansi(image: Image.Image, width: int = 80) -> str:
    """The picture as half blocks with 24-bit ANSI colours, one string of lines, for a terminal without rich."""
    lines = []
    for upper, lower in _pixel_rows(image, width):
        cells = (
            f"\x1b[38;2;{r};{g};{b};48;2;{s};{h};{c}m▀"
            for (r, g, b), (s, h, c) in zip(upper.tolist(), lower.tolist(), strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def plain(image: Image.Image, width: int = 80) -> str:
    """The picture in ASCII without any colour: dark pixels are dense letters, white ones blanks."""
    letters = np.array(list(INK_RAMP))
    lines = []
    for upper, lower in _pixel_rows(image, width):
        light = (upper.astype(np.float64) + lower) @ (0.299, 0.587, 0.114) / 2
        index = np.round((1 - light / 255) * (len(letters) - 1)).astype(int)
        lines.append("".join(letters[index]).rstrip())
    return "\n".join(lines)


def sparkline(values: Sequence[float] | np.ndarray, width: int = 16) -> str:
    """The course of a number in ``width`` characters or fewer: ``█▇▅▄▃▂▁``. Non-finite values are left out; a
    constant is a line in the middle; nothing at all is the empty string."""
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return ""
    means = np.array([part.mean() for part in np.array_split(flat, min(width, flat.size))])
    low, high = float(means.min()), float(means.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return BARS[3] * means.size
    level = np.minimum((means - low) / (high - low) * len(BARS), len(BARS) - 1).astype(int)
    return "".join(BARS[i] for i in level)


def _pixel_rows(image: Image.Image, width: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows (W, 3) uint8 of the picture, at most ``width`` wide, on white; an odd last row gets white below."""
    ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
    flat = Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    if flat.width > width:
        flat = flat.resize((max(width, 1), max(1, round(flat.height * width / flat.width))), Image.Resampling.BOX)
    pixels = np.asarray(flat)
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, np.full_like(pixels[:1], 255)])
    yield from zip(pixels[::2], pixels[1::2], strict=True)

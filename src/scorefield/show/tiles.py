"""Images side by side: where each one goes, how much it is enlarged, and what stands under it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .canvas import fit, font
from .palette import INK, MUTED, PAPER

WIDE = 480  # a grid is enlarged until it is at least this wide
LARGE = 2048  # and made smaller when it is wider than this
CHECKER = ((255, 255, 255), (232, 234, 238))  # under transparent pixels, squares of 8


@dataclass(frozen=True)
class Layout:
    """Where the images of a grid go, in pixels of the picture.

    ``count`` images of (``height``, ``width``) pixels stand in rows of ``across``. One image pixel becomes a square of
    ``scale`` pixels (or ``shrink`` × ``shrink`` image pixels become one). Between tiles are ``gap`` pixels, around
    them ``margin``; ``head`` pixels on top are for a title and ``foot`` under each tile for its caption.
    """

    count: int
    height: int
    width: int
    across: int
    scale: int = 1
    shrink: int = 1
    gap: int = 4
    margin: int = 8
    head: int = 0
    foot: int = 0

    @property
    def down(self) -> int:
        """The number of rows."""
        return math.ceil(self.count / self.across)

    @property
    def tile(self) -> tuple[int, int]:
        """(height, width) of one image in the picture."""
        return (
            math.ceil(self.height / self.shrink) * self.scale,
            math.ceil(self.width / self.shrink) * self.scale,
        )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the whole picture, as Pillow has it."""
        high, wide = self.tile
        return (
            2 * self.margin + self.across * wide + (self.across - 1) * self.gap,
            2 * self.margin + self.head + self.down * (high + self.foot) + (self.down - 1) * self.gap,
        )

    def corner(self, index: int) -> tuple[int, int]:
        """(left, top) of image ``index``: its pixel (row, column) fills the square of ``scale`` pixels that begins
        at (left + column * scale, top + row * scale)."""
        row, column = divmod(index, self.across)
        high, wide = self.tile
        return (
            self.margin + column * (wide + self.gap),
            self.margin + self.head + row * (high + self.foot + self.gap),
        )


def arrange(
    count: int, height: int, width: int, *, across: int | None = None, title: bool = False, captions: bool = False
) -> Layout:
    """The layout of ``count`` images of one size: a slightly wide rectangle with few empty places, enlarged by a whole
    number until it is at least 480 pixels wide, or shrunk by one when it is wider than 2,048."""
    across = min(across or _across(count, height, width), count)
    scale = max(1, math.ceil(WIDE / (across * width)))
    shrink = max(1, math.ceil(across * width / LARGE))
    gap = 4 if scale * width >= 24 else 2
    foot = 20 if captions else 0
    return Layout(count, height, width, across, scale, shrink, gap, 2 * gap, 30 if title else 0, foot)


def _across(count: int, height: int, width: int) -> int:
    def ugliness(across: int) -> float:
        down = math.ceil(count / across)
        empty = (across * down - count) / count
        return empty + 0.28 * abs(math.log(across * width / (down * height) / 1.15))

    return min(range(1, count + 1), key=ugliness)


def tile_image(x: np.ndarray, layout: Layout) -> Image.Image:
    """One image, uint8 (C, H, W) with C = 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA), at the size of its tile.

    Transparent pixels show a checkerboard. Of images with more channels the first three are shown as RGB.
    """
    channels = x.shape[0] if x.shape[0] <= 4 else 3
    pixels = np.moveaxis(x[:channels], 0, -1)
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels))
    if layout.shrink > 1:
        image = image.reduce(layout.shrink)
    high, wide = layout.tile
    image = image.resize((wide, high), Image.Resampling.NEAREST)
    if channels not in (2, 4):
        return image.convert("RGB")
    rows, columns = np.indices((high, wide)) // 8
    ground = Image.fromarray(np.array(CHECKER, np.uint8)[(rows + columns) % 2])
    ground.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return ground


def draw_tiles(x: np.ndarray, layout: Layout, captions: tuple[str, ...] = (), title: str | None = None) -> Image.Image:
    """Images uint8 (N, C, H, W) on white at the places of ``layout``, with a title and a caption under each."""
    picture = Image.new("RGB", layout.size, PAPER)
    draw = ImageDraw.Draw(picture)
    wide, high = layout.tile[1], layout.tile[0]
    for index, image in enumerate(x):
        left, top = layout.corner(index)
        picture.paste(tile_image(image, layout), (left, top))
        if captions:
            caption = fit(captions[index], 13, wide + layout.gap)
            draw.text((left + wide / 2, top + high + 3), caption, MUTED, font(13), "ma")
    if title:
        room = layout.size[0] - 2 * layout.margin
        draw.text((layout.margin, layout.margin - 1), fit(title, 17, room), INK, font(17), "la")
    return picture

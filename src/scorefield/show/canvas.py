"""A sheet to draw on: lines at three times the size and averaged down, points with exact coverage, text on top."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .numbers import short
from .palette import HAIR, INK, MUTED, PAPER, Colour

FINE = 3  # lines and areas are drawn this many times larger, then averaged
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the finished picture


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own embedded font (Aileron), so that pictures are the same on every machine."""
    return ImageFont.load_default(size)


def readable(text: str) -> str:
    """The text in letters the embedded font has (basic Latin): accents dropped, ``×`` as x, the rest as ``?``."""
    plain = unicodedata.normalize("NFKD", str(text)).translate(str.maketrans("×−–—", "x---"))
    return "".join(
        c if c.isascii() or c in "±·…°" else "?" for c in plain if c.isprintable() and not unicodedata.combining(c)
    )


def text_width(text: str, size: int) -> float:
    """The width in pixels of a line of text."""
    return font(size).getlength(readable(text))


def fit(text: str, size: int, width: float) -> str:
    """The text, cut with an ellipsis where it is wider than ``width`` pixels."""
    text = readable(text)
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


class Canvas:
    """A white sheet of (width, height) pixels; every coordinate below is in pixels of the finished picture, x right
    and y down. ``finish()`` puts lines first, then points, then text, whatever the order of the calls."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._image = Image.new("RGB", (width * FINE, height * FINE), PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._dots: list[tuple[Box, np.ndarray, np.ndarray, float, float]] = []
        self._texts: list[tuple[tuple[float, float], str, int, Colour, str]] = []

    def line(self, points: np.ndarray, colour: Colour, width: float = 1.0) -> None:
        """A line through points (N, 2) with rounded joints."""
        path = [(float(x) * FINE, float(y) * FINE) for x, y in points]
        self._draw.line(path, fill=colour, width=max(1, round(width * FINE)), joint="curve")

    def rectangle(self, box: Box, fill: Colour) -> None:
        """A filled rectangle."""
        left, top, right, bottom = (round(edge * FINE) for edge in box)
        if right > left and bottom > top:
            self._draw.rectangle((left, top, right - 1, bottom - 1), fill=fill)

    def area(self, points: np.ndarray, fill: Colour) -> None:
        """A filled polygon through points (N, 2)."""
        self._draw.polygon([(float(x) * FINE, float(y) * FINE) for x, y in points], fill=fill)

    def dots(self, box: Box, points: np.ndarray, colours: np.ndarray, radius: float, opacity: float) -> None:
        """Round points (N, 2) in colours (N, 3), cut at ``box``. Where n of them overlap the ground shines through
        with ``(1 - opacity)^n`` and the colour is their mean, so the order of the points does not matter."""
        self._dots.append((box, np.asarray(points, np.float64), np.asarray(colours, np.float64), radius, opacity))

    def text(self, at: tuple[float, float], text: str, size: int, colour: Colour = INK, anchor: str = "la") -> None:
        """A line of text; ``anchor`` as in Pillow (``la`` left top, ``mm`` middle, ``rs`` right on the baseline)."""
        self._texts.append((at, readable(text), size, colour, anchor))

    def finish(self) -> Image.Image:
        """The picture, RGB."""
        image = self._image.reduce(FINE)
        for box, points, colours, radius, opacity in self._dots:
            image = _with_dots(image, box, points, colours, radius, opacity)
        draw = ImageDraw.Draw(image)
        for at, text, size, colour, anchor in self._texts:
            draw.text(at, text, fill=colour, font=font(size), anchor=anchor)
        return image


def _with_dots(
    image: Image.Image, box: Box, points: np.ndarray, colours: np.ndarray, radius: float, opacity: float
) -> Image.Image:
    """Each point covers the pixels of its disc by clip(radius + ½ - distance, 0, 1), from its exact centre."""
    left, top, right, bottom = (round(edge) for edge in box)
    wide, high = right - left, bottom - top
    reach = int(np.ceil(radius + 0.5))
    near = ((points >= (left - reach, top - reach)) & (points <= (right + reach, bottom + reach))).all(1)
    points, colours = points[near] - (left, top), colours[near]
    if len(points) == 0:
        return image
    step = np.arange(-reach, reach + 1)
    offsets = np.stack(np.meshgrid(step, step), -1).reshape(-1, 2)
    pixels = np.floor(points).astype(np.int64)[:, None] + offsets  # (N, K, 2)
    distance = np.linalg.norm(pixels + 0.5 - points[:, None], axis=-1)
    cover = np.clip(radius + 0.5 - distance, 0, 1)
    keep = (cover > 0) & (pixels >= 0).all(-1) & (pixels < (wide, high)).all(-1)
    place, amount = (pixels[..., 1] * wide + pixels[..., 0])[keep], cover[keep]
    owner = np.broadcast_to(np.arange(len(points))[:, None], keep.shape)[keep]
    veil = np.bincount(place, -np.log1p(-np.minimum(opacity * amount, 0.9999)), wide * high)
    count = np.bincount(place, amount, wide * high)
    paint = np.stack([np.bincount(place, amount * colours[owner, c], wide * high) for c in range(3)], -1)
    alpha = -np.expm1(-veil)[:, None]  # 1 - the product of (1 - opacity · cover)
    pixels_now = np.asarray(image, dtype=np.float64).copy()
    ground = pixels_now[top:bottom, left:right].reshape(-1, 3)
    blended = ground + alpha * (paint / np.maximum(count, 1e-9)[:, None] - ground)
    pixels_now[top:bottom, left:right] = blended.reshape(high, wide, 3)
    return Image.fromarray(np.round(pixels_now).astype(np.uint8))


class Axes:
    """A rectangle of the canvas with numbers on it: ``xlim`` left to right, ``ylim`` bottom to top."""

    def __init__(self, canvas: Canvas, box: Box, xlim: tuple[float, float], ylim: tuple[float, float]) -> None:
        self.canvas, self.box, self.xlim, self.ylim = canvas, box, xlim, ylim

    def place(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Data coordinates (N,), (N,) to pixels (N, 2)."""
        left, top, right, bottom = self.box
        across = (np.asarray(x, np.float64) - self.xlim[0]) / (self.xlim[1] - self.xlim[0])
        up = (np.asarray(y, np.float64) - self.ylim[0]) / (self.ylim[1] - self.ylim[0])
        return np.stack([left + across * (right - left), bottom - up * (bottom - top)], -1)

    def grid(self, xs: list[float], ys: list[float]) -> None:
        """Hairlines at the given values."""
        left, top, right, bottom = self.box
        for x, _ in self.place(np.array(xs), np.full(len(xs), self.ylim[0])) if xs else ():
            self.canvas.line(np.array([(x, top), (x, bottom)]), HAIR)
        for _, y in self.place(np.full(len(ys), self.xlim[0]), np.array(ys)) if ys else ():
            self.canvas.line(np.array([(left, y), (right, y)]), HAIR)

    def number(self, xs: list[float], ys: list[float], size: int) -> None:
        """Tick labels below and to the left."""
        left, _, _, bottom = self.box
        for value in xs:
            x = self.place(np.array([value]), np.array([self.ylim[0]]))[0, 0]
            self.canvas.text((x, bottom + 0.5 * size), short(value), size, MUTED, "ma")
        for value in ys:
            y = self.place(np.array([self.xlim[0]]), np.array([value]))[0, 1]
            self.canvas.text((left - 0.5 * size, y), short(value), size, MUTED, "rm")

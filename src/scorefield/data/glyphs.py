"""Coloured letters and digits drawn on the fly from Pillow's own font: an image set with no download and no licence.

Each image is one of 36 characters in a light colour on a dark one or the reverse, shifted, scaled and rotated, with
the caption that says so: "a pink 3 on dark blue".
"""

from __future__ import annotations

import math
import string

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from scorefield.data.dataset import Dataset
from scorefield.errors import UserError

GLYPHS = string.digits + string.ascii_uppercase
IMAGES = 20_000
SIZE = 16
OVERSAMPLING = 2
MASTER = 64

LIGHT = {
    "white": (250, 250, 250),
    "yellow": (250, 225, 60),
    "orange": (250, 160, 50),
    "pink": (250, 150, 195),
    "light blue": (140, 205, 250),
    "light green": (150, 235, 140),
}
DARK = {
    "black": (12, 12, 12),
    "dark blue": (25, 35, 125),
    "dark red": (130, 20, 30),
    "dark green": (15, 85, 40),
    "purple": (90, 25, 120),
    "brown": (95, 55, 25),
}
JITTER = 5  # of each channel, so that a colour is a small range and no two images are equal by accident


def glyphs(n: int = IMAGES, size: int = SIZE, seed: int = 0) -> Dataset:
    """``n`` images uint8 (n, 3, size, size) with classes 0 … 9, A … Z and captions, a function of ``seed``.

    Raises ``UserError`` for a size below 8 or above 128 pixels.
    """
    if not 8 <= size <= 128:
        raise UserError(f"glyphs are drawn at 8 to 128 pixels, got size={size}. 16 and 32 are usual.")
    rng = np.random.default_rng([seed, *b"glyphs"])
    labels = rng.integers(len(GLYPHS), size=n)
    light, dark, swap = rng.integers(len(LIGHT), size=n), rng.integers(len(DARK), size=n), rng.integers(2, size=n)
    ink = _ink(labels, size, rng)
    palettes = [np.array(list(colours.values()), np.float32) for colours in (LIGHT, DARK)]
    two = np.stack([palettes[0][light], palettes[1][dark]], 1) + rng.integers(-JITTER, JITTER + 1, (n, 2, 3))
    front, back = (two[np.arange(n), which].astype(np.float32)[:, :, None, None] for which in (swap, 1 - swap))
    images = np.rint(back + (front - back) * (ink[:, None] / np.float32(255)))
    return Dataset(
        name="glyphs",
        kind="images",
        x=torch.from_numpy(images.astype(np.uint8)),
        labels=torch.from_numpy(labels),
        classes=tuple(GLYPHS),
        captions=_captions(labels, light, dark, swap),
        source="glyphs",
    )


def _captions(labels: np.ndarray, light: np.ndarray, dark: np.ndarray, swap: np.ndarray) -> tuple[str, ...]:
    names = (tuple(LIGHT), tuple(DARK))
    pairs = ((names[s][(a, b)[s]], names[1 - s][(b, a)[s]]) for a, b, s in zip(light, dark, swap, strict=True))
    return tuple(
        f"{'an' if front.startswith('o') else 'a'} {front} {GLYPHS[k]} on {back}"
        for k, (front, back) in zip(labels, pairs, strict=True)
    )


def _ink(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """How much of each pixel the character covers, uint8 (n, size, size), by an affine map of one master drawing."""
    n, big = len(labels), OVERSAMPLING * size
    angle = np.radians(rng.uniform(-20, 20, n))
    zoom = MASTER / big / rng.uniform(0.8, 1.05, n)  # master pixels per pixel
    centre = big / 2 + rng.uniform(-0.1, 0.1, (n, 2)) * big
    masters = [_master(character) for character in GLYPHS]
    ink = np.empty((n, size, size), np.uint8)
    for i in range(n):
        cos, sin = zoom[i] * math.cos(angle[i]), zoom[i] * math.sin(angle[i])
        x, y = centre[i]
        half = MASTER / 2
        matrix = (cos, sin, half - cos * x - sin * y, -sin, cos, half + sin * x - cos * y)
        drawn = masters[labels[i]].transform((big, big), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        ink[i] = np.asarray(drawn.reduce(OVERSAMPLING))
    return ink


def _master(character: str) -> Image.Image:
    """One character in white, centred by its ink in a black square of 64 pixels."""
    image = Image.new("L", (MASTER, MASTER))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(0.9 * MASTER)
    left, top, right, bottom = draw.textbbox((0, 0), character, font=font)
    draw.text(((MASTER - left - right) / 2, (MASTER - top - bottom) / 2), character, fill=255, font=font)
    return image

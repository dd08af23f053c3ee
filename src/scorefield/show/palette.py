"""The few colours everything is drawn in, as (red, green, blue) in 0..255."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (27, 31, 38)
MUTED: Colour = (104, 112, 124)
HAIR: Colour = (228, 231, 236)
DATA: Colour = (178, 184, 194)
ACCENT: Colour = (47, 93, 200)

CATEGORIES: tuple[Colour, ...] = (
    (47, 93, 200), (224, 122, 48), (54, 148, 100), (199, 64, 74), (128, 92, 178),
    (60, 160, 184), (208, 106, 160), (139, 106, 80), (172, 158, 40), (108, 117, 130),
)  # fmt: skip


def categories(count: int) -> tuple[Colour, ...]:
    """``count`` colours to tell classes apart: the ten of the palette, or hues evenly round the circle for more."""
    if count <= len(CATEGORIES):
        return CATEGORIES[:count]
    hues = (colorsys.hls_to_rgb(i / count, 0.46, 0.55) for i in range(count))
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in hues)


def mix(colour: Colour, weight: float, ground: Colour = PAPER) -> Colour:
    """``ground + weight (colour - ground)``: a tint that needs no transparency."""
    red, green, blue = (round(b + weight * (c - b)) for c, b in zip(colour, ground, strict=True))
    return red, green, blue


def hexadecimal(colour: Colour) -> str:
    """``#2f5dc8``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)

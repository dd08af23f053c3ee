"""Histograms of ranks: flat where a sampler of posteriors is calibrated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from .canvas import Canvas
from .palette import HAIR, INK, MUTED

WIDE, HIGH, HEAD, GAP = 220, 120, 40, 18  # of one histogram, in pixels
ACROSS = 4
BAND = 2.576  # 99 of 100 bins of an exact sampler lie within so many standard deviations
BAR, FAR, SHADE = (63, 108, 191), (196, 78, 59), (232, 235, 240)


def rank_picture(names: Sequence[str], counts: Sequence[Sequence[int]], notes: Sequence[str] = ()) -> Image.Image:
    """One histogram for each of ``names``: ``counts`` (F, bins) as bars over the band in which 99 % of the bars of an
    exact sampler lie; bars outside it stand out. ``notes`` are a few words beside each name."""
    across = min(ACROSS, len(names))
    down = math.ceil(len(names) / across)
    canvas = Canvas(GAP + across * (WIDE + GAP), GAP // 2 + down * (HEAD + HIGH + GAP))
    for i, (name, bars) in enumerate(zip(names, counts, strict=True)):
        left = GAP + i % across * (WIDE + GAP)
        top = GAP // 2 + i // across * (HEAD + HIGH + GAP)
        canvas.text((left, top + 2), name, 14, INK)
        canvas.text((left, top + 20), notes[i] if notes else "", 11, MUTED)
        _histogram(canvas, left, top + HEAD, np.asarray(bars, np.float64))
    return canvas.finish()


def _histogram(canvas: Canvas, left: float, top: float, bars: np.ndarray) -> None:
    expected = bars.mean()
    reach = BAND * math.sqrt(max(expected * (1 - 1 / len(bars)), 1e-9))
    most = max(bars.max(), expected + reach) * 1.05

    def height(value: float) -> float:
        return top + HIGH * (1 - max(value, 0) / most)

    canvas.rectangle((left, height(expected + reach), left + WIDE, height(expected - reach)), SHADE)
    each = WIDE / len(bars)
    for k, bar in enumerate(bars):
        outside = abs(bar - expected) > reach
        box = (left + k * each + 1, height(bar), left + (k + 1) * each - 1, top + HIGH)
        canvas.rectangle(box, FAR if outside else BAR)
    for level, colour in ((expected, INK), (0.0, HAIR)):
        canvas.line(np.array([(left, height(level)), (left + WIDE, height(level))]), colour, 1.0)

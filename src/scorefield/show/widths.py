"""How good each width of the averaged weights is, with the error of its difference to the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from .canvas import Axes, Canvas, fit, text_width
from .numbers import short, ticks
from .palette import ACCENT, DATA, INK, MUTED

WIDTH, HEIGHT = 1120, 640
BOX = (116.0, 92.0, 1080.0, 548.0)
_LABEL = 19
_FAR = 3.0  # the last weights are left out of the scale where they are this many times as bad as the worst width


def width_chart(entries: Sequence[tuple[float, float, float]], *, title: str, y_label: str) -> Image.Image:
    """A picture of ``entries`` (width, how much worse than the best, half the length of its error bar), lower is
    better. Widths stand on a logarithmic axis; width 0, the last weights without an average, stands apart on the left,
    as words alone where it is far worse than the rest. Entries that are not finite are left out."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.text((BOX[0], 44), fit(title, 26, WIDTH - BOX[0] - 24), 26, INK, "ls")
    canvas.text((BOX[0], BOX[1] - 14), fit(y_label, 20, BOX[2] - BOX[0]), 20, INK, "ls")
    canvas.text(((BOX[0] + BOX[2]) / 2, BOX[3] + 50), "width of the average, sigma_rel", 20, INK, "ma")
    kept = sorted(entry for entry in entries if all(map(math.isfinite, entry)))
    if not kept:
        canvas.text(((BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2), "no finite figure", 22, MUTED, "mm")
        return canvas.finish()
    averaged = [entry for entry in kept if entry[0] > 0] or kept
    highest = max(worse + error for _, worse, error in averaged)
    far = [entry for entry in kept if entry[0] <= 0 < highest and entry[1] > _FAR * highest]
    shown = [entry for entry in kept if entry not in far]
    places = _places([width for width, _, _ in shown])
    low, high = min(worse - error for _, worse, error in shown), max(worse + error for _, worse, error in shown)
    air = 0.08 * (high - low) or 1.0
    axes = Axes(canvas, BOX, (min(places) - 0.06, max(places) + 0.06), (min(low, 0.0) - air, high + air))
    axes.grid([], ticks(*axes.ylim, 6))
    axes.number([], ticks(*axes.ylim, 6), _LABEL)
    _line(axes, np.array([axes.xlim[0], axes.xlim[1]]), np.zeros(2), DATA, 2.0)
    joined = [(x, entry) for x, entry in zip(places, shown, strict=True) if entry[0] > 0]
    if len(joined) > 1:
        _line(axes, np.array([x for x, _ in joined]), np.array([e[1] for _, e in joined]), ACCENT, 2.6)
    taken = -math.inf
    for x, (width, worse, error) in zip(places, shown, strict=True):
        _line(axes, np.array([x, x]), np.array([worse - error, worse + error]), ACCENT, 1.6)
        point = axes.place(np.array([x]), np.array([worse]))
        canvas.dots(BOX, point, np.array([ACCENT], np.float64), 6.0, 1.0)
        words = short(width) if width > 0 else "last weights"
        begin = float(point[0, 0]) - 0.5 * text_width(words, _LABEL)
        if begin > taken:
            canvas.text((float(point[0, 0]), BOX[3] + 10), words, _LABEL, MUTED, "ma")
            taken = begin + text_width(words, _LABEL) + 10
    for _, worse, error in far:
        words = f"the last weights, far above: {short(worse)} ± {short(error)}"
        canvas.text((BOX[2] - 8, BOX[1] + 8), words, _LABEL, MUTED, "ra")
    return canvas.finish()


def _places(widths: Sequence[float]) -> list[float]:
    """Where widths stand: their logarithm, and a width of 0 a little before the smallest of them."""
    logs = [math.log(width) for width in widths if width > 0] or [0.0]
    span = max(logs) - min(logs) or 1.0
    scaled = [(math.log(width) - min(logs)) / span if width > 0 else -0.2 for width in widths]
    return scaled


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, colour: tuple[int, int, int], width: float) -> None:
    axes.canvas.line(axes.place(x, y), colour, width)

"""Error against cost, both on logarithmic axes, one line a method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from .canvas import Axes, Canvas, fit, text_width
from .numbers import log_ticks, short
from .palette import DATA, INK, MUTED, categories, mix

WIDTH, HEIGHT = 1120, 760
BOX = (104.0, 92.0, 852.0, 668.0)
NEAR = 0.2  # of the least error: a floor further below would squeeze the lines, and says nothing about them
_LABEL = 19


class Course(NamedTuple):
    """One method: its name, and a cost and an error for each of its settings."""

    name: str
    costs: Sequence[float]
    errors: Sequence[float]


def work_precision(
    courses: Sequence[Course],
    *,
    title: str,
    x_label: str = "network evaluations",
    y_label: str = "error",
    floor: float | None = None,
    floor_label: str = "",
) -> Image.Image:
    """A picture of ``courses``: down and to the left is better.

    ``floor``, below which an error says nothing, is a dashed line where it is near. Points that are not finite or not
    positive are left out. The names stand on the right in the order of the lines' ends, in their colours.
    """
    canvas = Canvas(WIDTH, HEIGHT)
    points = [_seen(course) for course in courses]
    errors, costs = ([value for both in points for value in both[i]] for i in (1, 0))
    floor = floor if floor and errors and floor > NEAR * min(errors) else None
    errors += [floor] if floor else []
    canvas.text((BOX[0], 44), fit(title, 26, WIDTH - BOX[0] - 24), 26, INK, "ls")
    canvas.text((BOX[0], BOX[1] - 14), fit(y_label, 20, BOX[2] - BOX[0]), 20, INK, "ls")
    canvas.text(((BOX[0] + BOX[2]) / 2, BOX[3] + 50), x_label, 20, INK, "ma")
    if not costs:
        canvas.text(((BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2), "no finite error", 22, MUTED, "mm")
        return canvas.finish()
    axes = Axes(canvas, BOX, _span(costs), _span(errors))
    _scales(axes, costs)
    if floor:
        _dashes(axes, math.log10(floor), floor_label)
    colours = categories(len(courses))
    ends = []
    for (cost, error), course, colour in zip(points, courses, colours, strict=True):
        if not cost:
            continue
        path = axes.place(np.log10(cost), np.log10(error))
        if len(path) > 1:
            canvas.line(path, colour, 2.6)
        canvas.dots(BOX, path, np.tile(np.array(colour, np.float64), (len(path), 1)), 5.5, 1.0)
        ends.append((float(path[-1, 1]), course.name, colour, path[-1]))
    for y, (_, name, colour, end) in zip(_spread([e[0] for e in sorted(ends)]), sorted(ends), strict=True):
        canvas.line(np.array([(end[0] + 8, end[1]), (BOX[2] + 16, y)]), mix(colour, 0.3), 1.2)
        canvas.text((BOX[2] + 22, y), fit(name, _LABEL, WIDTH - BOX[2] - 30), _LABEL, colour, "lm")
    return canvas.finish()


def _seen(course: Course) -> tuple[list[float], list[float]]:
    pairs = sorted(zip(course.costs, course.errors, strict=True))
    kept = [(c, e) for c, e in pairs if math.isfinite(e) and e > 0 and c > 0]
    return [c for c, _ in kept], [e for _, e in kept]


def _span(values: Sequence[float]) -> tuple[float, float]:
    """log₁₀ of the ends with some air; half a decade where all values are one."""
    low, high = math.log10(min(values)), math.log10(max(values))
    air = 0.06 * (high - low) or 0.25
    return low - air, high + air


def _scales(axes: Axes, costs: Sequence[float]) -> None:
    """Hairlines and numbers: at the costs themselves where they have room, at round errors."""

    def across(cost: float) -> float:
        return float(axes.place(np.array([math.log10(cost)]), np.array([axes.ylim[0]]))[0, 0])

    xs: list[float] = []
    for cost in sorted(
        set(costs), key=lambda c: (-list(costs).count(c), c)
    ):  # those of most lines have the first right
        room = 0.6 * text_width(short(cost), _LABEL) + 18
        if all(abs(across(cost) - across(other)) > room for other in xs):
            xs.append(cost)
    ys = log_ticks(10 ** axes.ylim[0], 10 ** axes.ylim[1], 6)
    axes.grid([math.log10(x) for x in xs], [math.log10(y) for y in ys])
    left, _, _, bottom = axes.box
    for x in xs:
        axes.canvas.text((across(x), bottom + 10), short(x), _LABEL, MUTED, "ma")
    for y in ys:
        at = float(axes.place(np.array([axes.xlim[0]]), np.array([math.log10(y)]))[0, 1])
        axes.canvas.text((left - 10, at), short(y), _LABEL, MUTED, "rm")


def _dashes(axes: Axes, level: float, label: str) -> None:
    left, _, right, _ = axes.box
    y = float(axes.place(np.array([axes.xlim[0]]), np.array([level]))[0, 1])
    for x in np.arange(left, right, 16.0):
        axes.canvas.line(np.array([(x, y), (min(x + 9, right), y)]), DATA, 2.0)
    axes.canvas.text((left + 8, y - 6), fit(label, 17, right - left - 16), 17, MUTED, "ls")


def _spread(heights: Sequence[float], apart: float = 25.0) -> list[float]:
    """Sorted places of labels moved so that they are ``apart`` and within the picture, in their order."""
    places: list[float] = []
    for height in heights:
        places.append(max(height, places[-1] + apart) if places else max(height, 24.0))
    limit = HEIGHT - 24.0
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - apart
    return places

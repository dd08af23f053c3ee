"""Vectors as histogram, scatter or pair plot; signals as small multiples. Samples in colour, real data in grey."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .canvas import Axes, Box, Canvas, fit, text_width
from .numbers import finite, ticks
from .palette import ACCENT, DATA, INK, MUTED, Colour, categories, mix

MOST_POINTS = 20_000  # more are thinned evenly; a quarter of it in the small cells of a pair plot
Limits = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Drawing:
    """What one plot shows: ``x`` in the foreground, ``reference`` (real data) in grey below, ``groups`` (N,) the
    colour index of each example, ``names`` of those colours, ``columns`` the names of the axes or channels,
    ``limits`` (lowest, highest) per column, ``captions`` one per signal."""

    x: np.ndarray
    reference: np.ndarray | None
    groups: np.ndarray
    names: tuple[str, ...]
    columns: tuple[str, ...]
    limits: Limits
    title: str | None = None
    captions: tuple[str, ...] = ()

    @property
    def colours(self) -> tuple[Colour, ...]:
        """One colour for each group."""
        return categories(max(len(self.names), int(self.groups.max(initial=0)) + 1))

    def column(self, index: int) -> str:
        """The name of a column or channel, ``x1`` … where it has none."""
        return self.columns[index] if index < len(self.columns) else f"x{index + 1}"


def spans(x: np.ndarray, reference: np.ndarray | None = None) -> list[tuple[float, float]]:
    """(lowest, highest) to show per column of (N, D): all of the real data, and all but the outermost half per cent of
    the samples, with 4 % of air, so that one stray sample cannot squeeze the rest into a line."""
    found = []
    for index in range(x.shape[1]):
        own = finite(x[:, index])
        ends = list(np.quantile(own, (0.005, 0.995))) if own.size > 200 else [*own]
        real = finite(reference[:, index]) if reference is not None else np.array([])
        ends += [real.min(), real.max()] if real.size else []
        low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
        air = 0.04 * (high - low) or max(0.5 * abs(low), 0.5)
        found.append((float(low - air), float(high + air)))
    return found


def histogram(drawing: Drawing) -> Image.Image:
    """Vectors of one number: how often each value comes, as a density."""
    canvas = Canvas(960, 640)
    _header(canvas, drawing, 96, 936)
    box = (96.0, _header_height(drawing), 936.0, 552.0)
    _bars(canvas, box, drawing, 0, labels=True)
    canvas.text((516, 604), fit(drawing.column(0), 22, 800), 22, INK, "ma")
    return canvas.finish()


def scatter(drawing: Drawing) -> Image.Image:
    """Vectors of two numbers: points on axes of one scale, so that a circle is round."""
    (left, right), (low, high) = drawing.limits[:2]
    tall = float(np.clip(832 * (high - low) / (right - left), 440, 832))
    top = _header_height(drawing) + 22
    box = (104.0, top, 936.0, top + tall)
    canvas = Canvas(960, round(top + tall + 84))
    _header(canvas, drawing, 104, 936)
    xlim, ylim = _equal(box, *drawing.limits[:2])
    axes = Axes(canvas, box, xlim, ylim)
    xs, ys = ticks(*xlim), ticks(*ylim)
    axes.grid(xs, ys)
    axes.number(xs, ys, 20)
    _points(axes, drawing, 0, 1, 4.0)
    canvas.text((520, box[3] + 42), fit(drawing.column(0), 22, 560), 22, INK, "ma")
    canvas.text((box[0], top - 12), fit(drawing.column(1), 22, 500), 22, INK, "ls")
    _strays(canvas, drawing, box, xlim, ylim)
    return canvas.finish()


def pairs(drawing: Drawing) -> Image.Image:
    """Vectors of more numbers: the first four columns against each other; above the diagonal their correlations."""
    count, left = min(4, drawing.x.shape[1]), 92.0
    cell, top = 944.0 / count, _header_height(drawing)
    canvas = Canvas(1056, round(top + 944 + 70))
    _header(canvas, drawing, left, 1030)
    for row in range(count):
        for column in range(count):
            x0, y0 = left + column * cell, top + row * cell
            box = (x0 + 6, y0 + 6, x0 + cell - 6, y0 + cell - 6)
            _cell(canvas, drawing, box, row, column, count)
    if drawing.x.shape[1] > count:
        note = f"the first {count} of {drawing.x.shape[1]} columns"
        canvas.text((1030, top + 944 + 54), note, 18, MUTED, "rs")
    return canvas.finish()


def lines(drawing: Drawing) -> Image.Image:
    """Signals (N, C, L): one small panel each on one common scale; the grey band holds 90 % of the real data."""
    count, _, length = drawing.x.shape
    across = next(c for c in range(1, count + 1) if c * c * 0.62 >= count * 0.5 or c == count)
    across = min(across, 6)
    down, wide, gap = math.ceil(count / across), 960 / across, 14.0
    high = max(90.0, min(0.55 * wide, 300.0)) + (22 if drawing.captions else 0)
    canvas = Canvas(960 + 84, round(_header_height(drawing) + down * high + 40))
    top, left = _header_height(drawing), 72.0
    _header(canvas, drawing, left, 1030)
    low, high_value = drawing.limits[0]
    ys = ticks(low, high_value, 3)
    for index in range(count):
        row, column = divmod(index, across)
        box = (left + column * wide, top + row * high, left + (column + 1) * wide - gap, top + (row + 1) * high - gap)
        if drawing.captions:
            canvas.text((box[0], box[1]), fit(drawing.captions[index], 16, wide - gap), 16, MUTED)
            box = (box[0], box[1] + 22, box[2], box[3])
        axes = Axes(canvas, box, (0, max(length - 1, 1)), (low, high_value))
        axes.grid([], ys)
        axes.number([], ys if column == 0 else [], 16)
        _signal(axes, drawing, index)
    canvas.text((left, top + down * high + 4), f"0 … {length - 1}", 16, MUTED)
    if drawing.reference is not None:
        canvas.text((1018, top + down * high + 4), "shaded: 90 % of the data", 16, MUTED, "ra")
    return canvas.finish()


def _signal(axes: Axes, drawing: Drawing, index: int) -> None:
    channels, length = drawing.x.shape[1:]
    colours = categories(channels) if channels > 1 else (drawing.colours[drawing.groups[index]],)
    position = np.arange(length)
    for channel, colour in enumerate(colours):
        if drawing.reference is not None:
            real = drawing.reference[:, channel].astype(np.float64)
            known = np.isfinite(real).all(0)
            if known.sum() < 2:
                continue
            low, high = np.quantile(real[:, known], (0.05, 0.95), axis=0)
            edge = np.concatenate([axes.place(position[known], low), axes.place(position[known], high)[::-1]])
            axes.canvas.area(edge, mix(DATA if channels == 1 else colour, 0.35 if channels == 1 else 0.14))
    for channel, colour in enumerate(colours):
        values = np.clip(drawing.x[index, channel].astype(np.float64), *axes.ylim)
        seen = np.isfinite(values)
        if seen.sum() > 1:
            axes.canvas.line(axes.place(position[seen], values[seen]), colour, 1.6)


def _cell(canvas: Canvas, drawing: Drawing, box: Box, row: int, column: int, count: int) -> None:
    xlim, ylim = drawing.limits[column], drawing.limits[row]
    axes = Axes(canvas, box, xlim, ylim)
    xs, ys = ticks(*xlim, 3), ticks(*ylim, 3)
    left, top, right, bottom = box
    if row < column:
        _correlation(canvas, drawing, ((left + right) / 2, (top + bottom) / 2), row, column)
    else:
        axes.grid(xs, ys if row > column else [])
    if row == column:
        _bars(canvas, box, drawing, row, labels=False)
        canvas.text((left + 4, top + 2), fit(drawing.column(row), 20, right - left - 8), 20, INK)
    if row > column:
        _points(axes, drawing, column, row, 2.6, MOST_POINTS // 4)
    axes.number(xs if row == count - 1 else [], ys if column == 0 and row > 0 else [], 16)


def _correlation(canvas: Canvas, drawing: Drawing, middle: tuple[float, float], row: int, column: int) -> None:
    def figure(values: np.ndarray) -> str:
        pair = values[:, [column, row]].astype(np.float64)
        pair = pair[np.isfinite(pair).all(1)]
        if len(pair) < 3 or (pair.std(0) == 0).any():
            return "r undefined"
        return f"r {np.corrcoef(pair.T)[0, 1]:+.2f}"

    x, y = middle
    canvas.text((x, y - (14 if drawing.reference is not None else 0)), figure(drawing.x), 26, ACCENT, "mm")
    if drawing.reference is not None:
        canvas.text((x, y + 20), f"data {figure(drawing.reference)}", 19, MUTED, "mm")


def _bars(canvas: Canvas, box: Box, drawing: Drawing, column: int, *, labels: bool) -> None:
    """Densities: real data filled grey, samples as an outline (filled where they stand alone), classes one by one."""
    low, high = drawing.limits[column]
    values = drawing.x[:, column].astype(np.float64)
    edges = np.linspace(low, high, int(np.clip(2 * np.cbrt(values.size) + 1, 8, 60)) + 1)

    def density(part: np.ndarray, whole: int) -> np.ndarray:
        return np.histogram(finite(part), edges)[0] / max(whole, 1) / (edges[1] - edges[0])

    groups = range(len(drawing.names)) if 1 < len(drawing.names) <= 12 else ()
    outlines = [(density(values[drawing.groups == g], values.size), drawing.colours[g]) for g in groups]
    outlines = outlines or [(density(values, values.size), ACCENT)]
    real = None if drawing.reference is None else density(drawing.reference[:, column], len(drawing.reference))
    highest = max(float(h.max()) for h in [*(h for h, _ in outlines), *([] if real is None else [real])])
    axes = Axes(canvas, box, (low, high), (0.0, (1.12 if labels else 1.35) * max(highest, 1e-12)))
    if labels:
        xs, ys = ticks(low, high), ticks(*axes.ylim, 4)
        axes.grid(xs, ys)
        axes.number(xs, ys, 20)
    filled = [(real, mix(DATA, 0.6))] if real is not None else [(h, mix(c, 0.4)) for h, c in outlines]
    for heights, fill in filled if real is not None or len(outlines) == 1 else ():
        canvas.area(_steps(axes, edges, heights), fill)
    for heights, colour in outlines:
        canvas.line(_steps(axes, edges, heights), colour, 2.0)


def _steps(axes: Axes, edges: np.ndarray, heights: np.ndarray) -> np.ndarray:
    return axes.place(np.repeat(edges, 2), np.concatenate([[0], np.repeat(heights, 2), [0]]))


def _points(axes: Axes, drawing: Drawing, across: int, up: int, radius: float, most: int = MOST_POINTS) -> None:
    palette = np.array(drawing.colours, np.float64)
    layers = [(drawing.x, palette[drawing.groups % len(palette)])]
    if drawing.reference is not None:
        layers.insert(0, (drawing.reference, np.broadcast_to(np.array(DATA, np.float64), (len(drawing.reference), 3))))
    for values, colours in layers:
        thin = slice(None, None, math.ceil(len(values) / most) or 1)
        pair = values[thin][:, [across, up]].astype(np.float64)
        seen = np.isfinite(pair).all(1)
        opacity = float(np.clip(16 / math.sqrt(max(seen.sum(), 1)), 0.28, 0.85))
        small = radius * float(np.clip(1.6 - 0.2 * math.log10(max(seen.sum(), 1)), 0.8, 1.25))
        axes.canvas.dots(axes.box, axes.place(*pair[seen].T), colours[thin][seen], small, opacity)


def _equal(box: Box, xlim: tuple[float, float], ylim: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """The limits widened about their middle until a unit is as long across as it is up."""
    unit = max((xlim[1] - xlim[0]) / (box[2] - box[0]), (ylim[1] - ylim[0]) / (box[3] - box[1]))
    halves = 0.5 * unit * (box[2] - box[0]), 0.5 * unit * (box[3] - box[1])
    return tuple(
        ((low + high) / 2 - half, (low + high) / 2 + half)
        for (low, high), half in zip((xlim, ylim), halves, strict=True)
    )


def _strays(canvas: Canvas, drawing: Drawing, box: Box, xlim: tuple[float, float], ylim: tuple[float, float]) -> None:
    pair = drawing.x[:, :2].astype(np.float64)
    low, high = np.array([xlim[0], ylim[0]]), np.array([xlim[1], ylim[1]])
    outside = int((~((pair >= low) & (pair <= high)).all(1)).sum())
    if outside:
        text = f"{outside:,} of {len(pair):,} outside"
        canvas.text((box[2], box[3] + 64), text, 18, MUTED, "rs")


def _legend(drawing: Drawing) -> list[tuple[str, Colour]]:
    names = [*zip(drawing.names, drawing.colours, strict=False)] if 1 < len(drawing.names) <= 12 else []
    if drawing.x.ndim == 3:
        channels = drawing.x.shape[1]
        return [*zip(map(drawing.column, range(channels)), categories(channels), strict=True)] if channels > 1 else []
    if drawing.reference is not None:
        names = [("data", DATA), *(names or [("samples", ACCENT)])]
    return names


def _header_height(drawing: Drawing) -> float:
    """How far down title and legend reach."""
    return 76.0 if drawing.title else 60.0 if _legend(drawing) else 28.0


def _header(canvas: Canvas, drawing: Drawing, left: float, right: float) -> None:
    """The legend from the right, as much of it as fits beside at least a third for the title on the left."""
    x, y = right, 40.0
    for name, colour in reversed(_legend(drawing)):
        words = fit(name, 19, 180)
        end = x - text_width(words, 19)
        if end - 28 < left + (right - left) / 3:
            break
        canvas.text((end, y), words, 19, MUTED, "ls")
        canvas.dots((0, 0, *canvas.size), np.array([[end - 14, y - 6.5]]), np.array([colour]), 6.0, 1.0)
        x = end - 44
    if drawing.title:
        canvas.text((left, y), fit(drawing.title, 26, x - left), 26, INK, "ls")

"""Charts as SVG text: they stand alone as a file, and inside the report take the colours of its scheme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from .numbers import log_ticks, short, smooth, ticks, with_error
from .palette import ACCENT, DATA, HAIR, INK, MUTED, hexadecimal
from .story import Metric

_FONT = 'font-family="system-ui, sans-serif"'
_COLOURS = {name: hexadecimal(colour) for name, colour in
            {"ink": INK, "muted": MUTED, "hair": HAIR, "accent": ACCENT, "data": DATA}.items()}  # fmt: skip


def loss_chart(
    steps: Sequence[float] | np.ndarray,
    losses: Sequence[float] | np.ndarray,
    *,
    width: int = 760,
    height: int = 320,
    log: bool = False,
    x_label: str = "step",
    y_label: str = "loss",
) -> str:
    """A curve over the steps as one ``<svg>`` element: thin every value, thick their Gaussian mean over 2 % of the run.

    steps, losses: (N,). Non-finite values (with ``log`` also those that are not positive) are left out. Long runs are
    thinned to 600 points that keep every bucket's extremes. Returns SVG of ``width`` × ``height`` user units; with
    nothing to draw, the empty string.
    """
    x, y = np.asarray(steps, np.float64).reshape(-1), np.asarray(losses, np.float64).reshape(-1)
    seen = np.isfinite(x) & np.isfinite(y) & ((y > 0) if log else True)
    x, y = x[seen], y[seen]
    if x.size == 0:
        return ""
    order = np.argsort(x, kind="stable")
    x, y = x[order], np.log10(y[order]) if log else y[order]
    middle, mean = _averaged(x, y)
    mean = smooth(mean, 0.02 * mean.size)
    frame = _Frame(width, height, _span(x), _value_span(y, mean, zero=not log))
    marks = log_ticks(10 ** frame.ylim[0], 10 ** frame.ylim[1], 4) if log else ticks(*frame.ylim, 4)
    heights = [math.log10(mark) for mark in marks] if log else marks
    inside = [(h, short(m)) for h, m in zip(heights, marks, strict=True) if frame.ylim[0] <= h <= frame.ylim[1]]
    body = [
        *frame.axes([(v, short(v)) for v in ticks(*frame.xlim, max(3, width // 130))], inside, x_label, y_label),
        f'<svg x="{frame.left}" y="{frame.top}" width="{frame.wide:g}" height="{frame.high:g}">',  # cuts at the frame
        _path(frame.inner(*_thinned(x, y)), "faint", 1),
        _path(frame.inner(middle, mean), "accent", 2.4),
        "</svg>",
    ]
    last = short(10 ** float(mean[-1]) if log else float(mean[-1]), 4)
    title = f"{y_label} over {x_label}, {short(x[0])} to {short(x[-1])}, last value of the mean {last}"
    return _svg(width, height, title, body)


def dots_chart(rows: Sequence[Metric], *, width: int = 760) -> str:
    """Numbers against their floors as one ``<svg>``: a dot with two standard errors, a grey band for the floor.

    Every row has its own scale from 0 (or the lowest number) on, because the rows have different units.
    """
    name_width, number_width, row = 0.28 * width, 0.24 * width, 44
    body = []
    for index, item in enumerate(rows):
        y, across = index * row, width - name_width - number_width
        body += [
            _text(0, y + row / 2 + 5, item.name, "ink"),
            f'<g transform="translate({name_width:g} {y + 8})">{_whisker(item, across, row - 16)}</g>',
            _text(width, y + row / 2 + 5, with_error(item.value, item.se), "muted", "end"),
        ]
    return _svg(width, max(len(rows), 1) * row, "Measured values and their floors", body)


def whisker(item: Metric, *, width: int = 180, height: int = 28) -> str:
    """One row of ``dots_chart`` without words, for a cell of a table."""
    told = f"{item.name}: {with_error(item.value, item.se)}"
    if item.floor is not None:
        told += f", floor {with_error(item.floor, item.floor_se)}"
    return _svg(width, height, told, [_whisker(item, width, height)])


def _whisker(item: Metric, width: float, height: float) -> str:
    reach = [item.value - 2 * (item.se or 0), item.value + 2 * (item.se or 0)]
    wide = 2 * (item.floor_se or 0)
    band = [] if item.floor is None else [item.floor - wide, item.floor + wide]
    ends = [v for v in (*reach, *band) if math.isfinite(v)]
    if not math.isfinite(item.value) or not ends:
        return _text(0, height / 2 + 5, "not finite", "muted")
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = (width - 14) / ((high - low) or 1.0)

    def place(value: float) -> float:
        return 7 + (value - low) * scale

    middle = height / 2
    parts = [f'<path class="hair" stroke="{_COLOURS["hair"]}" d="M7 {middle:g}H{width - 7:g}"/>']
    if band:
        left, right = place(band[0]), place(band[1])
        thick = max(right - left, 3.0)
        sides = f'x="{(left + right - thick) / 2:.1f}" y="3" width="{thick:.1f}" height="{height - 6:g}" rx="1.5"'
        parts.append(f'<rect class="data" fill="{_COLOURS["data"]}" fill-opacity="0.6" {sides}/>')
    bar = f"M{place(reach[0]):.1f} {middle:g}H{place(reach[1]):.1f}"
    parts.append(f'<path class="accent" stroke="{_COLOURS["accent"]}" stroke-width="2.4" d="{bar}"/>')
    dot = f'cx="{place(item.value):.1f}" cy="{middle:g}" r="4.5"'
    parts.append(f'<circle class="accent-fill" fill="{_COLOURS["accent"]}" {dot}/>')
    return "".join(parts)


@dataclass(frozen=True)
class _Frame:
    """The rectangle of a chart that holds the curves."""

    width: int
    height: int
    xlim: tuple[float, float]
    ylim: tuple[float, float]
    left: int = 56
    top: int = 26

    @property
    def wide(self) -> float:
        return self.width - self.left - 26

    @property
    def high(self) -> float:
        return self.height - self.top - 46

    def inner(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Data to units inside the rectangle, (N, 2)."""
        across = (x - self.xlim[0]) / (self.xlim[1] - self.xlim[0]) * self.wide
        up = self.high - (y - self.ylim[0]) / (self.ylim[1] - self.ylim[0]) * self.high
        return np.stack([across, np.clip(up, -9e3, 9e3)], -1)

    def axes(self, xs: list[tuple[float, str]], ys: list[tuple[float, str]], x_label: str, y_label: str) -> list[str]:
        """Hairlines, numbers and the names of both axes."""
        parts, bottom = [], self.top + self.high
        for value, words in ys:
            y = self.top + self.inner(np.array(self.xlim[0]), np.array(value))[1]
            parts.append(f'<path class="hair" stroke="{_COLOURS["hair"]}" d="M{self.left} {y:.1f}h{self.wide:g}"/>')
            parts.append(_text(self.left - 8, y + 4.5, words, "muted", "end"))
        for value, words in xs:
            x = self.left + self.inner(np.array(value), np.array(self.ylim[0]))[0]
            parts.append(f'<path class="hair" stroke="{_COLOURS["hair"]}" d="M{x:.1f} {bottom:g}v5"/>')
            parts.append(_text(x, bottom + 20, words, "muted", "middle"))
        parts.append(_text(self.left + self.wide / 2, self.height - 6, x_label, "muted", "middle"))
        parts.append(_text(self.left, 14, y_label, "muted", "start"))
        return parts


def _span(x: np.ndarray) -> tuple[float, float]:
    low, high = float(x.min()), float(x.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _value_span(y: np.ndarray, mean: np.ndarray, *, zero: bool) -> tuple[float, float]:
    """All of the mean and 99 % of the single values, which one early or stray value must not squeeze; from 0 on where
    ``zero`` and 0 is not far."""
    low = min(float(mean.min()), float(np.quantile(y, 0.002)))
    high = max(float(mean.max()), float(np.quantile(y, 0.99)))
    air = 0.05 * (high - low) or max(abs(low), 1e-12) * 0.5
    return (0.0 if zero and 0 <= low <= 0.5 * high else low - air), high + air


def _thinned(x: np.ndarray, y: np.ndarray, most: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """At most ``most`` points: of every bucket the lowest and the highest, in their order."""
    if x.size <= most:
        return x, y
    keep = set()
    for part in np.array_split(np.arange(x.size), most // 2):
        keep |= {int(part[y[part].argmin()]), int(part[y[part].argmax()])}
    index = np.array(sorted(keep))
    return x[index], y[index]


def _averaged(x: np.ndarray, y: np.ndarray, most: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Means of at most ``most`` neighbouring buckets; what the thick curve is made from, whatever the run's length."""
    parts = np.array_split(np.arange(x.size), min(most, x.size))
    return np.array([x[p].mean() for p in parts]), np.array([y[p].mean() for p in parts])


def _path(points: np.ndarray, name: str, width: float) -> str:
    colour, opacity = (_COLOURS["accent"], ' stroke-opacity="0.3"') if name == "faint" else (_COLOURS[name], "")
    if len(points) == 1:
        (x, y) = points[0]
        return f'<circle class="accent-fill" fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    road = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return (
        f'<path class="{name}" fill="none" stroke="{colour}"{opacity} stroke-width="{width:g}" '
        f'stroke-linejoin="round" d="{road}"/>'
    )


def _text(x: float, y: float, words: str, name: str, anchor: str = "start") -> str:
    place = f'fill="{_COLOURS[name]}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{name}-fill" {place}>{escape(words)}</text>'


def _svg(width: float, height: float, title: str, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" {_FONT} font-size="13"><title>{escape(title)}</title>{"".join(body)}</svg>'
    )

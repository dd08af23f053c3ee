"""Charts are well-formed SVG whose points are where the numbers say; numbers are written with honest digits."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from scorefield.show import Metric, dots_chart, loss_chart, read, short, whisker, with_error
from scorefield.show.numbers import log_ticks, smooth, ticks

SVG = "{http://www.w3.org/2000/svg}"


def curve(svg: str, name: str) -> np.ndarray:
    path = next(p for p in ET.fromstring(svg).iter(f"{SVG}path") if p.get("class") == name)
    return np.array([pair.split() for pair in (path.get("d") or "")[1:].split("L")], float)


@pytest.mark.parametrize("log", [False, True])
def test_loss_curve_is_where_its_ticks_say(log: bool) -> None:
    steps = np.arange(0, 1001, 10)
    losses = 10.0 ** np.linspace(0, -2, steps.size)
    svg = loss_chart(steps, losses, log=log)
    root = ET.fromstring(svg)
    inner = next(e for e in root.iter(f"{SVG}svg") if e.get("x"))
    top = float(inner.get("y") or 0)
    labels = {
        float(t.text or "nan"): float(t.get("y") or 0) - 4.5 - top
        for t in root.iter(f"{SVG}text") if t.get("text-anchor") == "end"
    }  # fmt: skip
    points = curve(svg, "faint")
    scale = np.log10 if log else np.asarray
    values, places = np.array(sorted(labels)), np.array([labels[v] for v in sorted(labels)])
    slope, start = np.polyfit(scale(values), places, 1)
    seen = losses[1:]  # the first may stand above the frame
    assert points[1:, 1] == pytest.approx(start + slope * scale(seen), abs=0.3)
    assert points[-1, 0] == pytest.approx(float(inner.get("width") or 0), abs=0.1)


def test_long_runs_are_thinned_but_keep_their_extremes() -> None:
    losses = np.random.default_rng(0).gamma(2, 0.1, 200_000)
    losses[123_456] = 9.0
    svg = loss_chart(np.arange(losses.size), losses)
    points = curve(svg, "faint")
    assert len(points) <= 600 and len(svg) < 40_000
    assert (points[:, 1] < -1000).sum() == 1 or points[:, 1].argmin() == pytest.approx(600 * 0.617, abs=2)


@pytest.mark.parametrize("losses", [[1.0], [2.0, 2.0], [1, float("nan"), 3], [-1.0, 0.0, 2.0], [1e-9, 1e9], [0.0]])
def test_odd_curves_are_still_svg(losses: list[float]) -> None:
    for log in (False, True):
        svg = loss_chart(range(len(losses)), losses, log=log, y_label="<loss> & more")
        drawable = [v for v in losses if np.isfinite(v) and (v > 0 or not log)]
        assert bool(svg) == bool(drawable)
        if svg:
            ET.fromstring(svg)
            assert "nan" not in svg and "inf" not in svg
    assert loss_chart([], []) == ""


def test_whisker_places_value_and_floor_on_one_scale() -> None:
    root = ET.fromstring(whisker(Metric("m", 3.0, 0.5, 1.0, 0.25), width=214))
    dot, band = next(root.iter(f"{SVG}circle")), next(root.iter(f"{SVG}rect"))
    unit = 200 / 4  # from 0 to value + 2 se, seven units of margin on both sides
    assert float(dot.get("cx") or 0) == pytest.approx(7 + 3 * unit, abs=0.1)
    assert float(band.get("x") or 0) == pytest.approx(7 + 0.5 * unit, abs=0.1)
    assert float(band.get("width") or 0) == pytest.approx(unit, abs=0.1)


def test_dots_chart_escapes_and_survives_odd_numbers() -> None:
    rows = [Metric("<script>", 1.0), Metric("nan & co", float("nan"), 1.0, 0.1), Metric("zero", 0.0, 0.0, 0.0, 0.0)]
    svg = dots_chart(rows)
    texts = [t.text for t in ET.fromstring(svg).iter(f"{SVG}text")]
    assert "<script>" in texts and "not finite" in texts and "<script>" not in svg


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(-0.3, 0.3, 3) == [-0.2, 0, 0.2]
    assert ticks(0.1, 0.3, 2) == [0.1, 0.2, 0.3]  # not 0.30000000000000004
    assert ticks(1, 1) == [1]
    assert log_ticks(0.02, 300, 4) == [0.1, 1, 10, 100]
    assert log_ticks(0.1, 1) == [0.1, 0.2, 0.5, 1]
    for low, high in ((1e-12, 1e12), (0.5, 0.6), (3e5, 4e5)):
        marks = log_ticks(low, high)
        assert 1 <= len(marks) <= 8 and low * 0.99 <= marks[0] <= marks[-1] <= high * 1.01


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (0.03124, "0.0312"), (12, "12"), (1234, "1234"), (15_300, "15.3k"), (2.4e6, "2.4M"), (3.1e-6, "3.1e-6"),
     (-0.5, "-0.5"), (float("nan"), "nan"), (999_999, "1M"), (9_999, "9999")],
)  # fmt: skip
def test_short(value: float, words: str) -> None:
    assert short(value) == words


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [(0.0042, 0.0006, "0.0042 ± 0.0006"), (3.1, 0.2, "3.10 ± 0.20"), (1234.5, 40, "1,234 ± 40"), (0.5, None, "0.5"),
     (2, 0, "2"), (1e-9, 2e-10, "1.00e-09 ± 2.0e-10")],
)  # fmt: skip
def test_with_error(value: float, error: float | None, words: str) -> None:
    assert with_error(value, error) == words


def test_smoothing_keeps_constants_and_lines_inside() -> None:
    assert smooth(np.full(50, 3.0), 4) == pytest.approx(np.full(50, 3.0), abs=1e-12)
    line = np.arange(100.0)
    assert smooth(line, 3)[10:-10] == pytest.approx(line[10:-10], abs=1e-9)  # symmetric: no lag
    noise = np.random.default_rng(0).normal(size=4000)
    assert smooth(noise, 10)[50:-50].var() == pytest.approx(1 / (2 * np.sqrt(np.pi) * 10), rel=0.35)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (Metric("m", 1.1, 0.1, 1.0, 0.1), "cannot be told apart"),
        (Metric("m", 2.0, 0.1, 1.0, 0.1), "2 times it"),
        (Metric("m", 0.5, 0.1, 1.0, 0.1), "copies"),
        (Metric("acc", 0.9, 0.01, 0.98, 0.01, lower_is_better=False), "0.08 below"),
        (Metric("acc", 0.97, 0.01, 0.98, 0.01, lower_is_better=False), "cannot be told apart"),
        (Metric("m", float("nan")), "not finite"),
        (Metric("m", 1.0), "Lower is better"),
        (Metric("m", 1.5, floor=1.0), "0.5 above the floor, errors unknown"),
        (Metric("m", 1.0, reading="My own."), "My own."),
    ],
)
def test_readings_say_what_the_numbers_say(metric: Metric, words: str) -> None:
    assert words in read(metric)


def test_no_chart_asks_anything_of_a_server() -> None:
    svg = loss_chart([0, 1], [2, 1]) + whisker(Metric("m", 1.0))
    assert set(re.findall(r"https?://[^\"<> ]+", svg)) == {"http://www.w3.org/2000/svg"}  # a name, not an address

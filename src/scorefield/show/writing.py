"""Texts as a picture, and a page on which one watches them being written."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from .canvas import Canvas, fit
from .palette import HAIR, INK, MUTED
from .report import write_report
from .story import Frame, Report

MASKED = "░"  # a place where nothing is written yet
WIDTH, SIZE, LEADING, MARGIN = 960, 16, 22, 22  # of a picture, in pixels
LETTERS = 104  # in a line of a picture
MOST_LINES = 48


def draw_texts(texts: Sequence[str], captions: Sequence[str] = (), title: str | None = None) -> Image.Image:
    """Texts below each other, with a rule between them; long lines are wrapped, and what does not fit into
    ``MOST_LINES`` lines is left out. The embedded font has basic Latin: other letters become ``?``, and places that
    are not yet written a dot."""
    rows: list[tuple[str, bool]] = [(title, True)] if title else []
    share = max(3, MOST_LINES // max(1, len(texts)))
    for i, text in enumerate(texts):
        rows += [(captions[i], True)] if len(captions) > i and captions[i] else []
        rows += [(line, False) for line in _cut(_lines(text, LETTERS), share)]
        rows += [("", True)] if i + 1 < len(texts) else []
    rows = _cut_rows(rows)
    canvas = Canvas(WIDTH, 2 * MARGIN + LEADING * max(1, len(rows)))
    for i, (line, quiet) in enumerate(rows):
        y = MARGIN + i * LEADING
        if quiet and not line:
            canvas.rectangle((MARGIN, y + LEADING / 2, WIDTH - MARGIN, y + LEADING / 2 + 1), HAIR)
        shown = fit(line.replace(MASKED, "·"), SIZE, WIDTH - 2 * MARGIN)
        canvas.text((MARGIN, y), shown, SIZE, MUTED if quiet else INK)
    return canvas.finish()


def write_film(path: str | Path, title: str, frames: Sequence[tuple[str, str]], story: str = "") -> Path:
    """One page without dependencies on which a text is written step by step: ``frames`` are (text, caption), noise
    first. Replaces what is at ``path``, whole or not at all; UserError if the disk cannot be written."""
    shown = [Frame(None, caption, text) for text, caption in frames]
    return write_report(path, Report(title=title, story=story, film=shown))


def _lines(text: str, width: int) -> list[str]:
    """The lines of a text, the long ones wrapped."""
    wrapped = (textwrap.wrap(line, width, drop_whitespace=False) or [""] for line in text.expandtabs(4).split("\n"))
    return [part for parts in wrapped for part in parts]


def _cut(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], "…"]


def _cut_rows(rows: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    return rows if len(rows) <= MOST_LINES else [*rows[: MOST_LINES - 1], ("…", True)]

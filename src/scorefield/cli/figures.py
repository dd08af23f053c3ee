"""Numbers as a person reads them in a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence


def bar(share: float, width: int) -> tuple[str, str]:
    """(done, rest) of a progress bar; the head is half a cell fine."""
    halves = round(2 * width * min(max(share, 0.0), 1.0))
    done = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return done, "━" * (width - len(done))


def clock(seconds: float) -> str:
    """``4:12``, ``1:02:03``, ``2 d 3 h``; ``?`` where nobody knows yet."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def memory(size: int) -> str:
    """Bytes as ``0.9 GB``."""
    return f"{size / 1e9:.1f} GB"


def compact(number: float) -> str:
    """``3,110``, ``24.3``, ``0.31``."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def columns(rows: Sequence[tuple[str, str]], width: int = 100) -> list[str]:
    """``label      sentence`` lines with the sentences below each other, wrapped; a repeated label is not repeated."""
    indent = max((len(label) for label, _ in rows), default=0) + 2
    lines, before = [], ""
    for label, sentence in rows:
        head = "" if label == before else label
        wrapped = textwrap.wrap(sentence, width - indent, break_on_hyphens=False, break_long_words=False) or [""]
        lines += [f"{head:<{indent}}{wrapped[0]}".rstrip(), *(" " * indent + line for line in wrapped[1:])]
        before = label
    return lines


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Left-aligned columns as wide as they need to be, under a head; columns that are empty below it are left out."""
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    widths = [max(len(row[i]) for row in rows) for i in kept]
    return ["  ".join(f"{row[i]:<{w}}" for i, w in zip(kept, widths, strict=True)).rstrip() for row in rows]


def ago(seconds: float) -> str:
    """``3 hours ago``."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count:,} {unit}{'s' if count > 1 else ''} ago"
    return "just now"

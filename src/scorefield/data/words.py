"""Small words of the sentences in notes and errors: counts, sizes, and classes in the order people expect."""

from __future__ import annotations

from collections.abc import Iterable


def count(number: int, noun: str) -> str:
    """``1 image``, ``12,000 images``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shape_of(shape: Iterable[int]) -> str:
    """``(1000, 3, 32, 32)`` as text."""
    return "(" + ", ".join(str(edge) for edge in shape) + ")"


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct names sorted; as numbers where all are whole numbers, so that 10 comes after 9."""
    distinct = set(names)
    if all(name.lstrip("-").isdecimal() for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct))

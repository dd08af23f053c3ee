"""Fitting a recipe's network to the edge lengths of the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.runs import build, recipes
from scorefield.runs.draft import Draft


def levels(draft: Draft, dataset: Dataset, mult: Sequence[Any]) -> list[Any]:
    """As many levels of ``mult`` as the edges of the data can be halved.

    Fewer than the recipe's are fine while the lowest resolution is small. Beyond that images raise UserError, which
    names the nearest sizes, and signals, which nobody resizes, leave a note."""
    edges = build.edges(draft.config)
    halvings = min((edge & -edge).bit_length() - 1 for edge in edges)
    fitting = list(mult[: 1 + halvings])
    if len(fitting) < len(mult) and max(edges) >> (len(fitting) - 1) > recipes.LARGEST_BOTTOM:
        WANTING[dataset.kind](draft, "×".join(map(str, edges)), max(edges), len(mult), len(fitting))
    return fitting


def _refuse(draft: Draft, shape: str, edge: int, wanted: int, found: int) -> None:
    factor = 1 << (wanted - 1)
    near = sorted({max(1, edge // factor) * factor, -(-edge // factor) * factor})
    raise UserError(
        f"images of {shape} cannot be halved {wanted - 1} times, as the U-Net for this size does. "
        f"Write {' or '.join(f'size={size}' for size in near)}, or choose the levels yourself, such as mult=1,2."
    )


def _note(draft: Draft, shape: str, edge: int, wanted: int, found: int) -> None:
    draft.notes.append(
        f"A length of {shape} can be halved {found - 1} times only, so the network has {found} of {wanted} levels; "
        f"a multiple of {1 << (wanted - 1)} would allow all."
    )


WANTING = {"images": _refuse, "signals": _note, "categories": _refuse, "regions": _note}


def attention(edge: int, count: int, wanted: Sequence[int]) -> list[int]:
    """For each edge length that ``wanted`` names, the longest edge of ``count`` levels that is not above it."""
    edges = [edge >> level for level in range(count)]
    return sorted({max(e for e in edges if e <= limit) for limit in wanted if edges[-1] <= limit}, reverse=True)


def patch(draft: Draft, dataset: Dataset, wanted: int) -> int:
    """The largest patch up to ``wanted`` that divides every edge. Raises UserError where only so small ones do that the
    tokens would be too many, naming sizes that work."""
    edges = build.edges(draft.config)
    common = math.gcd(*edges)
    fitting = next(p for p in range(min(wanted, common), 0, -1) if common % p == 0)
    tokens = math.prod(edge // fitting for edge in edges)
    if fitting < wanted and tokens > recipes.MOST_TOKENS:
        near = sorted({max(1, max(edges) // wanted) * wanted, -(-max(edges) // wanted) * wanted})
        advice = f"Write {' or '.join(f'size={size}' for size in near)}, " if dataset.kind == "images" else "Write "
        raise UserError(
            f"{dataset.kind} of {'×'.join(map(str, edges))} cannot be cut into patches of {wanted}, and those of "
            f"{fitting} would be {tokens:,} tokens. {advice}{'or ' if dataset.kind == 'images' else ''}"
            f"model={recipes.MODELS[dataset.kind]}, or insist with patch={fitting}."
        )
    return fitting

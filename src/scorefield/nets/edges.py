"""Edge lengths: which a network takes, and on which of its levels they mean attention."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UserError


def by(edges: Sequence[int]) -> str:
    """``24x32``."""
    return "x".join(map(str, edges))


def nearest(edges: Sequence[int], factor: int) -> str:
    """The nearest multiples of ``factor``, below (where there is one) and above: ``24x24 or 32x32``."""
    below = by([edge // factor * factor for edge in edges])
    above = by([max(1, -(-edge // factor)) * factor for edge in edges])
    return above if min(edges) < factor else f"{below} or {above}"


def check_halvings(edges: Sequence[int], halvings: int) -> None:
    """Raises UserError, naming the nearest sizes that work, unless every edge can be halved ``halvings`` times."""
    factor = 2**halvings
    if any(edge % factor or edge < factor for edge in edges):
        raise UserError(
            f"size {by(edges)} does not fit this U-Net: its {halvings + 1} levels halve every edge "
            f"{halvings} times, so edges must be multiples of {factor}. "
            f"Use size {nearest(edges, factor)}, or fewer levels in mult."
        )


def attended_levels(size: int | None, attention: Sequence[int], halvings: int) -> set[int]:
    """The levels (0: the input's own) whose edge, for inputs of edge ``size``, is in ``attention``. Raises UserError
    for edges that no level has, or a list without a size."""
    if not attention:
        return set()
    if size is None:
        raise UserError(
            f"attention={list(attention)} lists edge lengths, which need size, the edge length of the inputs."
        )
    edges = [size // 2**level for level in range(halvings + 1)]
    if missing := [edge for edge in attention if edge not in edges]:
        known = ", ".join(map(str, edges))
        raise UserError(f"attention={missing[0]} has no level: at size {size} the levels have edges {known}.")
    return {edges.index(edge) for edge in attention}

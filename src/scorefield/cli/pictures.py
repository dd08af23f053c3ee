"""Examples as half blocks on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scorefield.cli.console import Console

if TYPE_CHECKING:
    from torch import Tensor

WIDEST = 96  # columns
POINTS = 2000  # of vectors: more do not show


def show(x: Tensor, kind: str, console: Console, schema: Sequence[Any] = ()) -> None:
    """Draw examples (N, *D), as stored, on a terminal that has colours; nothing elsewhere."""
    if console.plain or console.quiet:
        return
    from scorefield.show.grid import thumbnail
    from scorefield.show.terminal import Blocks

    width = min(console.width - 2, WIDEST)
    console.picture(Blocks(thumbnail(x[:POINTS], kind, width=width, schema=schema), width))

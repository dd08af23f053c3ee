"""What processes on categories say that know no mask."""

from __future__ import annotations

from typing import Any


class Unmasked:
    """Every site shows one of the K categories at every time."""

    mask = None  # the category that is none of the K: there is no such
    masked = 0.0  # the share of destroyed sites that is masked

    @property
    def states(self: Any) -> int:
        """K."""
        return self.classes

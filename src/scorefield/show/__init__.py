"""Everything a person looks at: pictures, films, charts, the terminal, the page of a run and its model card.

Only NumPy and Pillow are needed (rich where something is shown in a terminal); torch tensors are welcome everywhere.
The names are imported when first used, so that whoever only writes a file (``show.files``) does not load Pillow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        Blocks,
        Card,
        Citation,
        Frame,
        Layout,
        Metric,
        Report,
        Setting,
        ansi,
        card_markdown,
        dots_chart,
        layout_of,
        limits_of,
        loss_chart,
        picture,
        plain,
        read,
        report_html,
        save_film,
        save_picture,
        short,
        sparkline,
        table_picture,
        thumbnail,
        whisker,
        with_error,
        write_card,
        write_report,
    )  # fmt: skip

__all__ = [
    "Blocks", "Card", "Citation", "Frame", "Layout", "Metric", "Report", "Setting", "ansi", "card_markdown",
    "dots_chart", "layout_of", "limits_of", "loss_chart", "picture", "plain", "read", "report_html", "save_film",
    "save_picture", "short", "sparkline", "table_picture", "thumbnail", "whisker", "with_error", "write_card",
    "write_report",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The public names, imported when the first of them is used."""
    if name not in __all__:
        raise AttributeError(f"module 'scorefield.show' has no attribute {name!r}")
    from . import api

    return getattr(api, name)

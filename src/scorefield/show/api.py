"""The public names of ``scorefield.show`` and where each of them lives."""

from .card import card_markdown, write_card
from .charts import dots_chart, loss_chart, whisker
from .film import save_film, save_picture
from .grid import layout_of, limits_of, picture, thumbnail
from .numbers import short, with_error
from .report import report_html, write_report
from .sampler import table_picture
from .story import Card, Citation, Frame, Metric, Report, Setting, read
from .terminal import Blocks, ansi, plain, sparkline
from .tiles import Layout

__all__ = [
    "Blocks", "Card", "Citation", "Frame", "Layout", "Metric", "Report", "Setting", "ansi", "card_markdown",
    "dots_chart", "layout_of", "limits_of", "loss_chart", "picture", "plain", "read", "report_html", "save_film",
    "save_picture", "short", "sparkline", "table_picture", "thumbnail", "whisker", "with_error", "write_card",
    "write_report",
]  # fmt: skip

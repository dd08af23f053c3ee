"""The codec of tables with categories: tokens, which masks replace, beside numbers, to which noise is added."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from scorefield.data.dataset import Dataset
from scorefield.data.tabular import TableCodec, table_columns
from scorefield.errors import UserError
from scorefield.registry import register

MOST_VALUES = 255  # of a token: with the mask as many as half precision counts exactly
ROWS_PER_VALUE = 20  # of a number that becomes a token: fewer do not show what goes with a value


class Tokens:
    """A column of few values as one whole number, in the order of the values; the last is "missing" where the data have
    gaps."""

    def __init__(self, values: Tensor, gaps: bool) -> None:
        self.values, self.size = values, len(values) + gaps

    def encode(self, values: Tensor) -> Tensor:
        """(B,) float64 → (B,)."""
        own = self.values.to(values.device)
        place = torch.searchsorted(own, values.nan_to_num(0.0).contiguous()).clamp(max=len(own) - 1)
        return place.masked_fill(values.isnan(), self.size - 1).double()

    def decode(self, z: Tensor) -> Tensor:
        """(B,) float64 → (B,)."""
        place = z.round().long().clamp(0, self.size - 1)
        known = self.values.to(z.device)[place.clamp(max=len(self.values) - 1)]
        return known.masked_fill(place >= len(self.values), math.nan)


# What a column can hold, where that is a list: the categories, or all values of a number.
_VALUES: dict[str, Callable[[dict[str, Any]], list[float]]] = {
    "codes": lambda column: list(range(len(column["counts"]) - column["gaps"])),
    "numbers": lambda column: [] if any(column.get("between", [1])) else column["values"],
    "constant": lambda column: [],
}


@register("mixed", "codec")
class MixedCodec:
    """Rows of mixed columns (B, C) ↔ (B, D) float32: first the numbers, as ``TableCodec`` codes the columns, and after
    them the columns ``tokens``, one whole number each.

    ``columns`` are those of ``TableCodec``. Every row of the data comes back as it was, and any numbers decode to a row
    that could exist. Raises UserError as ``TableCodec`` does, and for tokens that are no columns of listed values.
    """

    def __init__(self, columns: list[dict[str, Any]], tokens: list[int]) -> None:
        self.plain = TableCodec(columns)  # in whose numbers rows are compared
        listed = [j for j, column in enumerate(columns) if _VALUES[column["as"]](column)]
        if not tokens or not set(tokens) <= set(listed):
            raise UserError(f"tokens are columns of listed values, some of {listed}, got {tokens}.")
        self.tokens = {
            j: Tokens(torch.tensor(_VALUES[column["as"]](column), dtype=torch.float64), column["gaps"])
            for j, column in enumerate(columns)
            if j in tokens
        }
        self.others = [j for j in range(len(columns)) if j not in self.tokens]
        self.widths = [self.plain.parts[j].width for j in self.others]

    @property
    def columns(self) -> int:
        """How many of the D are numbers: they come first."""
        return sum(self.widths)

    @property
    def sizes(self) -> list[int]:
        """How many values each token has, "missing" among them."""
        return [token.size for token in self.tokens.values()]

    @property
    def numbers(self) -> list[int]:
        """Which of the D are numbers or dates, not signs of a missing value or digits of a category."""
        starts = [sum(self.widths[:i]) for i in range(len(self.widths))]
        return [start for start, j in zip(starts, self.others, strict=True) if self.plain.parts[j].is_number]

    def __repr__(self) -> str:
        return f"MixedCodec({self.columns} numbers, {len(self.tokens)} tokens)"

    def encode(self, raw: Tensor) -> Tensor:
        """(B, C) real, NaN for missing → (B, D) float32."""
        self.plain.check(raw)
        values = raw.double()
        numbers = [self.plain.parts[j].encode(values[:, j]) for j in self.others]
        tokens = [token.encode(values[:, j])[:, None] for j, token in self.tokens.items()]
        return torch.cat([*numbers, *tokens], 1).float()

    def decode(self, z: Tensor) -> Tensor:
        """(B, D) real → (B, C) float64 on the CPU, each value one that its column can hold."""
        whole = z.detach().cpu().double()
        numbers, tokens = whole[:, : self.columns].split(self.widths, 1), whole[:, self.columns :]
        found = {j: self.plain.parts[j].decode(own) for j, own in zip(self.others, numbers, strict=True)}
        found |= {j: token.decode(tokens[:, i]) for i, (j, token) in enumerate(self.tokens.items())}
        return torch.stack([found[j] for j in range(len(found))], 1)

    def unfinished(self, z: Tensor, mask: int) -> Tensor:
        """``decode`` of a state in which tokens are the ``mask``: those are missing."""
        rows, tokens = self.decode(z), z.detach().cpu()[:, self.columns :]
        for i, j in enumerate(self.tokens):
            rows[:, j].masked_fill_(tokens[:, i] == mask, math.nan)
        return rows


def table_codec(dataset: Dataset, scaling: str = "auto", coding: str = "auto") -> TableCodec | MixedCodec:
    """The codec of a table, fitted to its training part.

    ``scaling`` of numbers: "quantile" or "standard"; auto takes quantiles from 50 rows on. ``coding``: with "tokens"
    categories become tokens, and so do numbers of few values that many rows share each; "onehot" and "bits" make
    numbers of categories, and "numbers" takes one-hot up to 64 of them; auto is tokens where there are categories.
    Raises UserError for other words and where nothing varies.
    """
    columns = table_columns(dataset, scaling, coding)
    tokens = [j for j, column in enumerate(columns) if _is_token(column, len(dataset))]
    categories = any(column["as"] == "codes" for column in columns)
    if tokens and (coding == "tokens" or (coding == "auto" and categories)):
        return MixedCodec(columns, tokens)
    return TableCodec(columns)


def _is_token(column: dict[str, Any], rows: int) -> bool:
    count = len(_VALUES[column["as"]](column))
    often = column["as"] == "codes" or count * ROWS_PER_VALUE <= rows
    return 0 < count <= MOST_VALUES - column.get("gaps", False) and often

"""The codec of tables: every column becomes numbers of order one, and any numbers decode to a row that could exist."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from scorefield.data.dataset import Dataset
from scorefield.data.quantiles import LinearMap, QuantileMap, knots
from scorefield.data.schema import AS_NEEDED, Column, learned
from scorefield.errors import UserError, suggest
from scorefield.registry import register

SCALINGS = ("quantile", "standard")
CODINGS = ("tokens", "numbers", "onehot", "bits")
MOST_ONE_HOT = 64  # categories of a column; more would make rows of mostly zeros
FEWEST_FOR_QUANTILES = 50  # rows; fewer do not show a law


class Part(Protocol):
    """One column: (B,) numbers as stored ↔ (B, width) of order one."""

    width: int
    is_number: bool  # whether the first of these is a quantity

    def encode(self, values: Tensor) -> Tensor:
        """(B,) float64 → (B, width) float64."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """(B, width) float64 → (B,) float64."""
        ...


class Numbers:
    """A number or date through a monotone map, rounded to its decimals and kept in its range; where values are missing
    in the data, a second number of ±1 says that it is missing, and the first is then 0."""

    is_number = True

    def __init__(self, low: float, high: float, decimals: int, gaps: bool, **law: Any) -> None:
        self.low, self.high, self.decimals, self.gaps = low, high, decimals, gaps
        self.map = QuantileMap(**law) if "values" in law else LinearMap(**law)
        self.width = 2 if gaps else 1

    def encode(self, values: Tensor) -> Tensor:
        missing = values.isnan()
        z = self.map.encode(values.nan_to_num(self.low).clamp(self.low, self.high))
        if not self.gaps:
            return z[:, None]
        return torch.stack([z.masked_fill(missing, 0.0), torch.where(missing, 1.0, -1.0).to(z)], 1)

    def decode(self, z: Tensor) -> Tensor:
        values = self.map.decode(z[:, 0])
        if self.decimals != AS_NEEDED:
            scale = 10.0**self.decimals
            values = (values * scale).round() / scale
        values = values.clamp(self.low, self.high)
        return values.masked_fill(z[:, 1] > 0, math.nan) if self.gaps else values


class Codes:
    """A category as a row of a code book (K, width); decodes to the nearest row. The last row is "missing" where the
    data have gaps.

    ``onehot`` is centred, e_k − p, so that a column adds its own variance and nothing to the mean; ``bits`` are the
    binary digits of k as ±1 (Chen et al. 2022, "Analog bits", sec. 2).
    """

    is_number = False

    def __init__(self, counts: list[int], coding: str, gaps: bool) -> None:
        weight = torch.tensor(counts, dtype=torch.float64)
        self.book, self.gaps = _BOOKS[coding](weight / weight.sum().clamp_min(1)), gaps
        self.width = self.book.shape[1]

    def encode(self, values: Tensor) -> Tensor:
        book = self.book.to(values.device)
        return book[values.nan_to_num(len(book) - 1).long().clamp(0, len(book) - 1)]

    def decode(self, z: Tensor) -> Tensor:
        book = self.book.to(z.device)
        nearest = (z @ book.T - book.square().sum(1) / 2).argmax(1)
        codes = nearest.double()
        return codes.masked_fill(nearest == len(book) - 1, math.nan) if self.gaps else codes


class Constant:
    """A column in which nothing varies: it takes no number, and decodes to its one value."""

    width = 0
    is_number = False

    def __init__(self, value: float | None = None) -> None:
        self.value = math.nan if value is None else value

    def encode(self, values: Tensor) -> Tensor:
        return values.new_empty(len(values), 0)

    def decode(self, z: Tensor) -> Tensor:
        return z.new_full((len(z),), self.value)


def _onehot(share: Tensor) -> Tensor:
    return torch.eye(len(share), dtype=torch.float64) - share if len(share) > 2 else _bits(share)


def _bits(share: Tensor) -> Tensor:
    digits = max(1, math.ceil(math.log2(len(share))))
    return (torch.arange(len(share))[:, None] >> torch.arange(digits) & 1).double() * 2 - 1


_BOOKS: dict[str, Callable[[Tensor], Tensor]] = {"onehot": _onehot, "bits": _bits}
_PARTS: dict[str, Callable[..., Part]] = {"numbers": Numbers, "codes": Codes, "constant": Constant}


@register("table", "codec")
class TableCodec:
    """Rows of mixed columns (B, C) ↔ (B, D) float32, because diffusion needs real numbers of order one.

    ``columns`` say in order how each is coded: {"as": "numbers", low, high, decimals, gaps, and either values, at and
    between (see ``QuantileMap``) or mean and std}, {"as": "codes", counts, coding, gaps}, or {"as": "constant", value}.
    Every row of the data comes back as it was: what is between the values of the data decodes to the decimals, range
    and categories that the column has. (Numbers of more than about six digits between two knots of their law come back
    to float32 rounding.) Raises UserError for columns of another form and for data of another width.
    """

    def __init__(self, columns: list[dict[str, Any]]) -> None:
        try:
            self.parts = [_PARTS[column["as"]](**{k: v for k, v in column.items() if k != "as"}) for column in columns]
        except (KeyError, TypeError) as error:
            raise UserError(
                f"columns do not describe a table ({error}). Train again, or restore config.toml."
            ) from error
        self.widths = [part.width for part in self.parts]

    @property
    def plain(self) -> TableCodec:
        """The codec in whose numbers rows are compared: this one."""
        return self

    @property
    def numbers(self) -> list[int]:
        """Which of the D encoded numbers are numbers or dates, not codes or signs of a missing value."""
        starts = np.cumsum([0, *self.widths]).tolist()
        return [start for start, part in zip(starts, self.parts, strict=False) if part.is_number]

    def __repr__(self) -> str:
        return f"TableCodec({len(self.parts)} columns, {sum(self.widths)} numbers)"

    def check(self, raw: Tensor) -> None:
        """Raises UserError for data of another width."""
        if raw.ndim != 2 or raw.shape[1] != len(self.parts):
            raise UserError(f"This codec knows {len(self.parts)} columns, but the data have shape {tuple(raw.shape)}.")

    def encode(self, raw: Tensor) -> Tensor:
        """(B, C) real, NaN for missing → (B, D) float32."""
        self.check(raw)
        values = raw.double()
        return torch.cat([part.encode(values[:, j]) for j, part in enumerate(self.parts)], 1).float()

    def decode(self, z: Tensor) -> Tensor:
        """(B, D) real → (B, C) float64 on the CPU, each value one that its column can hold."""
        split = z.detach().cpu().double().split(self.widths, 1)
        return torch.stack([part.decode(own) for part, own in zip(self.parts, split, strict=True)], 1)


def table_columns(dataset: Dataset, scaling: str = "auto", coding: str = "auto") -> list[dict[str, Any]]:
    """What ``TableCodec`` takes, fitted to the training part of a table; ``data.mixed.table_codec`` says what the words
    mean. Raises UserError for other words and where nothing varies."""
    for name, word, known in (("scaling", scaling, SCALINGS), ("coding", coding, CODINGS)):
        if word not in ("auto", *known):
            raise UserError(f"{name}={word} is not known.{suggest(word, ('auto', *known))}")
    x = dataset.batch(torch.arange(len(dataset)))["x"].double().numpy()
    plain = coding if coding in _BOOKS else "auto"
    columns = [_fitted(column, x[:, j], scaling, plain) for j, column in enumerate(learned(dataset.schema))]
    if all(column["as"] == "constant" for column in columns):
        raise UserError(f"'{dataset.source}' has nothing to learn: every column holds one value in all rows.")
    return columns


def _fitted(column: Column, values: np.ndarray, scaling: str, coding: str) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    gaps = len(known) < len(values)
    if not len(known):
        return {"as": "constant"}
    if known.min() == known.max() and not gaps:
        return {"as": "constant", "value": float(known[0])}
    return _FITTED[column.kind](column, known, len(values) - len(known), scaling, coding)


def _fit_category(column: Column, known: np.ndarray, missing: int, scaling: str, coding: str) -> dict[str, Any]:
    counts = np.bincount(known.astype(np.int64), minlength=len(column.categories)).tolist()
    chosen = ("onehot" if len(counts) <= MOST_ONE_HOT else "bits") if coding == "auto" else coding
    return {"as": "codes", "coding": chosen, "gaps": missing > 0, "counts": counts + [missing] * (missing > 0)}


def _fit_number(column: Column, known: np.ndarray, missing: int, scaling: str, coding: str) -> dict[str, Any]:
    chosen = ("quantile" if len(known) >= FEWEST_FOR_QUANTILES else "standard") if scaling == "auto" else scaling
    low, high = float(known.min()), float(known.max())
    law = knots(known) if chosen == "quantile" else {"mean": float(known.mean()), "std": float(known.std()) or 1.0}
    return {"as": "numbers", "low": low, "high": high, "decimals": column.decimals, "gaps": missing > 0} | law


_FITTED = {"number": _fit_number, "date": _fit_number, "category": _fit_category}

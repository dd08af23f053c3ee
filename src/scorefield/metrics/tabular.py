"""Tables column by column and pair by pair: do single columns, and how they go together, look like the data's?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .inputs import Inputs, Metric, thin
from .resample import Estimate
from .score import Score

_GROUPS = 10  # of the jackknife
_ROWS = 10_000  # of either set
_PAIR_COLUMNS = 40  # columns of which all pairs are looked at, the first ones
_BINS = 20  # quantiles of a number, where it meets a category


class Column(Protocol):
    """What must be known of a column of a table; ``scorefield.data.schema.Column`` is one."""

    name: str
    kind: str  # number, category or date
    categories: tuple[str, ...]
    label: bool


def marginals(x: Tensor, y: Tensor, schema: Sequence[Column]) -> Tensor:
    """The distance between the laws of each column, (N, C), (M, C) → (C,) in [0, 1].

    Categories: total variation ½ Σ_k |p_k − q_k|, missing values being one category more. Numbers and dates: Kolmogorov
    and Smirnov's sup |F − G| of the known values, or the difference of the shares that are missing if that is larger.
    """
    columns = [column for column in schema if not column.label]
    return torch.stack([_MARGINAL[c.kind](x[:, j], y[:, j], c) for j, c in enumerate(columns)])


def _total_variation(x: Tensor, y: Tensor, column: Column) -> Tensor:
    p, q = (_counts(part, len(column.categories)).mean(0) for part in (x, y))
    return (p - q).abs().sum() / 2


def _kolmogorov_smirnov(x: Tensor, y: Tensor, column: Column) -> Tensor:
    gap = (x.isnan().double().mean() - y.isnan().double().mean()).abs()
    x, y = (part[~part.isnan()].sort().values for part in (x, y))
    if not len(x) or not len(y):
        return gap
    at = torch.cat([x, y])
    f, g = (torch.searchsorted(part, at, right=True).double() / len(part) for part in (x, y))
    return torch.maximum((f - g).abs().max(), gap)


_MARGINAL: dict[str, Callable[[Tensor, Tensor, Column], Tensor]] = {
    "category": _total_variation,
    "number": _kolmogorov_smirnov,
    "date": _kolmogorov_smirnov,
}


def _counts(x: Tensor, categories: int) -> Tensor:
    """(N,) codes with NaN → (N, K + 1) one-hot rows, missing last."""
    return F.one_hot(x.nan_to_num(categories).long().clamp(0, categories), categories + 1).double()


def associations(x: Tensor, schema: Sequence[Column]) -> Tensor:
    """How strongly each pair of columns goes together, (N, C) → (P,) of the first 40 columns.

    Two numbers: Spearman's rank correlation, in [−1, 1]. Otherwise the canonical correlation of what stands for each
    column, ranks of a number and indicators of a category: Cramér's V for two categories, the correlation ratio of
    ranks for a number and a category, in [0, 1]. Missing numbers take the middle rank.
    """
    columns = [column for column in schema if not column.label][:_PAIR_COLUMNS]
    views = [_view(x[:, j], column) for j, column in enumerate(columns)]
    found = [_canonical(views[i], views[j]) for i, j in combinations(range(len(columns)), 2)]
    return torch.stack(found) if found else torch.zeros(0, dtype=torch.float64)


def _view(x: Tensor, column: Column) -> Tensor:
    """Centred orthonormal columns (N, K) that stand for one column of the table."""
    if column.categories:
        rows = _counts(x, len(column.categories))
        share = rows.mean(0)
        rows = rows[:, share > 0] / share[share > 0].sqrt()
        return (rows - rows.mean(0)) / len(x) ** 0.5
    rank = _ranks(x)
    rank = rank - rank.mean()
    return (rank / rank.norm().clamp_min(1e-12))[:, None]


def _ranks(x: Tensor) -> Tensor:
    """Mean ranks (N,); NaN takes the middle."""
    known = x[~x.isnan()].sort().values
    if not len(known):
        return torch.zeros(len(x), dtype=torch.float64)
    values = x.nan_to_num(float(known[len(known) // 2])).contiguous()
    return (torch.searchsorted(known, values).double() + torch.searchsorted(known, values, right=True)) / 2


def _canonical(u: Tensor, v: Tensor) -> Tensor:
    """Two ranks: their correlation. Else (Σ ρ² / min(K, L))^½ over the singular values ρ of u'v (Cramér 1946, 21.9)."""
    cross = u.T @ v
    if cross.numel() == 1:
        return cross[0, 0]
    least = min(max(part.shape[1] - (part.shape[1] > 1), 1) for part in (u, v))
    return (cross.square().sum() / least).clamp(0, 1).sqrt()


@dataclass(frozen=True)
class _Averaged:
    """A figure that is the mean of many differences, with a jackknife over groups of the samples."""

    name: str
    label: str
    differences: Callable[[Tensor, Tensor, Sequence[Column]], Tensor]
    named: Callable[[Sequence[Column]], list[str]]

    def __call__(self, inputs: Inputs) -> Score:
        schema, seed = inputs.about["schema"], inputs.seed
        fake, stand_in, real = (
            thin(x.cpu().double(), _ROWS, seed, part)
            for part, x in enumerate((inputs.raw.matched, inputs.raw.stand_in, inputs.raw.reference))
        )
        each = self.differences(fake, real, schema)
        value, floor = (self._estimate(x, real, schema) for x in (fake, stand_in))
        names = self.named(schema)
        worst = int(each.argmax()) if len(each) else 0
        return Score(
            name=self.name,
            label=self.label,
            value=value.value,
            se=value.se,
            floor=floor.value,
            floor_se=floor.se,
            n_fake=len(fake),
            n_real=len(real),
            features="columns",
            se_from=f"jackknife over {_GROUPS} groups",
            note=f"the largest is {float(each[worst]):.3f}, of {names[worst]}" if len(each) else "",
            details=dict(zip(names, each.tolist(), strict=True)),
        )

    def _estimate(self, x: Tensor, real: Tensor, schema: Sequence[Column]) -> Estimate:
        """The mean difference; its error from leaving out each tenth of the samples in turn."""
        group = torch.arange(len(x)) % _GROUPS
        left = torch.tensor([float(self._mean(x[group != g], real, schema)) for g in range(_GROUPS)])
        spread = float(((_GROUPS - 1) * left.var(correction=0)).sqrt())
        return Estimate(float(self._mean(x, real, schema)), spread)

    def _mean(self, x: Tensor, real: Tensor, schema: Sequence[Column]) -> Tensor:
        each = self.differences(x, real, schema)
        return each.mean() if len(each) else torch.zeros(())


def _column_names(schema: Sequence[Column]) -> list[str]:
    return [column.name for column in schema if not column.label]


def _pair_names(schema: Sequence[Column]) -> list[str]:
    return [f"{a} × {b}" for a, b in combinations(_column_names(schema)[:_PAIR_COLUMNS], 2)]


def _association_differences(x: Tensor, y: Tensor, schema: Sequence[Column]) -> Tensor:
    return (associations(x, schema) - associations(y, schema)).abs()


MARGINALS = Metric(_Averaged("marginals", "distance of single columns", marginals, _column_names), ("schema",))
ASSOCIATIONS = Metric(
    _Averaged("associations", "difference of associations", _association_differences, _pair_names), ("schema",)
)

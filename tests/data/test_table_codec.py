"""Every row comes back as it was; every number decodes to a cell that its column can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefield.data import codec_for, open_data
from scorefield.data.dataset import Dataset
from scorefield.data.mixed import MixedCodec, table_codec
from scorefield.data.quantiles import QuantileMap, knots
from scorefield.data.schema import Column
from scorefield.data.tabular import TableCodec
from scorefield.errors import UserError
from scorefield.registry import from_config, to_config
from scorefield.testing import check_codec

HOW = [{"scaling": s, "coding": c} for s in ("quantile", "standard") for c in ("tokens", "onehot", "bits")]


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


@pytest.mark.parametrize("how", HOW, ids=lambda how: "-".join(how.values()))
@pytest.mark.parametrize("name", ["adult/adult_train.csv.gz", "california_housing/california_housing.csv.gz"])
def test_every_row_of_real_tables_comes_back(shared_data: Path, name: str, how: dict[str, str]):
    data = open_data(shared_data / name)
    codec = table_codec(data, **how)
    z = codec.encode(data.x)
    assert z.dtype == torch.float32 and z.isfinite().all()
    assert same(codec.decode(z), data.x)


# Whole numbers up to 10⁵ and two decimals up to 10³ are within the seven digits of a float32, whatever the map.
cell = {
    "int": st.integers(-100_000, 100_000).map(float),
    "cents": st.integers(-100_000, 100_000).map(lambda v: v / 100),
    "category": st.integers(0, 6).map(float),
    "day": st.integers(-20_000, 20_000).map(float),
}
SCHEMA = (
    Column("int", "number", "int", decimals=0),
    Column("cents", "number", "float", decimals=2),
    Column("category", "category", "text", categories=tuple("abcdefg"), decimals=0),
    Column("day", "date", "date", decimals=0, format="%Y-%m-%d"),
)
row = st.tuples(*(st.one_of(cell[c.name], st.just(float("nan"))) for c in SCHEMA))


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(row, min_size=2, max_size=90), how=st.sampled_from(HOW))
def test_made_tables_come_back(rows: list[tuple[float, ...]], how: dict[str, str]):
    data = Dataset("t", "table", torch.tensor(rows, dtype=torch.float64), schema=SCHEMA, source="t.csv")
    varies = any(len(set(map(str, column))) > 1 for column in zip(*rows, strict=True))
    if not varies:
        with pytest.raises(UserError, match="has nothing to learn"):
            table_codec(data, **how)
        return
    codec = table_codec(data, **how)
    assert same(codec.decode(codec.encode(data.x)), data.x)
    again = from_config(to_config(codec), "codec")
    assert torch.equal(again.encode(data.x), codec.encode(data.x))


@pytest.mark.parametrize("how", HOW, ids=lambda how: "-".join(how.values()))
def test_any_numbers_decode_to_cells_of_the_column(shared_data: Path, how: dict[str, str]):
    data = open_data(shared_data / "california_housing" / "california_housing.csv.gz")
    codec = table_codec(data, **how)
    width = codec.encode(data.x[:1]).shape[1]
    x = codec.decode(3 * torch.randn(500, width))
    for j, column in enumerate(data.schema):
        known = x[:, j][~x[:, j].isnan()]
        assert len(known) and known.min() >= column.low and known.max() <= column.high
        assert torch.equal(known, (known * 10**column.decimals).round() / 10**column.decimals)
        assert x[:, j].isnan().any() == (column.missing > 0)


def test_quantiles_make_normal_numbers():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(20_000) < 0.6, 0.0, rng.lognormal(3, 2, 20_000))
    made = QuantileMap(**knots(values))
    z = made.encode(torch.from_numpy(values))
    positive = z[torch.from_numpy(values) > 0].sort().values
    # 60 % are zero: the rest lies beyond Φ⁻¹(0.6) as a normal tail. Half of the 256 knots are quantiles, 1/128 apart.
    wanted = torch.linspace(0.6, 1, len(positive) + 2, dtype=torch.float64)[1:-1]
    assert (torch.special.ndtr(positive) - wanted).abs().max() < 1 / 128
    # Everything in the interval of zero, and nothing else, decodes to zero.
    inside = torch.tensor([-3.0, 0.0, 0.24], dtype=torch.float64)
    assert made.decode(inside).tolist() == [0, 0, 0] and made.decode(torch.tensor([0.3], dtype=torch.float64)) > 0


def test_knots_count_every_row_once():
    values = np.random.default_rng(0).integers(0, 3000, 10_000).astype(float)
    law = knots(values)
    assert sum(law["at"]) + sum(law["between"]) == 10_000 and len(law["values"]) <= 256
    assert law["values"][0] == values.min() and law["values"][-1] == values.max()


def test_only_what_varies_takes_numbers():
    x = torch.tensor([[1.0, float("nan"), 2.0, 0.0], [1.0, float("nan"), 3.0, 1.0]], dtype=torch.float64)
    schema = (
        Column("same", "number", "int", decimals=0),
        Column("empty", "number", "float"),
        Column("n", "number", "int", decimals=0),
        Column("yes", "category", "bool", categories=("no", "yes")),
    )
    codec = table_codec(Dataset("t", "table", x, schema=schema))
    assert codec.encode(x).shape == (2, 2) and same(codec.decode(codec.encode(x)), x)
    check_codec(table_codec(Dataset("t", "table", x[:, 2:], schema=schema[2:])), x[:, 2:])


def test_bits_that_mean_nothing_decode_to_a_category():
    codec = TableCodec([{"as": "codes", "counts": [5, 5, 5], "coding": "bits", "gaps": False}])
    assert codec.encode(torch.tensor([[0.0], [1.0], [2.0]])).tolist() == [[-1, -1], [1, -1], [-1, 1]]
    assert set(codec.decode(torch.tensor([[1.0, 1.1], [0.9, 2.0]])).flatten().tolist()) <= {1.0, 2.0}


def test_many_categories_take_bits():
    x = torch.arange(100, dtype=torch.float64)[:, None]
    schema = (Column("c", "category", "text", categories=tuple(map(str, range(100)))),)
    assert codec_for(Dataset("t", "table", x, schema=schema), coding="numbers").encode(x).shape == (100, 7)
    assert codec_for(Dataset("t", "table", x, schema=schema), coding="onehot").encode(x).shape == (100, 100)


def test_categories_and_numbers_of_few_values_become_tokens_behind_the_numbers():
    """The values that 20 rows share, and "missing"; not the number that is another in every row. Without categories
    nothing changes, and rows are compared in the same numbers either way."""
    n = 200
    x = torch.stack([torch.arange(n) % 5 * 10.0, torch.arange(n) / 7, torch.arange(n) % 3 * 1.0], 1).double()
    x[::4, 0] = float("nan")
    schema = (
        Column("few", "number", "int", decimals=0),
        Column("many", "number", "float"),
        Column("word", "category", "text", categories=("a", "b", "c")),
    )
    data = Dataset("t", "table", x, schema=schema)
    codec = table_codec(data)
    assert isinstance(codec, MixedCodec) and codec.columns == 1 and codec.sizes == [6, 3] and codec.numbers == [0]
    z = codec.encode(x)
    assert z[:3, 1:].tolist() == [[5.0, 0.0], [1.0, 1.0], [2.0, 2.0]] and z[:, 0].std() > 0.9
    assert same(codec.decode(z), x)
    plain = table_codec(data, coding="numbers")
    assert isinstance(plain, TableCodec) and torch.equal(codec.plain.encode(x), plain.encode(x))
    z[0, 1:] = 6.0
    assert codec.unfinished(z, 6)[0].isnan().tolist() == [True, False, True]
    assert isinstance(table_codec(Dataset("t", "table", x[:, :2], schema=schema[:2])), TableCodec)
    only = table_codec(Dataset("t", "table", x[:, :1], schema=schema[:1]), coding="tokens")
    assert isinstance(only, MixedCodec) and only.columns == 0 and same(only.decode(only.encode(x[:, :1])), x[:, :1])


@pytest.mark.parametrize(
    "build, error",
    [
        (lambda: MixedCodec([{"as": "constant", "value": 1.0}], [0]), "columns of listed values"),
        (lambda: TableCodec([{"as": "numbers"}]), "columns do not describe a table"),
        (lambda: TableCodec([{"as": "constant", "value": 1.0}]).encode(torch.zeros(2, 3)), "knows 1 columns"),
        (lambda: table_codec(Dataset("t", "table", torch.zeros(2, 1)), scaling="x"), "scaling=x is not known"),
        (lambda: table_codec(Dataset("t", "table", torch.zeros(2, 1)), coding="x"), "coding=x is not known"),
    ],
)
def test_refusals(build, error: str):
    with pytest.raises(UserError, match=error):
        build()

"""What a column holds is read off its cells, and its numbers become the same cells again."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from scorefield.data import open_data
from scorefield.data.conform import conformed, reading, same_table
from scorefield.data.schema import Column, csv_text
from scorefield.errors import UserError

MIXED = """age,city,born,seen,price,share,ok,code,note,gone
31,Ulm,1990-02-03,2024-01-01 10:00:00,2.50,1e-3,True,007,?,
,Rom,2001-12-31,2024-01-02 11:30:00,12.00,0.25,False,010,x,
5,Ulm,,2024-01-01 10:00:00,3.10,2,True,007,x,
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.csv"
    path.write_text(MIXED)
    return path


def test_kinds(mixed: Path):
    data = open_data(mixed)
    found = {c.name: (c.kind, c.dtype) for c in data.schema}
    assert found == {
        "age": ("number", "int"), "city": ("category", "text"), "born": ("date", "date"), "seen": ("date", "datetime"),
        "price": ("number", "float"), "share": ("number", "float"), "ok": ("category", "bool"),
        "code": ("category", "text"), "note": ("category", "text"), "gone": ("number", "float"),
    }  # fmt: skip
    price, share, note = (data.schema[i] for i in (4, 5, 8))
    assert (price.decimals, price.padded, price.low, price.high) == (1, 2, 2.5, 12.0)
    assert (share.decimals, note.blank, note.categories) == (-1, "?", ("x",))
    assert data.x[0, 2] == 7338 and data.x[0, 3] == 1704103200  # days and seconds since 1970
    assert data.notes == (
        "Without a value in any row: gone; samples leave it empty too.",
        "The same in every row that has it: note; samples repeat it.",
        "Missing values are learned as such: age 33.3%, born 33.3%, note 33.3%.",
    )


def test_numbers_become_the_same_cells_again(mixed: Path):
    data = open_data(mixed)
    rows = list(csv.reader(io.StringIO(csv_text(data.schema, data.x.numpy()))))
    wanted = list(csv.reader(io.StringIO(MIXED)))
    wanted[1][5], wanted[3][5] = "0.001", "2.0"  # numbers with an exponent among them are written as Python does
    assert rows == wanted


def test_every_adult_row_is_written_as_it_was(shared_data: Path):
    path = shared_data / "adult" / "adult_test.csv.gz"
    data = open_data(path, label="income", holdout=0)
    names = [data.classes[k] for k in data.labels]
    with gzip.open(path, "rt") as file:
        assert csv_text(data.schema, data.x.numpy(), names) == file.read()


def test_a_label_stays_in_its_place_and_can_stay_a_column(mixed: Path):
    data = open_data(mixed, label="city")
    assert [c.name for c in data.schema if c.label] == ["city"] and data.schema[1].label
    assert data.schema[1].shares == pytest.approx((1 / 3, 2 / 3)) and "city" not in data.columns
    assert csv_text(data.schema, data.x.numpy(), ["Ulm", "Rom", "Ulm"]).splitlines()[1].startswith("31,Ulm,")
    assert "city" in open_data(mixed).columns


def test_categories_can_be_asked_for(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("zip,n,size\n89073,0,3+\n10115,1,2\n89073,2,1\n")
    data = open_data(path, categories=["zip", "size"])
    assert [c.kind for c in data.schema] == ["category", "number", "category"]
    assert data.schema[0].categories == ("10115", "89073") and data.schema[2].categories == ("1", "2", "3+")
    with pytest.raises(UserError, match=r"has no column 'zap' \(categories=\)"):
        open_data(path, categories="zap")


def test_days_and_months_are_told_apart_by_what_reads_all(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n03/04/2020,12/31/2020,1/2/2020\n04/05/2021,01/02/2021,1/3/2020\n")
    a, b, c = open_data(path).schema
    assert (a.format, b.format, c.kind) == ("%d/%m/%Y", "%m/%d/%Y", "category")
    assert "Dates are read as day/month/year: a." in open_data(path).notes


def test_another_file_takes_over_the_codes_of_the_first(tmp_path: Path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("n,kind,y\n1,cat,p\n2,dog,q\n3,cat,p\n")
    second.write_text("y,kind,n\nq,emu,1\nq,dog,2\n")
    schema = open_data(first, label="y").schema
    other = open_data(second, **reading(schema))
    assert not same_table(other, schema)
    same = conformed(other, schema)
    assert torch.equal(same.x.nan_to_num(-1), torch.tensor([[1.0, -1.0], [2.0, 1.0]], dtype=torch.float64))
    assert same.labels is not None and same.labels.tolist() == [1, 1] and same.classes == ("p", "q")
    third = tmp_path / "c.csv"
    third.write_text("n,kind\nlow,cat\nhigh,cat\n")
    with pytest.raises(UserError, match="Column 'n' of c holds words, but this run learned numbers"):
        conformed(open_data(third, columns=["n", "kind"]), open_data(first, columns=["n", "kind"]).schema)


def test_parquet_keeps_types(tmp_path: Path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    import datetime

    from scorefield.data.parquet import parquet_bytes

    table = pa.table(
        {
            "i": pa.array([1, None, 3], pa.int16()),
            "f": pa.array([0.1, 2.5, None], pa.float32()),
            "s": pa.array(["007", None, "x"], pa.string()),
            "b": pa.array([True, False, None], pa.bool_()),
            "d": pa.array([datetime.date(2020, 1, 2), None, datetime.date(1969, 5, 6)], pa.date32()),
            "t": pa.array([datetime.datetime(2020, 1, 2, 3, 4, 5, 678), None, None], pa.timestamp("us")),
        }
    )
    path = tmp_path / "t.parquet"
    parquet.write_table(table, path)
    data = open_data(path)
    kinds = [(c.kind, c.dtype) for c in data.schema]
    assert kinds == [
        ("number", "int"), ("number", "float"), ("category", "text"), ("category", "bool"), ("date", "date"),
        ("date", "datetime"),
    ]  # fmt: skip
    again = parquet.read_table(pa.BufferReader(parquet_bytes(data.schema, data.x.numpy())))
    assert again.schema.equals(table.schema) and again.to_pylist() == table.to_pylist()
    parquet.write_table(pa.table({"a": [[1], [2]], "b": [1, 2]}), tmp_path / "nested.parquet")
    with pytest.raises(UserError, match=r"column 'a' is of type .*Leave it out: columns=b"):
        open_data(tmp_path / "nested.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        open_data(tmp_path / "broken.parquet")


def test_columns_survive_their_config(mixed: Path):
    for column in open_data(mixed, label="city").schema:
        assert Column.from_dict(column.to_dict()) == column


def test_describe_speaks_of_columns(mixed: Path):
    from scorefield.data import describe

    account = describe(open_data(mixed))
    age, city = account["table"][:2]
    assert age == {
        "name": "age", "kind": "number", "dtype": "int", "missing": 1, "low": "5", "high": "31", "distinct": 2,
        "mean": 18.0, "std": 13.0,
    }  # fmt: skip
    assert city["categories"] == {"Ulm": 2, "Rom": 1} and account["range"] == [] and account["table"][9]["missing"] == 3
    assert np.isfinite(age["mean"])

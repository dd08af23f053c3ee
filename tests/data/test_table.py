"""Tables with and without headers, classes and gaps; each fault named by row and column."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
import torch

from scorefield.data import open_data
from scorefield.errors import UserError


def says(text: str):
    return pytest.raises(UserError, match=f"^{re.escape(text)}$")


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "t.csv") -> Path:
        (tmp_path / name).write_bytes(text.encode("utf-8"))
        return tmp_path / name

    return write


PLAIN = torch.tensor([[1.0, 2.5], [-3.0, 4e-3]], dtype=torch.float64)
SPELLINGS = {
    "header": ("a,b\n1,2.5\n-3,4e-3\n", "t.csv", ("a", "b")),
    "no header": ("1,2.5\n-3,4e-3\n", "t.csv", ("column1", "column2")),
    "byte order mark": ("\ufeffa,b\r\n1,2.5\r\n-3,4e-3\r\n", "t.csv", ("a", "b")),
    "semicolons": ("a;b\n1;2.5\n-3;4e-3", "t.csv", ("a", "b")),
    "tabs": ("a\tb\n1\t2.5\n-3\t4e-3\n", "t.tsv", ("a", "b")),
    "quotes, spaces, blank lines": ('"a, in m", b\n 1, "2.5"\n\n-3,4e-3\n', "t.csv", ("a, in m", "b")),
}


@pytest.mark.parametrize("text, name, columns", SPELLINGS.values(), ids=SPELLINGS)
def test_spellings(write, text: str, name: str, columns: tuple[str, ...]):
    text = text.replace(', "2.5"', ",2.5")
    data = open_data(write(text, name))
    assert (data.kind, data.columns, data.x.dtype) == ("table", columns, torch.float64)
    assert torch.equal(data.x, PLAIN)


def test_gzip(tmp_path: Path):
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("a,b\n1,2.5\n-3,4e-3\n")
    data = open_data(tmp_path / "t.csv.gz")
    assert data.name == "t" and torch.equal(data.x, PLAIN)
    content = (tmp_path / "t.csv.gz").read_bytes()
    (tmp_path / "t.csv.gz").write_bytes(content[:-12])
    with pytest.raises(UserError, match="cannot be read as a table of text"):
        open_data(tmp_path / "t.csv.gz")


def test_columns_and_label(write):
    path = write("size,weight,kind\n1,2,cat\n3,4,ant\n5,6,cat\n")
    data = open_data(path, label="kind")
    assert data.columns == ("size", "weight") and data.classes == ("ant", "cat")
    assert data.labels is not None and data.labels.tolist() == [1, 0, 1]
    one = open_data(path, columns="weight", label="kind")
    assert one.columns == ("weight",) and one.x.tolist() == [[2], [4], [6]]
    assert open_data(path, columns=["weight", "size"]).x[0].tolist() == [2, 1]
    assert open_data(write("1,2,x\n3,4,y\n"), label="column3").classes == ("x", "y")
    assert open_data(write("a,b\n1,2.0\n3,10\n4,2\n"), label="b").classes == ("2", "10")


FAULTS = {
    "word": (
        "a,b\n1,2\n3,x\n",
        {},
        "'{}': row 3, column 'b' holds 'x', which is not a number, as the other cell is. Write an empty cell where "
        "no number is known, or take the column as words: categories=b.",
    ),
    "infinity": (
        "a,b\n1,2\ninf,4\n",
        {},
        "'{}': row 3, column 'a' holds 'inf', which is not a finite number. Write an empty cell where no number is "
        "known, or leave the column out with columns=a,b.",
    ),
    "unknown column": ("width,b\n1,2\n", {"columns": "widht"},
                       "'{}' has no column 'widht' (columns=). Did you mean 'width'?"),
    "unknown label": ("a,b\n1,2\n", {"label": "kind"}, "'{}' has no column 'kind' (label=). Known: a, b."),
    "ragged": ("a,b\n1,2\n3\n", {}, "'{}': row 3 has 1 cell, but row 1 has 2. Every row needs the same columns."),
    "empty": ("", {}, "'{}' is empty. It needs a row for each example."),
    "header alone": ("a,b\n", {}, "'{}' has no rows to train on: there is nothing below its header."),
    "twice": ("a,a\n1,2\n", {}, "'{}' has two columns named 'a'. Rename one."),
    "label alone": ("a\n1\n", {"label": "a"}, "'{}' has no column left to train on besides the class 'a'."),
    "quantity as label": (
        "a,b\n1,2\n3,4.5\n",
        {"label": "b"},
        "Column 'b' of '{}' holds 4.5 at [1]. Classes are whole numbers or words; "
        "leave label= out if this is a quantity.",
    ),
    "no class": (
        "a,b\n1,\n2,NA\n",
        {"label": "b"},
        "'{}' has no rows to train on: no row has a class; the first has nothing in row 2, column 'b'.",
    ),
    "gap, strict": (
        "a,b\n1,2\n2,\n",
        {"strict": True, "label": "b"},
        "strict=yes, and '{}' has nothing in row 3, column 'b'. Fill it in, or leave strict=yes out to skip such rows.",
    ),
    "thousands": (
        "a;b\n1;2,000\n3;4\n",
        {},
        "'{}': row 2, column 'b' holds '2,000': a number with thousands separators. Write it plainly, as 1234567.8.",
    ),
    "decimal comma": (
        "a;b\n1;2,5\n3;4,25\n",
        {},
        "'{}': row 2, column 'b' holds '2,5': a number with a decimal comma. Write it with a point, as 2.5.",
    ),
    "ids": (
        "id,b\n" + "".join(f"u{i:03},1\n" for i in range(150)),
        {},
        "'{}': column 'id' has 150 different words in 150 rows, such as 'u000': names or ids, from which nothing can "
        "be learned. Choose the other columns: columns=a,b.",
    ),
    "long digits": (
        "a,b\n1,1234567890123456\n2,3\n",
        {},
        "'{}': row 2, column 'b' holds '1234567890123456', which has more than 15 digits: a name rather than a "
        "quantity. Leave the column out with columns=a,b, or take it as words: categories=b.",
    ),
    "too large": (
        "a,b\n1,1e999\n2,3\n",
        {},
        "'{}': row 2, column 'b' holds '1e999', which is too large for a number. Leave the column out with "
        "columns=a,b.",
    ),
    "size": ("a\n1\n", {"size": 32}, "size= does not apply to a table. Leave it out."),
}  # fmt: skip


@pytest.mark.parametrize("text, options, error", FAULTS.values(), ids=FAULTS)
def test_faults(write, text: str, options: dict, error: str):
    path = write(text)
    with says(error.format(path)):
        open_data(path, **options)


def test_gaps_are_missing_values_and_rows_without_a_class_are_skipped(write):
    path = write("a,b\n1,2\n,3\n4,NA\n5,6\n")
    data = open_data(path)
    assert data.x.isnan().tolist() == [[False, False], [True, False], [False, True], [False, False]]
    assert data.notes == ("Missing values are learned as such: a 25.0%, b 25.0%.",) and not data.broken
    labelled = open_data(path, label="b")
    assert labelled.x.shape == (3, 1) and labelled.classes == ("2", "3", "6")
    assert labelled.notes[0] == "1 row without a class skipped; the first has nothing in row 4, column 'b'."
    assert [file.path for file in labelled.broken] == ["row 4"]


def test_other_bytes(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe,2\n")
    with pytest.raises(UserError, match="cannot be read as a table of text in UTF-8"):
        open_data(tmp_path / "t.csv")


def test_california_housing(shared_data: Path):
    data = open_data(shared_data / "california_housing" / "california_housing.csv.gz", label="ocean_proximity")
    assert len(data) == 20_640 - 2000 and len(data.columns) == 9 and len(data.classes) == 5
    assert data.notes == ("Missing values are learned as such: total_bedrooms 1.0%.",)
    assert data.held_out is not None
    assert data.x[:, 4].isnan().sum() + data.held_out.x[:, 4].isnan().sum() == 207

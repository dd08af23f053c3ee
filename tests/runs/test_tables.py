"""A mixed table from end to end: trained on, sampled in its own form, measured, drawn, reported."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import scorefield
from scorefield.data import open_data
from scorefield.errors import UserError

SMALL = {"channels": 16, "blocks": 1, "batch": 32, "steps": 4, "preview": 4, "device": "cpu", "evaluate": False}


def write(path: Path, n: int = 120) -> Path:
    rng = np.random.default_rng(0)
    kinds = rng.choice(["cat", "dog", ""], n, p=[0.5, 0.4, 0.1])
    days = [str(np.datetime64("2020-01-01") + int(day)) for day in rng.integers(0, 500, n)]
    rows = zip(rng.integers(0, 99, n), kinds, days, rng.normal(size=n).round(2), rng.random(n) < 0.3, strict=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "kind", "born", "x.y", "tame"])
        writer.writerows([age, kind, day, f"{x:.2f}", "true" if yes else "false"] for age, kind, day, x, yes in rows)
    return path


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> scorefield.Run:
    """A run on a table with a class column, four steps long; its data were removed afterwards."""
    folder = tmp_path_factory.mktemp("pets")
    path = write(folder / "pets.csv")
    run = scorefield.train(str(path), label="tame", runs=folder / "runs", **SMALL)
    path.rename(folder / "elsewhere.csv")
    return run


def test_samples_have_the_form_of_the_file(pets: scorefield.Run, tmp_path: Path):
    again = scorefield.load(pets.folder.path)  # from the folder alone: the data are gone
    samples = again.sample(80, steps=3)
    data = open_data(pets.folder.path.parents[1] / "elsewhere.csv", label="tame", holdout=0)
    lines = samples.save(tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "age,kind,born,x.y,tame" and len(lines) == 81
    read = open_data(tmp_path / "s.csv", label="tame", holdout=0)
    assert [(c.name, c.kind, c.format) for c in read.schema] == [(c.name, c.kind, c.format) for c in data.schema]
    for own, column in zip(samples.x.T, data.schema, strict=False):
        known = own[~own.isnan()]
        assert column.low <= known.min() and known.max() <= column.high
        assert torch.equal(known, (known * 10**column.decimals).round() / 10**column.decimals)
    # A table's classes come as often as in the data, not in turn.
    assert samples.labels is not None and data.labels is not None
    assert abs(samples.labels.double().mean() - data.labels.double().mean()) < 0.02


def test_parquet(pets: scorefield.Run, tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    samples = pets.sample(10, steps=2)
    table = parquet.read_table(samples.save(tmp_path / "s.parquet"))
    assert table.column_names == ["age", "kind", "born", "x.y", "tame"]
    assert [str(t) for t in table.schema.types] == ["int64", "string", "date32[day]", "double", "string"]
    assert set(table["tame"].to_pylist()) <= {"true", "false"}


def test_the_same_samples_whatever_the_batch(pets: scorefield.Run):
    one, other = pets.sample(12, steps=2, batch=12), pets.sample(5, steps=2, batch=2)
    assert torch.equal(one.x[:5].nan_to_num(-1), other.x.nan_to_num(-1))


def test_it_is_measured_against_its_data_and_another_file(tmp_path: Path):
    path = write(tmp_path / "pets.csv")
    run = scorefield.train(str(path), runs=tmp_path / "runs", **SMALL)
    names = ["marginals", "associations", "utility", "copies"]
    found = run.evaluate(metrics=names, steps=2)
    assert [score.name for score in found] == names and all(np.isfinite(score.value) for score in found)
    assert set(found["marginals"].details) == {"age", "kind", "born", "x.y", "tame"}
    other = run.evaluate(write(tmp_path / "more.csv"), metrics=["marginals"], steps=2, n=30)
    assert np.isfinite(other["marginals"].value)
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="has no column 'age'"):
        run.evaluate(tmp_path / "odd.csv")
    page = run.report().read_text(encoding="utf-8")
    assert "pets" in page and "distance of single columns" in page


def test_changed_categories_are_noticed(tmp_path: Path):
    path = write(tmp_path / "pets.csv")
    run = scorefield.train(str(path), runs=tmp_path / "runs", **SMALL)
    path.write_text(path.read_text().replace("dog", "emu"))
    with pytest.raises(UserError, match="now holds other columns or categories"):
        run.dataset()


def test_options_of_tables(tmp_path: Path):
    path = write(tmp_path / "pets.csv")
    run = scorefield.train(str(path), runs=tmp_path / "runs", coding="bits", scaling="standard", **SMALL)
    columns = run.config["codec"]["columns"]
    assert [column["as"] for column in columns] == ["numbers", "codes", "numbers", "numbers", "codes"]
    assert "mean" in columns[0] and columns[1]["coding"] == "bits" and run.encoded == (6,)
    with pytest.raises(UserError, match="coding=bits is for tables, but moons holds vectors"):
        scorefield.train("moons", runs=tmp_path / "runs", coding="bits", steps=2)

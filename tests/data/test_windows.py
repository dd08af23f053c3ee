"""One long series as windows: every one of them, no row on both sides of the split, gaps left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scorefield.data import Dataset, cache, open_data
from scorefield.errors import UserError


def series(path: Path, total: int = 400, columns: int = 2) -> np.ndarray:
    """Row t holds t, 1000 + t, …: a window says which rows it is made of."""
    values = np.arange(total, dtype=np.float32)[:, None] + 1000 * np.arange(columns, dtype=np.float32)
    if path.suffix == ".csv":
        lines = [",".join(["when", *(f"c{i}" for i in range(columns))])]
        lines += [",".join([f"2020-01-01 {t}", *(f"{v:g}" for v in row)]) for t, row in enumerate(values)]
        path.write_text("\n".join(lines))
    else:
        (np.save if path.suffix == ".npy" else np.savez)(path, values)
    return values


@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.npz"])
@pytest.mark.parametrize("stride", [1, 7])
def test_windows_of_a_series(tmp_path: Path, name: str, stride: int):
    values = series(tmp_path / name)
    data = open_data(tmp_path / name, window=16, stride=stride, holdout=0)
    expected = np.stack([values[s : s + 16].T for s in range(0, 400 - 15, stride)])
    assert data.kind == "signals" and np.array_equal(data.x.numpy(), expected)
    assert data.columns == (("c0", "c1") if name == "a.csv" else ())
    assert (f"400 rows of 2 columns became {len(expected)} windows of 16 rows, one every {stride}.") in data.notes


@pytest.mark.parametrize("holdout", [None, 0.1, 0.45])
def test_no_row_is_on_both_sides(tmp_path: Path, holdout: float | None):
    series(tmp_path / "a.npy", total=3000)
    data = open_data(tmp_path / "a.npy", window=16, holdout=holdout)
    assert data.held_out is not None
    train, aside = (set(part.x[:, 0].flatten().int().tolist()) for part in (data, data.held_out))
    assert not train & aside and len(train | aside) == 3000  # every row is in one of them
    assert len(aside) == pytest.approx(3000 * (holdout or 0.1), abs=16)
    assert len(data) + len(data.held_out) > 0.85 * (3000 - 15)


def test_a_series_that_stays_where_it_is_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    series(tmp_path / "a.npy", total=3000)
    small = open_data(tmp_path / "a.npy", window=16)
    monkeypatch.setattr(cache, "IN_MEMORY", 0)
    large = open_data(tmp_path / "a.npy", window=16)
    index = torch.tensor([5, 0, 2000, 5])
    assert not torch.is_tensor(large.x) and torch.equal(large.batch(index)["x"], small.batch(index)["x"])
    assert large.shape == small.shape and len(large) == len(small) and large.fingerprint != small.fingerprint
    assert large.fingerprint == open_data(tmp_path / "a.npy", window=16).fingerprint


def test_windows_over_a_gap_are_left_out(tmp_path: Path):
    (tmp_path / "a.csv").write_text("a,b\n" + "".join(f"{t},{'' if t == 50 else t}\n" for t in range(100)))
    data = open_data(tmp_path / "a.csv", window=10, holdout=0)
    assert len(data) == 91 - 10 and torch.isfinite(data.x).all()
    assert "10 windows with an empty cell left out." in data.notes


def test_a_sound_is_a_series_too(tmp_path: Path):
    from scorefield.data.sound import wave_bytes

    (tmp_path / "a.wav").write_bytes(wave_bytes(np.sin(np.arange(8000) / 9)[None], 8000))
    data = open_data(tmp_path / "a.wav", window=1024, stride=512)
    assert isinstance(data, Dataset) and (data.shape, data.rate) == ((1, 1024), 8000)


def test_refusals(tmp_path: Path):
    series(tmp_path / "a.npy", total=40)
    np.save(tmp_path / "b.npy", np.zeros((2, 3, 4)))
    (tmp_path / "w.csv").write_text("a,b\nx,y\nz,w\n")
    for name, options, sentence in (
        ("a.npy", {"window": 41}, "has 40 rows, fewer than window=41"),
        ("a.npy", {"window": 20, "holdout": 0.1}, "holdout=0.1 of the 40 rows of .* is less than one window of 20"),
        ("a.npy", {"window": 20, "holdout": 0.6}, "leaves no window of 20 rows to train on"),
        ("a.npy", {"window": 4, "label": "a"}, "label= does not apply to windows of a series"),
        ("a.npy", {"stride": 4}, "stride= goes with window="),
        ("b.npy", {"window": 2}, r"has shape \(2, 3, 4\) float64. window= cuts a series of numbers"),
        ("w.csv", {"window": 2}, "has no column of numbers"),
        ("none.csv", {"window": 2}, "does not exist"),
        ("digits", {"window": 2}, "window= does not apply to the embedded set .digits."),
    ):
        with pytest.raises(UserError, match=sentence):
            open_data(name if name == "digits" else tmp_path / name, **options)


def test_ett(shared_data: Path):
    path = shared_data / "ett_h1" / "ETTh1.csv.gz"
    if not path.is_file():
        pytest.skip("ett_h1 is absent")
    data = open_data(path, window=96)
    assert data.held_out is not None and data.shape == (7, 96) and data.columns[-1] == "OT"
    assert len(data) > 15_000 and len(data.held_out) > 1500

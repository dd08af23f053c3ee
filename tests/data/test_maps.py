"""Arrays larger than memory: read where they lie, split without a copy, never written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scorefield.data import Dataset, codec_for, describe, open_data
from scorefield.errors import UserError

N = 60


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as large."""
    from scorefield.data import arrays, cache

    for module in (arrays, cache):
        monkeypatch.setattr(module, "IN_MEMORY", 0)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


CASES = {
    "bytes": ((numbers(N, 3, 8, 9) * 40 + 128).clip(0, 255).astype(np.uint8), {}),
    "channels last": ((numbers(N, 8, 9, 3) * 40 + 128).clip(0, 255).astype(np.uint8), {"size": 4}),
    "grey in three channels": (np.repeat((numbers(N, 1, 8, 8) * 9 + 99).astype(np.uint8), 3, 1), {}),
    "made grey": ((numbers(N, 4, 8, 8) * 40 + 128).clip(0, 255).astype(np.uint8), {"color": "gray"}),
    "unit interval": (np.random.default_rng(1).random((N, 3, 8, 8)), {}),
    "plus and minus one": (np.random.default_rng(1).uniform(-1, 1, (N, 8, 8)), {"color": "rgb"}),
    "vectors": (numbers(N, 7), {}),
    "signals, length first": (numbers(N, 50, 2).astype(np.float64), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_examples_as_in_memory(tmp_path: Path, on_disk: None, name: str):
    """Same rows, order, split and codec as the array itself gives; the file is not touched."""
    values, options = CASES[name]
    np.save(tmp_path / "a.npy", values)
    before = (tmp_path / "a.npy").read_bytes()
    lazy, plain = open_data(tmp_path / "a.npy", **options), open_data(values, **options)
    assert lazy.held_out is not None and plain.held_out is not None
    assert not torch.is_tensor(lazy.x) and (lazy.kind, lazy.shape, len(lazy)) == (plain.kind, plain.shape, len(plain))
    for part, other in ((lazy, plain), (lazy.held_out, plain.held_out)):
        index = torch.randperm(len(part), generator=torch.Generator().manual_seed(0))[:5]
        assert torch.equal(part.batch(index)["x"], other.batch(index)["x"])
        assert torch.equal(part.x[:], other.x[:]) and torch.equal(part.x[1:9:3], other.x[1:9:3])
        assert torch.equal(part.x[2], other.x[2])
    assert repr(codec_for(lazy)) == repr(codec_for(plain)) and lazy.flip_ok == plain.flip_ok
    mine, theirs = describe(lazy), describe(plain)
    for key in ("mean", "std", "range", "duplicates", "shape", "dtype", "count", "held_out"):
        assert mine[key] == theirs[key]
    assert lazy.fingerprint == open_data(tmp_path / "a.npy", **options).fingerprint != lazy.held_out.fingerprint
    assert (tmp_path / "a.npy").read_bytes() == before


@pytest.mark.parametrize("large", [False, True])
def test_a_folder_of_pieces(tmp_path: Path, request: pytest.FixtureRequest, large: bool):
    if large:
        request.getfixturevalue("on_disk")
    values = numbers(N, 5)
    (tmp_path / "set").mkdir()
    for i, part in enumerate(np.array_split(values, 7)):
        np.save(tmp_path / "set" / f"{i}.npy", part)
    np.save(tmp_path / "set" / "labels.npy", np.arange(N) % 3)
    data = open_data(tmp_path / "set", holdout=0)
    assert torch.is_tensor(data.x) != large and data.classes == ("0", "1", "2")
    assert np.array_equal(data.x[:].numpy(), values) and data.notes[0] == "7 files of float32 make one array."
    shuffled = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    assert np.array_equal(data.batch(shuffled)["x"].numpy(), values[shuffled])
    split = open_data(tmp_path / "set", holdout=0.5)
    assert split.labels is not None and split.x[:].shape == (30, 5)
    rows = [int(np.flatnonzero((values == x.numpy()).all(1))[0]) for x in split.x[:]]
    assert split.labels.tolist() == [row % 3 for row in rows]
    np.save(tmp_path / "set" / "9.npy", numbers(3, 6))
    with pytest.raises(
        UserError, match=r"are no parts of one array: '0.npy' has shape \(9, 5\) float32, '9.npy' \(3, 6\)"
    ):
        open_data(tmp_path / "set")


def test_rows_that_do_not_fit_are_named_when_they_are_met(
    tmp_path: Path, on_disk: None, monkeypatch: pytest.MonkeyPatch
):
    from scorefield.data import maps

    monkeypatch.setattr(maps, "PROBED", 2)  # the first and the last row decide
    values = np.random.default_rng(1).random((N, 3, 8, 8))
    values[30, 0, 0, 0] = np.nan
    values[31, 0, 0, 0] = 200
    np.save(tmp_path / "a.npy", values)
    data = open_data(tmp_path / "a.npy", holdout=0)
    assert data.batch(torch.arange(30))["x"].shape == (30, 3, 8, 8)
    with pytest.raises(UserError, match="holds nan or infinity in row 30"):
        data.batch(torch.tensor([3, 30]))
    with pytest.raises(UserError, match=r"holds values from .* to 200 in some rows, which do not fit the range"):
        data.batch(torch.tensor([31]))


def test_what_must_be_in_memory_is_bounded(tmp_path: Path, on_disk: None):
    np.save(tmp_path / "a.npy", numbers(N, 5))
    data = open_data(tmp_path / "a.npy", holdout=0)
    some = data.in_memory(10, seed=3)
    assert torch.is_tensor(some.x) and some.x.shape == (10, 5)
    assert data.in_memory(1000).x.shape == (N, 5) and some.in_memory(1) is some


PROGRAM = """
import resource, sys
import numpy as np, torch
from scorefield.data import open_data, codec_for, describe
from scorefield.training.order import Order
path, room = sys.argv[1], int(sys.argv[2])
map_size = 8 * 2**30  # the file's pages are address space, but not memory
used = int(open('/proc/self/statm').read().split()[0]) * 4096
data = open_data(path)
resource.setrlimit(resource.RLIMIT_DATA, (used + room, used + room))  # private memory; shared file pages do not count
codec = codec_for(data)
account = describe(data)
order = Order(len(data), 0)
for step in range(20):
    batch = data.batch(order.indices(64 * step, 64))
    assert torch.isfinite(codec.encode(batch["x"])).all()
print(len(data), len(data.held_out), account["count"])
"""


@pytest.mark.slow
def test_a_file_larger_than_the_memory_that_is_allowed(tmp_path: Path):
    """A sparse file of 8 GB, float32 images in [0, 1] as float numbers, under a limit of 1.5 GB of private memory."""
    if sys.platform != "linux":
        pytest.skip("RLIMIT_DATA counts private memory on Linux only")
    shape = (8 * 2**30 // (3 * 64 * 64 * 4), 3, 64, 64)
    array = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.float32, shape)
    array[::5000] = np.linspace(0, 1, 64, dtype=np.float32)
    array.flush()
    del array
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "big.npy"), str(3 * 2**29)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(shape[0] - 2000), "2000", str(shape[0] - 2000)]


def test_lazy_examples_are_a_dataset_like_any_other(tmp_path: Path, on_disk: None):
    np.save(tmp_path / "a.npy", numbers(N, 5))
    data = open_data(tmp_path / "a.npy")
    assert isinstance(data, Dataset) and repr(data.x) == "Lazy(54×5, torch.float32)" and data.x.ndim == 2
    assert repr(data) == "Dataset(a: 54 vectors of 5, 6 held out)"

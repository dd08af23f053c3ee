"""Numbers beside the examples: wherever they are written down, they arrive at their example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scorefield.data import open_data
from scorefield.data.conditions import Scale
from scorefield.data.dataset import Dataset
from scorefield.errors import UserError

N = 40


def told(dataset: Dataset) -> None:
    """The first coordinate of every example is its first condition, in training and held out alike."""
    assert dataset.held_out is not None and dataset.held_out.conditions is not None
    for part in (dataset, dataset.held_out):
        batch = part.batch(torch.arange(len(part)))
        assert batch["condition"].dtype == torch.float32
        torch.testing.assert_close(batch["x"][:, 0].float(), batch["condition"][:, 0], rtol=0, atol=1e-6)


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)


def test_columns_of_a_table(tmp_path: Path, rows: np.ndarray) -> None:
    path = tmp_path / "t.csv"
    lines = [f"{a},{b},{a},{'' if i % 3 else b}" for i, (a, b) in enumerate(rows)]
    path.write_text("\n".join(["a,b,age,height", *lines]) + "\n")
    dataset = open_data(path, condition="age, height")
    told(dataset)
    assert (dataset.columns, dataset.condition_names, dataset.shape) == (("a", "b"), ("age", "height"), (2,))
    assert dataset.conditions.isnan().any(1).sum() > 0  # an empty cell is a number that is not known
    assert open_data(path, condition=["age"]).fingerprint != dataset.fingerprint


@pytest.mark.parametrize(("array", "names"), [("c", ("c",)), ("c,m", ("c", "m0", "m1"))])
def test_arrays_of_an_archive(tmp_path: Path, rows: np.ndarray, array: str, names: tuple[str, ...]) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=rows, c=rows[:, 0], m=rows)
    dataset = open_data(path, condition=array)
    told(dataset)
    assert dataset.condition_names == names


def test_an_archive_with_its_own_test_part_has_its_own_numbers(tmp_path: Path, rows: np.ndarray) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x_train=rows, x_test=rows[::-1], c_train=rows[:, 0], c_test=rows[::-1, 0])
    told(open_data(path, condition="c_train"))


def test_numbers_beside_an_array(rows: np.ndarray) -> None:
    told(open_data(rows, condition=rows[:, 0]))
    dataset = open_data(torch.from_numpy(rows), condition=torch.from_numpy(rows), label=[0, 1] * (N // 2))
    told(dataset)
    assert dataset.condition_names == ("condition0", "condition1") and dataset.labels is not None


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_columns_of_the_metadata_of_pictures(photos: Path, name: str) -> None:
    files = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(3)]
    numbers = {file: [0.5 * i, None][i == 5] for i, file in enumerate(files)}
    lines = {
        "metadata.csv": ["file_name,depth", *(f"{f},{'' if n is None else n}" for f, n in reversed(numbers.items()))],
        "metadata.jsonl": [json.dumps({"file_name": f, "depth": n}) for f, n in numbers.items()],
    }
    (photos / name).write_text("\n".join(lines[name]) + "\n")
    dataset = open_data(photos, size=32, condition="depth")
    assert dataset.condition_names == ("depth",)
    expected = torch.tensor([[torch.nan if n is None else n] for n in numbers.values()])
    torch.testing.assert_close(dataset.conditions, expected, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"condition": "ag"}, r"has no column 'ag' \(condition=\)\. Did you mean 'age'\?"),
        ({"condition": "word"}, r"column 'word', holds 'w0', which is not a number\. Conditions are numbers"),
        ({"condition": [1.0, 2.0]}, r"condition= names columns of '.*'; a list of numbers goes with an array only"),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(tmp_path: Path, rows: np.ndarray, given: Any, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,age,word\n" + "".join(f"{a},{b},w{i}\n" for i, (a, b) in enumerate(rows)))
    with pytest.raises(UserError, match=words):
        open_data(path, **given)


def test_arrays_that_do_not_fit_get_a_sentence(rows: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"condition= has shape \(3, 1\), but 40 examples need a number"):
        open_data(rows, condition=[1, 2, 3])
    with pytest.raises(UserError, match="holds infinite numbers"):
        open_data(rows, condition=np.full(N, np.inf))
    with pytest.raises(UserError, match="Conditions are numbers"):
        open_data(rows, condition=["a"] * N)
    with pytest.raises(UserError, match="condition= does not apply to the embedded set 'moons'"):
        open_data("moons", condition="x")


def test_a_scale_ignores_what_is_not_known_and_refuses_what_never_varies() -> None:
    raw = torch.tensor([[1.0, 5.0], [3.0, torch.nan], [torch.nan, 7.0]])
    scale = Scale.of(raw, ("a", "b"))
    assert (scale.mean, scale.std, scale.low, scale.high) == ((2.0, 6.0), (1.0, 1.0), (1.0, 5.0), (3.0, 7.0))
    torch.testing.assert_close(scale(raw), torch.tensor([[-1, -1], [1, torch.nan], [torch.nan, 1]]), equal_nan=True)
    assert Scale(**{k: tuple(v) for k, v in scale.to_json().items()}) == scale
    with pytest.raises(UserError, match="condition 'a' is 2 in every example"):
        Scale.of(torch.full((3, 1), 2.0), ("a",))
    with pytest.raises(UserError, match="condition 'a' is empty in every example"):
        Scale.of(torch.full((3, 1), torch.nan), ("a",))

"""Hugging Face data sets, all made here: saved folders, Parquet, streams; one sentence where there is no network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scorefield.data import open_data
from scorefield.data.huggingface import _check_network
from scorefield.errors import UserError

datasets: Any = pytest.importorskip("datasets", reason="needs the extra `data`")
N = 30


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cache belongs to the test, and it draws no bars."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hub"))
    datasets.disable_progress_bars()


def pictures() -> Any:
    images = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)) for i in range(N)]
    columns = {
        "image": images,
        "label": [i % 2 for i in range(N)],
        "caption": [f"no {i}" for i in range(N)],
        "age": [i / 2 for i in range(N)],
    }
    types = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    types |= {"caption": datasets.Value("string"), "age": datasets.Value("float32")}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(types))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    pictures().save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    pictures().to_parquet(tmp_path / "files" / "train-0.parquet")
    return tmp_path / "files"


def check(data: Any, count: int = N) -> None:
    """The pictures above, in order, with everything that is said about them."""
    assert (len(data), data.kind, data.shape, data.classes) == (count, "images", (3, 40, 40), ("cat", "dog"))
    assert data.labels.tolist() == [i % 2 for i in range(count)]
    assert data.captions == tuple(f"no {i}" for i in range(count))
    assert data.conditions[:, 0].tolist() == [i / 2 for i in range(count)]
    for i in (0, count - 1):
        expected = np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)
        assert np.array_equal(data.x[i].permute(1, 2, 0).numpy(), expected)


def test_a_saved_folder(saved: Path):
    check(open_data(saved, condition="age", holdout=0))
    again = open_data(saved, condition="age", holdout=0)
    check(again)
    split = open_data(saved, condition="age")
    assert split.held_out is not None and split.captions is not None and split.conditions is not None
    assert [float(c[3:]) / 2 for c in split.captions] == split.conditions[:, 0].tolist()
    assert [int(c[3:]) % 2 for c in split.held_out.captions or ()] == split.held_out.labels.tolist()  # pyrefly: ignore


def test_parts_of_a_saved_folder(tmp_path: Path):
    whole = pictures()
    datasets.DatasetDict({"train": whole, "test": whole.select(range(4))}).save_to_disk(tmp_path / "parts")
    assert len(open_data(tmp_path / "parts", holdout=0)) == N
    assert len(open_data(tmp_path / "parts", split="test")) == 4
    with pytest.raises(UserError, match=r"has no part split=tets. Did you mean 'test'\?"):
        open_data(tmp_path / "parts", split="tets")


@pytest.mark.parametrize("prefix", ["", "hf:"])
def test_a_folder_of_parquet(parquet: Path, prefix: str):
    data = open_data(f"{prefix}{parquet}", condition="age", holdout=0)
    check(data)
    assert data.source == f"{prefix}{parquet}"


def test_a_stream_is_read_once_and_then_from_the_cache(parquet: Path, monkeypatch: pytest.MonkeyPatch):
    from scorefield.data import huggingface

    how = {"streaming": True, "examples": 12, "condition": "age", "holdout": 0}
    data = open_data(f"hf:{parquet}", **how)
    check(data, 12)
    assert data.notes[0].startswith("The first 12 examples of the stream are kept in the cache folder")
    monkeypatch.setattr(huggingface, "_loaded", None)  # calling it would be a TypeError
    again = open_data(f"hf:{parquet}", **how)
    check(again, 12)
    assert again.fingerprint == data.fingerprint
    with pytest.raises(UserError, match="examples= says how much of a stream is read"):
        open_data(f"hf:{parquet}", examples=12)


def test_numbers_and_words_are_a_table(tmp_path: Path):
    columns = {"a": [float(i) for i in range(N)], "b": ["x", "y"] * (N // 2), "label": [i % 3 for i in range(N)]}
    types = {"a": datasets.Value("float32"), "b": datasets.Value("string")}
    types |= {"label": datasets.ClassLabel(names=["u", "v", "w"])}
    datasets.Dataset.from_dict(columns, features=datasets.Features(types)).save_to_disk(tmp_path / "set")
    data = open_data(tmp_path / "set", holdout=0)
    assert data.kind == "table" and data.name == "set" and data.classes == ("u", "v", "w")
    assert data.labels is not None and data.labels.tolist() == columns["label"]
    assert [column.name for column in data.schema if not column.label] == ["a", "b"]


def test_sounds(tmp_path: Path):
    from scorefield.data.sound import wave_bytes

    values = np.linspace(-0.5, 0.5, 640)
    rows = [{"audio": {"bytes": wave_bytes(values[None], 8000), "path": None}, "label": i % 2} for i in range(4)]
    plain = datasets.Dataset.from_list(rows).cast_column("audio", datasets.Audio(decode=False))
    plain.cast_column("label", datasets.ClassLabel(names=["a", "b"])).save_to_disk(tmp_path / "set")
    data = open_data(tmp_path / "set", holdout=0)
    assert (data.kind, data.rate, data.shape, data.classes) == ("signals", 8000, (1, 640), ("a", "b"))
    torch.testing.assert_close(data.x[0, 0], torch.tensor(values).float(), rtol=0, atol=2**-15)


def test_broken_and_empty_cells_are_listed(tmp_path: Path):
    table = pictures().cast_column("image", datasets.Image(decode=False))
    rows = [dict(row) for row in table]
    rows[3]["image"], rows[5]["image"] = None, {"bytes": b"no image", "path": None}
    features = table.features
    datasets.Dataset.from_list(rows, features=features).save_to_disk(tmp_path / "set")
    data = open_data(tmp_path / "set", holdout=0)
    assert len(data) == N - 2 and data.captions is not None and data.captions[3] == "no 4"
    assert {file.path: file.reason for file in data.broken} == {
        "row 3": "does not exist",
        "row 5": "is not an image that Pillow can read",
    }


def test_refusals(saved: Path):
    for options, sentence in (
        ({"label": "lable"}, r"has no column 'lable' for label=. Did you mean 'label'\?"),
        ({"rate": 8000}, "rate= does not apply to images. Leave it out."),
        ({"split": "test"}, "holds one part, so split=test does not apply"),
        ({"streaming": True}, "streaming= does not apply to a saved Hugging Face data set"),
    ):
        with pytest.raises(UserError, match=sentence):
            open_data(saved, **options)


def test_no_network_is_said_at_once(monkeypatch: pytest.MonkeyPatch):
    """Whether or not this machine has a network: the connection is refused here."""

    def refused(address: Any, timeout: float) -> Any:
        raise OSError("refused")

    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    with pytest.raises(
        UserError, match=r"^hf:a/b lies on huggingface.co, which cannot be reached from here \(refused\)"
    ):
        _check_network("hf:a/b", connect=refused)


def test_offline_uses_what_was_downloaded_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets, "load_dataset", _nothing_here)
    with pytest.raises(UserError, match="It is not among what was downloaded before, and HF_HUB_OFFLINE forbids"):
        open_data("hf:nobody/nothing")


def _nothing_here(*args: Any, **options: Any) -> Any:
    raise ConnectionError("Couldn't reach it")


def test_without_the_library_one_sentence_says_what_to_install(saved: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r'pip install "scorefield\[data\]"'):
        open_data(saved)

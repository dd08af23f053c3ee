"""Held-out parts that are disjoint, deterministic and honest; fingerprints; the account of a data set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from scorefield.data import EMBEDDED, Dataset, describe, open_data
from scorefield.data.dataset import hold_out
from scorefield.data.describe import moments
from scorefield.errors import UserError


def says(text: str):
    return pytest.raises(UserError, match=f"^{re.escape(text)}$")


def numbered(n: int) -> Dataset:
    captions = tuple(str(i) for i in range(n))
    return Dataset("n", "vectors", torch.arange(n).float()[:, None], labels=torch.arange(n), captions=captions)


@pytest.mark.parametrize(
    "n, fraction, aside", [(19, None, 0), (20, None, 2), (50_000, None, 2000), (10, 0.5, 5), (7, 0, 0)]
)
def test_held_out_parts_partition_the_data(n: int, fraction: float | None, aside: int):
    data = hold_out(numbered(n), fraction, seed=3)
    held_out = data.held_out or numbered(0)
    assert len(held_out) == aside and len(data) == n - aside
    assert sorted(torch.cat([data.x, held_out.x])[:, 0].tolist()) == list(range(n))
    for part in (data, held_out):  # labels and captions move with their examples
        assert part.labels is not None and part.captions is not None
        assert part.labels.tolist() == part.x[:, 0].tolist() == [int(caption) for caption in part.captions]


def test_the_choice_depends_on_the_seed_alone():
    choices = [hold_out(numbered(100), 0.3, seed).held_out for seed in (0, 0, 1)]
    a, b, c = (sorted(choice.x[:, 0].tolist()) for choice in choices if choice is not None)
    assert a == b != c
    assert max(np.diff(a)) < 50  # spread over the data, not its end


@pytest.mark.parametrize("fraction", [1.0, -0.1, 2])
def test_fractions_out_of_range(fraction: float):
    with says(f"holdout is a fraction, at least 0 and below 1, got {fraction}. holdout=0.1 is usual."):
        hold_out(numbered(10), fraction, 0)


def test_nothing_left():
    with says("holdout=0.9 of 2 examples leaves nothing to train on. Write a smaller fraction."):
        hold_out(numbered(2), 0.9, 0)


def test_fingerprints_follow_the_content():
    x, y = np.arange(60.0).reshape(20, 3), np.arange(20) % 2
    base = open_data(x, label=y).fingerprint
    assert base == open_data(x.copy(), label=y).fingerprint and re.fullmatch("[0-9a-f]{32}", base)
    others = [open_data(x, label=1 - y), open_data(x), open_data(x + 1, label=y), open_data(x, label=y, seed=1)]
    assert len({base, *(data.fingerprint for data in others)}) == 5


def test_batches_are_raw():
    data = open_data("digits")
    index = torch.tensor([5, 0, 5])
    batch = data.batch(index)
    assert data.labels is not None and set(batch) == {"x", "label"}
    assert torch.equal(batch["x"], data.x[index]) and torch.equal(batch["label"], data.labels[index])
    assert set(open_data("swissroll").batch(index)) == {"x"}


def test_moments_of_offset_data_do_not_cancel():
    x = torch.randn(5000, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1e6
    mean, std = moments(x)
    torch.testing.assert_close(mean, x.mean((0, 2)), rtol=1e-13, atol=0)
    # Centred values of order 1 carry an absolute error of about 1e6 · 2⁻⁵³ ≈ 1e-10.
    torch.testing.assert_close(std, x.std((0, 2), unbiased=False), rtol=1e-9, atol=0)


def test_an_account_of_a_data_set():
    x = np.array([[0, 0, 255, 7], [0, 0, 255, 7], [9, 9, 9, 9], [0, 0, 255, 7], [1, 2, 3, 4]], np.uint8).reshape(
        5, 1, 2, 2
    )
    data = open_data(x, label=["a", "a", "b", "a", "a"], holdout=0)
    account = describe(data)
    assert account["duplicates"] == 2 and account["shared_with_held_out"] == 0
    assert account["classes"] == {"a": 4, "b": 1} and account["range"] == [0.0, 255.0]
    assert account["mean"] == pytest.approx([x.mean()]) and account["std"] == pytest.approx([x.std()])
    assert (account["kind"], account["shape"], account["dtype"], account["count"]) == ("images", [1, 2, 2], "uint8", 5)
    twins = describe(open_data(np.ones((40, 3)), holdout=0.25))
    assert twins["duplicates"] == 29 and twins["shared_with_held_out"] == 10


@pytest.mark.parametrize("name", [name for name in EMBEDDED if name != "glyphs"])
def test_every_account_is_json(name: str):
    account = describe(open_data(name))
    assert json.loads(json.dumps(account)) == account
    assert account["count"] == 899 if name == "digits" else account["count"] == 18_000


READABLE = "a folder or an archive of images or sounds, or a .npz, .npy, .csv, .parquet or .txt file"
SOURCES = {
    "mons": "'mons' is neither a file or folder here nor an embedded set. Did you mean 'moons'? "
    f"Data are {READABLE}, or a set by name.",
    "zzz": "'zzz' is neither a file or folder here nor an embedded set. "
    "Embedded sets: checkerboard, digits, gaussians, glyphs, moons, pinwheel, rings, swissroll. "
    f"Data are {READABLE}, or a set by name.",
    "here/photo": "'here/photo' does not exist. Did you mean 'photos'?",
    "there/photos": f"'there/photos' does not exist. Give {READABLE}, "
    "or an embedded set: digits, glyphs, moons, swissroll, checkerboard, pinwheel, rings, gaussians.",
    "here/a.zip": "'here/a.zip' is damaged or no zip archive (File is not a zip file). Copy or download it again.",
    "here/a.png": "'here/a.png' is not data scorefield reads. It is one image; give the folder it lies in.",
    "here/a.pt": "'here/a.pt' is not data scorefield reads. "
    "It is a Python pickle, which can run code; save a .npz instead.",
    "here/a.xyz": "'here/a.xyz' is not data scorefield reads. "
    f"Give {READABLE}.",
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_sources_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "photos").mkdir(parents=True)
    for name in ("a.zip", "a.png", "a.pt", "a.xyz"):
        (tmp_path / "here" / name).write_bytes(b"x")
    with says(SOURCES[source]):
        open_data(source)


OPTIONS = {
    "size": ({"size": 3}, "size must be from 4 to 2048 pixels, got 3."),
    "color": ({"color": "grey"}, "color=grey is not known. Did you mean 'gray'?"),
    "label": ({"label": "kind"}, "label= does not apply to the embedded set 'digits'. Leave it out."),
    "labels": ({"label": [1, 2]}, "label= names a column of 'digits'; a list of classes goes with an array only."),
    "columns": ({"columns": "a"}, "columns= does not apply to the embedded set 'digits'. Leave it out."),
}


@pytest.mark.parametrize("options, error", OPTIONS.values(), ids=OPTIONS)
def test_options_that_do_not_apply(options: dict, error: str):
    with says(error):
        open_data("digits", **options)

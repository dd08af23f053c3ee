"""Decoding happens once, and a cache that cannot be used costs a sentence and nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from scorefield.data import cache as module
from scorefield.data import folder as folder_module
from scorefield.data import open_data
from scorefield.data.cache import Rows, cache_folder, recall


def entries(cache: Path) -> list[str]:
    return sorted(entry.name for entry in cache.iterdir()) if cache.is_dir() else []


def test_a_second_opening_decodes_nothing(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    first = open_data(photos)
    assert len(entries(cache)) == 1
    monkeypatch.setattr(folder_module, "read_image", None)  # calling it would be a TypeError
    second = open_data(photos)
    assert torch.equal(first.x, second.x) and first.fingerprint == second.fingerprint


def test_a_change_of_file_or_option_is_noticed(photos: Path, cache: Path, noise):
    before = open_data(photos)
    noise(seed=99).save(photos / "cat" / "0.png")
    after = open_data(photos)
    assert before.fingerprint != after.fingerprint
    open_data(photos, size=32)
    open_data(photos, color="gray")
    assert len(entries(cache)) == 4


def test_no_cache_writes_nothing(photos: Path, cache: Path):
    assert len(open_data(photos, cache=False)) == 6
    assert entries(cache) == []


def test_a_folder_that_cannot_be_written_is_a_note(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept = open_data(photos)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SCOREFIELD_CACHE", str(tmp_path / "file" / "below"))
    data = open_data(photos)
    assert torch.equal(data.x, kept.x)
    assert data.notes == (
        f"The cache folder '{tmp_path / 'file' / 'below'}' cannot be written (Not a directory), so decoded data stay "
        "in memory and are decoded again next time. Set SCOREFIELD_CACHE to a folder with room to spare.",
    )


class FullDisk:
    """A file that takes two blocks and then no more."""

    def __init__(self, file):
        self.file, self.room = file, 2

    def write(self, data):
        if len(data) > 500:
            self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


def full_disk(path, mode):
    file = open(path, mode)  # noqa: SIM115
    return FullDisk(file) if "w" in mode else file


def test_a_disk_that_fills_up_loses_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch):
    images = np.random.default_rng(0).integers(0, 256, (23, 3, 8, 8), np.uint8)
    monkeypatch.setattr(module, "BLOCK", 5 * images[0].nbytes)
    monkeypatch.setattr(module, "open", full_disk, raising=False)
    rows = Rows("key", (3, 8, 8), on_disk=True)
    for image in images:
        rows.append(image)
    assert np.array_equal(rows.finish({}), images)
    assert rows.note is not None and "(No space left on device)" in rows.note
    assert entries(cache) == []


def test_an_interrupted_write_leaves_no_entry(photos: Path, cache: Path):
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_data(photos, progress=stop)
    assert entries(cache) == []


@pytest.mark.parametrize("file", ["images.npy", "about.json"])
def test_a_damaged_entry_is_made_anew(photos: Path, cache: Path, file: str):
    first = open_data(photos)
    path = cache / entries(cache)[0] / file
    path.write_bytes(path.read_bytes()[:-5])
    assert torch.equal(open_data(photos).x, first.x)
    assert recall(entries(cache)[0]) is not None


def test_large_sets_stay_on_a_private_map(photos: Path, monkeypatch: pytest.MonkeyPatch):
    small = open_data(photos, holdout=0.5)
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    monkeypatch.setattr(folder_module, "IN_MEMORY", 0)
    mapped, again = open_data(photos, holdout=0.5), open_data(photos, holdout=0.5)
    assert mapped.key is not None and mapped.held_out is not None and small.held_out is not None
    assert torch.equal(mapped.x, small.x) and torch.equal(mapped.held_out.x, small.held_out.x)
    assert mapped.fingerprint == again.fingerprint != mapped.held_out.fingerprint
    assert open_data(photos, holdout=0.5, seed=1).fingerprint != mapped.fingerprint
    mapped.x[:] = 0  # private: neither the file nor another opening sees it
    assert torch.equal(again.x, small.x) and torch.equal(open_data(photos, holdout=0.5).x, small.x)


def test_two_writers_of_one_entry_agree(cache: Path):
    images = np.arange(2 * 48, dtype=np.uint8).reshape(2, 3, 4, 4)
    writers = [Rows("key", (3, 4, 4), on_disk=True) for _ in range(2)]
    for rows in writers:
        for image in images:
            rows.append(image)
    for rows in writers:
        assert np.array_equal(rows.finish({}), images) and rows.note is None
    assert entries(cache) == ["key"]


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SCOREFIELD_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "scorefield"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "scorefield"

"""The number of processes changes no sample and no figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import scorefield
from scorefield.errors import UserError
from scorefield.runs.spread import batch_of, collected, own_parts, parts_of, sharing
from scorefield.training import World


@pytest.mark.parametrize(("n", "size"), [(1, 4), (4, 4), (5, 4), (64, 20), (1000, 256)])
def test_parts_are_the_whole_once(n: int, size: int) -> None:
    parts = parts_of(n, size)
    assert [i for part in parts for i in part] == list(range(n))
    assert max(map(len, parts)) <= size and max(map(len, parts)) - min(map(len, parts)) <= 1


def test_every_part_is_somebody_s(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_of(23, 4)
    worlds = [World(rank, 4, torch.device("cpu")) for rank in range(4)]
    each = [own_parts(parts, world) for world in worlds]
    monkeypatch.setattr(World, "gathered", lambda self, own: each)
    assert collected(each[1], worlds[1]) == parts


def test_a_batch_is_no_matter_of_processes() -> None:
    assert [batch_of(shape, "cpu") for shape in ((1, 8, 8), (1, 28, 28), (3, 64, 64), (2,))] == [256, 20, 16, 2048]
    assert batch_of((3, 64, 64), "cuda") == 162


def test_alone_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert sharing(None, cpu).size == sharing(1, cpu).size == sharing(2, cpu).size == 1
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert sharing(None, cpu).size == 1  # previews are drawn by one process of many
    with pytest.raises(UserError, match="devices=2 were asked for, but the launcher started 4 processes"):
        sharing(2, cpu)


@pytest.mark.slow
def test_two_processes_sample_and_compare_as_one(moons: Path) -> None:
    run = scorefield.load(moons, device="cpu")
    options = {"steps": 4, "batch": 8, "seed": 3}
    one, two = run.sample(40, **options), run.sample(40, **options, devices=2)
    assert torch.equal(one.x, two.x) and one.nfe == two.nfe
    apart = [run.compare(["euler"], [2], n=12, batch=4, devices=devices) for devices in (1, 2)]
    assert apart[0].entries == apart[1].entries and apart[0].reference == apart[1].reference


def torchrun(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of scorefield in two processes that torchrun starts."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "scorefield"]
    return subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_launcher_s_processes_are_used_and_the_first_one_talks(tmp_path: Path) -> None:
    words = ("train", "moons", "steps=6", "batch=32", "log=2", "evaluate=no", "preview=0", "device=cpu", "name=a")
    trained = torchrun(tmp_path, *words)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout == "runs/a\n"
    assert trained.stderr.count("2 processes") == trained.stderr.count("in Python") == 1
    assert torchrun(tmp_path, *words).stderr.count("is finished (6 steps)") == 1
    assert "devices = 2" in (tmp_path / "runs" / "a" / "config.toml").read_text()
    drawn = torchrun(tmp_path, "sample", "runs/a", "n=10", "batch=5", "steps=3", "device=cpu", "out=two.npz", "--json")
    assert drawn.returncode == 0 and json.loads(drawn.stdout)["files"] == ["two.npz"], drawn.stderr
    alone = scorefield.load(tmp_path / "runs" / "a", device="cpu").sample(10, batch=5, steps=3)
    assert np.array_equal(np.load(tmp_path / "two.npz")["x"], alone.x.numpy())
    refused = torchrun(tmp_path, "train", "moons", "devices=3", "device=cpu")
    assert refused.returncode != 0
    assert "devices=3 were asked for, but the launcher started 2 processes. Drop devices=." in refused.stderr

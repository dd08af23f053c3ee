"""One small finished run of each kind, trained once per session; tests that change a run copy it first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import scorefield
from scorefield.runs import report
from scorefield.runs.display import Silent
from scorefield.runs.samples import Samples

TINY = {"channels": 16, "batch": 32, "log": 2, "save": 4, "preview": 4, "evaluate": False, "device": "cpu"}


class Stopping(Silent):
    """Presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def factory(self) -> Stopping:
        return self

    def saved(self, event: object) -> None:
        if event.step == self.step:
            os.kill(os.getpid(), 2)
            self.step = -1


@pytest.fixture
def picture() -> np.ndarray:
    """An 8×8 image of noise, (1, 8, 8)."""
    return np.random.default_rng(0).integers(0, 256, (1, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with ``moons`` (8 steps) in it."""
    root = tmp_path_factory.mktemp("finished") / "runs"
    scorefield.train("moons", runs=root, steps=8, **TINY)
    return root


@pytest.fixture(scope="session")
def finished_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with ``digits`` (4 steps) in it."""
    root = tmp_path_factory.mktemp("finished-digits") / "runs"
    scorefield.train("digits", runs=root, steps=4, **TINY)
    return root


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing costs more than these tiny trainings, and the pictures of ``finished`` are real ones."""
    blank = Image.new("RGB", (480, 480))
    monkeypatch.setattr(Samples, "picture", lambda self, *args, **options: blank)
    monkeypatch.setattr(Samples, "pictures", lambda self, *args: [blank for _ in self.frames])
    monkeypatch.setattr(report, "picture", lambda *args, **options: blank)


@pytest.fixture
def moons(finished: Path, tmp_path: Path) -> Path:
    """A run folder of one's own."""
    return Path(shutil.copytree(finished / "moons", tmp_path / "runs" / "moons"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A .csv of 60 rows in two columns."""
    path = tmp_path / "table.csv"
    rows = np.random.default_rng(0).normal(size=(60, 2))
    path.write_text("a,b\n" + "".join(f"{a:.6f},{b:.6f}\n" for a, b in rows))
    return path

"""What every test stands on: one thread per worker, fixed seeds, and where optional data may be found."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported: two xdist workers on two cores must not start four threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def deterministic() -> None:
    """The same seeds and one thread for every test, so that a failure can be repeated alone; torch is not imported."""
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
        torch.set_num_threads(1)


@pytest.fixture
def tmp_cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory of the test's own, for everything that writes `runs/`."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of optional real data sets: SCOREFIELD_TEST_DATA, else `../shared/data` beside the repository."""
    folder = Path(os.environ.get("SCOREFIELD_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("optional data sets are absent; set SCOREFIELD_TEST_DATA to their folder")
    return folder

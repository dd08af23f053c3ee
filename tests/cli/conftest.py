"""Running the command line: in this process where possible (torch is loaded once), in its own where it must be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from scorefield.cli.main import main


class Said(NamedTuple):
    """The exit code and both streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_cwd: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """``cli("train", "moons", "steps=5")`` in an empty folder."""
    monkeypatch.delenv("SCOREFIELD_DEBUG", raising=False)

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main(words)
        return Said(code, *capsys.readouterr())

    return run


def own_process(code: str, *words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Python code in a fresh interpreter, with ``words`` as its arguments."""
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "SCOREFIELD_DEBUG")} | env
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120, check=False)


@pytest.fixture(scope="session")
def moons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds runs/tiny, a model of the moons after five steps; not to be changed."""
    from scorefield import train

    root = tmp_path_factory.mktemp("trained")
    small = {"channels": 16, "blocks": 1, "batch": 32, "preview": 0, "save": 5, "evaluate": False}
    train("moons", steps=5, name="tiny", runs=root / "runs", **small)
    return root

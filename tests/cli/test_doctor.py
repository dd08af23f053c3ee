"""`scorefield doctor`: a whole machine and a whole run are ok; each thing that is broken is named and mended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scorefield.cli.doctor import _lines
from scorefield.runs import doctor
from scorefield.runs.doctor import Finding
from tests.cli.conftest import Said

Cli = Callable[..., Said]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small products and files: what is told is looked at, not how fast anything is."""
    monkeypatch.setattr(doctor, "PRODUCT", 8)
    monkeypatch.setattr(doctor, "WRITTEN", 1024)


@pytest.fixture
def broken(tmp_cwd: Path, moons: Path) -> Path:
    """A finished run of one's own, to be broken."""
    return Path(shutil.copytree(moons / "runs" / "tiny", "runs/tiny"))


def findings(said: Said) -> dict[str, dict[str, str]]:
    """name → finding of ``--json``; the last of each name."""
    return {finding["name"]: finding for finding in json.loads(said.out)["findings"]}


def test_this_machine(cli: Cli, quick: None):
    said = cli("doctor", "--json")
    found = findings(said)
    assert {
        "python",
        "torch",
        "cpu",
        "threads",
        "arithmetic",
        "compile",
        "runs",
        "cache",
        "torchvision",
    } <= found.keys()
    assert said.code == int(any(finding["level"] == "problem" for finding in found.values()))
    assert found["torch"]["level"] == "ok" and doctor.LIBRARIES.keys() <= found.keys()
    text = "\n".join(line for f in found.values() for line in _lines(Finding(**f), 14))
    assert max(map(len, text.splitlines())) <= 100 and "\x1b" not in text
    assert all(line.split()[0] in ("ok", "note", "problem") for line in text.splitlines() if line[0] != " ")
    assert not Path("runs").exists() and not list(Path().iterdir())  # nothing is left behind


def looked(look: Callable[[Path], Any], folder: str | Path = "runs") -> list[Finding]:
    """What one look finds."""
    return list(look(Path(folder)))


def test_a_torch_that_cannot_be_loaded_is_a_problem(cli: Cli, quick: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    said = cli("doctor")
    assert said.code == 1 and "problem  torch" in said.out and "→ python -m pip install torch" in said.out
    assert "1 problem" in said.err


def test_a_gpu_that_this_torch_cannot_use_is_told(quick: None, monkeypatch: pytest.MonkeyPatch):
    import torch

    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"bin/{name}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    (found,) = [finding for finding in looked(doctor._torch) if finding.name == "gpu"]
    assert found.level == "note" and "there seems to be one" in found.text and found.mend


def test_a_gpu_that_does_not_compute_is_a_problem():
    def fail(*_: Any) -> None:
        raise RuntimeError("device-side assert\nmore")

    torch = SimpleNamespace(
        cuda=SimpleNamespace(device_count=lambda: 1, get_device_properties=fail),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False)),
    )
    (found,) = doctor._gpus(torch)
    assert (found.level, found.name, found.text) == ("problem", "cuda:0", "does not compute: device-side assert")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="this user may write anywhere")
def test_a_folder_that_may_not_be_written_is_a_problem(tmp_path: Path):
    tmp_path.chmod(0o500)
    (found,) = doctor._disk("runs", tmp_path / "runs", "write runs=FOLDER")
    tmp_path.chmod(0o700)
    assert found.level == "problem" and "cannot be written" in found.text and found.mend == "write runs=FOLDER"


def test_a_disk_that_refuses_or_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=1e8))
    (tight,) = doctor._disk("runs", tmp_path, "write runs=FOLDER")
    assert tight.level == "note" and "0.1 GB free" in tight.text and "make room" in tight.mend

    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    (found,) = doctor._disk("runs", tmp_path, "write runs=FOLDER")
    assert found.level == "problem" and "Permission denied" in found.text


@pytest.mark.parametrize(
    ("code", "error", "level"),
    [(0, "", "ok"), (1, "Traceback\nRuntimeError: no nms\n", "note")],
    ids=["loads", "broken"],
)
def test_torchvision_is_tried_elsewhere(monkeypatch: pytest.MonkeyPatch, code: int, error: str, level: str):
    monkeypatch.setattr(doctor, "_version", lambda name: "9.9")
    tried = subprocess.CompletedProcess([], code, "", error)
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: tried)
    (found,) = looked(doctor._torchvision)
    assert found.level == level and (code == 0 or "RuntimeError: no nms" in found.text)
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    assert looked(doctor._torchvision)[0].text.startswith("not installed")


def test_a_whole_run_is_ok(cli: Cli, broken: Path):
    said = cli("doctor", "tiny", "--json")
    found = findings(said)
    assert said.code == 0 and {finding["level"] for finding in found.values()} == {"ok"}
    assert {"config.toml", "data", "env.json", "metrics.jsonl", "checkpoints", "final", "state"} == found.keys()
    assert "whole" in cli("doctor", "last").out


def tear(path: Path) -> None:
    """Keep the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def tear_line(path: Path) -> None:
    """Keep the first half of a text, up to a `key =`."""
    text = path.read_text()
    path.write_text(text[: text.index("=", len(text) // 2) + 1])


def checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run."""
    return max((run / "checkpoints").glob("step-*"))


def with_line(path: Path, old: str, new: str) -> None:
    """One line of a text file replaced."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(new if line.startswith(old) else line for line in lines) + "\n")


FAULTS: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    # what happens to the run: (how, name of the finding, its level, what it says)
    "torn config": (lambda run: tear_line(run / "config.toml"), "config.toml", "problem", "config.toml"),
    "unknown part": (
        lambda run: with_line(run / "config.toml", 'type = "mlp"', 'type = "mpl"'),
        "config.toml",
        "problem",
        "no net is called 'mpl'",
    ),
    "torn line": (
        lambda run: with_line(run / "metrics.jsonl", '{"event": "stopped"', '{"event": "stop'),
        "metrics.jsonl",
        "note",
        "1 of",
    ),
    "torn checkpoint": (
        lambda run: tear(checkpoint(run) / "model.safetensors"),
        "checkpoints/step-00000005",
        "problem",
        "bytes",
    ),
    "half-written checkpoint": (
        lambda run: (run / "checkpoints" / ".writing-00000009").mkdir(),
        "checkpoints/.writing-00000009",
        "note",
        "half-written",
    ),
    "no checkpoint": (lambda run: shutil.rmtree(run / "checkpoints"), "checkpoints", "note", "none"),
    "torn weights": (lambda run: tear(run / "final" / "model.safetensors"), "final", "problem", "model.safetensors"),
    "no weights": (lambda run: shutil.rmtree(run / "final"), "final", "problem", "DONE says"),
    "torn env": (lambda run: tear(run / "env.json"), "env.json", "note", "missing or torn"),
    "torn evaluation": (
        lambda run: (run / "evaluation.json").write_text("{"),
        "evaluation.json",
        "problem",
        "not JSON",
    ),
    "torn table": (
        lambda run: ((run / "tables").mkdir(), (run / "tables" / "6.json").write_text("{")),
        "tables/6.json",
        "problem",
        "6.json",
    ),
    "stale lock": (
        lambda run: (run / "lock.json").write_text('{"host": "h"}'),
        "lock.json",
        "note",
        "gone",
    ),
    "lost data": (
        lambda run: with_line(run / "config.toml", "source =", 'source = "nowhere.csv"'),
        "data",
        "note",
        "nowhere.csv is not there",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_and_mended(cli: Cli, broken: Path, fault: str):
    how, name, level, words = FAULTS[fault]
    how(broken)
    before = {path: path.stat().st_mtime_ns for path in broken.rglob("*")}
    said = cli("doctor", "tiny", "--json")
    finding = findings(said)[name]
    assert (finding["level"], said.code) == (level, int(level == "problem")), said.out
    assert words in finding["text"] and (finding["mend"] or fault == "no checkpoint")
    assert {path: path.stat().st_mtime_ns for path in broken.rglob("*")} == before  # a look changes nothing


def test_what_is_no_run_is_a_sentence(cli: Cli, broken: Path):
    assert cli("doctor", "nowhere").code == 2
    Path("alone.safetensors").write_bytes((broken / "final" / "model.safetensors").read_bytes())
    said = cli("doctor", "alone.safetensors")
    assert said.code == 2 and "the doctor looks at run folders" in said.err

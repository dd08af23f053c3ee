"""Bad input: a sentence with the fix, exit code 2, nothing lost, no traceback."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Said

Cli = Callable[..., Said]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian digits", "unknown command 'trian'. Did you mean 'train'? (all: scorefield --help)"),
        ("--verbose", "unknown flag '--verbose'. Known: bits, calibrate, compare, config, data, decode, "),
        ("train digits step=5", "unknown option 'step'. Did you mean 'steps'? (all: scorefield train --help)"),
        ("train digits steps=0", "steps must be at least 1, got 0"),
        ("train digits images=0", "images must be at least 1, got 0"),
        ("train digits device=tpu", "device 'tpu' is not known. Did you mean 'cpu'?"),
        ("sample last solver=hoin", "solver 'hoin' is not known. Known: "),
        ("train", "train needs DATA: "),
        ("train digitz", "'digitz' is neither a file or folder here nor an embedded set. Did you mean 'digits'?"),
        ("train table.csv columns=agee", "'table.csv' has no column 'agee' (columns=). "),
        ("train table.csv label=q", "'table.csv' has no column 'q' (label=). Known: "),
        ("train empty", "'empty' has no images. Looked for png, jpg, "),
        ("data empty", "'empty' has no images. Looked for png, jpg, "),
        ("train digits size=9 mult=1,2,2", "config.net: size 9x9 does not fit this U-Net: "),
        ("train digits model=mlp", "model=mlp learns points and tables, but digits holds images of 1×8×8."),
        ("train moons net.widht=3", "config.net.widht: mlp takes no 'widht'. Did you mean 'width'?"),
        ("train moons net.type=resnet", "config.net.type: no net is called 'resnet'. Did you mean 'unet'?"),
        ("train moons process.schedule.sigma_mx=3", "config.process.schedule.sigma_mx: edm takes no 'sigma_mx'."),
        ("sample last", "There are no runs in runs/ yet. Train one first: scorefield train digits"),
        ("info empty", "empty is not a run folder: it has no config.toml. "),
        ("sample table.csv", "table.csv is not a run folder and not a .safetensors file. "),
        ("report nothing", "No run is called 'nothing'. There are no runs in runs/ yet."),
    ],
)
def test_bad_input_is_a_sentence(cli: Cli, words: str, message: str):
    Path("empty").mkdir()
    Path("table.csv").write_text("age,income\n" + "1,2\n3,4\n" * 20)
    said = cli(*words.split())
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith(f"error: {message}")
    assert "Traceback" not in said.err
    assert not Path("runs").exists()


@pytest.fixture
def trained(moons: Path, tmp_cwd: Path) -> Path:
    """A copy of a trained run, to be broken."""
    return Path(shutil.copytree(moons / "runs", tmp_cwd / "runs")) / "tiny"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sample tiny class=cat", "class 'cat' is not known. "),
        ("sample tiny class=7", "class=7, but this run has classes 0…1"),
        ("sample tiny ema=0.4", "ema must be at most 0.28, got 0.4"),
        ("sample tiny solver=heun eta=0.5", "solver 'heun' takes no eta. "),
        (
            "sample tiny out=there.npz",
            "there.npz exists and is not overwritten. Write out=there-2.npz, or remove it first.",
        ),
        (
            "sample tiny out=there.doc",
            "out=there.doc should end in .png, .npz, .npy, .csv, .parquet, .wav, .txt, .webp, .gif, .html: ",
        ),
        ("sample tiny out=no/x.png", "The folder no of out=no/x.png does not exist. Make it first: mkdir -p no"),
        ("evaluate tiny metrics=frechett", "no metric"),
        ("evaluate tiny against=digits", "digits holds images of 1×8×8, but this run makes vectors of 2. "),
        ("report tiny out=there.html", "there.html exists and is not overwritten. Write out=there-2.html, "),
        ("train moons name=tiny lr=0.5", "runs/tiny was trained with other options: "),
    ],
)
def test_bad_input_to_a_run_is_a_sentence(cli: Cli, trained: Path, words: str, message: str):
    for name in ("there.npz", "there.html"):
        Path(name).write_text("mine")
    before = sorted(trained.rglob("*"))
    said = cli(*words.split())
    assert said.code == 2
    assert message.lower() in said.err.lower()
    assert said.err.startswith("error: ")
    assert sorted(trained.rglob("*")) == before
    assert Path("there.npz").read_text() == "mine"


def test_a_truncated_weights_file_is_named(cli: Cli, trained: Path):
    weights = trained / "final" / "model.safetensors"
    Path("half.safetensors").write_bytes(weights.read_bytes()[:3000])
    said = cli("sample", "half.safetensors")
    assert said.code == 2
    assert said.err.startswith("error: half.safetensors is damaged or incomplete (")


def test_a_config_with_an_unknown_type_is_named_by_its_path(cli: Cli, trained: Path):
    config = trained / "config.toml"
    config.write_text(config.read_text().replace('type = "mlp"', 'type = "resnet"'))
    said = cli("sample", "tiny")
    assert said.code == 2
    assert said.err.startswith("error: config.net.type: no net is called 'resnet'.")
    config.write_text("[[[")
    said = cli("info", "tiny")
    assert said.code == 2
    assert "config.toml" in said.err


def test_a_device_that_is_not_here(cli: Cli):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    said = cli("train", "moons", "device=cuda")
    assert said.code == 2
    assert said.err.startswith("error: device=cuda was asked for, but ")


def test_a_full_disk_is_a_sentence(cli: Cli, trained: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    said = cli("sample", "tiny", "n=4", "out=x.npz")
    assert said.code == 2
    assert "No space left on device" in said.err or "disk is full" in said.err
    assert not Path("x.npz").exists()
    said = cli("train", "moons", "steps=1", "channels=8")
    assert said.code == 2
    assert "No space left on device" in said.err or "disk is full" in said.err


def test_debug_shows_the_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SCOREFIELD_DEBUG", "1")
    said = cli("train", "digitz")
    assert said.code == 2
    assert "Traceback (most recent call last)" in said.err
    assert "error: 'digitz' is neither" in said.err


def test_what_nobody_expected_is_one_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    from scorefield.cli import commands

    def broken(*_: object) -> None:
        raise RuntimeError("the inside\nis out")

    monkeypatch.setitem(commands.RUNNERS, "list", broken)
    said = cli("list")
    assert said.code == 1
    assert said.err == (
        "error: RuntimeError: the inside. scorefield did not expect this. "
        "SCOREFIELD_DEBUG=1 before the same command shows where; please report it.\n"
    )

    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate much")

    monkeypatch.setitem(commands.RUNNERS, "list", exhausted)
    said = cli("list")
    assert said.code == 1
    assert said.err.startswith("error: out of memory. Use a smaller batch=")

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(commands.RUNNERS, "list", stopped)
    assert cli("list") == (130, "", "error: interrupted. What was saved stands: give the same command again.\n")

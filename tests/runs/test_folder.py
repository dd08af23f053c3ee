"""Finding runs, their state, and the lock: all without torch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scorefield.errors import UserError
from scorefield.runs import env
from scorefield.runs.folder import RunFolder, find, free_name, runs_in
from scorefield.runs.listing import listing
from scorefield.runs.lock import Lock, holder

CONFIG = 'format = 1\n[data]\nsource = "x"\n[data.found]\nname = "x"\nkind = "vectors"\n[net]\ntype = "mlp"\n'


def make(root: Path, name: str, *records: dict, done: bool = False, age: int = 0) -> RunFolder:
    folder = RunFolder(root / name)
    folder.path.mkdir(parents=True)
    folder.config_file.write_text(CONFIG)
    folder.metrics_file.write_text("".join(json.dumps(record) + "\n" for record in records))
    if done:
        folder.done_file.write_text("{}")
    for file in folder.path.iterdir():
        os.utime(file, (1e9 - age, 1e9 - age))
    return folder


def test_find_takes_names_prefixes_paths_and_last(tmp_cwd: Path):
    old, new = make(Path("runs"), "digits", age=10), make(Path("runs"), "moons")
    assert find("digits").folder == old
    assert find("dig").folder == old
    assert find("runs/mo").folder == new
    assert find("last").folder == new
    assert find(tmp_cwd / "runs" / "digits").folder == RunFolder(tmp_cwd / "runs" / "digits")
    assert find("runs/digits/config.toml").folder == old


def test_an_exact_name_is_not_a_prefix(tmp_path: Path):
    make(tmp_path, "digits-2")
    exact = make(tmp_path, "digits")
    assert find("digits", tmp_path).folder == exact


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("d", r"'d' could be digits, digits-2 in .*\. Write more of the name\."),
        (
            "faces",
            r"No run is called 'faces'\. Runs in .*: digits, digits-2, moons\. Write one of them, a path, or 'last'\.",
        ),
    ],
)
def test_find_names_the_candidates(tmp_path: Path, word: str, sentence: str):
    for name in ("digits", "digits-2", "moons"):
        make(tmp_path, name)
    with pytest.raises(UserError, match=sentence):
        find(word, tmp_path)


def test_find_says_what_is_missing(tmp_path: Path):
    photos = tmp_path / "photos"
    photos.mkdir()
    with pytest.raises(
        UserError, match=r"is not a run folder: it has no config\.toml\. Runs are made by: scorefield train"
    ):
        find(photos)
    make(tmp_path / "runs", "digits")
    with pytest.raises(
        UserError, match=r"is not a run folder but holds 1: digits\. Write one of them, such as .*digits"
    ):
        find(tmp_path / "runs")
    with pytest.raises(UserError, match=r"There are no runs in .*photos/ yet"):
        find("last", photos)
    picture = photos / "cat.png"
    picture.touch()
    with pytest.raises(UserError, match=r"cat\.png is not a run folder and not a \.safetensors file"):
        find(picture)


def test_states(tmp_path: Path):
    stopped = {"event": "stopped", "step": 7, "reason": "diverged"}
    states = {
        "done": make(tmp_path, "a", done=True),
        "diverged": make(tmp_path, "b", {"event": "logged", "step": 5, "loss": 1.0}, stopped),
        "interrupted": make(tmp_path, "c", stopped, {"event": "stopped", "step": 9, "reason": "interrupted"}),
    }
    assert {state: folder.state() for state, folder in states.items()} == {state: state for state in states}
    assert states["interrupted"].step() == 9
    with Lock(states["done"].path):
        assert states["done"].state() == "running"


def test_listing_is_newest_first_and_survives_a_broken_run(tmp_path: Path):
    make(tmp_path, "old", {"event": "logged", "step": 5, "loss": 0.5}, age=100)
    make(tmp_path, "torn", age=50).config_file.write_text("format = [")
    make(tmp_path, "new", done=True)
    os.utime(tmp_path / "torn" / "config.toml", (1e9 - 50, 1e9 - 50))
    rows = listing(tmp_path)
    assert [(row["name"], row["state"]) for row in rows] == [
        ("new", "done"),
        ("torn", "broken"),
        ("old", "interrupted"),
    ]
    assert rows[2]["loss"] == 0.5
    assert "cannot be read as TOML" in rows[1]["problem"]
    assert listing(tmp_path / "nowhere") == []


def test_a_torn_last_line_is_skipped(tmp_path: Path):
    folder = make(tmp_path, "a", {"event": "logged", "step": 1, "loss": 1.0})
    with folder.metrics_file.open("a") as file:
        file.write('{"event": "logged", "st')
    assert folder.step() == 1


def test_a_newer_format_is_not_guessed_at(tmp_path: Path):
    folder = make(tmp_path, "a")
    folder.config_file.write_text(CONFIG.replace("format = 1", "format = 99"))
    with pytest.raises(UserError, match="has format 99, written by a newer scorefield; this one reads up to format 1"):
        folder.config()
    folder.config_file.write_text("a = 1\n")
    with pytest.raises(UserError, match="no 'format' number, so it was not written by scorefield"):
        folder.config()


def test_free_names(tmp_path: Path):
    assert free_name("a", tmp_path / "nowhere") == "a"
    make(tmp_path, "a"), make(tmp_path, "a-2")
    assert free_name("a", tmp_path) == "a-3"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "lock.json").touch()
    assert free_name("b", tmp_path) == "b"  # what a killed start left
    assert [folder.name for folder in runs_in(tmp_path)] == ["a", "a-2"]


def test_a_lock_holds_off_another_and_is_gone_afterwards(tmp_path: Path):
    with Lock(tmp_path):
        with pytest.raises(UserError, match=rf"is being trained by process {os.getpid()} on {socket.gethostname()}"):
            Lock(tmp_path).__enter__()
        assert holder(tmp_path) is not None
    assert holder(tmp_path) is None
    assert not (tmp_path / "lock.json").exists()


def test_a_stale_lock_is_taken_over(tmp_path: Path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"host": socket.gethostname(), "pid": ended.pid, "birth": "1"}))
    assert holder(tmp_path) is None
    with Lock(tmp_path):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_a_reused_process_id_does_not_hold(tmp_path: Path):
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "birth": "another life"}))
    assert holder(tmp_path) is None


def test_a_lock_of_another_host_is_believed(tmp_path: Path):
    (tmp_path / "lock.json").write_text(json.dumps({"host": "elsewhere", "pid": 1, "birth": ""}))
    with pytest.raises(
        UserError, match=r"by process 1 on elsewhere\. .*If that process is gone for good, delete .*lock\.json"
    ):
        Lock(tmp_path).__enter__()


def test_finding_and_listing_need_no_torch():
    code = "import sys, scorefield.runs.listing, scorefield.runs.folder; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("argv", "typed"),
    [
        (["/venv/bin/scorefield", "train", "digits"], "scorefield train digits"),
        (["/site/scorefield/__main__.py", "train", "digits"], "scorefield train digits"),  # python -m scorefield
        (["mine.py"], "mine.py"),
        ([""], "python"),
    ],
)
def test_the_command_is_told_as_it_was_typed(monkeypatch, argv, typed):
    monkeypatch.setattr("sys.argv", argv)
    assert env.command() == typed

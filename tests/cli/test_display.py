"""The training display on a terminal and elsewhere, fed by hand."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from rich.console import Console as RichConsole

from scorefield.cli import display
from scorefield.cli.console import Console
from scorefield.cli.figures import ago, bar, clock, columns, compact, table
from scorefield.training import Logged, Stopped
from tests.cli.conftest import own_process

PLAN: Any = SimpleNamespace(  # what a display reads of a plan
    config={"train": {"steps": 400}},
    rows=[("data", "digits  899 images"), ("model", "unet  2.6 M parameters — for images of 8 on cpu")],
    notes=("Colours were dropped.",),
    step=100,
)


def logged(step: int, loss: float = 0.5) -> Logged:
    return Logged(step, loss, 0.41, 2e-4, 128 * step, 3110.4, step / 2, 900_000_000, step / 400)


def test_plain_lines_come_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    shown = display.PlainDisplay(Console())
    shown.started(PLAN)
    for step in range(101, 201):
        now[0] += 0.5
        shown.logged(logged(step))
    shown.preview(Image.new("RGB", (8, 8)), Path("runs/x/samples/step-00000200.png"))
    shown.stopped(Stopped(200, "interrupted", "Stopped at step 200 as asked."))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "data    digits  899 images"
    assert lines[2] == "note    Colours were dropped."
    assert lines[3] == "resume  goes on from step 100"
    assert sum(line.startswith("step") for line in lines) == 6  # one each ten seconds, and the last
    assert lines[4] == ("step    101/400  25%  0:50 < 2:30  loss 0.5  grad 0.41  lr 2.0e-04  3,110 examples/s  0.9 GB")
    assert lines[-1] == "stopped Stopped at step 200 as asked."
    assert "\x1b" not in err


def test_live_display_shows_bar_loss_and_samples(monkeypatch: pytest.MonkeyPatch):
    screen = io.StringIO()
    rich = RichConsole(file=screen, force_terminal=True, color_system="truecolor", width=100, height=40)
    monkeypatch.setattr(Console, "rich", lambda self: rich)
    shown = display.LiveDisplay(Console())
    shown.started(PLAN)
    for step in range(110, 200, 10):
        shown.logged(logged(step, 100 / step))
    shown.preview(Image.new("RGB", (40, 20), (200, 30, 30)), Path("runs/x/samples/step-00000190.png"))
    shown.stopped(Stopped(190, "steps"))
    text = screen.getvalue()
    for words in ("190/400  48%", "█▇", "3,110 examples/s", "samples at step 190", "38;2;200;30;30", "goes on from"):
        assert words in text
    assert text.rstrip().endswith("\x1b[?25h")  # the cursor is back


def test_a_loss_that_is_not_a_number_does_not_stop_the_display(monkeypatch: pytest.MonkeyPatch):
    rich = RichConsole(file=io.StringIO(), force_terminal=True, width=60)
    monkeypatch.setattr(Console, "rich", lambda self: rich)
    shown = display.LiveDisplay(Console())
    shown.started(PLAN)
    shown.logged(logged(150, float("nan")))
    shown.logged(logged(160, float("inf")))
    shown.stopped(Stopped(160, "diverged", "The loss is not finite."))


def test_opener_is_quiet_plain_or_live(monkeypatch: pytest.MonkeyPatch):
    import pickle

    assert type(display.Opener(quiet=True)()) is display.Silent
    assert type(display.Opener()()) is display.PlainDisplay
    assert type(pickle.loads(pickle.dumps(display.Opener()))()) is display.PlainDisplay  # it travels to other processes
    monkeypatch.setattr(display.Console, "__init__", as_terminal)
    opener = display.Opener()
    assert type(opener()) is display.LiveDisplay
    opener.close()
    assert type(pickle.loads(pickle.dumps(opener))()) is display.LiveDisplay


def as_terminal(self: Console) -> None:
    self.quiet, self.json, self.plain = False, False, False


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_only_on_a_terminal_that_has_it(env: dict[str, str], coloured: bool):
    code = (
        "import os, pty, sys\n"
        "def read(fd):\n    data = os.read(fd, 65536)\n    return data\n"
        "pty.spawn([sys.executable, '-m', 'scorefield', 'trian'], read)\n"
        "pty.spawn([sys.executable, '-m', 'scorefield', '--help'], read)"
    )
    done = own_process(code, **({"TERM": "xterm-256color"} | env))
    assert "unknown command 'trian'" in done.stdout
    assert ("\x1b" in done.stdout) == coloured


def test_numbers_as_people_read_them():
    assert [clock(s) for s in (5, 252, 3723, 180_000, float("inf"))] == ["0:05", "4:12", "1:02:03", "2 d 2 h", "?"]
    assert [compact(n) for n in (3110.4, 24.31, 0.3129)] == ["3,110", "24.3", "0.313"]
    assert bar(0.5, 4) == ("━━", "━━")
    assert bar(0.6, 4) == ("━━╸", "━")
    assert bar(2, 4) == ("━━━━", "")
    assert [ago(s) for s in (3, 60, 7300, 200_000)] == ["just now", "1 minute ago", "2 hours ago", "2 days ago"]
    assert columns([("a", "x y"), ("a", "z"), ("long", "w")], 8) == ["a     x", "      y", "      z", "long  w"]
    assert table([("a", "b", "c"), ("1", "", "22")]) == ["a  c", "1  22"]


def test_a_watcher_who_leaves_does_not_stop_the_training(monkeypatch: pytest.MonkeyPatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        console = Console()
        console.say("hello")
        console.say("again")

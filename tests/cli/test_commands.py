"""What the commands print and leave: results on stdout, the rest on stderr, the Python that does the same."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Said

Cli = Callable[..., Said]
TINY = ("steps=5", "channels=8", "mult=1", "blocks=1", "attention=none", "batch=16", "preview=0", "evaluate=no")


def python_of(said: Said) -> str:
    """The lines under "in Python", which must be Python."""
    lines = said.err.partition("in Python\n")[2].partition("next\n")[0].splitlines()
    code = "\n".join(line.strip() for line in lines)
    ast.parse(code)
    return code


def test_train_leaves_a_run_and_the_same_command_knows_it(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = cli("train", "digits", *TINY, "name=first")
    assert (said.code, said.out) == (0, "runs/first\n")
    assert said.err.splitlines()[0].startswith("data    digits  899 images of 1×8×8")
    assert 'scorefield.train("digits", steps=5, channels=8, mult=[1]' in python_of(said)
    assert "scorefield sample runs/first" in said.err
    assert "step    5/5  100%" in said.err
    assert "\x1b" not in said.err  # a pipe, and no terminal
    assert (Path("runs/first") / "DONE").exists()
    again = cli("train", "digits", "--json", "--quiet", *TINY, "name=first")
    assert again.err == ""
    assert json.loads(again.out)["step"] == 5


def test_json_is_one_object_and_nothing_else(cli: Cli, moons: Path):
    runs = f"runs={moons / 'runs'}"
    expected = {
        ("list", runs): {"runs"},
        ("info", "tiny", runs): {"run", "config", "cite", "step"},
        ("sample", "tiny", runs, "n=3", "steps=2", "out=x.npy"): {"run", "files", "nfe", "labels"},
        ("data", "moons"): {"count", "shape", "classes", "duplicates", "broken"},
        ("data",): {"embedded"},
    }
    for words, keys in expected.items():
        said = cli(*words, "--json")
        assert said.code == 0, said.err
        assert keys <= json.loads(said.out).keys()


def test_sample_writes_what_the_ending_says(cli: Cli, moons: Path):
    runs = f"runs={moons / 'runs'}"
    said = cli("sample", "tiny", runs, "n=6", "steps=2", "class=1", "seed=3", "out=x.npz")
    assert (said.code, said.out) == (0, "x.npz\n")
    with np.load("x.npz") as stored:
        assert stored["x"].shape == (6, 2)
        assert stored["label"].tolist() == [1] * 6
    assert cli("sample", "tiny", runs, "n=6", "steps=2", "film=yes", "out=y.png").out == "y.png\ny.webp\n"
    with Image.open("y.webp") as film, Image.open("y.png") as picture:
        assert film.n_frames > 1
        assert picture.width > 100
    assert cli("sample", "tiny", runs, "n=2", "steps=2", "out=z.csv").code == 0
    assert Path("z.csv").read_text().splitlines()[0] == "x,y,label"


def test_the_python_it_prints_does_the_same(cli: Cli, moons: Path):
    said = cli("sample", "tiny", f"runs={moons / 'runs'}", "n=4", "steps=2", "class=1", "seed=3", "out=x.npz")
    code = python_of(said).replace('save("x.npz")', 'save("again.npz")')
    exec(compile(code, "printed", "exec"), {})
    with np.load("x.npz") as one, np.load("again.npz") as other:
        assert np.array_equal(one["x"], other["x"])


def test_a_weights_file_alone_is_enough(cli: Cli, moons: Path):
    file = moons / "runs" / "tiny" / "final" / "model.safetensors"
    Path("alone.safetensors").write_bytes(file.read_bytes())
    assert cli("sample", "alone.safetensors", "n=2", "steps=1").out == "moons.png\nmoons.npz\n"
    assert cli("sample", "alone.safetensors", "n=2", "steps=1").out == "moons-2.png\nmoons-2.npz\n"
    said = cli("info", "alone.safetensors")
    assert said.code == 0
    assert "what to cite" in said.out
    assert "report" not in said.err


def test_info_says_how_it_was_made_and_what_to_cite(cli: Cli, moons: Path):
    said = cli("info", "tiny", f"runs={moons / 'runs'}")
    assert said.code == 0
    for words in ("what it is", "how it was made", "Karras, Aittala, Aila, Laine (2022)", "[averaging]"):
        assert words in said.out
    assert "how good it is" not in said.out
    assert max(map(len, said.out.splitlines())) <= 120


def test_evaluate_prints_each_figure_with_its_floor(cli: Cli, moons: Path):
    words = ("n=60", "steps=2", "metrics=energy,two_sample", "out=scores.json")
    said = cli("evaluate", "tiny", f"runs={moons / 'runs'}", *words)
    assert said.code == 0, said.err
    head, *rows = said.out.splitlines()
    assert head.split() == ["metric", "samples", "real", "data", "n", "reading"]
    assert [row.split("  ")[0] for row in rows] == ["energy distance", "1-NN accuracy"]
    assert len(json.loads(Path("scores.json").read_text())["scores"]) == 2


def test_data_shows_what_would_be_trained_on(cli: Cli):
    Path("photos/cat").mkdir(parents=True)
    for i in range(4):
        Image.new("RGB", (12, 10), (60 * i, 0, 0)).save(f"photos/cat/{i}.png")
    Path("photos/broken.png").write_bytes(b"no image")
    said = cli("data", "photos", "size=8", "out=grid.png", "cache=no")
    assert said.code == 0, said.err
    for words in ("4 images", "3×8×8 uint8", "classes", "duplicates", "broken.png"):
        assert words in said.out
    assert said.out.splitlines()[-1].endswith("grid.png")
    with Image.open("grid.png") as picture:
        assert picture.width > 100
    assert "scorefield train photos size=8 cache=no" in said.err


def test_list_shows_every_run_with_its_state(cli: Cli, moons: Path):
    said = cli("list", f"runs={moons / 'runs'}")
    head, row = said.out.splitlines()
    assert head.split()[:5] == ["run", "state", "step", "data", "model"]
    assert row.split()[:5] == ["tiny", "done", "5", "moons", "mlp"]
    assert cli("list").out == "no runs in runs/ yet\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes differ")
def test_a_reader_that_goes_away_is_not_told_about_it(tmp_path: Path):
    scorefield = f'"{sys.executable}" -m scorefield'
    command = f"{scorefield} list --json 2>err | true; {scorefield} --help 2>>err | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.startswith("usage: scorefield")
    assert "Broken pipe" not in (tmp_path / "err").read_text()
    assert "Traceback" not in (tmp_path / "err").read_text()

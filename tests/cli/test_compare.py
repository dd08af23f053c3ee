"""`scorefield compare`: a table, a picture, numbers."""

from __future__ import annotations

import ast
import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Said

Cli = Callable[..., Said]
FEW = ("solvers=heun,ddim", "steps=2,4", "n=4")


def test_it_prints_a_table_by_cost_and_leaves_a_picture_and_numbers(cli: Cli, moons: Path):
    shutil.copytree(moons / "runs", "runs")
    said = cli("compare", "tiny", *FEW)
    assert said.code == 0, said.err
    head, *rows = [line.split() for line in said.out.splitlines()]
    assert head == ["solver", "steps", "evaluations", "error", "median", "sample"]
    assert [tuple(row[:3]) for row in rows] == [("ddim", "2", "2"), ("heun", "2", "3"), ("ddim", "4", "4"),
                                                ("heun", "4", "7")]  # fmt: skip
    assert "root mean square over 4 samples, to dpmpp3m in" in said.err and "The reference moved by" in said.err
    samples = Path("runs/tiny/samples")
    with Image.open(samples / "compare.png") as picture:
        assert picture.width > 500
    with open(samples / "compare.csv", newline="") as file:
        assert [row["solver"] for row in csv.DictReader(file)] == ["heun", "heun", "ddim", "ddim", "reference"]
    again = cli("compare", "tiny", *FEW, "--json")
    found = json.loads(again.out)
    assert [Path(file).name for file in found["files"]] == ["compare-2.png", "compare-2.csv"]
    assert {"entries", "reference", "run"} <= found.keys()


def test_out_names_the_one_file(cli: Cli, moons: Path):
    said = cli("compare", "tiny", f"runs={moons / 'runs'}", *FEW, "out=x.json")
    assert said.code == 0 and [path.name for path in Path().iterdir()] == ["x.json"]
    assert len(json.loads(Path("x.json").read_text())["entries"]) == 4


def test_the_python_it_prints_runs(cli: Cli, moons: Path):
    said = cli("compare", "tiny", f"runs={moons / 'runs'}", "solvers=ddim", "steps=2", "n=4", "class=1", "out=x.csv")
    lines = said.err.partition("in Python\n")[2].partition("next\n")[0].splitlines()
    code = "\n".join(line.strip() for line in lines)
    assert code.splitlines()[-1] == 'run.compare(solvers="ddim", steps=[2], n=4, label="1")'
    ast.parse(code)
    exec(compile(code, "printed", "exec"), {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("solvers=hoin", "no solver is called 'hoin'."),
        ("solvers=hune", "no solver is called 'hune'. Did you mean 'heun'?"),
        ("steps=5,0", "steps must be at least 1, got 0"),
        ("steps=5,x", "steps must be a whole number, got 'x'"),
        ("n=1", "n must be at least 2, got 1"),
        ("out=x.gif", "out=x.gif should end in .png, .csv, .json"),
        ("solver=heun", "unknown option 'solver'. Did you mean 'solvers'?"),
    ],
)
def test_bad_input_is_a_sentence_before_the_run_is_looked_for(cli: Cli, words: str, message: str):
    said = cli("compare", "nowhere", *words.split())
    assert (said.code, said.out) == (2, "") and said.err.startswith(f"error: {message}")


@pytest.mark.parametrize("words", ["--json list", "list --json", "--quiet --json list", "--json --quiet list"])
def test_flags_may_stand_before_the_command(cli: Cli, words: str):
    """The root help lists them, so they are understood there too."""
    said = cli(*words.split())
    assert said.code == 0 and json.loads(said.out) == {"runs": []}
    assert cli("-q", "list").out == "no runs in runs/ yet\n"


def test_flags_alone_are_the_help(cli: Cli):
    assert cli("--quiet").out == cli("--help").out == cli("--json", "--help").out

"""`scorefield tune`, and `scorefield sample` with what it stored."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Said

Cli = Callable[..., Said]
FEW = ("examples=8", "held_out=8", "iterations=5")


def test_tune_stores_a_table_and_sample_says_that_it_walks_it(cli: Cli, moons: Path):
    shutil.copytree(moons / "runs", "runs")
    said = cli("tune", "tiny", "--steps", "3", *FEW)
    assert said.code == 0, said.err
    head, row = said.out.splitlines()
    assert head.split() == ["steps", "error", "untuned", "best", "untuned", "file"]
    steps, after, before, *_, file = row.split()
    assert (steps, file) == ("3", "runs/tiny/tables/3.json") and float(after) <= float(before)
    assert "scorefield sample tiny steps=3" in said.err and "mean distance over 8 samples" in said.err
    drawn = cli("sample", "tiny", "--steps", "3", "n=4", "out=a.npy", "--json")
    assert json.loads(drawn.out)["table"] == "runs/tiny/tables/3.json"
    assert "walks the tuned table runs/tiny/tables/3.json" in drawn.err
    for words in ("table=no", "solver=heun"):
        without = cli("sample", "tiny", "steps=3", "n=4", f"out={words}.npy", words, "--json")
        assert json.loads(without.out)["table"] is None and "table runs" not in without.err
    guided = cli("sample", "tiny", "steps=3", "n=4", "guidance=2", "out=b.npy")
    assert "scorefield tune runs/tiny steps=3 guidance=2" in guided.err.replace("\n      ", " ")
    assert cli("sample", "tiny", "n=4", f"table={file}", "out=c.npy").code == 0
    assert "tables/3.json, at step 5, guidance 1, error" in cli("info", "tiny").out
    compared = cli("compare", "tiny", "solvers=ddim", "steps=3", "n=4")
    assert {line.split()[0] for line in compared.out.splitlines()} == {"solver", "ddim", "tuned"}


def test_json_and_the_python_it_prints(cli: Cli, moons: Path):
    shutil.copytree(moons / "runs", "runs")
    said = cli("tune", "tiny", "steps=2,3", *FEW, "--json")
    found = json.loads(said.out)
    assert [table["steps"] for table in found["tables"]] == [2, 3] and found["tables"][0]["former"] is None
    lines = said.err.partition("in Python\n")[2].partition("next\n")[0].splitlines()
    code = "\n".join(line.strip() for line in lines)
    assert "run.tune(steps=[2, 3], examples=8, held_out=8, iterations=5)" in code
    ast.parse(code)
    exec(compile(code, "printed", "exec"), {})
    assert sorted(path.name for path in Path("runs/tiny/tables").iterdir()) == ["2.json", "3.json"]  # the same again


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tune", "nowhere"), "No run is called 'nowhere'."),
        (("tune", "nowhere", "steps=1"), "steps must be at least 2, got 1"),
        (("tune", "nowhere", "step=4"), "unknown option 'step'. Did you mean 'steps'?"),
        (("tune", "nowhere", "iterations=0"), "iterations must be at least 1, got 0"),
    ],
)
def test_bad_input_is_a_sentence(cli: Cli, words: tuple[str, ...], message: str):
    said = cli(*words)
    assert (said.code, said.out) == (2, "") and said.err.startswith(f"error: {message}")


def test_a_table_of_another_schedule_or_torn_is_a_sentence(cli: Cli, moons: Path):
    shutil.copytree(moons / "runs", "runs")
    cli("tune", "tiny", "steps=2", *FEW)
    file = Path("runs/tiny/tables/2.json")
    other = cli("sample", "tiny", f"table={file}", "schedule=vp", "out=a.npy")
    assert other.code == 2 and "this table was made for another noise schedule" in other.err
    file.write_text(file.read_text()[:100])
    torn = cli("sample", "tiny", "steps=2", "out=a.npy")
    assert torn.code == 2 and torn.err.startswith(f"error: {file} is not a sampler table")
    assert not Path("a.npy").exists()

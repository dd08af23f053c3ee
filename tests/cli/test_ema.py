"""`scorefield ema` and `scorefield export` as somebody types them."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Said

Cli = Callable[..., Said]


def test_ema_prints_a_table_and_what_may_be_said(cli: Cli, moons: Path):
    shutil.copytree(moons / "runs", "runs")
    said = cli("ema", "tiny", "widths=0.05,0.1", "n=40")
    assert said.code == 0, said.err
    head, *rows = said.out.splitlines()
    assert head.split() == ["ema", "loss", "difference", "to", "the", "lowest", "profile", "error"]
    assert [row.split()[0] for row in rows] == ["last", "0.05", "0.1"] and sum(row.endswith("*") for row in rows) == 1
    flat = " ".join(said.err.split())
    assert "Lowest: " in flat and "This is one training run" in flat and "40 noisings of 40 held-out examples" in flat
    assert Path("runs/tiny/ema.json").is_file() and Path("runs/tiny/ema.png").is_file()
    code = "\n".join(line.strip() for line in said.err.partition("in Python\n")[2].partition("next\n")[0].splitlines())
    assert "run.sweep(widths=[0.05, 0.1], n=40)" in code
    ast.parse(code)
    again = json.loads(cli("ema", "tiny", "widths=0.05,0.1", "n=40", "--json").out)
    assert again["files"] == ["runs/tiny/ema.json", "runs/tiny/ema.png"] and again["metric"] == "loss"
    drawn = cli("sample", "tiny", "n=2", "steps=2", "ema=0.08", "out=a.npy")
    assert drawn.code == 0, drawn.err
    report = cli("report", "tiny")
    assert report.code == 0 and "Averages of the weights" in Path("runs/tiny/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ema", "nowhere", "widths=0.5"), "widths must be at most 0.28, got 0.5"),
        (("ema", "nowhere", "metric=fid"), "metric 'fid' is not known."),
        (("ema", "nowhere"), "No run is called 'nowhere'."),
        (("sample", "nowhere", "ema=0.3"), "ema must be at most 0.28, got 0.3"),
        (("evaluate", "nowhere", "ema=0"), "ema must be greater than 0, got 0"),
        (("export", "nowhere", "to=pickle"), "to 'pickle' is not known."),
        (("export", "nowhere", "out=a.onnx"), "a.onnx"),
    ],
)
def test_bad_input_is_a_sentence(cli: Cli, words: tuple[str, ...], message: str):
    said = cli(*words)
    assert (said.code, said.out) == (2, "") and message in said.err


def test_export_prints_the_check_and_the_file(cli: Cli, moons: Path):
    shutil.copytree(moons / "runs", "runs")
    said = cli("export", "tiny", "what=sampler", "steps=1", "solver=ddim")
    assert said.code == 0, said.err
    head, first, second, path = said.out.splitlines()
    assert head.split() == ["program", "largest", "difference", "bound"]
    assert first.startswith("torch program") and second.startswith("torch.export.load")
    assert path == "runs/tiny/export/sampler-1.pt2" and Path(path).is_file() and Path(f"{path}.json").is_file()
    assert "noise  float32 (B, 2): standard normal" in said.err
    refused = cli("export", "tiny", "steps=3")
    assert refused.code == 2 and "steps belong to a sampler" in refused.err

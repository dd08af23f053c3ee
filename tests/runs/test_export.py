"""A run as a program: the file, its description, and what is refused before or after it was traced."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import scorefield
from scorefield.errors import UserError
from scorefield.export import parity
from tests.cli.conftest import own_process


@pytest.mark.slow
def test_a_denoiser_runs_with_torch_alone(moons: Path):
    run = scorefield.load(moons)
    done = run.export()
    assert done.path == moons / "export/denoiser.pt2" and all(it.holds for it in done.parity)
    assert [it.name for it in done.inputs] == ["x", "level", "label"]
    said = json.loads(done.description.read_text())
    assert (said["step"], said["classes"], said["ema"], said["guidance"]) == (8, ["0", "1"], 0.1, 1.0)
    assert said["parity"][0]["batches"] == [2, 1, 5] and len(said["weights_sha256"]) == 64
    assert str(moons.parent) not in done.description.read_text()
    assert sorted(path.name for path in (moons / "export").iterdir()) == ["denoiser.pt2", "denoiser.pt2.json"]
    code = (
        "import sys, torch\n"
        "x = torch.tensor([[0.5, -1.0]]); p = torch.export.load(sys.argv[1]).module()\n"
        "print(p(x=x, level=torch.tensor([0.3]), label=torch.tensor([1])).tolist(), 'scorefield' in sys.modules)"
    )
    answer = own_process(code, str(done.path)).stdout.strip()
    sigma = torch.tensor(0.3).exp()
    t = run.process.time(-sigma.double().log())
    expected = run.denoiser(torch.tensor([[0.5, -1.0]]), t, label=torch.tensor([1])).mean
    values, _, loaded = answer.rpartition(" ")
    torch.testing.assert_close(torch.tensor(json.loads(values)), expected, rtol=1e-4, atol=1e-5)
    assert loaded == "False"


def test_a_program_that_gives_something_else_is_not_kept(moons: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(parity.ROUNDINGS, "denoiser", -1)
    with pytest.raises(UserError, match=r"denoiser\.pt2 was not written: torch program differs from the library by"):
        scorefield.load(moons).export()
    assert list((moons / "export").iterdir()) == []


def test_what_is_refused_before_anything_is_traced(moons: Path, monkeypatch: pytest.MonkeyPatch):
    run = scorefield.load(moons)
    for options, sentence in (
        ({"to": "pt"}, r"to='pt' is not known\. Did you mean 'pt2'"),
        ({"what": "net"}, r"what='net' is not known"),
        ({"steps": 3}, r"steps belong to a sampler\. Write what=sampler"),
        ({"what": "sampler", "solver": "adaptive"}, r"solver=adaptive decides its steps while it walks.*dpmpp2m"),
        ({"what": "sampler", "steps": 0}, r"steps must be at least 1"),
        ({"out": "model.onnx"}, r"out=model\.onnx must end in \.pt2"),
    ):
        with pytest.raises(UserError, match=sentence):
            run.export(**options)
    for name in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r'to=onnx needs .*onnxruntime.*pip install "scorefield\[export\]"'):
        run.export("onnx")
    assert not (moons / "export").exists() or not list((moons / "export").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("to", ["pt2", "onnx"])
@pytest.mark.parametrize("solver", ["dpmpp2m", "sde-dpmpp2m"])
def test_samplers_of_digits_give_bytes(finished_digits: Path, to: str, solver: str, tmp_path: Path):
    """U-Net, guidance inside, images decoded: at most one level apart, and the noise of the solver an input."""
    if to == "onnx":
        pytest.importorskip("onnxruntime"), pytest.importorskip("onnxscript")
    run = scorefield.load(finished_digits / "digits")
    out = tmp_path / f"sampler.{to}"
    done = run.export(to, "sampler", steps=2, solver=solver, guidance=1.5, out=out)
    assert all(it.holds for it in done.parity) and done.output[:3] == ("x", "uint8", (1, 8, 8))
    assert [it.name for it in done.inputs] == ["noise", *(["fresh"] if solver != "dpmpp2m" else []), "label"]
    if to == "pt2" and solver == "dpmpp2m":
        program = torch.export.load(out).module()
        noise = scorefield.Rng.each(0, range(3)).normal(torch.empty(3, 1, 8, 8))
        drawn = run.sample(3, steps=2, solver=solver, guidance=1.5, label=[4])
        got = program(noise=noise, label=torch.full((3,), 4))
        assert (got.int() - drawn.x.int()).abs().max() <= 1

"""What is exported is what the library computes: the modules themselves, then the files they are written to."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import scorefield as sf
from scorefield import nets  # noqa: F401  (importing registers)
from scorefield.core import as_time
from scorefield.errors import UserError
from scorefield.export import FORMATS, DenoiserProgram, SamplerProgram, compare
from scorefield.export.formats import traced
from scorefield.noise import EDM, VP, Cosine, Flow
from scorefield.registry import from_config

NET = {"type": "mlp", "dim": 3, "width": 16, "depth": 1, "classes": 2, "condition": 2}


def denoiser(schedule: object, predict: str = "edm", net: Mapping[str, object] = NET) -> sf.Preconditioned:
    """A network with weights that do something, zero heads included."""
    made = from_config(dict(net), "net", "net")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.2)
    return sf.Preconditioned(made, sf.Gaussian(schedule), predict, sigma_data=0.7).eval().requires_grad_(False)


def told(batch: int) -> dict[str, Tensor]:
    numbers = torch.linspace(-1, 1, 2 * batch).view(batch, 2)
    numbers[0, 0] = float("nan")
    return {"label": torch.arange(batch) % 3 - 1, "condition": numbers}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize(
    ("schedule", "predict"), [(VP(), "eps"), (VP(), "v"), (EDM(), "edm"), (Flow(), "flow"), (Cosine(), "x0")]
)
def test_the_denoiser_is_the_library_s_on_any_schedule(schedule: object, predict: str, guidance: float):
    """x_t / α and log σ/α in, the same belief out: to float32 rounding of x and of level, for a network whose outputs
    and slopes are of order one."""
    inner = denoiser(schedule, predict)
    asked = inner if guidance == 1 else sf.ClassifierFree(inner, guidance)
    t = as_time(torch.linspace(0.1, 0.9, 5))
    alpha = inner.process.schedule(t).alpha.float().view(-1, 1)
    x = noise(5, 3)
    expected = asked(x, t, **told(5)).mean
    level = (-inner.process.log_ratio(t)).float()
    got = DenoiserProgram(inner, guidance)(x / alpha, level, **told(5))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("solver", ["dpmpp2m", "flow2pc", "sde-dpmpp2m", "ddpm"])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_the_sampler_is_the_library_s_on_the_same_noise(solver: str, guidance: float):
    """Bit for bit where the arithmetic is the same numbers in the same order; the level of a row is rounded once."""
    inner = denoiser(VP(), "v")
    asked = inner if guidance == 1 else sf.ClassifierFree(inner, guidance)
    table = sf.tabulate(sf.solver(solver), inner.process, torch.linspace(1, 0, 6, dtype=torch.float64))
    program = SamplerProgram(inner, table, guidance, decode=lambda x: 2 * x)
    rng = sf.Rng.each(0, range(4))
    like = torch.empty(4, 3)
    start = rng.normal(like)
    fresh = torch.stack([rng.normal(like) for _ in range(program.draws)], 1) if program.draws else None
    expected = 2 * sf.sample(asked, (4, 3), table=table, seed=0, **told(4))
    torch.testing.assert_close(program(start, fresh, **told(4)), expected, rtol=1e-5, atol=1e-6)
    assert (program.draws > 0) == (solver in ("sde-dpmpp2m", "ddpm"))


def test_a_table_of_another_schedule_is_refused():
    table = sf.tabulate(sf.solver("ddim"), sf.Gaussian(EDM()), torch.linspace(1, 0, 3, dtype=torch.float64))
    with pytest.raises(UserError, match="made for another noise schedule"):
        SamplerProgram(denoiser(VP()), table)


def test_parity_is_strict_about_what_matters():
    """Whole numbers may differ by one, real ones by rounding; NaN, shapes and types are never forgiven."""
    real, whole = torch.tensor([[1.0, -4.0]]), torch.tensor([[10, 20]], dtype=torch.uint8)
    near = compare("p", "denoiser", lambda given: real + 1e-5, [({}, real)])
    assert near.holds and near.bound == pytest.approx(1000 * 2**-23 * 4) and near.batches == (1,)
    assert compare("p", "sampler", lambda given: whole + 1, [({}, whole)]).holds
    for wrong in (real + 0.01, real * float("nan"), real[0], real.double()):
        assert not compare("p", "denoiser", lambda given, w=wrong: w, [({}, real)]).holds
    assert not compare("p", "sampler", lambda given: whole + 2, [({}, whole)]).holds
    spoiled = iter([real * float("nan"), real])
    assert not compare("p", "denoiser", lambda given: next(spoiled), [({}, real), ({}, real)]).holds


def test_a_written_program_runs_on_any_batch_and_holds_no_pickle(tmp_path: Path):
    module = DenoiserProgram(denoiser(EDM()), 2.0)
    program = traced(module, {"x": noise(2, 3), "level": noise(2), **told(2)})
    path = tmp_path / "denoiser.pt2"
    FORMATS["pt2"].write(program, path)
    run = FORMATS["pt2"].load(path)
    for batch in (1, 7):
        inputs = {"x": noise(batch, 3), "level": noise(batch), **told(batch)}
        torch.testing.assert_close(run(inputs), module(**inputs), rtol=1e-5, atol=1e-6)
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    assert any(name.endswith("models/model.json") for name in held)
    nested = [name for name, content in held.items() if content[:2] in (b"PK", b"\x80\x02") or name.endswith(".pkl")]
    assert nested == []  # a pickle begins with \x80, and torch wraps its own in a zip


def test_what_cannot_be_traced_is_a_sentence():
    class Branching(nn.Module):
        """Looks at values, which a graph cannot."""

        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UserError, match=r"cannot write this network down as a graph: .*Python branches"):
        traced(Branching(), {"x": noise(2, 3)})


NETS = [
    {"type": "unet", "in_channels": 1, "size": 8, "channels": 16, "mult": [1, 2], "blocks": 1, "attention": [4]},
    {"type": "dit", "in_channels": 1, "size": 8, "width": 32, "depth": 1, "heads": 2, "patch": 2},
    {"type": "edm2", "in_channels": 1, "size": 8, "channels": 16, "mult": [1, 2], "blocks": 1},
    {"type": "transformer", "dim": 3, "width": 32, "depth": 1, "heads": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS, ids=lambda net: net["type"])
@pytest.mark.parametrize("to", ["pt2", "onnx"])
def test_every_network_can_be_written_for_any_batch(net: Mapping[str, object], to: str, tmp_path: Path):
    if to == "onnx":
        pytest.importorskip("onnxruntime"), pytest.importorskip("onnxscript")
    shape = (3,) if "dim" in net else (1, 8, 8)
    module = DenoiserProgram(denoiser(EDM(), net=dict(net) | {"classes": 2}))
    inputs = [
        {"x": noise(n, *shape), "level": torch.linspace(-2, 2, n), "label": torch.arange(n) % 3 - 1} for n in (2, 1, 5)
    ]
    path = tmp_path / f"net.{to}"
    FORMATS[to].write(traced(module, inputs[0]), path)
    found = compare(to, "denoiser", FORMATS[to].load(path), [(given, module(**given)) for given in inputs])
    assert found.holds, found

"""Bits per dimension of a run: the figures of the library, in the units of the data, stored and told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

import scorefield
from scorefield.errors import UserError
from scorefield.likelihood import Adams, log_prob
from scorefield.runs import likelihood, report
from scorefield.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few evaluations: these networks have learned next to nothing."""
    monkeypatch.setattr(likelihood, "SOLVER", Adams(1e-2))


def test_points_have_a_density_in_their_own_units(moons: Path):
    """The flow's figure is −log₂ of p(z)|dz/dv|, with |dz/dv| from the Jacobian of the codec; it is stored beside the
    evaluation, which stays, and the report draws what the bound is made of."""
    run = scorefield.load(moons)
    before = RunFolder(moons).evaluation_file.exists()
    found = run.evaluate(bits_per_dim=True, n=12)
    assert [score.name for score in found] == ["bits_bound", "bits_flow"] and found["bits_flow"].se > 0
    held = run.dataset().held_out
    x = held.x[torch.linspace(0, len(held) - 1, 12).round().long()]
    label = held.labels[torch.linspace(0, len(held) - 1, 12).round().long()]
    jacobian = torch.autograd.functional.jacobian(lambda v: run.codec.encode(v[None])[0], x[0])
    nats = log_prob(run.denoiser, run.codec.encode(x), solver=likelihood.SOLVER, label=label).nats
    nats = nats + torch.linalg.slogdet(jacobian)[1]
    assert found["bits_flow"].value == pytest.approx(-nats.mean().item() / (2 * math.log(2)), abs=1e-4)
    folder = RunFolder(moons)
    stored = json.loads(folder.likelihood_file.read_text())
    assert stored["evaluation"] == found.to_json() and folder.evaluation_file.exists() == before
    assert len(stored["by_level"]["bits"]) + 1 == len(stored["by_level"]["edges"])
    page = report.report(run, film=False).read_text()
    assert "Bits per dimension" in page and "what the bound pays" in page


@pytest.mark.slow
def test_images_have_bits_of_their_levels(finished_digits: Path):
    """A network that learned nothing says no more than that 64 pixels have 256 levels, and something near it."""
    run = scorefield.load(finished_digits / "digits")
    found = run.evaluate(bits_per_dim=True, n=4, keep=False)
    assert 4 < found["bits_bound"].value < 12 and 4 < found["bits_flow"].value < 12
    assert "upper bounds on −log₂ of the probability" in found.notes[0]


def test_options_for_samples_are_refused(moons: Path):
    run = scorefield.load(moons)
    for name, value in (("steps", 4), ("metrics", ["energy"])):
        with pytest.raises(UserError, match=f"{name} is for samples, and bits_per_dim=yes draws none"):
            run.evaluate(bits_per_dim=True, **{name: value})


def test_a_table_has_no_density(tmp_path: Path):
    path = tmp_path / "mixed.csv"
    path.write_text("a,b\n" + "".join(f"{i / 7:.3f},{'xy'[i % 2]}\n" for i in range(40)))
    run = scorefield.train(path, runs=tmp_path, steps=1, channels=8, evaluate=False, device="cpu", holdout=0.2)
    with pytest.raises(UserError, match=r"for images, vectors and signals .* makes table"):
        run.evaluate(bits_per_dim=True)

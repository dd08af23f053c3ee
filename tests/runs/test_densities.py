"""Plans for likelihood from the command line's options, and bits of levels against their exact law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import scorefield
from scorefield import Gaussian, Moments, Rng
from scorefield.data import Dataset, Pixels, open_data
from scorefield.data.levels import ValueLevels
from scorefield.errors import UserError
from scorefield.likelihood import Adams
from scorefield.noise import EDM, Learned
from scorefield.options import resolve
from scorefield.runs import bits_table
from scorefield.runs.counted import Effort, OfLevels
from scorefield.runs.plan import plan


def _plan(**options: Any) -> dict[str, Any]:
    return plan(open_data("digits"), resolve("train", options), given=options).config


def test_a_learned_schedule_makes_a_variational_diffusion_model():
    """γ₀ is that of a third of half a bin, the waves are those of the levels, and the decoder counts the same ones."""
    config = _plan(schedule="learned")
    assert config["codec"] == {"type": "pixels", "levels": 17, "first": 0, "step": 255 / 16}
    schedule = config["process"]["schedule"]
    assert schedule["low"] == pytest.approx(2 * math.log(1 / (3 * 17)), abs=1e-4) and schedule["ends"]
    assert config["objective"]["type"] == "vdm" and config["objective"]["decoder"] == {"type": "softmax", "levels": 17}
    assert config["net"]["waves"] == [4.0, 8.0] and config["data"]["found"]["levels"]["count"] == 17


def test_learned_variances_make_improved_ddpm():
    config = _plan(variance="learned", **{"process.schedule.steps": 500})
    assert config["process"]["schedule"] == {"type": "ddpm", "betas": "cosine", "steps": 500}
    assert config["denoiser"]["steps"] == 500 and config["net"]["out_channels"] == 2
    assert config["objective"]["type"] == "hybrid" and config["objective"]["vlb"] == 0.5
    assert config["sample"]["solver"] == "ancestral"
    bound = _plan(variance="learned", weight="likelihood")["objective"]
    assert (bound["type"], bound["bins"], bound["inner"]["type"]) == ("by-history", 1000, "vlb")
    assert bound["inner"]["decoder"] == {"type": "levels", "levels": 17}


def test_likelihood_weighting_dequantises_and_samples_times_by_importance():
    config = _plan(schedule="vp", weight="likelihood")
    assert config["denoiser"]["type"] == config["objective"]["type"] == "dequantised"
    assert config["denoiser"]["levels"] == 17 and config["denoiser"]["dequantiser"]["channels"] == 1
    law = config["objective"]["times"]["times"]
    sigma = math.exp(-Gaussian(scorefield.noise.VP()).log_ratio(torch.tensor(law["low"], dtype=torch.float64)).item())
    assert law["type"] == "importance" and sigma == pytest.approx(2 / 16 / 16, rel=1e-3)  # a sixteenth of a bin
    plain = _plan(weight="likelihood", dequantise="no")
    assert (
        plain["denoiser"]["type"] == "preconditioned" and plain["objective"]["times"]["times"]["type"] == "importance"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "learned", "variance": "learned"}, "different ways to train for likelihood"),
        ({"schedule": "learned", "weight": "edm"}, "so weight=edm has no place"),
        ({"variance": "learned", "times": "uniform"}, "so times=uniform has no place"),
        ({"dequantise": "variational", "weight": "edm"}, "learns a law from the bound, which weight=edm is not"),
        ({"schedule": "learned", "classifier": True}, "Leave schedule out"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        _plan(**options)
    with pytest.raises(UserError, match="variance=learned needs a network with twice the channels"):
        plan(open_data("moons"), resolve("train", {"variance": "learned"}))


@dataclass
class Uniform:
    """E[x₀ | x_t] of pixels that are uniform on ``values``, each by itself."""

    process: Any
    values: torch.Tensor

    def __call__(self, x, t, **cond):
        alpha, sigma = self.process.scales(t, x)
        logits = (
            -0.5 * ((x[..., None] - alpha[..., None] * self.values) / sigma[..., None]).square()
            if alpha.ndim
            else (-0.5 * ((x[..., None] - alpha * self.values) / sigma).square())
        )
        return Moments((logits.softmax(-1) * self.values).sum(-1))


@pytest.mark.parametrize("codec", [Pixels(4, 10, 60.0), Pixels()], ids=repr)
@pytest.mark.parametrize("schedule", ["edm", pytest.param("learned", marks=pytest.mark.slow)])
def test_bits_of_levels_are_those_of_their_law(codec, schedule):
    """Four levels, each as often: log₂ 4 = 2 bits, and with the exact belief the bound in continuous time reaches it,
    whichever codec scaled them: within 4.5 standard errors (false alarm 1e-5) and what the prior costs."""
    levels, noise = ValueLevels(4, 10, 60.0), {"edm": EDM(), "learned": Learned(2 * math.log(1 / 40), 8.0)}[schedule]
    values = codec.encode(levels.bytes(torch.arange(4)).double())
    config = {
        "data": {"found": {"levels": levels.to_json()}},
        "denoiser": {"type": "preconditioned"},
        "process": {"schedule": {"type": schedule}},
    }
    process = Gaussian(noise)
    denoiser = Uniform(process, values.float())
    run: Any = SimpleNamespace(
        config=config, codec=codec, process=process, denoiser=denoiser, device=torch.device("cpu")
    )
    raw = levels.bytes(torch.randint(0, 4, (64, 1, 4, 4), generator=torch.Generator().manual_seed(0)))
    counted = OfLevels(run, Dataset(name="made", kind="images", x=raw))
    with torch.no_grad():
        found = counted(raw, {}, Rng(0), Effort(32, 1, Adams(1e-2, sigma_min=0.2)))
    bits = found.nats["bits_bound"] / (16 * math.log(2))
    error = (bits.std() / math.sqrt(len(bits))).item()
    assert abs(bits.mean().item() - 2) < 4.5 * error + 1e-3
    assert found.nats["bits_flow"].isfinite().all()  # atoms have no density: only stopped early has the flow an end
    assert list(counted.figures) == ["bits_bound", "bits_flow"]


@pytest.mark.slow
def test_the_table_of_systems_is_made_once_and_again(tmp_path):
    """Two systems after a few steps: lowest first, stored as a page and as numbers, and the second time not trained."""
    asked = {"steps": 2, "n": 4, "runs": tmp_path, "device": "cpu"}
    made = bits_table.bits("digits", "iddpm,scoreflow", **asked)
    assert {row.system for row in made.rows} == {"iddpm", "scoreflow"} and made.levels == 17
    assert made.rows[0].best.value <= made.rows[1].best.value
    assert {score.name for row in made.rows for score in row.scores} == {"bits_bound", "bits_flow", "bits_steps"}
    page, numbers = made.files
    assert "| scoreflow |" in page.read_text() and numbers.read_text().count('"system"') == 2
    again = bits_table.bits("digits", "iddpm,scoreflow", **asked)
    assert [row.cpu_seconds for row in again.rows] == [row.cpu_seconds for row in made.rows]
    assert [row.best.value for row in again.rows] == [row.best.value for row in made.rows]


def test_systems_and_data_are_checked_before_anything_is_trained(tmp_path):
    with pytest.raises(UserError, match=r"none is called 'vdn'\. Did you mean 'vdm'"):
        bits_table.bits("digits", "vdn", runs=tmp_path)
    with pytest.raises(UserError, match="bits compares systems on images, but moons holds vectors"):
        bits_table.bits("moons", "vdm", runs=tmp_path)
    assert not list(tmp_path.iterdir())

"""Score networks and the first diffusion from the command line's options: what is chosen, and that it trains."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import scorefield
from scorefield.data import open_data
from scorefield.errors import UserError
from scorefield.options import resolve
from scorefield.runs import build, recipe_files
from scorefield.runs.plan import Plan, plan
from scorefield.training.ema import gamma_of, width_of_decay

TINY = {"steps": 3, "channels": 16, "batch": 16, "preview": 0, "evaluate": False, "device": "cpu"}


def planned(data: str, **given: object) -> Plan:
    return plan(open_data(data), resolve("train", given), given, "cpu")


def test_ncsn_takes_its_levels_from_the_data():
    """Techniques 1 to 5 on the digits: the reference found 9.6006 (on its split) and 22 levels."""
    config = planned("digits", predict="ncsn", steps=6000).config
    dataset = open_data("digits")
    x = build.codec(config).encode(dataset.x).flatten(1).double()
    law = config["objective"]["times"]["times"]
    assert law["top"] == pytest.approx(torch.cdist(x, x).max().item(), abs=1e-4)
    assert (law["type"], law["low"], law["count"]) == ("levels", 0.02, 22)
    assert config["process"]["schedule"] == {"type": "edm", "sigma_max": law["top"]}
    assert (config["denoiser"]["predict"], config["objective"]["weight"]) == ("ncsn", {"type": "simple"})
    assert config["train"]["ema"] == [width_of_decay(0.999, 6000)] == [0.167]
    sample = config["sample"]
    assert (sample["solver"], sample["steps"]) == ("annealed-langevin", 22)
    times = build.grid(sample["grid"])(build.process(config), sample["steps"])
    levels = (-build.process(config).log_ratio(times[:-1])).exp()
    want = torch.logspace(math.log10(law["top"]), math.log10(0.02), 22, dtype=torch.float64)
    torch.testing.assert_close(levels, want, rtol=1e-9, atol=0)


def test_the_width_of_a_decay_is_its_spread():
    """An exponential average of 0.999 over 10,000 steps has a spread of 1,000; ours of that width the same."""
    gamma = gamma_of(width_of_decay(0.999, 10_000))
    weights = ((torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000) ** gamma
    weights, at = weights / weights.sum(), torch.arange(10_000, dtype=torch.float64)
    spread = ((weights * at.square()).sum() - (weights * at).sum() ** 2).sqrt()
    assert spread.item() == pytest.approx(1000, rel=0.01)
    assert width_of_decay(0.999, 100) == 0.28
    assert width_of_decay(0.999, 10**8) == 0.001


def test_levels_go_with_other_predictions_and_ncsn_with_other_times():
    config = planned("moons", times="levels").config
    assert config["objective"]["times"]["type"] == "levels"
    assert (config["denoiser"]["predict"], config["sample"]["solver"]) == ("edm", "annealed-langevin")
    config = planned("moons", predict="ncsn", times="log-normal").config
    assert config["process"]["schedule"] == {"type": "edm"}
    assert config["sample"]["solver"] != "annealed-langevin"


def test_an_energy_is_neither_compiled_nor_computed_again():
    config = planned("digits", predict="energy").config
    assert (config["denoiser"]["type"], config["denoiser"]["form"]) == ("energy", "dot")
    assert (config["train"]["compile"], config["train"]["recompute"]) == (False, False)
    assert planned("digits", predict="energy", **{"denoiser.form": "square"}).config["denoiser"]["form"] == "square"
    assert dict(planned("moons", predict="energy").rows)["noise"].startswith("edm schedule, predicts an energy")


@pytest.mark.parametrize(
    ("data", "given", "sentence"),
    [
        ("digits", {"predict": "ncsn", "schedule": "vp"}, "schedule=vp has its own noise levels"),
        ("digits", {"predict": "energy", "compile": "yes"}, "compile=yes does not go with predict=energy"),
        ("digits", {"predict": "energy", "schedule": "flow"}, "an energy divides by α"),
        ("digits", {"predict": "energy", "denoiser.form": "dto"}, "no form of an energy is called 'dto'"),
    ],
)
def test_refusals(data: str, given: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        planned(data, **given)


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.parametrize(("data", "predict"), [("moons", "ncsn"), ("digits", "energy")])
def test_they_train_sample_and_load(data: str, predict: str, tmp_path: Path):
    run = scorefield.train(data, runs=tmp_path, predict=predict, **TINY)
    drawn = scorefield.load(run.folder.path).sample(3, solver="annealed-langevin", steps=4)
    assert len(drawn.x) == 3
    assert drawn.x.double().isfinite().all()
    if predict == "energy":
        with pytest.raises(UserError, match=r"of the type energy\. Load it in Python"):
            run.export()


@pytest.mark.usefixtures("blank_pictures")
def test_the_first_diffusion_trains_from_its_recipe_and_moves_its_noise(tmp_path: Path):
    options = dict(recipe_files.find("swissroll-2015").options)
    run = scorefield.train("swissroll", runs=tmp_path, **options | TINY)
    config = run.config
    loaded = scorefield.load(run.folder.path)
    betas = loaded.denoiser.process.schedule.betas
    assert len(betas) == 40
    assert not torch.equal(betas, build.process(config).schedule.betas)  # the trained ones were stored
    drawn = loaded.sample(4, solver="ancestral", grid="uniform", steps=40)
    assert drawn.x.isfinite().all()

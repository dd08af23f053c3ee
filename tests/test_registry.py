from __future__ import annotations

import pytest

from scorefield import Denoising, Gaussian, UserError
from scorefield.noise import VP, BetaTable
from scorefield.objectives import EDMWeight, Importance, LogNormal, MinSNR, Stratified
from scorefield.registry import from_config, names, register, to_config
from tests.components import GRIDS, PROCESSES, SCHEDULES, SOLVERS


@pytest.mark.parametrize(
    ("obj", "family"),
    [(s, "schedule") for s in SCHEDULES]
    + [(p, "process") for p in PROCESSES[:2]]
    + [(s, "solver") for s in SOLVERS.values()]
    + [(g, "grid") for g in GRIDS]
    + [
        (Denoising(Stratified(LogNormal(-1.0)), EDMWeight(0.5), 0.2), "objective"),
        (Denoising(Importance()), "objective"),
    ],
    ids=repr,
)
def test_an_object_is_the_config_that_made_it(obj, family):
    config = to_config(obj)
    again = from_config(config, family)
    assert to_config(again) == config and repr(again) == repr(obj)


def test_a_config_is_the_call_as_written():
    objective = Denoising(times=Stratified(LogNormal(std=1.5)), weight=MinSNR())
    assert to_config(objective) == {
        "type": "denoising",
        "times": {"type": "stratified", "times": {"type": "log-normal", "std": 1.5}},
        "weight": {"type": "min-snr"},
    }
    assert to_config(Gaussian(BetaTable("cosine", steps=50))) == {
        "type": "gaussian",
        "schedule": {"type": "ddpm", "betas": "cosine", "steps": 50},
    }


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"type": "gausian"}, r"config\.type: no process is called 'gausian'\. Did you mean 'gaussian'\?"),
        (
            {"type": "gaussian", "schedule": {"type": "vp", "beta_mx": 2}},
            r"config\.schedule\.beta_mx: vp takes no 'beta_mx'\. Did you mean 'beta_max'\?",
        ),
        ({"type": "gaussian", "schedule": {"type": "vp", "beta_min": "low"}}, r"config\.schedule\.beta_min"),
        ({"type": "gaussian", "schedule": {"type": "vp", "beta_min": 50}}, "config.schedule: vp needs 0 < beta_min"),
        ({"type": "gaussian", "noise": {"type": "vp"}}, r"config\.noise: nothing registered belongs here"),
        ({"schedule": {"type": "vp"}}, "config needs a 'type'"),
    ],
)
def test_a_bad_config_names_the_place_and_the_cure(config, sentence):
    with pytest.raises(UserError, match=sentence):
        from_config(config, "process")


def test_only_registered_things_have_a_config_and_names_are_unique():
    with pytest.raises(TypeError, match="object has no config: register its class"):
        to_config(object())
    with pytest.raises(ValueError, match="schedule 'vp' is registered already, by VP"):
        register("vp", "schedule")(type("Other", (), {}))
    assert {"vp", "edm", "flow"} <= set(names("schedule"))
    assert VP.__name__ == "VP"

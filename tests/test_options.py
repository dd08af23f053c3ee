"""The table of options: typed values, bounds, and sentences that say what to write instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scorefield.errors import UserError
from scorefield.options import COMMANDS, canonical, defaults, flatten, resolve, shared, train, written


@pytest.mark.parametrize("command", COMMANDS)
def test_defaults_are_values_of_their_own_type(command: str):
    """Writing a default out and reading it back gives the default: help and behaviour cannot differ."""
    words = {name: written(value) for name, value in defaults(command).items()}
    assert resolve(command, words) == defaults(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_one_sentence_and_fits_a_group(command: str):
    it = COMMANDS[command]
    names = [option.name for _, options in it.groups for option in options]
    assert len(names) == len(set(names))
    assert len(it.examples) == 3
    assert all(option.help.endswith(".") for option in it.options.values())
    assert any(option.common for option in it.options.values())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"step": "5"}, "unknown option 'step'. Did you mean 'steps'? (all: scorefield train --help)"),
        (
            {"train.step": "5"},
            "unknown option 'train.step'. Did you mean 'train.steps'? (all: scorefield train --help)",
        ),
        ({"nett.width": "5"}, "unknown option 'nett.width'. Did you mean 'net.width'? (all: scorefield train --help)"),
        ({"qwxyz": "5"}, "unknown option 'qwxyz'. (all: scorefield train --help)"),
        ({"steps": "0"}, "steps must be at least 1, got 0"),
        ({"images": "0"}, "images must be at least 1, got 0"),
        ({"steps": "2.5"}, "steps must be a whole number, got 2.5"),
        ({"steps": "many"}, "steps must be a whole number, got 'many'"),
        ({"lr": "-1"}, "lr must be greater than 0, got -1"),
        ({"lr": "1,5"}, "lr must be a number, got '1,5'"),
        ({"lr": "nan"}, "lr must be a number, got nan"),
        ({"minutes": "0"}, "minutes must be greater than 0, got 0"),
        ({"dropout": "2"}, "dropout must be at most 0.95, got 2"),
        ({"mult": "1,0"}, "mult must be at least 1, got 0"),
        ({"strict": "maybe"}, "strict must be yes or no, got 'maybe'"),
        ({"schedule": "cosin"}, "schedule 'cosin' is not known. Did you mean 'cosine'?"),
        ({"device": "tpu"}, "device 'tpu' is not known. Did you mean 'cpu'?"),
        ({"name": ""}, "name is empty. Write name=something, or leave it out."),
    ],
)
def test_what_cannot_be_used_is_said(given: dict[str, str], message: str):
    with pytest.raises(UserError) as caught:
        resolve("train", given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("steps", "20k", 20_000),
        ("steps", "10_000", 10_000),
        ("steps", "60,000", 60_000),
        ("images", "2M", 2_000_000),
        ("steps", "1e4", 10_000),
        ("steps", 300, 300),
        ("lr", "2e-4", 2e-4),
        ("mult", "1,2,2", [1, 2, 2]),
        ("mult", (1, 2), [1, 2]),
        ("attention", "none", []),
        ("ema", "0.1", [0.1]),
        ("columns", "age, income", ["age", "income"]),
        ("strict", "on", True),
        ("strict", False, False),
        ("compile", True, "yes"),
        ("compile", "off", "no"),
        ("color", "grey", "gray"),
        ("device", "GPU", "cuda"),
        ("schedule", "Sub-VP", "sub-vp"),
        ("size", "auto", None),
        ("runs", Path("elsewhere"), "elsewhere"),
        ("label-dropout", "0.2", 0.2),
        ("train.lr", "1", 1.0),
    ],
)
def test_values_of_the_command_line_and_of_python_mean_the_same(name: str, given: object, value: object):
    assert resolve("train", {name: given})[canonical(COMMANDS["train"], name)] == value


def test_dotted_keys_describe_registered_objects():
    """Their values are guessed from the word; the constructor's signature checks them later."""
    net = {"channels": 64, "attention": "8,16"}
    values = resolve("train", {"net": net, "process.schedule.beta_max": "10", "objective.times.type": "uniform"})
    assert values["net.channels"] == 64
    assert values["net.attention"] == [8, 16]
    assert values["process.schedule.beta_max"] == 10
    assert values["objective.times.type"] == "uniform"
    with pytest.raises(UserError, match=r"unknown option 'net\.channels'"):
        resolve("sample", {"net.channels": 64})
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b.c": 1, "d": 2}


def test_the_table_knows_what_is_registered():
    """The names in the torch-free table are those that can be built."""
    import scorefield.nets
    import scorefield.noise
    import scorefield.objectives  # noqa: F401
    from scorefield.denoisers.predictions import PREDICTIONS
    from scorefield.registry import names
    from scorefield.solvers import NAMES
    from scorefield.solvers.names import ORDERED, TOKENS
    from scorefield.training.ema import WIDEST

    options = train.TRAIN.options
    assert {*shared.SCHEDULES} == {*names("schedule")} - {"learned", "learned-betas"}  # these are trained
    assert {*shared.KEEPS} == {*names("keep")} - {"ending", "steps"}  # these need more than a name
    assert sorted(shared.SOLVERS) == sorted(NAMES)
    assert sorted(shared.TOKEN_SOLVERS) == sorted(TOKENS)
    assert sorted(shared.ORDERED_SOLVERS) == sorted(ORDERED)
    assert {*shared.GRIDS} == {*names("grid")} - {"times", "sigmas", "in-turn"}  # these need more than a name
    assert sorted(shared.PREDICTIONS) == sorted(PREDICTIONS)
    assert {*options["model"].choices[1:]} == {*names("net")} - {"categories", "classifier"}  # made of the others
    assert sorted(options["times"].choices[1:]) == names("times")
    assert sorted(options["weight"].choices[1:]) == names("weight")
    assert options["ema"].high == WIDEST


def test_options_are_free_of_torch_and_pydantic():
    code = "import sys, scorefield.options; assert not {'torch', 'numpy', 'pydantic', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

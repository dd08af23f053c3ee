"""Three spellings of an option are one; what cannot be meant is said."""

from __future__ import annotations

import pytest

from scorefield.cli.words import parse
from scorefield.errors import UserError
from scorefield.options import COMMANDS

TRAIN = COMMANDS["train"]


@pytest.mark.parametrize(
    "words",
    [
        ["digits", "steps=5", "weight_decay=0.1", "strict=yes", "net.channels=64"],
        ["--steps", "5", "--weight-decay=0.1", "--strict", "digits", "--net.channels", "64"],
        ["--net.channels=64", "--steps=5", "data=digits", "--weight_decay", "0.1", "--strict", "yes"],
        ["steps=5", "weight-decay=0.1", "--data", "digits", "net.channels=64", "--strict"],
    ],
)
def test_all_spellings_mean_the_same(words: list[str]):
    request = parse(TRAIN, words)
    assert request.target == "digits"
    assert request.given == {"steps": 5, "weight_decay": 0.1, "strict": True, "net.channels": 64}
    assert request.options["seed"] == 0


def test_options_of_one_letter_may_have_one_dash():
    for words in (["last", "-n", "8", "-q"], ["-q", "last", "n=8"], ["last", "--n", "8", "--quiet"]):
        request = parse(COMMANDS["sample"], words)
        assert (request.target, request.quiet, request.given) == ("last", True, {"n": 8})


def test_a_path_with_an_equals_sign_is_a_path():
    assert parse(TRAIN, ["./a=b/photos"]).target == "./a=b/photos"
    assert parse(TRAIN, ["/data/x=1.csv", "steps=3"]).target == "/data/x=1.csv"
    assert parse(COMMANDS["sample"], ["last", "out=a=b.png"]).options["out"] == "a=b.png"


def test_flags_stand_anywhere():
    request = parse(TRAIN, ["--json", "digits", "-q", "steps=5"])
    assert (request.json, request.quiet, request.target) == (True, True, "digits")
    assert parse(TRAIN, ["digits", "--help", "all"]).help == "all"
    assert parse(TRAIN, ["--compile", "digits"]).given == {"compile": "yes"}
    assert parse(TRAIN, ["--compile", "auto", "digits"]).given == {"compile": "auto"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--steps"], "steps needs a value: steps=... (all: scorefield train --help)"),
        (["digits", "--step", "5"], "unknown option 'step'. Did you mean 'steps'? (all: scorefield train --help)"),
        (["digits", "--yes"], "unknown option 'yes'. (all: scorefield train --help)"),
        (["digits", "-x"], "unrecognized arguments: -x (all: scorefield --help)"),
        (["digits", "steps"], "train takes one DATA; 'steps' is one more. Options are written steps=5."),
        (["digits", "moons"], "train takes one DATA; 'moons' is one more. Options are written key=value."),
    ],
)
def test_what_cannot_be_meant_is_said(words: list[str], message: str):
    with pytest.raises(UserError) as caught:
        parse(TRAIN, words)
    assert str(caught.value) == message


def test_a_missing_argument_comes_with_an_example():
    with pytest.raises(UserError, match=r"train needs DATA: an embedded set .* For example: scorefield train digits"):
        _ = parse(TRAIN, ["steps=5"]).word

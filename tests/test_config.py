"""config.toml survives the round trip; constructor arguments are checked against the constructor's own signature."""

from __future__ import annotations

import math
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefield import config
from scorefield.config import coerce, dumps, load, loads, validate_call
from scorefield.errors import UserError
from scorefield.nets import MLP
from scorefield.noise import Gaussian
from scorefield.noise.schedules import VP
from scorefield.registry import from_config

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20),
)
TABLES = st.recursive(
    st.dictionaries(KEYS, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=4),
    lambda inner: st.dictionaries(KEYS, st.one_of(SCALARS, inner), max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(TABLES)
def test_any_config_survives_the_round_trip(table: dict[str, Any]):
    assert tomllib.loads(dumps(table)) == table


def test_each_line_says_where_its_value_came_from():
    text = dumps(
        {"format": 1, "net": {"type": "unet", "channels": 64, "size": None}, "process": {"schedule": {"type": "vp"}}},
        {"net.channels": "command line", "net.type": "chosen: the data\nare images", "net.size": "default"},
        "one\ntwo",
    )
    assert text.splitlines() == [
        "# one",
        "# two",
        "format = 1",
        "",
        "[net]",
        'type = "unet"      # chosen: the data are images',
        "channels = 64      # command line",
        "# size is not set  # default",
        "",
        "[process.schedule]",
        'type = "vp"',
    ]


def test_floats_stay_floats_and_nested_lists_of_tables_are_inline():
    value = {"a": {"x": 1e-7, "y": 1e20, "z": 2.0, "inf": math.inf, "parts": [{"type": "q", "k": 1, "none": None}]}}
    back = tomllib.loads(dumps(value))["a"]
    assert back == {"x": 1e-7, "y": 1e20, "z": 2.0, "inf": math.inf, "parts": [{"type": "q", "k": 1}]}
    assert isinstance(back["y"], float)
    assert math.isnan(tomllib.loads(dumps({"n": math.nan}))["n"])


def test_a_torn_file_is_named_with_its_line(tmp_path):
    with pytest.raises(UserError, match=r"config.toml is not valid TOML: .*at end of document"):
        loads("a = 1\nb = [")
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "no.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not text"):
        load(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            {"type": "gaussian", "schedule": {"type": "vp", "beta_mx": 10}},
            "config.process.schedule.beta_mx: vp takes no 'beta_mx'. Did you mean 'beta_max'?",
        ),
        (
            {"type": "gaussian", "schedule": {"type": "vp", "beta_max": "much"}},
            "config.process.schedule.beta_max must be a number, got 'much'.",
        ),
        (
            {"type": "gaussian", "schedule": {"type": "cosin"}},
            "config.process.schedule.type: no schedule is called 'cosin'. Did you mean 'cosine'?",
        ),
        ({"type": "gaussian", "schedule": "vp"}, "config.process.schedule must be a table with a 'type', got 'vp'."),
        ({"type": "gaussian"}, "config.process.schedule is missing: gaussian needs it."),
    ],
)
def test_a_fault_is_named_by_its_path(made: dict[str, Any], message: str):
    with pytest.raises(UserError) as caught:
        from_config(made, "process", "config.process")
    assert str(caught.value) == message


def test_values_take_the_type_of_the_signature():
    assert validate_call(VP, {"beta_min": "0.2", "beta_max": 10}) == {"beta_min": 0.2, "beta_max": 10.0}
    assert validate_call(MLP, {"dim": 2.0}) == {"dim": 2}
    with pytest.raises(UserError, match=r"config.width must be a whole number, got 2.5"):
        validate_call(MLP, {"dim": 2, "width": 2.5})
    schedule = VP()
    assert validate_call(Gaussian, {"schedule": schedule})["schedule"] is schedule


@pytest.mark.parametrize(
    ("value", "annotation", "need"),
    [
        ("x", bool, "yes or no"),
        (3, str, "a word"),
        ("x", int | None, "a whole number"),
        ([1, "x"], tuple[int, ...], "a whole number"),
        (5, list[int], "a list"),
    ],
)
def test_needs_are_said_in_our_words(value: object, annotation: Any, need: str):
    with pytest.raises(UserError) as caught:
        coerce(value, annotation, "config.it")
    assert str(caught.value) == f"config.it must be {need}, got {value!r}."


def test_pydantic_is_imported_only_to_check(monkeypatch: pytest.MonkeyPatch):
    import subprocess
    import sys

    code = "import sys, scorefield.config as c; c.loads(c.dumps({'a': 1})); assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "pydantic" not in vars(config)

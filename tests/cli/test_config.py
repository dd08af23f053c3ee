"""`scorefield config`: what a run was told and by whom, how two differ, and a schema that accepts what is written."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from scorefield import registry
from scorefield.runs import recipe_files, settings
from scorefield.runs.schema import of_config, of_recipe
from tests.cli.conftest import Said

jsonschema = pytest.importorskip("jsonschema")
Cli = Callable[..., Said]
ORIGINS = ("default", "command line", "chosen", "found", "recipe")


@pytest.fixture
def runs(tmp_cwd: Path, moons: Path) -> Path:
    """runs/tiny, and runs/other with another learning rate and no weight decay written down."""
    shutil.copytree(moons / "runs" / "tiny", "runs/tiny")
    shutil.copytree("runs/tiny", "runs/other")
    file = Path("runs/other/config.toml")
    lines = file.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("weight_decay")]
    file.write_text("\n".join("lr = 0.5" if line.startswith("lr =") else line for line in kept) + "\n")
    return Path("runs")


def test_show_is_the_config_with_its_origins(cli: Cli, runs: Path):
    said = cli("config", "show", "tiny")
    assert said.code == 0, said.err
    assert tomllib.loads(said.out) == tomllib.loads((runs / "tiny" / "config.toml").read_text())
    rows = json.loads(cli("config", "show", "tiny", "--json").out)["settings"]
    named = {row["key"]: row for row in rows}
    assert named["net.width"] == {"key": "net.width", "value": 16, "origin": "command line"}
    assert all(row["origin"].startswith(ORIGINS) for row in rows if row["key"] != "format")


def test_defaults_add_what_the_constructors_fill_in_and_it_builds_the_same(cli: Cli, runs: Path):
    from scorefield.runs import build

    short = tomllib.loads(cli("config", "show", "tiny").out)
    del short["net"]["dropout"]
    file = runs / "tiny" / "config.toml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("dropout")))
    full = tomllib.loads(cli("config", "show", "tiny", "--defaults").out)
    assert full["net"]["dropout"] == 0.0 and full["process"]["schedule"]["sigma_max"] == 80.0
    assert "sigma_max" not in short["process"]["schedule"]
    assert [p.shape for p in build.outline(full).parameters()] == [p.shape for p in build.outline(short).parameters()]


def test_diff_of_two_runs_names_only_what_differs(cli: Cli, runs: Path):
    rows = json.loads(cli("config", "diff", "tiny", "other", "--json").out)["differences"]
    assert [row["key"] for row in rows] == ["train.lr", "train.weight_decay"]
    assert rows[0]["b"]["value"] == 0.5 and rows[1]["b"] is None
    said = cli("config", "diff", "tiny", "other")
    assert said.out.splitlines()[:3] == ["- run tiny", "+ run other", "train.lr"]
    assert "+ 0.5" in said.out and "+ not set" in said.out and "\x1b" not in said.out
    assert cli("config", "diff", "tiny", "tiny").out == "run tiny and run tiny do not differ\n"


def test_diff_of_a_recipe_and_a_run_is_about_the_run_it_would_make(cli: Cli):
    fast = ("batch=8", "preview=0", "evaluate=no", "log=10", "save=200")
    cli("train", "digits", "recipe=digits", "steps=2", *fast)
    rows = json.loads(cli("config", "diff", "recipe:digits", "digits", "--json").out)["differences"]
    assert {row["key"] for row in rows} == {"train.steps", "train.batch", "train.preview_every", "train.evaluate"}
    assert rows[0]["a"] == {"key": "train.steps", "value": 2000, "origin": "recipe digits"}
    two = json.loads(cli("config", "diff", "mnist", "cifar-10", "--json").out)["differences"]
    assert {"channels", "images", "steps"} <= {row["key"] for row in two}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "config needs show, diff or schema."),
        (("shwo", "tiny"), "config knows no 'shwo'. Did you mean 'show'?"),
        (("show",), "config show takes one run or recipe; 0 given."),
        (("diff", "tiny"), "config diff takes two runs or recipes; 1 given."),
        (("diff", "a", "b", "c"), "config takes at most 3 words: ACTION; 'c' is one more."),
        (("show", "nowhere"), "No run is called 'nowhere'."),
        (("show", "recipe:nowhere"), "no recipe is called 'nowhere'."),
        (("schema", "of=nets"), "of 'nets' is not known."),
    ],
)
def test_bad_words_are_sentences(cli: Cli, words: tuple[str, ...], message: str):
    said = cli("config", *words)
    assert (said.code, said.out) == (2, "") and message in said.err


def valid(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    """Whether a schema accepts a value."""
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def test_the_schema_accepts_what_training_writes_and_no_slip(cli: Cli, moons: Path):
    out = cli("config", "schema", "out=schema.json")
    assert out.code == 0, out.err
    schema = json.loads(Path("schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    cli("train", "digits", "steps=1", "batch=8", "preview=0", "evaluate=no")
    for file in (Path("runs/digits/config.toml"), moons / "runs" / "tiny" / "config.toml"):
        config = tomllib.loads(file.read_text())
        found = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(config)]
        assert found == []
        for path, value in (
            (("net", "type"), "unte"),
            (("net", "classes"), "many"),
            (("net", "widht"), 3),
            (("process", "schedule", "sigma_max"), "high"),
            (("train", "stpes"), 3),
            (("objective", "weight", "type"), "emd"),
        ):
            wrong = deepcopy(config)
            table = wrong
            for key in path[:-1]:
                table = table[key]
            table[path[-1]] = value
            assert not valid(schema, wrong), path


def test_the_schema_knows_every_registered_part():
    schema = of_config()["$defs"]
    wanted = {f"{family}.{name}" for family in registry.families() for name in registry.names(family)}
    assert wanted <= schema.keys()
    references = {word for word in json.dumps(schema).split('"') if word.startswith("#/$defs/")}
    assert {reference.removeprefix("#/$defs/") for reference in references} <= schema.keys()


def test_the_schema_of_recipes_accepts_those_that_are_shipped():
    schema = of_recipe()
    jsonschema.Draft202012Validator.check_schema(schema)
    for recipe in recipe_files.listing():
        table = tomllib.loads(recipe.path.read_text(encoding="utf-8"))
        assert valid(schema, table), recipe.name
        assert not valid(schema, table | {"train": table["train"] | {"step": 4}})
        assert not valid(schema, table | {"measured": "FID 2"})


def test_a_weights_file_has_settings_but_no_data_to_plan_a_recipe_on(cli: Cli, moons: Path):
    Path("alone.safetensors").write_bytes((moons / "runs" / "tiny" / "final" / "model.safetensors").read_bytes())
    assert settings.read("alone.safetensors").config["net"]["width"] == 16
    said = cli("config", "diff", "alone.safetensors", "recipe:digits")
    assert said.code == 2 and "is one file without its data" in said.err

"""`scorefield recipes`, and `train` with one: shipped files are whole, values come from where config.toml says."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from scorefield.errors import UserError
from scorefield.options import resolve
from scorefield.runs import recipe_files
from tests.cli.conftest import Said

Cli = Callable[..., Said]
WANTED = {
    *("digits", "mnist", "fashion-mnist", "cifar-10", "emoji"),
    *("adult", "california-housing", "spoken-digits", "airfoils", "shakespeare", "emoji-16"),
    "swissroll-2015",
}
FAST = ("channels=8", "mult=1", "attention=none", "batch=8", "preview=0", "evaluate=no")


@pytest.mark.parametrize("recipe", recipe_files.listing(), ids=lambda recipe: recipe.name)
def test_every_shipped_recipe_is_whole(recipe: recipe_files.RecipeFile):
    """It resolves as options of `train`, its command uses it, and a figure says when, where and how long."""
    assert resolve("train", recipe.options).items() >= recipe.options.items()
    assert recipe.command.startswith("scorefield train ") and f"recipe={recipe.name}" in recipe.command
    if recipe.measured is None:
        assert tomllib.loads(recipe.path.read_text(encoding="utf-8"))["measured"] == "not measured yet"
    else:
        assert all(recipe.measured[key] for key in recipe_files.MEASURED)
        assert f"recipe={recipe.name}" in recipe.measured["command"]


def test_the_list_and_one_of_them(cli: Cli):
    said = cli("recipes")
    assert said.code == 0, said.err
    assert {line.split()[0] for line in said.out.splitlines() if line[0] != " "} == WANTED
    listed = json.loads(cli("recipes", "--json").out)["recipes"]
    assert {recipe["name"] for recipe in listed} == WANTED
    shown = cli("recipes", "cifar-10", "out=mine.toml")
    assert "channels=128" in shown.out and "measured  " in shown.out
    assert Path("mine.toml").read_bytes() == (recipe_files.SHIPPED / "cifar-10.toml").read_bytes()


def test_train_takes_a_recipe_and_the_command_line_goes_first(cli: Cli):
    said = cli("train", "digits", "recipe=digits", "steps=3", "name=it", *FAST)
    assert said.code == 0, said.err
    env = json.loads(Path("runs/it/env.json").read_text())
    origins = env["origins"]
    assert origins["train.lr"] == origins["net.updown"] == origins["process.schedule.type"] == "recipe digits"
    assert origins["train.steps"] == origins["net.channels"] == "command line"
    assert origins["train.decay"] == "default"
    config = tomllib.loads(Path("runs/it/config.toml").read_text())
    assert (config["train"]["lr"], config["net"]["updown"], config["net"]["dropout"]) == (2e-3, "conv", 0.1)
    assert (config["train"]["steps"], config["net"]["channels"]) == (3, 8)
    again = cli("train", "digits", "recipe=digits", "steps=3", "name=it", *FAST)
    assert again.code == 0 and "is finished" in again.err


def test_a_recipe_of_ones_own(cli: Cli):
    Path("mine.toml").write_text(
        'about = "a"\ndata = "moons"\ncommand = "c"\nmeasured = "not measured yet"\n'
        "[train]\nsteps = 400\nbatch = 16\nnet = { width = 16, depth = 1 }\n"
    )
    said = cli("train", "moons", "recipe=mine.toml", "images=48", "preview=0", "evaluate=no")
    assert said.code == 0, said.err
    config = tomllib.loads(Path("runs/moons/config.toml").read_text())
    assert config["train"]["images"] == 48 and "steps" not in config["train"]  # one limit stands for the others
    assert config["net"] | {"width": 16, "depth": 1} == config["net"]


def test_another_type_leaves_the_arguments_of_the_old_one_out():
    recipe = recipe_files.find("digits")
    assert "net.updown" in recipe.beneath({}) and "net.updown" not in recipe.beneath({"net.type": "mlp"})


def written(text: str) -> Path:
    """A recipe file with ``text`` beside what every recipe has."""
    path = Path("bad.toml")
    path.write_text(f'about = "a"\ndata = "d"\ncommand = "c"\n{text}\n')
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('measured = "FID 2"', "measured must be 'not measured yet' or a table"),
        ('measured = { results = "FID 2" }', "measured.command is missing"),
        ('measured = "not measured yet"\nmesured = 1', "is called mesured. Did you mean 'measured'?"),
        (
            'measured = "not measured yet"\n[train]\nstep = 4',
            "in [train], unknown option 'step'. Did you mean 'steps'?",
        ),
        ('measured = "not measured yet"\n[train]\nsteps = 0', "in [train], steps must be at least 1, got 0"),
        ('measured = "not measured yet"\n[train]\nname = "x"', "a recipe may not set name"),
        ("measured = [", "is not valid TOML"),
    ],
)
def test_faults_in_a_recipe_are_sentences(tmp_cwd: Path, text: str, message: str):
    with pytest.raises(UserError) as caught:
        recipe_files.find(written(text))
    assert str(caught.value).startswith("bad.toml") and message in str(caught.value)


def test_unknown_recipes_get_a_hint_and_nothing_is_written(cli: Cli):
    for words in (("recipes", "cifar"), ("train", "digits", "recipe=cifar")):
        said = cli(*words)
        assert said.code == 2 and "no recipe is called 'cifar'. Did you mean 'cifar-10'?" in said.err
    assert "nowhere.toml does not exist." in cli("train", "digits", "recipe=nowhere.toml").err
    assert not Path("runs").exists()

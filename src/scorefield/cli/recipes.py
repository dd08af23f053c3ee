"""`scorefield recipes [NAME]`: settings for well-known data, each with what was measured with it."""

from __future__ import annotations

from pathlib import Path

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns
from scorefield.cli.outputs import new_file
from scorefield.cli.words import Request
from scorefield.options import written
from scorefield.runs import recipe_files
from scorefield.runs.recipe_files import RecipeFile
from scorefield.show.files import write_aside

WIDTH = 98


def run(request: Request, console: Console) -> Outcome:
    """List all recipes, or show one."""
    out = new_file(request.options["out"], (".toml",))
    if request.target is not None:
        return _one(recipe_files.find(request.target), out, console)
    found = recipe_files.listing()
    for line in columns([(recipe.name, text) for recipe in found for text in (recipe.about, recipe.result)], WIDTH):
        console.result(line)
    python = ["from scorefield.runs import recipe_files", "recipes = recipe_files.listing()"]
    following = [f"scorefield recipes {found[0].name}", found[0].command]
    return Outcome({"recipes": [recipe.to_json() for recipe in found]}, python, following)


def _one(recipe: RecipeFile, out: Path | None, console: Console) -> Outcome:
    rows = [("about", recipe.about), ("data", recipe.data), ("use", recipe.command)]
    rows += [("settings", " ".join(f"{name}={written(value)}" for name, value in recipe.options.items()))]
    rows += [("measured", line) for line in (recipe.measured or {}).get("results", [recipe.result])]
    rows += [(key, recipe.measured[key]) for key in recipe_files.MEASURED[:-1]] if recipe.measured else []
    for line in columns([*rows, ("file", str(recipe.path))], WIDTH):
        console.result(line)
    if out is not None:
        write_aside(out, recipe.path.read_bytes())
        console.say(f"written to {out}")
    python = ["from scorefield.runs import recipe_files", f'recipe_files.find("{recipe.name}").options']
    return Outcome(recipe.to_json() | {"out": str(out) if out else None}, python, [recipe.command])

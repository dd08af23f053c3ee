"""The options of `scorefield recipes`, `config` and `doctor`."""

from __future__ import annotations

from .shared import RUN_HELP, Command
from .values import Option

_RUNS = Option("runs", "path", "runs", "Folder that holds the run folders.", common=True)

RECIPES = Command(
    "recipes",
    "NAME",
    "one of the recipes, or a .toml file of your own; without it, all of them are listed",
    "List recipes for well-known data, or show one: its settings, and what was measured with them.",
    (
        ("all of them", "scorefield recipes"),
        ("one of them: its settings, and how it is used", "scorefield recipes airfoils"),
        ("a copy to start a recipe of your own from", "scorefield recipes airfoils out=mine.toml"),
    ),
    (("output", (Option("out", "path", None, "File to write a copy to, ending in .toml.", common=True),)),),
)
CONFIG = Command(
    "config",
    "ACTION",
    "`show RUN`, `diff A B` or `schema`. RUN, A and B are runs or recipes",
    "Show every setting of a run and where it came from, compare two runs, or print the schema for editors.",
    (
        ("what the newest run was made with", "scorefield config show last"),
        ("how two runs differ, or a recipe from a run", "scorefield config diff digits digits-2"),
        ("a JSON schema, with which an editor checks config.toml", "scorefield config schema out=schema.json"),
    ),
    (
        (
            "configuration",
            (
                Option(
                    "defaults",
                    "bool",
                    False,
                    "show: also what nobody set and the parts of the model take for themselves.",
                    common=True,
                ),
                Option(
                    "of",
                    "choice",
                    "config",
                    "schema: of config.toml, or of a recipe.",
                    choices=("config", "recipe"),
                    common=True,
                ),
                Option("out", "path", None, "schema: JSON file to write; otherwise printed.", common=True),
                _RUNS,
            ),
        ),
    ),
    most=3,
)
DOCTOR = Command(
    "doctor",
    "RUN",
    RUN_HELP + "; without it, only the machine is looked at",
    "Look at this machine, or at a run folder, and say what is wrong and how to mend it.",
    (
        ("Python, torch, devices, disks, optional libraries", "scorefield doctor"),
        ("the files of the newest run: whole, torn or missing", "scorefield doctor last"),
        ("for scripts; the exit code is 1 when something is broken", "scorefield doctor --json"),
    ),
    (("where", (_RUNS,)),),
)

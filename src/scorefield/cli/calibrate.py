"""`scorefield calibrate RUN super=4`: are draws given a measurement as sure as they may be?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns, table
from scorefield.cli.outputs import free_file, new_file
from scorefield.cli.progress import counting
from scorefield.cli.python import call, command_line
from scorefield.cli.words import Request
from scorefield.options.calibrate import CALIBRATE

if TYPE_CHECKING:
    from scorefield.runs import Run

LOADING = ("runs", "device", "ema")
ENDINGS = (".html", ".json")
APART = (*LOADING, "out", "class")


def run(request: Request, console: Console) -> Outcome:
    """Simulate, print a line for each number, and write the page."""
    word, options = request.word, request.options
    out = new_file(options["out"], ENDINGS)
    from scorefield.runs import load

    loaded = load(word, runs=options["runs"], device=options["device"], ema=options["ema"])
    asked = {n: options[n] for n in CALIBRATE.options if n not in APART and options[n] not in (None, "auto", False)}
    with counting(console, "calibrating") as progress:
        made = loaded.calibrate(label=options["class"], progress=progress, **asked)
    heads = ("number", "p", *(f"{c.level:.0%} interval" for c in made.found.quantities[0].coverage), "reading")
    for line in table([heads, *made.found.rows()]):
        console.result(line)
    for line in columns(made.facts):
        console.say(line)
    saved = made.save(out or _page(loaded))
    console.say(f"written to {saved}")
    given = {k: v for k, v in request.given.items() if k not in (*LOADING, "out")}
    python = [
        f"run = {call('scorefield.load', word, {k: v for k, v in request.given.items() if k in LOADING})}",
        f"print({call('run.calibrate', None, given)}.found)",
    ]
    other = "model" if made.truth == "data" else "data"
    following = [command_line("calibrate", word, given | {"truth": other})]
    return Outcome(made.to_json() | {"files": [str(saved)]}, python, following)


def _page(loaded: Run) -> Path:
    return free_file((loaded.folder.path if loaded.folder else Path()) / "calibration.html")

"""`scorefield evaluate RUN`: samples against data they were not trained on, each figure beside its floor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from scorefield.cli import scores
from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns
from scorefield.cli.outputs import new_file
from scorefield.cli.progress import counting
from scorefield.cli.python import call
from scorefield.cli.words import Request

LOADING = ("runs", "device", "ema")  # options of load
MEASURING = ("against", "n", "metrics", "features", "seed", "steps", "solver", "guidance", "batch", "table")


def run(request: Request, console: Console) -> Outcome:
    """Sample, measure, print one line a metric."""
    word, options = request.word, request.options
    out = new_file(options["out"], (".json",))
    from scorefield.runs import load
    from scorefield.show.files import write_aside

    loaded = load(word, runs=options["runs"], device=options["device"])
    asked = {name: options[name] for name in MEASURING if options[name] not in (None, "auto")}
    with counting(console, "sampling") as progress:
        evaluation = loaded.evaluate(progress=progress, **asked)
    for line in scores.lines(evaluation):
        console.result(line)
    for line in columns(scores.notes(evaluation)):
        console.say(console.dim(line))
    if out is not None:
        write_aside(out, json.dumps(evaluation.to_json(), indent=1) + "\n")
        console.say(f"written to {out}")
    measured = {k: v for k, v in request.given.items() if k not in (*LOADING, "out")}
    python = [
        f"run = {call('scorefield.load', word, _only(request.given, LOADING))}",
        call("run.evaluate", None, measured),
    ]
    result = {"run": str(loaded.folder.path) if loaded.folder else word} | evaluation.to_json()
    return Outcome(result, python, [f"scorefield report {word}", f"scorefield evaluate {word} steps=9"])


def _only(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in names}

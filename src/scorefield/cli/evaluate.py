"""`scorefield evaluate RUN`: samples against data they were not trained on, each figure beside its floor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorefield.cli import scores
from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns
from scorefield.cli.outputs import new_file
from scorefield.cli.progress import counting
from scorefield.cli.python import call
from scorefield.cli.words import Request
from scorefield.errors import UserError

if TYPE_CHECKING:
    from scorefield.metrics import Evaluation

LOADING = ("runs", "device", "ema")  # options of load
COMPARING = ("against", "n", "metrics", "features", "reference", "save_stats", "seed")
OTHER_STEPS = {"text": 256, "categories": 256}  # by kind: what is worth a second look; numbers need few
MEASURING = (*COMPARING, "bits_per_dim", "judge", "steps", "solver", "guidance", "batch", "table")


def run(request: Request, console: Console) -> Outcome:
    """Sample, measure, print one line a metric."""
    word, options = request.word, request.options
    out = new_file(options["out"], (".json",))
    from scorefield.runs import load
    from scorefield.runs.sets import is_samples

    if is_samples(word, options["runs"]):
        return _samples(request, console, out)
    loaded = load(word, runs=options["runs"], device=options["device"], ema=options["ema"])
    asked = {name: options[name] for name in MEASURING if options[name] not in (None, "auto")}
    asked |= {"devices": shared} if (shared := console.devices(options["devices"])) else {}
    with counting(console, "sampling") as progress:
        evaluation = loaded.evaluate(progress=progress, **asked)
    if console.rank:  # the first process writes
        return Outcome({})
    _show(evaluation, console, out)
    measured = {k: v for k, v in request.given.items() if k not in (*LOADING, "out")}
    python = [
        f"run = {call('scorefield.load', word, _only(request.given, LOADING))}",
        call("run.evaluate", None, measured),
    ]
    result = {"run": str(loaded.folder.path) if loaded.folder else word} | evaluation.to_json()
    steps = OTHER_STEPS.get(loaded.kind, 9)
    return Outcome(result, python, [f"scorefield report {word}", f"scorefield evaluate {word} steps={steps}"])


def _samples(request: Request, console: Console, out: Path | None) -> Outcome:
    """Two sets against each other: no run is needed."""
    from scorefield.runs.sets import evaluate_samples

    word, given = request.word, request.given
    strange = next((name for name in given if name not in (*COMPARING, "device", "out", "runs")), None)
    if strange:
        raise UserError(f"{strange}= says how a run is sampled, but {word} holds samples already. Leave {strange} out.")
    asked = {name: request.options[name] for name in COMPARING if request.options[name] is not None}
    evaluation = evaluate_samples(word, device=request.options["device"] or "auto", **asked)
    _show(evaluation, console, out)
    comparing = _only(given, (*COMPARING, "device"))
    result = {"samples": word} | evaluation.to_json()
    return Outcome(result, [call("scorefield.runs.evaluate_samples", word, comparing)])


def _show(evaluation: Evaluation, console: Console, out: Path | None) -> None:
    """One line a metric, what must be known to read them, and the file that was asked for."""
    from scorefield.show.files import write_aside

    for line in scores.lines(evaluation):
        console.result(line)
    for line in columns(scores.notes(evaluation)):
        console.say(console.dim(line))
    if out is not None:
        write_aside(out, json.dumps(evaluation.to_json(), indent=1) + "\n")
        console.say(f"written to {out}")


def _only(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in names}

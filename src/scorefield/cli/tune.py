"""`scorefield tune RUN --steps 6`: a sampler of few steps for this very model, kept in the run folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns, table
from scorefield.cli.progress import counting
from scorefield.cli.python import call
from scorefield.cli.words import Request
from scorefield.runs.disk import read_json

if TYPE_CHECKING:
    from scorefield.runs import Run
    from scorefield.runs.tune import Kept

LOADING = ("runs", "device", "ema")
TUNING = ("guidance", "examples", "held_out", "iterations", "seed", "batch")
HEADS = ("steps", "error", "untuned", "best untuned", "file")


def run(request: Request, console: Console) -> Outcome:
    """Tune, store, print one line a table."""
    word, options = request.word, request.options
    from scorefield.runs import load

    loaded = load(word, runs=options["runs"], device=options["device"], ema=options["ema"])
    asked = {name: options[name] for name in TUNING if options[name] is not None}
    with counting(console, "tuning") as progress:
        kept = loaded.tune(options["steps"], progress=progress, **asked)
    rows = [(str(it.steps), f"{it.after:.3g}", f"{it.before:.3g}", it.begun_with, str(it.path)) for it in kept]
    for line in table([HEADS, *rows]):
        console.result(line)
    for line in columns([("note", note) for note in _notes(loaded, kept)]):
        console.say(console.dim(line))
    loading = {k: v for k, v in request.given.items() if k in LOADING}
    tuning = {k: v for k, v in request.given.items() if k in TUNING}
    steps = options["steps"]
    drawing = {"steps": steps[0]} | {k: v for k, v in tuning.items() if k == "guidance"}
    python = [
        f"run = {call('scorefield.load', word, loading)}",
        call("run.tune", None, {"steps": steps if len(steps) > 1 else steps[0]} | tuning),
        call("run.sample", 16, drawing),
    ]
    walking = [f"{k}={v}" for k, v in request.given.items() if k in ("guidance", "ema", "runs")]
    following = [
        " ".join([f"scorefield sample {word} steps={steps[0]}", *walking]),
        " ".join([f"scorefield compare {word} steps={','.join(map(str, steps))}", *walking]),
    ]
    tables = [it.to_json() for it in kept]
    return Outcome({"run": str(kept[0].path.parent.parent), "step": loaded.step, "tables": tables}, python, following)


def _notes(loaded: Run, kept: Sequence[Kept]) -> Iterator[str]:
    """What must be known to read the table, and where older ones went."""
    made = kept[0].table.made
    deviation = loaded.config["denoiser"]["sigma_data"]
    yield (
        f"error: mean distance over {kept[0].held_out} samples, whose noise the tuning never saw, to many steps from "
        f"the same noise, in encoded units a number (the data deviate by {deviation:.3g})."
    )
    if made["guidance"] != 1:
        yield f"guidance {made['guidance']:g} asks the network twice a step."
    for it in kept:
        if it.former is not None:
            error = (read_json(it.former) or {}).get("made", {}).get("held_out_error")
            its = "" if error is None else f" (its held-out error: {error:.3g})"
            yield f"the table that was {it.path.name} before is {it.former}{its}: table=… walks it."
        if it.after >= it.before:
            yield f"{it.steps} steps: tuning found nothing better; more examples or iterations may."

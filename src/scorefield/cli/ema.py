"""`scorefield ema RUN`: which width of the averaged weights is best, as a table and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns, table
from scorefield.cli.progress import counting
from scorefield.cli.python import call
from scorefield.cli.words import Request

if TYPE_CHECKING:
    from scorefield.runs.ema import Sweep

LOADING = ("runs", "device")
SWEEPING = ("metric", "n", "steps", "solver", "guidance", "seed", "batch")


def run(request: Request, console: Console) -> Outcome:
    """Sweep, print the table and what may be said of it."""
    word, options = request.word, request.options
    from scorefield.runs import load

    loaded = load(word, runs=options["runs"], device=options["device"])
    asked = {name: options[name] for name in SWEEPING if options[name] not in (None, "auto")}
    with counting(console, "measuring") as progress:
        found = loaded.sweep(options["widths"], progress=progress, **asked)
    for line in table(_rows(found)):
        console.result(line)
    for line in columns([("note", note) for note in notes(found)]):
        console.say(console.dim(line))
    files = [] if loaded.folder is None else [str(loaded.folder.average_file), str(loaded.folder.average_picture)]
    for file in files:
        console.say(f"written to {file}")
    sweeping = {k: v for k, v in request.given.items() if k not in LOADING}
    python = [
        f"run = {call('scorefield.load', word, {k: v for k, v in request.given.items() if k in LOADING})}",
        call("run.sweep", None, sweeping),
    ]
    best = found.best.width
    usual = next((entry for entry in found.entries if entry.width == loaded.ema), None)
    better = best > 0 and (usual is None or not usual.tied)  # what cannot be told apart is no reason to change
    following = [f"scorefield sample {word} ema={best:g}"] if better else []
    result = found.to_json() | {"run": str(loaded.folder.path) if loaded.folder else word, "files": files}
    return Outcome(result, python, [*following, f"scorefield report {word}"])


def notes(found: Sweep) -> list[str]:
    """What must be known to read the table."""
    counted = (
        f"{found.n:,} noisings of {found.real:,} held-out examples"
        if found.metric == "loss"
        else f"{found.n:,} samples against {found.real:,} held-out examples"
    )
    return [
        f"{counted}, the same noise for every width: the difference to the lowest is known better than the figures, "
        "each ± one standard error.",
        "profile error: how far what the snapshots allow is from the profile of that width; docs/ema.md.",
        *found.left_out,
        found.verdict,
    ]


def _rows(found: Sweep) -> list[tuple[str, ...]]:
    """By width; a star at the lowest, a tilde where it cannot be told from that."""
    rows: list[tuple[str, ...]] = [("ema", found.metric, "difference to the lowest", "profile error", "")]
    for entry in found.entries:
        lowest = entry is found.best
        mark = "*" if lowest else "~" if entry.tied else ""
        worse = "" if lowest else f"{entry.worse:+.3g} ± {entry.worse_se:.2g}"
        exact = "none" if entry.profile_error == 0 else f"{entry.profile_error:.1%}"
        rows.append(
            (f"{entry.width:g}" if entry.width else "last", f"{entry.value:.4g} ± {entry.se:.2g}", worse, exact, mark)
        )
    return rows

"""`scorefield compare RUN`: solvers against each other on a run's own network, as a table and a picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns, table
from scorefield.cli.outputs import free_file, new_file
from scorefield.cli.progress import counting
from scorefield.cli.python import call
from scorefield.cli.words import Request
from scorefield.errors import UserError, suggest
from scorefield.options.shared import SOLVERS

if TYPE_CHECKING:
    from scorefield.runs import Run
    from scorefield.runs.compare import Comparison, Entry

ENDINGS = (".png", ".csv", ".json")
LOADING = ("runs", "device")
COMPARING = ("solvers", "steps", "n", "guidance", "grid", "seed", "batch")


def run(request: Request, console: Console) -> Outcome:
    """Compare, print the table, write picture and numbers."""
    word, options = request.word, request.options
    for name in options["solvers"] or ():
        if name not in SOLVERS:
            raise UserError(f"no solver is called {name!r}.{suggest(name, SOLVERS)}")
    out = new_file(options["out"], ENDINGS)
    from scorefield.runs import load

    loaded = load(word, runs=options["runs"], device=options["device"])
    asked = {name: options[name] for name in COMPARING if options[name] not in (None, "auto")}
    asked |= {"devices": shared} if (shared := console.devices(options["devices"])) else {}
    with counting(console, "walking") as progress:
        comparison = loaded.compare(label=options["class"], progress=progress, **asked)
    if console.rank:  # the first process writes
        return Outcome({})
    for line in table([_heads(comparison), *_rows(comparison)]):
        console.result(line)
    for line in columns([("note", note) for note in notes(comparison)]):
        console.say(console.dim(line))
    files = _written(comparison, _paths(loaded, out))
    for file in files:
        console.say(f"written to {file}")
    given = {k: v for k, v in request.given.items() if k not in (*LOADING, "out")}
    python = [
        f"run = {call('scorefield.load', word, {k: v for k, v in request.given.items() if k in LOADING})}",
        call("run.compare", None, given),
    ]
    following = [f"scorefield sample {word} {_walked(best)}" for best in comparison.best()[-1:]]
    result = comparison.to_json() | {"run": str(loaded.folder.path) if loaded.folder else word, "files": files}
    return Outcome(result, python, following)


def _walked(entry: Entry) -> str:
    """The options of ``sample`` that walk as an entry did; it finds a tuned table by itself."""
    return f"steps={entry.steps}" if entry.solver == "tuned" else f"solver={entry.solver} steps={entry.steps}"


def notes(comparison: Comparison) -> list[str]:
    """What must be known to read the table."""
    exact = comparison.reference
    made = f"{exact.solver} in {exact.steps} steps on {exact.grid}"
    n, marked = comparison.n, "* no other row is both cheaper and more exact."
    left_out = list(comparison.notes)
    if comparison.of_distributions:
        return [
            f"distance: sliced Wasserstein, {n} samples against {n} exact ones from other noise ({made}), because a "
            f"solver that draws noise has no endpoint to compare. Two exact sets are {exact.floor:.3g} apart: "
            "no figure can be better than that.",
            marked,
            *left_out,
        ]
    error = (
        f"error: root mean square over {n} samples, to {made} from the same noise, in encoded units (the data deviate "
        f"by {comparison.sigma_data:.3g})."
    )
    own = f"The reference moved by {exact.error:.2g} when its steps were doubled"
    trust = "." if comparison.trusted else ": errors not well above that are uncertain."
    return [error, own + trust, marked, *left_out]


def _heads(comparison: Comparison) -> tuple[str, ...]:
    figures = ("distance",) if comparison.of_distributions else ("error", "median sample")
    return ("solver", "steps", "evaluations", *figures, "")


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """By cost, then by error; a star where nothing is better in both."""
    best = comparison.best()
    rows: list[tuple[str, ...]] = []
    for entry in sorted(comparison.entries, key=lambda e: (e.nfe, not math.isfinite(e.figure), e.figure)):
        values = [value for value in (entry.distance, entry.error, entry.median) if value is not None]
        figures = [f"{value:.3g}" if math.isfinite(value) else "not finite" for value in values]
        rows.append((entry.solver, str(entry.steps), str(entry.nfe), *figures, "*" if entry in best else ""))
    return rows


def _paths(loaded: Run, out: Path | None) -> list[Path]:
    """``out``; without it a picture and a table under a name that is free."""
    if out is not None:
        return [out]
    folder = loaded.folder.samples if loaded.folder else Path()
    folder.mkdir(parents=True, exist_ok=True)
    base = free_file(folder / "compare.png", (".png", ".csv"))
    return [base, base.with_suffix(".csv")]


def _written(comparison: Comparison, paths: list[Path]) -> list[str]:
    from scorefield.show.files import write_aside
    from scorefield.show.film import save_picture

    writers = {
        ".png": lambda path: save_picture(path, comparison.picture()),
        ".csv": lambda path: write_aside(path, comparison.to_csv()),
        ".json": lambda path: write_aside(path, json.dumps(comparison.to_json(), indent=1) + "\n"),
    }
    for path in paths:
        writers[path.suffix.lower()](path)
    return [str(path) for path in paths]

"""`scorefield list`: the runs of a folder."""

from __future__ import annotations

import time
from typing import Any

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import ago, table
from scorefield.cli.words import Request
from scorefield.runs.listing import listing

_HEADS = ("run", "state", "step", "data", "model", "loss", "figure", "when")
# The one figure that says most, the first that a run has: what it is called in the list, and how it is written.
_FIGURES = {
    "bits": "{:.3f} bits",
    "two_sample": "1-NN {:.3f}",
    "sliced_wasserstein": "sliced W {:.4g}",
    "energy": "energy {:.4g}",
    "frechet": "Fréchet {:.4g}",
}


def run(request: Request, console: Console) -> Outcome:
    """Print one line a run, newest first."""
    root = request.options["runs"]
    runs = listing(root)
    for line in table([_HEADS, *map(_row, runs)]) if runs else [f"no runs in {root}/ yet"]:
        console.result(line)
    for problem in (row["problem"] for row in runs if "problem" in row):
        console.say(f"note    {problem}")
    following = ["scorefield info last", "scorefield sample last"] if runs else ["scorefield train digits"]
    return Outcome({"runs": runs}, [f'run = scorefield.load("{runs[0]["path"]}")'] if runs else [], following)


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    loss = f"{row['loss']:.4g}" if row.get("loss") is not None else ""
    step = f"{row['step']:,}" if "step" in row else ""
    known = (row["name"], row["state"], step, row.get("data", ""), row.get("model", ""), loss)
    return (*known, _figure(row.get("scores", {})), ago(time.time() - row["touched"]))


def _figure(scores: dict[str, float]) -> str:
    return next((text.format(scores[name]) for name, text in _FIGURES.items() if name in scores), "")

"""docs/choose-a-solver.md from benchmarks/results/accuracy.json.

python benchmarks/choose.py            writes the page; a test holds it to the table
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "accuracy.json"
PAGE = ROOT / "docs" / "choose-a-solver.md"
BY_NAME = ("karras", "log-snr", "uniform", "quadratic", "shifted", "beta", "rectified", "optimised")  # grid=NAME
OWN = ("flow2pc", "rectified")  # what `scorefield.sample` does when nobody says
USUAL = ("dpmpp2m", "karras")  # what many tools begin with

INTRO = """# Choose a solver

Made by `python benchmarks/choose.py` from `benchmarks/results/accuracy.json`; a test holds the page to that table.

Every figure says how far a choice is behind the best of all that was measured: its endpoint error, divided by the least
error that any solver of scorefield, diffusers, k-diffusion or azula reached on any grid with as many network
evaluations from the same noise. 1 is the best there was; the mean is geometric, over mixtures in 2, 16 and 256
dimensions and a network trained on digits, each under the VP, cosine, EDM and flow schedules. How it was measured is in
`benchmarks/results/accuracy.md`.

"""

REST = """
## On your own network

The table above is about four problems. `scorefield compare RUN --solvers a,b,c --steps 5,10,20` measures the same on
your network, against a converged reference, and draws it. `scorefield tune RUN --steps 6` fits a sampler to it, which
`scorefield sample RUN --steps 6` then uses. Without a table a run walks `flow2pc` on `rectified` for any number of
steps but its own, which is 18 with `dpmpp2m` on `karras` unless its config says otherwise.

## When noise is wanted

Deterministic solvers are the most exact in few evaluations. Fresh noise forgets the errors of earlier steps, which
pays with an imperfect network and many evaluations:

| you want | solver |
|---|---|
| the sampler of the DDPM paper, in as many steps as it was trained with | `ddpm`, `ddpm-large` |
| steps widened by what the belief knows of its variance, analytic or learned | `ancestral` |
| some noise in few steps | `sde-dpmpp2m`, `er-sde`, `sa-solver`, or `ddim` and `dpmpp2m` with `eta` between 0 and 1 |
| EDM's churn; noise only in the middle of the way | `edm`, `restart` |
| the samplers of score SDEs and of NCSN | `pc`, `pc-ancestral`, `reverse-diffusion`, `annealed-langevin` |
| no number of steps, a tolerance instead | `adaptive`; with noise `gotta-go-fast` |
| the same numbers as a paper's code, slips included | the names that end in `-published` |

`eta` is the fresh noise in units of DDPM's. Names, orders and compositions are in `scorefield.solvers.NAMES`; where
other libraries differ is told in [How other libraries differ](peers.md).
"""


def behind(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """(solver, grid) ↦ the geometric mean over rows of its error over the best of all; those missing anywhere are left
    out."""
    logs: dict[tuple[str, str], list[float]] = {}
    count = 0
    for row in rows:
        count += 1
        least = min(row["best_ours"]["error"], row["best_peer"]["error"])
        for grid, errors in row["ours"].items():
            for solver, error in errors.items():
                logs.setdefault((solver, grid), []).append(math.log(error / least))
    return {pair: math.exp(sum(found) / count) for pair, found in logs.items() if len(found) == count}


def ranked(rows: list[dict[str, Any]]) -> list[tuple[tuple[str, str], float]]:
    """What can be asked for by name, best first."""
    found = {pair: f for pair, f in behind(rows).items() if pair[1] in BY_NAME and "," not in pair[0]}
    return sorted(found.items(), key=lambda item: item[1])


def page(result: dict[str, Any]) -> str:
    """The whole page."""
    rows = result["rows"]
    budgets = sorted({row["nfe"] for row in rows})
    head = "| evaluations | solver, grid | behind the best | next "
    head += f"| {_named(OWN)}, default of `scorefield.sample` | {_named(USUAL)} |"
    lines = ["## In short", "", head, "|---|---|---|---|---|---|"]
    for nfe in budgets:
        order = ranked([row for row in rows if row["nfe"] == nfe])
        (first, f), (second, g) = order[0], next(item for item in order if item[0][0] != order[0][0][0])
        own, usual = (dict(order).get(pair, math.inf) for pair in (OWN, USUAL))
        rest = f"{_named(second)}, {g:.2f} | {own:.2f} | {usual:.1f}"
        lines.append(f"| {nfe} | **{_named(first)}** | {f:.2f} | {rest} |")
    lines += ["", *_everywhere(rows, budgets), "", "## By schedule", ""]
    schedules = list(dict.fromkeys(row["schedule"] for row in rows))
    lines += [f"| evaluations | {' | '.join(schedules)} |", "|---" * (len(schedules) + 1) + "|"]
    for nfe in budgets:
        cells = []
        for schedule in schedules:
            pair, f = ranked([row for row in rows if row["nfe"] == nfe and row["schedule"] == schedule])[0]
            cells.append(f"{_named(pair)}, {f:.2f}")
        lines.append(f"| {nfe} | {' | '.join(cells)} |")
    return INTRO + "\n".join([*lines, "", *_tuned(rows)]) + "\n" + REST


def _everywhere(rows: list[dict[str, Any]], budgets: list[int]) -> list[str]:
    """One choice for all budgets."""
    pair, f = ranked(rows)[0]
    return [
        f"One choice for all of these: **{_named(pair)}**, on average {f:.2f} behind the best at {budgets[0]} to",
        f"{budgets[-1]} evaluations: `scorefield sample RUN --steps 10 --solver {pair[0]} --grid {pair[1]}`.",
    ]


def _tuned(rows: list[dict[str, Any]]) -> list[str]:
    """What tuning buys."""
    found = [row for row in rows if "tuned" in row]
    if not found:
        return []
    lines = ["## Tuned", ""]
    lines += ["A table that `tune` fits to the denoiser, on noise that it never saw, beside the best of all peers:", ""]
    lines += ["| evaluations | error of the best peer over the table's, geometric mean | least | halved in |"]
    lines += ["|---|---|---|---|"]
    for nfe in sorted({row["nfe"] for row in found}):
        ratios = [row["tuned"]["ratio"] for row in found if row["nfe"] == nfe]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        lines.append(f"| {nfe} | {mean:.1f} | {min(ratios):.2f} | {sum(r >= 2 for r in ratios)} of {len(ratios)} |")
    return lines


def _named(pair: tuple[str, str]) -> str:
    return f"`{pair[0]}` on `{pair[1]}`"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

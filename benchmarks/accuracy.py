"""How close do samplers come to the endpoint of the probability-flow ODE, from the same noise, for the same number of
evaluations? Every deterministic sampler of diffusers, k-diffusion and azula on every grid, and ours.

python benchmarks/accuracy.py             writes benchmarks/results/accuracy.md and accuracy.json
python benchmarks/accuracy.py --ours      measures scorefield anew beside the peers' results that are there
python benchmarks/accuracy.py --tuned     adds what `tune` makes of 5, 8 and 10 evaluations to both
python benchmarks/accuracy.py --quick     prints the table of one problem
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core a job
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

import scorefield as sf
from benchmarks import problems
from benchmarks.peers import Candidate, candidates, levels, versions
from scorefield.solvers import NAMES, grids
from scorefield.tuning import distance, tune

RESULTS = Path(__file__).with_name("results")
BUDGETS = (5, 8, 10, 15, 20, 35)
TUNED = (5, 8, 10)
QUICK = {"problems": ["mixture-2"], "schedules": ["vp", "flow"], "budgets": [5, 10, 20]}
DEFAULT = "rectified"  # the grid of ``sample`` when none is asked for
OWN_GRIDS = {
    "karras": grids.Karras(),
    "log-snr": grids.LogSNR(),
    "uniform": grids.Uniform(),
    "quadratic": grids.Quadratic(),
    "shifted": grids.Shifted(),
    "exponential ρ=1.5": grids.PolyExponential(0.01, 80.0, 1.5),
    "beta": grids.BetaQuantile(),
    DEFAULT: grids.Rectified(),
    "rectified, decay 0.1": grids.Rectified(0.1),
    "optimised": grids.Optimised(),
}
LOWEST = 1e-3
SHOWN = (  # solvers whose errors on each of our grids are kept: what docs/choose-a-solver.md chooses from
    *("ddim", "euler", "heun", "edm-heun", "rk4", "dpmpp2m", "dpmpp3m", "dpmpp2m-published", "dpmpp3m-published"),
    *("dpm3m", "deis3", "unipc1", "unipc1-bh1", "unipc2", "unipc3", "flow2m", "flow3m", "flow2pc", "flow3pc"),
)
EXAMPLES = {"mixture-2": 512, "mixture-16": 1024, "mixture-256": 1024, "digits": 384}  # that `tune` learns from
LOWERED = (
    "dpmpp3m",
    "dpm3m",
    "deis3",
    "unipc2",
    "unipc3",
    "unipc2-bh1",
    "unipc3-bh1",
)  # also tried with lower orders in the last steps


def _first(u: Tensor, process: Any) -> list[float]:
    """σ/α of falling u = σ/(α + σ), scaled so that the first is that of t = 1 (just below, where it has no signal)."""
    alpha, sigma = process.schedule(torch.ones((), dtype=torch.float64))
    u = u * min((sigma / (alpha + sigma)).item(), 1 - 1e-3)
    return (u / (1 - u)).tolist()


@cache
def solvers() -> dict[str, Any]:
    """Every named solver that draws no noise; of names for one composition, the first."""
    unique: dict[Any, str] = {}
    for name, entry in NAMES.items():
        if entry.order and not entry.noisy:
            unique.setdefault(sf.solver(name), name)
    found = {name: solver for solver, name in unique.items()}
    return found | {f"{name}, lower_final": replace(found[name], lower_final=True) for name in LOWERED}


@cache
def affordable(name: str, schedule: str, nfe: int, first: float) -> int:
    """The largest number of steps from t = ``first`` that makes at most ``nfe`` evaluations, 0 if there is none."""
    asked = sf.GaussianMixture.isotropic(torch.zeros(1, 1, dtype=torch.float64), 1.0).denoiser(
        sf.Gaussian(problems.SCHEDULES[schedule])
    )
    for steps in range(nfe, 0, -1):
        times = torch.linspace(first, 0, steps + 1, dtype=torch.float64)
        walk = sf.trajectory(asked, torch.ones(1, 1, dtype=torch.float64), times, solver=solvers()[name])
        if list(walk)[-1].nfe <= nfe:
            return steps
    return 0


def ours(schedule: str, nfe: int) -> Iterator[Candidate]:
    """Every deterministic solver of ours on our grids and on those that the peers are given."""
    process = sf.Gaussian(problems.SCHEDULES[schedule])
    for name, solver in solvers().items():
        steps, below = (affordable(name, schedule, nfe, first) for first in (1.0, 0.99))
        choices = {label: grid(process, steps) for label, grid in OWN_GRIDS.items()} if steps > 1 else {}
        if below > 1:
            u = 1 - (1 - LOWEST) * torch.arange(below, dtype=torch.float64) / below  # even towards 0.001, then clean
            choices["rectified to 0.001"] = grids.Sigmas((*_first(u, process), 0.0))(process, below)
        for label, given in levels(process, below):
            choices[label] = grids.Sigmas(tuple(given))(process, below)
        for label, times in choices.items():

            def run(asked: Any, start: Tensor, times: Tensor = times, solver: Any = solver) -> tuple[Tensor, int]:
                x = asked.process.schedule(times[0]).sigma * start
                end = list(sf.trajectory(asked, x, times, solver=solver))[-1]
                return end.x, end.nfe

            yield Candidate("scorefield", name, label, run)


def far(x: Tensor, truth: Tensor) -> float:
    """The mean over starts of the root mean square over coordinates."""
    return distance(x, truth).mean().item()


def measured(candidate: Candidate, asked: Any, start: Tensor, truth: Tensor, nfe: int) -> list:
    """[peer, solver, grid, evaluations, error]; an error of ∞ where the sampler fails or diverges."""
    try:
        with torch.no_grad():
            x, spent = candidate.run(asked, start)
        error = far(x, truth)
    except (ValueError, RuntimeError, AssertionError, IndexError):  # a peer refuses the setting
        return [*candidate[:3], 0, math.inf]
    if spent > nfe:
        raise RuntimeError(f"{candidate[:3]} made {spent} evaluations of {nfe}")
    return [*candidate[:3], spent, error if math.isfinite(error) else math.inf]


def job(
    problem: str, schedule: str, budgets: list[int], weights: dict[str, Tensor], alone: bool = False
) -> list[dict[str, Any]]:
    """The rows of one problem under one schedule; ``alone`` without the peers."""
    torch.set_num_threads(1)
    asked, start = problems.denoiser(problem, schedule, weights), problems.noise(problem)
    truth = problems.endpoint(asked, start)
    doubt = far(problems.endpoint(asked, start, 1e-7), truth)
    rows = []
    for nfe in budgets:
        found = [
            measured(candidate, asked, start, truth, nfe)
            for source in (() if alone else candidates(asked.process, nfe), ours(schedule, nfe))
            for candidate in source
        ]
        about = {"problem": problem, "schedule": schedule, "nfe": nfe, "reference_error": doubt}
        rows.append(about | ({"found": found} if alone else digest(found)))
    return rows


def renewed(row: dict[str, Any], found: list[list]) -> dict[str, Any]:
    """A row with our results replaced by ``found``: those of the peers are their best of each sampler, which is all
    that a digest keeps."""
    kept = {k: row[k] for k in ("problem", "schedule", "nfe", "reference_error")}
    theirs = [entry for entry in row["best_grid"] if entry[0] != "scorefield"]
    new = digest([*theirs, *found])
    new["tried"] = row["tried"] | {"scorefield": len(found)}
    return kept | new | ({"tuned": row["tuned"]} if "tuned" in row else {})


def tuned_job(
    problem: str, schedule: str, budgets: list[int], examples: int, iterations: int, weights: dict[str, Tensor]
) -> list[dict[str, Any]]:
    """What ``tune`` makes of each of the budgets: tuned on ``examples`` other starts, measured on ours."""
    torch.set_num_threads(1)
    asked, start = problems.denoiser(problem, schedule, weights), problems.noise(problem)
    truth, rows = problems.endpoint(asked, start), []
    for nfe in budgets:
        began = time.process_time()
        how = {"examples": examples, "held_out": examples, "iterations": iterations, "dtype": torch.float64}
        found = tune(asked, start.shape[1:], nfe, **how)
        seconds = time.process_time() - began
        x = asked.process.schedule(found.table.times[0]).sigma * start
        end = list(sf.trajectory(asked, x, table=found.table))[-1]
        error = _short(far(end.x, truth))
        entry = {"error": error, "nfe": end.nfe, "begun_with": found.begun_with}
        entry |= {"examples": examples, "iterations": iterations}
        entry["cpu_seconds"] = round(seconds, 1)
        rows.append({"problem": problem, "schedule": schedule, "nfe": nfe, "tuned": entry})
    return rows


def digest(found: list[list]) -> dict[str, Any]:
    """The best of each library, the ratio of the best peer to ours, and every solver on its best grid."""
    best: dict[tuple[str, str], list] = {}
    for row in sorted(found, key=lambda row: row[4]):
        best.setdefault((row[0], row[1]), row)
    ranked = [row for row in sorted(best.values(), key=lambda row: row[4]) if math.isfinite(row[4])]
    libraries = dict.fromkeys(row[0] for row in ranked)
    first = {name: _entry(next(row for row in ranked if row[0] == name)) for name in libraries}
    mine = first.pop("scorefield")
    peer, won = min(first.items(), key=lambda item: item[1]["error"])
    default = [[row[1], _short(row[4])] for row in found if row[0] == "scorefield" and row[2] == DEFAULT]
    return {
        "tried": {name: sum(row[0] == name for row in found) for name in (*first, "scorefield")},
        "best_peer": {"peer": peer, **won},
        "best_ours": mine,
        "ratio": _short(won["error"] / mine["error"]),
        "peers": first,
        "best_grid": [[*row[:4], _short(row[4])] for row in ranked],
        "ours_on_default_grid": default,
        "ours": {
            grid: {
                row[1]: _short(row[4]) for row in found if (row[0], row[2]) == ("scorefield", grid) and row[1] in SHOWN
            }
            for grid in OWN_GRIDS
        },
    }


def _entry(row: list) -> dict[str, Any]:
    return {"solver": row[1], "grid": row[2], "nfe": row[3], "error": _short(row[4])}


def _short(value: float) -> float:
    return float(f"{value:.4g}") if math.isfinite(value) else 1e308


def made_by(argv: list[str]) -> dict[str, Any]:
    """The command, and the versions of everything that decides the numbers."""
    return {
        "commands": [" ".join(["python benchmarks/accuracy.py", *argv])],
        "versions": {
            "scorefield": sf.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            **versions(),
        },
    }


def table(result: dict[str, Any]) -> str:
    """accuracy.md."""
    lines = ["# Endpoint accuracy of samplers", "", f"Made by `{'`, `'.join(result['commands'])}` with "]
    lines[-1] += ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + "."
    lines += ["", (Path(__file__).with_name("accuracy_notes.md")).read_text(encoding="utf-8").strip(), ""]
    lines += [_summary("best of ours, untuned", [row["ratio"] for row in result["rows"]])]
    if tuned := [row["tuned"]["ratio"] for row in result["rows"] if "tuned" in row]:
        lines += [_summary("tuned", tuned)]
    lines.append("")
    names = [name for name in ("diffusers", "k-diffusion", "azula") if name in result["versions"]]
    for problem, (shape, what) in problems.PROBLEMS.items():
        for schedule in problems.SCHEDULES:
            rows = [r for r in result["rows"] if (r["problem"], r["schedule"]) == (problem, schedule)]
            if not rows:
                continue
            doubt = rows[0]["reference_error"]
            moves = f"the reference moves by {doubt:.0e} when its tolerance is loosened a hundredfold"
            lines += [f"## {problem}, {schedule}", "", f"{what[0].upper()}{what[1:]}; {shape[0]} starts; {moves}.", ""]
            lines += [f"| NFE | {' | '.join(names)} | scorefield | ratio | tuned | ratio |"]
            lines += ["|" + " --- |" * (len(names) + 5)]
            for row in rows:
                cells = [_cell(row["peers"].get(name)) for name in names] + [_cell(row["best_ours"])]
                cells += [f"{row['ratio']:.2f}", "—", "—"]
                if "tuned" in row:
                    cells[-2:] = [f"{row['tuned']['error']:.2e}", f"{row['tuned']['ratio']:.2f}"]
                lines.append(f"| {row['nfe']} | {' | '.join(cells)} |")
            lines.append("")
    return "\n".join(lines)


def _summary(what: str, ratios: list[float]) -> str:
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    above, below = sum(ratio > 1.005 for ratio in ratios), sum(ratio < 0.995 for ratio in ratios)
    spread = f"from {min(ratios):.2f} to {max(ratios):.2f}; above 1 in {above}, below 1 in {below}"
    return f"- Best peer ÷ {what}, {len(ratios)} rows: geometric mean {mean:.2f}, {spread}."


def _cell(entry: dict[str, Any] | None) -> str:
    return f"**{entry['error']:.2e}** {entry['solver']}, {entry['grid']}" if entry else "—"


def write(result: dict[str, Any]) -> None:
    """accuracy.md and accuracy.json, one row a line."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "accuracy.md").write_text(table(result), encoding="utf-8")
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in result["rows"])
    head = json.dumps({name: result[name] for name in ("commands", "versions")}, ensure_ascii=False)[:-1]
    (RESULTS / "accuracy.json").write_text(f'{head}, "rows": [\n{rows}\n]}}\n', encoding="utf-8")


def tuned_into(result: dict[str, Any], rows: list[dict[str, Any]], argv: list[str]) -> None:
    """Add the rows of ``tuned_job`` to the result."""
    result["commands"] = list(dict.fromkeys([*result["commands"], *made_by(argv)["commands"]]))
    at = {(row["problem"], row["schedule"], row["nfe"]): row for row in result["rows"]}
    for new in rows:
        row = at[new["problem"], new["schedule"], new["nfe"]]
        row["tuned"] = new["tuned"] | {"ratio": _short(row["best_peer"]["error"] / new["tuned"]["error"])}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one problem, two schedules, three budgets; prints only")
    parser.add_argument("--ours", action="store_true", help="only scorefield anew; the peers' results stay")
    parser.add_argument("--tuned", action="store_true", help="add tuned tables to the results that are there")
    parser.add_argument("--only", nargs="*", metavar="PROBLEM:SCHEDULE[:NFE]", help="with --tuned: these alone, anew")
    parser.add_argument(
        "--examples", type=int, help="with --tuned: learn from so many starts, not from the usual number"
    )
    parser.add_argument("--iterations", type=int, default=200, help="with --tuned: at most so many")
    parser.add_argument("--jobs", type=int, default=2, help="processes, one core each")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else {}
    schedules = chosen.get("schedules", problems.SCHEDULES)
    work = [(problem, schedule) for problem in chosen.get("problems", problems.PROBLEMS) for schedule in schedules]
    only = arguments.only
    named = lambda *words: only is None or ":".join(words) in only  # noqa: E731
    fit = {one: [nfe for nfe in TUNED if named(*one) or named(*one, str(nfe))] for one in work}
    work = [one for one in work if fit[one]]
    weights = problems.trained() if any(problem == "digits" for problem, _ in work) else {}
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        if arguments.tuned:
            learnt = {problem: arguments.examples or usual for problem, usual in EXAMPLES.items()}
            waiting = [
                pool.submit(tuned_job, *one, fit[one], learnt[one[0]], arguments.iterations, weights) for one in work
            ]
        else:
            budgets = list(chosen.get("budgets", BUDGETS))
            waiting = [pool.submit(job, *one, budgets, weights, arguments.ours) for one in work]
        rows = [row for one in waiting for row in one.result()]
    if arguments.tuned:
        result = json.loads((RESULTS / "accuracy.json").read_text(encoding="utf-8"))
        tuned_into(result, rows, sys.argv[1:])
    elif arguments.ours:
        result = json.loads((RESULTS / "accuracy.json").read_text(encoding="utf-8"))
        new = {(row["problem"], row["schedule"], row["nfe"]): row["found"] for row in rows}
        result["rows"] = [renewed(row, new[row["problem"], row["schedule"], row["nfe"]]) for row in result["rows"]]
        result["commands"] = list(dict.fromkeys([*result["commands"], *made_by(sys.argv[1:])["commands"]]))
    else:
        result = {**made_by(sys.argv[1:]), "rows": rows}
    if arguments.quick:
        print(table(result))
    else:
        write(result)


if __name__ == "__main__":
    main()

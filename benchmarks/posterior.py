"""How far is every posterior method from the exact posterior? All methods of scorefield, and azula's and deepinv's of
the same name, on the same exact priors, measurements and numbers of evaluations.

python benchmarks/posterior.py               measures what is missing and writes results/posterior.json, posterior.md
                                             and the table in docs/posterior.md
python benchmarks/posterior.py --only dps    measures the methods of these names anew, and nothing else
python benchmarks/posterior.py --speed       times ours and azula's in turns, and nothing else
python benchmarks/posterior.py --page        writes the pages from the numbers that are there

Peers that are not installed are left out, and what was measured of them stays. (deepinv: its wheel, einops, h5py,
natsort, torchmetrics and lightning-utilities without dependencies in a folder on PYTHONPATH.)
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core a job
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

import scorefield as sf
from benchmarks.posterior_cases import (
    BENCHES,
    COLUMNS,
    EXACT,
    LARGE,
    MASKS,
    PAGE,
    PEERS,
    PROCESS,
    RESULTS,
    SAMPLES,
    SCHEDULES,
    SEEDS,
    SMALL,
    TEXT,
    cases,
    exact_denoiser,
    masked,
)
from benchmarks.posterior_page import page, paged
from scorefield.analytic.inverse import Bench, chi2_ratio, mean_error, mode_error, trace_ratio
from scorefield.metrics import sliced_wasserstein
from scorefield.operators import Measurement
from scorefield.posterior.draw import Counted, draw
from scorefield.posterior.names import METHODS, Method
from scorefield.posterior.smc import smc
from scorefield.sampling import noise_at
from scorefield.training.pages import kept_pages


def installed(name: str) -> str:
    """The version of a package, or ''."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def drawn(library: str, method: str, bench: Bench, seed: int, nfe: int, own: bool) -> tuple[Tensor, int]:
    """(samples (N, D), evaluations)."""
    if method == "exact":
        return bench.posterior.sample(SAMPLES, sf.Rng(sf.Rng.fold(seed, 7))), 0
    if library in SCHEDULES:
        peer = import_module(f"benchmarks.peers.{library}_posterior")
        asked = bench.prior.denoiser(PROCESS)
        return peer.run(method, asked, bench.operator.A, bench.y[None], bench.std, SAMPLES, nfe, own)
    denoiser = exact_denoiser(bench.prior, method == "optimal-covariance")
    measurement = masked(bench) if method in MASKS else bench.measurement
    if METHODS[method].twist:
        found = draw(denoiser, measurement, SAMPLES, method=method, seed=seed)
        return found.x, found.nfe
    return walked(METHODS[method], denoiser, measurement, sf.Rng(seed))


def walked(method: Method, denoiser: Any, measurement: Measurement, rng: sf.Rng) -> tuple[Tensor, int]:
    """What ``sample`` does, with one generator for all samples, as azula has it. (Ours have one for each, so that
    batching changes nothing: 2 ms a step for 300, nothing beside a network.)"""
    counted = Counted(denoiser)
    assert method.walk is not None
    guided, solver = method.walk(counted, measurement)
    times = method.grid(PROCESS, method.steps)
    x = noise_at(PROCESS, times[0], torch.empty(SAMPLES, *measurement.operator.event, dtype=torch.float64), rng)
    with torch.no_grad():
        if solver.tabulates:
            return sf.tabulate(solver, PROCESS, times).run(guided, x, rng), counted.nfe
        *_, last = sf.trajectory(guided, x, times, solver=solver, rng=rng)
        return last.x, counted.nfe


def measured(library: str, method: str, bench: str, nfe: int = 0, own: bool = False) -> dict[str, Any]:
    """One row: means over ``SEEDS`` problems, and SW₂ and the mode error of each of them."""
    torch.set_num_threads(1)
    rows = []
    for seed in range(SEEDS):
        problem = BENCHES[bench][0](seed)
        start = time.process_time()
        x, spent = drawn(library, method, problem, seed, nfe, own)
        seconds = time.process_time() - start
        if x.isfinite().all():
            far = sliced_wasserstein(x, problem.posterior.sample(EXACT, sf.Rng(sf.Rng.fold(seed, 11)))).value
            of = (mode_error, trace_ratio)
            figures = [far, *(f(x, problem.posterior) for f in of), chi2_ratio(x, problem)]
            rows.append([*figures, mean_error(x, problem.posterior), spent, seconds])
        else:
            rows.append([math.inf] * 5 + [spent, seconds])
    table = torch.tensor(rows, dtype=torch.float64)
    about = {"library": library, "method": method, "bench": bench}
    means = {name: _short(value) for name, value in zip(COLUMNS, table.mean(0).tolist(), strict=True)}
    each, modes = ([_short(value) for value in column.tolist()] for column in table.mT[:2])
    return about | means | {"each": each, "modes": modes}


def _short(value: float) -> float:
    return float(f"{value:.4g}") if math.isfinite(value) else 1e308


def job(library: str, method: str, bench: str, nfe: int) -> dict[str, Any]:
    """A row; of a peer that takes any schedule the better of two, its own and ours."""
    if library == "scorefield":
        return measured(library, method, bench)
    rows = [measured(library, method, bench, nfe, which == "own") | {"schedule": which} for which in SCHEDULES[library]]
    return min(rows, key=lambda row: row["sw2"])


def measure(only: list[str], jobs: int) -> None:
    """The rows that are missing, or all of the methods named; each is written when it is there, so that a run may be
    ended and begun again, and several may run at once."""
    rows = stored()
    there = ["scorefield", *(name for name in SCHEDULES if installed(name))]
    todo = [case for case in cases() if case[0] in there and (case[1] in only if only else case not in rows)]
    turns = [("scorefield", SMALL), *((name, SMALL) for name in there[1:]), ("scorefield", LARGE)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork" if jobs == 1 else "spawn")) as pool:
        for library, benches in turns:
            waiting = []
            for case in todo:
                if case[0] == library and case[2] in benches:
                    waiting.append(pool.submit(job, *case, budget(case)))
            for done in as_completed(waiting):
                row = done.result()
                print(*(row[key] for key in ("library", "method", "bench", *COLUMNS)), flush=True)
                write(stored() | {(row["library"], row["method"], row["bench"]): row})


def budget(case: tuple[str, str, str]) -> int:
    """The evaluations that a peer is given: what ours of that name spent on that bench; for ours nothing is asked."""
    ours = PEERS.get(case[:2], "")
    found = stored().get(("scorefield", ours, case[2]))
    return int(found["nfe"]) if found else METHODS[ours].steps if ours in METHODS else 0


def kept() -> dict[str, Any]:
    """posterior.json."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"rows": []}


def stored() -> dict[tuple[str, str, str], dict[str, Any]]:
    """(library, method, bench) → row of what was measured so far."""
    return {(row["library"], row["method"], row["bench"]): row for row in kept()["rows"]}


def write(rows: dict[tuple[str, str, str], dict[str, Any]], speed: list[dict[str, Any]] | None = None) -> None:
    """posterior.json, a row a line, in the order of ``cases``."""
    before = kept()
    versions = {"scorefield": sf.__version__, "python": platform.python_version(), "torch": torch.__version__}
    known = before.get("versions", {})
    versions |= {name: installed(name) or known.get(name, "") for name in SCHEDULES if installed(name) or name in known}
    head: dict[str, Any] = {
        "command": "python benchmarks/posterior.py",
        "versions": versions,
        "samples": SAMPLES,
        "problems": SEEDS,
    }
    head["speed"] = before.get("speed", []) if speed is None else speed
    body = ",\n".join(json.dumps(rows[case]) for case in cases() if case in rows)
    beside = RESULTS.with_suffix(f".{os.getpid()}")
    beside.write_text(f'{json.dumps(head)[:-1]}, "rows": [\n{body}\n]}}\n', encoding="utf-8")
    beside.replace(RESULTS)


PAIRS = {  # ours: azula's, which do the same work for a sample
    "tds-pigdm": "TDS",
    "mmps-1": "MMPS",
    "tmpd": "TMPD",
    "pigdm-published": "PGDM, eta 1",
    "dps-published": "DPS, zeta 1",
    "diffpir": "DiffPIR",
}


def timed(repeats: int = 9) -> list[dict[str, Any]]:
    """CPU seconds for ``SAMPLES`` samples or particles on the bench gmm, the least of several turns, in one process. To
    be timed with kept pages: else some steps pay for memory that glibc gave back, by whose tensor was freed last."""
    torch.set_num_threads(1)
    bench = BENCHES["gmm"][0](0)
    found = []
    for method, peer in PAIRS.items():
        steps, twist, least = METHODS[method].steps, METHODS[method].twist, [math.inf, math.inf]
        for _ in range(repeats):
            start = time.process_time()
            if twist:
                smc(bench.prior.denoiser(PROCESS), bench.measurement, SAMPLES, steps=steps, twist=twist)
            else:
                drawn("scorefield", method, bench, 0, 0, False)
            middle = time.process_time()
            drawn("azula", peer, bench, 0, steps, False)
            spent = (middle - start, time.process_time() - middle)
            least = [min(pair) for pair in zip(least, spent, strict=True)]
        found.append({"method": method, "peer": peer, "nfe": steps, "seconds": least[0], "theirs": least[1]})
        print(found[-1], flush=True)
    return found


def main() -> None:
    """Measure what is missing and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], metavar="METHOD", help="measure these anew, nothing else")
    parser.add_argument("--speed", action="store_true", help="time ours and azula's, nothing else")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the pages")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    asked = parser.parse_args()
    if asked.speed:
        with kept_pages():
            write(stored(), timed())
    elif not asked.page:
        measure(asked.only, asked.jobs)
    result = kept()
    TEXT.write_text(page(result), encoding="utf-8")
    PAGE.write_text(paged(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")


if __name__ == "__main__":
    main()

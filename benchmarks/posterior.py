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
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
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
from scorefield.analytic import GaussianMixture
from scorefield.analytic.inverse import (
    Bench,
    b_gauss,
    b_gmm,
    b_inpaint,
    b_mcgd,
    chi2_ratio,
    mean_error,
    mode_error,
    trace_ratio,
)
from scorefield.belief import Moments
from scorefield.metrics import sliced_wasserstein
from scorefield.noise import VP
from scorefield.operators import Mask, Measurement
from scorefield.posterior.draw import Counted, draw
from scorefield.posterior.names import LABELS, METHODS, Method
from scorefield.posterior.smc import smc
from scorefield.sampling import noise_at

RESULTS = Path(__file__).with_name("results") / "posterior.json"
TEXT = RESULTS.with_suffix(".md")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "posterior.md"
PROCESS = sf.Gaussian(VP())
SAMPLES, EXACT, SEEDS = 300, 3000, 2

BENCHES: dict[str, tuple[Callable[[int], Bench], str]] = {
    "gauss": (b_gauss, "a Gaussian in 8 dimensions, 4 numbers measured with noise 0.1"),
    "gmm": (b_gmm, "six modes in 8 dimensions, 2 numbers measured with noise 0.2"),
    "inp": (b_inpaint, "six modes in 8 dimensions, the first two coordinates measured with noise 0.01"),
    "mcgd8": (
        lambda seed: encoded(b_mcgd(8, seed)),
        "25 modes in 8 dimensions, moved to a mean variance of 1, one number measured",
    ),
    "mcgd80": (
        lambda seed: encoded(b_mcgd(80, seed)),
        "25 modes in 80 dimensions, moved to a mean variance of 1, one number measured",
    ),
}
SMALL, LARGE = ("gauss", "gmm", "inp"), ("mcgd8", "mcgd80")
WIDE = ("tds", "mcgdiff", "mmps", "pigdm", "dps", "ddrm")  # methods that meet the benches of 25 modes too
MASKS = ("repaint", "gradpaint")  # that need a mask
PEERS = {  # (library, its name): ours of the same name, whose number of evaluations it is given
    ("azula", "MMPS"): "mmps-1",
    ("azula", "MMPS, 5 iterations"): "mmps",
    ("azula", "TMPD"): "tmpd",
    ("azula", "PGDM, eta 1"): "pigdm-published",
    ("azula", "DPS, zeta 0.3"): "dps-published",
    ("azula", "DPS, zeta 1"): "dps-published",
    ("azula", "DiffPIR"): "diffpir",
    ("azula", "TDS"): "tds",
    ("azula", "RePaint"): "repaint",
    ("deepinv", "DDRM"): "ddrm",
    ("deepinv", "DiffPIR"): "diffpir",
    ("deepinv", "DPS"): "dps-published",
}
SCHEDULES = {"azula": ("own", "ours"), "deepinv": ("own",)}
COLUMNS = ("sw2", "mode", "trace", "chi2", "mean", "nfe", "seconds")
# SW₂ and mode error that other re-implementations reached, in 300 to 1,000 steps, on other problems of the same laws: a
# method that is more than 20 % worse here has a fault.
REFERENCE: dict[str, dict[str, tuple[float, float]]] = {
    "tds": {"gauss": (0.029, 0), "gmm": (0.059, 0.017), "inp": (0.110, 0.014)},
    "tds-pigdm": {"gauss": (0.035, 0), "gmm": (0.063, 0.016), "inp": (0.145, 0.034)},
    "mmps": {"gauss": (0.023, 0), "gmm": (0.622, 0.316), "inp": (0.659, 0.244)},
    "mmps-1": {"gauss": (0.078, 0), "gmm": (0.636, 0.337), "inp": (0.771, 0.319)},
    "tmpd": {"gauss": (0.023, 0), "gmm": (0.622, 0.316), "inp": (0.659, 0.244)},
    "tmpd-rows": {"gauss": (0.115, 0), "gmm": (0.655, 0.306), "inp": (0.750, 0.273)},
    "pigdm": {"gauss": (0.087, 0), "gmm": (0.756, 0.440), "inp": (0.890, 0.444)},
    "sda": {"gauss": (0.081, 0), "gmm": (0.417, 0.131)},
    "dps": {"gauss": (0.087, 0), "gmm": (0.379, 0.111)},
    "dps-published": {"gauss": (0.167, 0), "gmm": (0.211, 0.044), "inp": (0.245, 0.066)},
    "pnpdm": {"gauss": (0.037, 0), "gmm": (0.797, 0.500), "inp": (0.936, 0.482)},
    "daps": {"gauss": (0.098, 0), "gmm": (0.809, 0.493), "inp": (0.922, 0.463)},
    "ddrm": {"gauss": (0.118, 0), "gmm": (0.837, 0.564), "inp": (0.927, 0.514)},
    "snips": {"gauss": (0.089, 0), "gmm": (0.852, 0.541), "inp": (0.936, 0.498)},
    "ddnm": {"gauss": (0.092, 0), "gmm": (0.605, 0.298), "inp": (0.812, 0.367)},
    "diffpir": {"gauss": (0.091, 0), "gmm": (0.655, 0.373), "inp": (0.856, 0.418)},
    "song22": {"gauss": (0.106, 0), "gmm": (0.836, 0.558), "inp": (0.962, 0.532)},
    "mcg": {"gauss": (0.227, 0), "gmm": (0.547, 0.066), "inp": (0.707, 0.126)},
    "repaint": {"inp": (0.896, 0.434)},
    "ilvr": {"inp": (0.926, 0.509)},
    "copaint": {"inp": (0.905, 0.434)},
    "reddiff": {"gauss": (0.151, 0), "gmm": (0.341, 0.183), "inp": (0.775, 0.415)},
    "convolved": {"gauss": (0.140, 0), "gmm": (0.929, 0.634), "inp": (0.994, 0.643)},
}


def cases() -> Iterator[tuple[str, str, str]]:
    """(library, method, bench) of every row; the rows "exact" are the floor: as many exact samples."""
    for bench in BENCHES:
        yield "scorefield", "exact", bench
        for method in METHODS:
            if (bench in LARGE and method not in WIDE) or (method in MASKS and bench != "inp"):
                continue
            yield "scorefield", method, bench
    for library, method in PEERS:
        for bench in SMALL:
            if method != "RePaint" or bench == "inp":
                yield library, method, bench


@dataclass(frozen=True, eq=False)
class Round:
    """The exact denoiser of equal isotropic Gaussians, without the rotations that a ``GaussianMixture`` allows for."""

    law: GaussianMixture
    process: sf.Gaussian

    def __call__(self, x: Tensor, t: Tensor) -> Moments:
        alpha, sigma = self.process.scales(t, x)
        own, means = self.law.covs[0, 0, 0], self.law.means
        var = alpha**2 * own + sigma**2
        fit = (alpha * x @ means.mT - 0.5 * alpha**2 * means.square().sum(1)) / var
        near = (self.law.weights.log() + fit).softmax(-1) @ means
        return Moments(near + alpha * own / var * (x - alpha * near))


def exact_denoiser(law: GaussianMixture, variance: bool) -> Any:
    """E[x₀ | x_t], and Var where it is asked for."""
    round_ = law.covs[0, 0, 0] * torch.eye(law.covs.shape[1]).to(law.covs)
    if not variance and len(law.covs) > 1 and torch.equal(law.covs, round_.expand_as(law.covs)):
        return Round(law, PROCESS)
    return law.denoiser(PROCESS, variance=variance)


def encoded(bench: Bench) -> Bench:
    """The same problem with coordinates of variance 1 on average, as data have when a model sees them."""
    prior, measurement = bench.prior, bench.measurement
    unit = (prior.cov.trace() / len(prior.cov)).sqrt()
    prior = GaussianMixture(prior.weights, prior.means / unit, prior.covs / unit**2)
    y, std = measurement.y[0] / unit, bench.std / unit.item()
    return Bench(prior, bench.operator, y, std, prior.posterior(bench.operator.A, y, std))


def installed(name: str) -> str:
    """The version of a package, or ''."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def masked(bench: Bench) -> Measurement:
    """The first coordinates known, as a mask."""
    where = torch.zeros(bench.operator.event, dtype=torch.bool)
    where[: len(bench.y)] = True
    return Measurement(Mask(where), bench.measurement.y, bench.measurement.noise)


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
    """What ``draw`` does, with one generator for all samples, as azula has it. (``draw`` has one for each, so that
    batching changes nothing: 2 ms a step for 300, nothing beside a network.)"""
    counted = Counted(denoiser)
    assert method.walk is not None
    guided, solver = method.walk(counted, measurement)
    times = method.grid(PROCESS, method.steps)
    x = noise_at(PROCESS, times[0], torch.empty(SAMPLES, *measurement.operator.event, dtype=torch.float64), rng)
    if solver.tabulates:
        how: dict[str, Any] = {"table": sf.tabulate(solver, PROCESS, times)}
    else:
        how = {"times": times, "solver": solver}
    *_, last = sf.trajectory(guided, x, rng=rng, **how)
    return last.x, counted.nfe


def measured(library: str, method: str, bench: str, nfe: int = 0, own: bool = False) -> dict[str, Any]:
    """One row: means over ``SEEDS`` problems."""
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
    means = torch.tensor(rows, dtype=torch.float64).mean(0).tolist()
    about = {"library": library, "method": method, "bench": bench}
    return about | {name: _short(value) for name, value in zip(COLUMNS, means, strict=True)}


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
    "tmpd-rows": "TMPD",
    "pigdm-published": "PGDM, eta 1",
    "dps-published": "DPS, zeta 1",
    "diffpir": "DiffPIR",
}


def timed(repeats: int = 9) -> list[dict[str, Any]]:
    """CPU seconds for ``SAMPLES`` samples or particles on the bench gmm, the least of several turns, in one process."""
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


def table(rows: list[dict[str, Any]], short: bool = False) -> str:
    """Every method × every bench, by label; ``short`` leaves out the benches of 25 modes and the peers."""
    at = {(r["library"], r["method"], r["bench"]): r for r in rows}
    benches = list(SMALL if short else BENCHES)
    names = "gauss: SW₂, trace, χ²", "gmm: SW₂, mode", "inp: SW₂, mode", "mcgd8: SW₂, mode", "mcgd80: SW₂, mode"
    lines = [f"| method | label | {' | '.join(names[: len(benches)])} | NFE | seconds |"]
    lines += ["|" + " --- |" * (len(benches) + 4)]
    floor = [_cell(at.get(("scorefield", "exact", b)), b) for b in benches]
    lines += [f"| exact samples (the floor) | | {' | '.join(floor)} | | |"]
    for label in LABELS:
        for method, entry in METHODS.items():
            found = [at.get(("scorefield", method, b)) for b in benches]
            if entry.label == label and any(found):
                lines.append(_line(f"`{method}`", label, found, benches))
    if not short:
        for (library, method), ours in PEERS.items():
            found = [at.get((library, method, b)) for b in benches]
            if any(found):
                lines.append(_line(f"{library} {method}", f"beside `{ours}`", found, benches))
    return "\n".join(lines)


def _line(name: str, label: str, found: list[dict[str, Any] | None], benches: list[str]) -> str:
    there = [row for row in found if row]
    cells = [_cell(row, bench) for row, bench in zip(found, benches, strict=True)]
    seconds = sum(row["seconds"] for row in there) / len(there)
    return f"| {name} | {label} | {' | '.join(cells)} | {max(row['nfe'] for row in there):.0f} | {seconds:.2f} |"


def _cell(row: dict[str, Any] | None, bench: str) -> str:
    if row is None:
        return "—"
    if row["sw2"] > 1e6:
        return "diverged"
    if bench == "gauss":
        return f"{row['sw2']:.3f}, {row['trace']:.2f}, {row['chi2']:.2f}"
    return f"{row['sw2']:.3f}, {row['mode']:.3f}"


WORDS = """\
SW₂ is the sliced Wasserstein distance of {samples} samples to the exact posterior (lower is better; the floor is what
as many exact samples reach), *mode* the share of mass in wrong modes, *trace* and *χ²* the spread of the samples and of
their residuals over the exact ones (1 is right; below, samples are surer than they may be). Means over {problems}
problems, with the exact denoiser of each prior, so that errors are the method's own; a mode error is known to about
0.03. NFE counts evaluations of the denoiser for a sample, and for methods with gradients each of these has one or more
backward passes. Seconds are CPU time for {samples}
samples on one core that was shared with other work."""


def page(result: dict[str, Any]) -> str:
    """posterior.md."""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = ["# Posterior methods against exact posteriors", "", f"Made by `{result['command']}` with {versions}.", ""]
    lines += [WORDS.format(**result), ""]
    lines += [f"- **{name}**: {what}." for name, (_, what) in BENCHES.items()] + ["", table(result["rows"]), ""]
    return "\n".join([*lines, ABOUT_PEERS, "", *_speeds(result)])


ABOUT_PEERS = """\
The peers' methods have the settings of their documentation and as many evaluations as ours of that name. azula's have
the better of two noise schedules: its own VP, and the one of ours. deepinv's know their own schedules; it is made for
pictures in [0, 1], so events are moved there (an eighth of their size, around 0.5), and it was imported with an empty
stand-in for torchvision."""


def _speeds(result: dict[str, Any]) -> list[str]:
    """A table of CPU seconds, or nothing."""
    if not result.get("speed"):
        return []
    lines = [
        "## Seconds beside azula",
        "",
        SPEED.format(**result),
        "",
        "| ours | azula's | NFE | seconds | azula's | × |",
    ]
    lines += ["|" + " --- |" * 6]
    for row in result["speed"]:
        ratio = row["seconds"] / row["theirs"]
        names = f"| `{row['method']}` | {row['peer']} | {row['nfe']} "
        lines.append(f"{names}| {row['seconds']:.3f} | {row['theirs']:.3f} | {ratio:.2f} |")
    return [*lines, ""]


SPEED = """\
CPU seconds for {samples} samples or particles on gmm with the same denoiser, schedule and number of evaluations: one
core, one process, in turns, the least of nine. These are the methods that do the same work a step. `tds` and `tmpd`
have a backward pass for each number of y instead, and the presets of particles take several populations of 512 or
more, which is what brings them to the floor; `tds-pigdm` also keeps ancestors, effective sizes and the evidence. An
evaluation is so cheap here that what is between two of them shows."""


def section(result: dict[str, Any]) -> str:
    """What stands between the marks of docs/posterior.md."""
    intro = (
        "Measured on three posteriors that are known exactly (made by `python benchmarks/posterior.py`; all rows, also"
    )
    intro += "\nthose of 25 modes, of azula and of deepinv, are in `benchmarks/results/posterior.md`):"
    where = [f"- **{name}**: {BENCHES[name][1]}." for name in SMALL]
    return "\n\n".join([intro, "\n".join(where), table(result["rows"], short=True), WORDS.format(**result)])


BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def paged(text: str, result: dict[str, Any]) -> str:
    """docs/posterior.md with the table of the results between its marks."""
    made = f"{BEGIN}\n\n{section(result)}\n\n{END}"
    return re.sub(f"{BEGIN}.*?{END}|{BEGIN}", lambda _: made, text, count=1, flags=re.S)


def main() -> None:
    """Measure what is missing and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], metavar="METHOD", help="measure these anew, nothing else")
    parser.add_argument("--speed", action="store_true", help="time ours and azula's, nothing else")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the pages")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    asked = parser.parse_args()
    if asked.speed:
        write(stored(), timed())
    elif not asked.page:
        measure(asked.only, asked.jobs)
    result = kept()
    TEXT.write_text(page(result), encoding="utf-8")
    PAGE.write_text(paged(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")


if __name__ == "__main__":
    main()

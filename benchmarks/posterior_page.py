"""The tables of posterior methods as pages: benchmarks/results/posterior.md and a part of docs/posterior.md."""

from __future__ import annotations

import math
import re
from typing import Any

import torch

from benchmarks.posterior_cases import BENCHES, PEERS, SMALL
from scorefield.posterior.names import LABELS, METHODS


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


def apart(peer: tuple[str, str], bench: str, at: dict[tuple[str, str, str], dict[str, Any]]) -> tuple[float, float]:
    """SW₂ of ours less that of a peer's method on the same problems, mean and its standard error over problems."""
    ours, theirs = at["scorefield", PEERS[peer], bench]["each"], at[*peer, bench]["each"]
    less = torch.tensor(ours, dtype=torch.float64) - torch.tensor(theirs, dtype=torch.float64)
    return less.mean().item(), less.std().item() / len(less) ** 0.5


def beside(rows: list[dict[str, Any]]) -> str:
    """Every peer's method and ours of that name, problem by problem."""
    at = {(r["library"], r["method"], r["bench"]): r for r in rows}
    lines = [f"| ours | peer's | {' | '.join(SMALL)} |", "|" + " --- |" * (2 + len(SMALL))]
    for peer, ours in PEERS.items():
        cells = []
        for bench in SMALL:
            mean, error = apart(peer, bench, at) if (*peer, bench) in at else (math.nan, 0.0)
            cells.append("—" if math.isnan(mean) else f"{mean:+.3f} ± {error:.3f}")
        lines.append(f"| `{ours}` | {' '.join(peer)} | {' | '.join(cells)} |")
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
problems, with the exact denoiser of each prior, so that errors are the method's own. NFE counts evaluations of the
denoiser for a sample, and for methods with gradients each of these has one or more backward passes.
Seconds are CPU time for {samples} samples on one core that was shared with other work."""


def page(result: dict[str, Any]) -> str:
    """posterior.md."""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = ["# Posterior methods against exact posteriors", "", f"Made by `{result['command']}` with {versions}.", ""]
    lines += [WORDS.format(**result), ""]
    lines += [f"- **{name}**: {what}." for name, (_, what) in BENCHES.items()] + ["", table(result["rows"]), ""]
    lines += [ABOUT_PEERS, "", "## Distances beside the peers'", "", BESIDE, "", beside(result["rows"]), ""]
    return "\n".join([*lines, *_speeds(result)])


ABOUT_PEERS = """\
The peers' methods have the settings of their documentation and as many evaluations as ours of that name. azula's have
the better of two noise schedules: its own VP, and the one of ours. deepinv's know their own schedules; it is made for
pictures in [0, 1], so events are moved there (an eighth of their size, around 0.5), and it was imported with an empty
stand-in for torchvision."""


BESIDE = """\
SW₂ of ours less SW₂ of theirs on the same problems with as many evaluations, mean and standard error over the problems:
below 0 ours is nearer to the exact posterior."""


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
core, one process that keeps the memory it freed, in turns, the least of nine. These are the methods that do the same
work a step, but for what ours does more: `tmpd` looks how far its shift may go, and `tds-pigdm` keeps ancestors,
effective sizes and the evidence. `tds` has a backward pass for each number of y instead, and the presets of particles
take several populations of 512 or more, which is what brings them to the floor. An evaluation is so cheap here that
what is between two of them shows."""


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

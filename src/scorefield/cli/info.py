"""`scorefield info RUN`: what it is, how it was made, how to load it, what to cite."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scorefield.cli import scores
from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import clock, columns
from scorefield.cli.words import Request
from scorefield.runs.citations import Paper, citations
from scorefield.runs.classifying import is_classifier
from scorefield.runs.disk import read_json
from scorefield.runs.folder import Found, RunFolder, find

if TYPE_CHECKING:
    from scorefield.runs.plan import Plan

WIDTH = 98
_VERSIONS = ("scorefield", "torch", "python")


def run(request: Request, console: Console) -> Outcome:
    """Print the account of a run, read from its files."""
    found = find(request.word, request.options["runs"])
    plan, step = _plan(found)
    made = _made(found.folder) if found.folder else {}
    tables = _tables(found.folder) if found.folder else {}
    sections = {
        "what it is": plan.rows if found.folder else [*plan.rows, ("file", str(found.weights))],
        "how it was made": [*_told(made), ("step", f"{step:,}"), *[("note", note) for note in plan.notes]],
        "conditions": [*_conditions(plan.config)],
        "tuned samplers": [(f"{name} steps", told) for name, told in _tuned(tables)],
    }
    papers = citations(plan.config)
    evaluation = scores.stored(found.folder)
    texts = {title: columns(rows, WIDTH) for title, rows in sections.items()}
    texts["how good it is"] = scores.lines(evaluation) if evaluation else []
    texts["what to cite"] = [line for parts, paper in papers for line in _reference(parts, paper)]
    for title, lines in texts.items():
        if lines:
            console.result("\n".join([title, *(f"  {line}" for line in lines), ""]))
    path = str(found.folder.path if found.folder else found.weights)
    result = {
        "run": path,
        "config": plan.config,
        "origins": plan.origins,
        "step": step,
        "made": made,
        "tables": tables,
        "evaluation": evaluation.to_json() if evaluation else None,
        "cite": [{"for": parts, **paper._asdict()} for parts, paper in papers],
    }
    classifies = is_classifier(plan.config)
    python = [
        f'run = scorefield.load("{path}")',
        "run.denoiser(x_t, t).probs  # (B, K)" if classifies else "samples = run.sample(16)  # samples.x, .save(...)",
        "run.denoiser, run.codec" if classifies else "run.denoiser, run.codec, run.solver",
    ]
    used = f"scorefield evaluate {path}" if classifies else f"scorefield sample {path}"
    following = [used, *([f"scorefield report {path}"] if found.folder else [])]
    return Outcome(result, python, following)


def _plan(found: Found) -> tuple[Plan, int]:
    """The plan and the step of a run folder, or of one file that carries its config."""
    from scorefield.runs.plan import Plan

    if found.folder is not None:
        env = found.folder.env()
        notes = tuple(env.get("notes", ()))
        return Plan(found.folder.config(), env.get("origins", {}), notes, found.folder.path), found.folder.step()
    from scorefield.runs import weights

    assert found.weights is not None  # a Found names one of the two
    stored = weights.read(found.weights)
    return Plan(stored.config, {}), stored.step


def _made(folder: RunFolder) -> dict[str, Any]:
    starts = folder.env().get("starts", [])
    seconds = [record["seconds"] for record in folder.history() if "seconds" in record]
    stopped = [record for record in folder.history() if record.get("event") == "stopped"]
    return {
        "state": folder.state(),
        "starts": starts,
        "seconds": seconds[-1] if seconds else 0.0,
        "stopped": stopped[-1].get("reason") if stopped else None,
    }


def _told(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not made:
        return []
    rows = [("command", start["command"]) for start in made["starts"][-3:]]
    rows.append(("state", f"{made['state']}, after {clock(made['seconds'])} of training"))
    first = made["starts"][0] if made["starts"] else {}
    versions = ", ".join(f"{name} {first[name]}" for name in _VERSIONS if first.get(name))
    where = first.get("gpu") or first.get("device", "")
    return [*rows, ("with", f"{versions}, {where}, started {first['when']}")] if first else rows


def _conditions(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each number that the samples can be asked for, and its range in training."""
    found = config["data"]["found"].get("conditions", {})
    for name, mean, std, low, high in zip(*found.values(), strict=True):
        yield name, f"{low:g} … {high:g}, mean {mean:.4g} ± {std:.3g}"


def _tables(folder: RunFolder) -> dict[str, Any]:
    """steps → what tables/STEPS.json says about its making."""
    return {str(steps): dict(read_json(path, {}).get("made", {})) for steps, path in folder.tables()}


def _tuned(tables: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for steps, made in tables.items():
        at = f"at step {made['step']:,}, guidance {made['guidance']:g}" if "step" in made else "at an unknown step"
        errors = [f"{made[name]:.3g}" for name in ("held_out_error", "untuned_error") if name in made]
        yield steps, f"tables/{steps}.json, {at}" + (f", error {' (untuned '.join(errors)})" if len(errors) > 1 else "")


def _reference(parts: str, paper: Paper) -> list[str]:
    return textwrap.wrap(f"{paper} [{parts}]", WIDTH, subsequent_indent="    ", break_on_hyphens=False)

"""Whether the files of a run folder are whole, and what to do about those that are not. Nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scorefield.data import EMBEDDED
from scorefield.errors import UserError
from scorefield.runs import build, weights
from scorefield.runs.disk import read_json
from scorefield.runs.doctor import NOTE, OK, PROBLEM, Finding
from scorefield.runs.folder import RUNS, RunFolder, find
from scorefield.runs.lock import holder
from scorefield.runs.source import ARRAYS
from scorefield.solvers import Table
from scorefield.training.checkpoint import ASIDE, PREFIX, Checkpoint, newest
from scorefield.training.checkpoint import read as read_checkpoint

AGAIN = "give the command that made it again (command.txt): it goes on from the newest whole checkpoint"
ANEW = "nothing can be taken up from here; the command that made it (command.txt) with fresh=yes begins anew"


def checkup(run: str | Path, runs: str | Path = RUNS) -> list[Finding]:
    """Look at every file of a run. Raises UserError where ``run`` is no run folder."""
    found = find(run, runs)
    if found.folder is None:
        raise UserError(
            f"{found.weights} is one file; the doctor looks at run folders. `scorefield info` reads the file."
        )
    return [finding for look in LOOKS for finding in look(found.folder)]


def _config(folder: RunFolder) -> Iterator[Finding]:
    try:
        config = folder.config()
        build.outline(config), build.codec(config), build.objective(config), build.settings(config)
    except UserError as error:
        yield Finding(PROBLEM, "config.toml", str(error), "final/model.safetensors, where it is whole, holds a copy")
        return
    except (KeyError, TypeError) as error:
        yield Finding(PROBLEM, "config.toml", f"lacks a part: {error}", "final/model.safetensors may hold a copy")
        return
    yield Finding(OK, "config.toml", "whole, and everything it names can be built")
    yield from _data(folder, config["data"])


def _data(folder: RunFolder, section: dict[str, Any]) -> Iterator[Finding]:
    given = str(section.get("source", ""))
    path = folder.data_file if given == ARRAYS else Path(given).expanduser()
    if given in EMBEDDED or path.exists():
        yield Finding(OK, "data", f"{given} is there")
    else:
        mend = "give them back at that place; sampling works without them"
        yield Finding(NOTE, "data", f"{given} is not there, so it cannot be trained on or evaluated", mend)


def _env(folder: RunFolder) -> Iterator[Finding]:
    if folder.env():
        yield Finding(OK, "env.json", f"whole, {len(folder.env().get('starts', []))} start(s)")
    else:
        yield Finding(
            NOTE, "env.json", "missing or torn: nobody knows any more who set what", "nothing; all else works"
        )


def _metrics(folder: RunFolder) -> Iterator[Finding]:
    if not folder.metrics_file.is_file():
        yield Finding(NOTE, "metrics.jsonl", "not there: nothing was logged yet", AGAIN)
        return
    lines = folder.metrics_file.read_text(encoding="utf-8", errors="replace").splitlines()
    torn = [number for number, line in enumerate(lines, 1) if not _is_record(line)]
    if torn:
        which = ", ".join(map(str, torn[:5])) + (" …" if len(torn) > 5 else "")
        text = f"{len(torn)} of {len(lines)} lines are torn (line {which}), as a kill leaves them"
        yield Finding(NOTE, "metrics.jsonl", text, "nothing: torn lines are skipped")
    else:
        yield Finding(OK, "metrics.jsonl", f"{len(lines)} lines, all whole, up to step {folder.step():,}")


def _is_record(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _checkpoints(folder: RunFolder) -> Iterator[Finding]:
    paths = sorted(folder.checkpoints.glob(f"{PREFIX}*"))
    found = {path: read_checkpoint(path) for path in paths}
    whole: list[Checkpoint] = [checkpoint for checkpoint, _ in found.values() if checkpoint is not None]
    for path, (checkpoint, fault) in found.items():
        if checkpoint is None:
            level = NOTE if whole else PROBLEM
            yield Finding(level, f"checkpoints/{path.name}", fault, "delete this folder" if whole else ANEW)
    if whole:
        last = max(checkpoint.step for checkpoint in whole)
        yield Finding(OK, "checkpoints", f"{len(whole)} whole, the newest of step {last:,}; sizes and checksums agree")
    elif not found:
        done = folder.weights_file.is_file()
        yield Finding(NOTE if done else PROBLEM, "checkpoints", "none, so it cannot go on", "" if done else ANEW)
    for path in folder.checkpoints.glob(f"{ASIDE}*"):
        yield Finding(
            NOTE, f"checkpoints/{path.name}", "half-written by a process that was killed", "the next start clears it"
        )


def _final(folder: RunFolder) -> Iterator[Finding]:
    file, done = folder.weights_file, folder.done_file.exists()
    if not file.is_file():
        told = "missing, though DONE says that all is complete" if done else "not there yet: it is made at the end"
        yield Finding(PROBLEM if done else OK, "final", told, _remake(folder) if done else "")
        return
    try:
        stored = weights.read(file)
        weights.fill(build.denoiser(stored.config), stored.tensors, file)
    except UserError as error:
        yield Finding(PROBLEM, "final", str(error), _remake(folder))
        return
    yield Finding(OK, "final", f"{len(stored.tensors)} tensors of step {stored.step:,}, and they fit the config inside")


def _remake(folder: RunFolder) -> str:
    """How final/ comes back: from a checkpoint, where one is whole."""
    return f"delete final/ and DONE, then {AGAIN}" if newest(folder.checkpoints) else ANEW


def _others(folder: RunFolder) -> Iterator[Finding]:
    for steps, path in folder.tables():
        try:
            Table.load(path)
        except UserError as error:
            yield Finding(
                PROBLEM, f"tables/{path.name}", str(error), f"delete it, or: scorefield tune RUN steps={steps}"
            )
    if folder.evaluation_file.exists() and read_json(folder.evaluation_file) is None:
        yield Finding(PROBLEM, "evaluation.json", "is not JSON", f"scorefield evaluate {folder.path}")
    who = holder(folder.path)
    if who is not None:
        yield Finding(NOTE, "lock.json", f"process {who.get('pid')} on {who.get('host')} trains in it now")
    elif (folder.path / "lock.json").exists():
        yield Finding(NOTE, "lock.json", "left by a process that is gone", "nothing: the next start takes it over")
    size = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
    yield Finding(OK, "state", f"{folder.state()}, {size / 1e6:,.1f} MB in {folder.path}")


LOOKS: tuple[Callable[[RunFolder], Iterator[Finding]], ...] = (
    _config,
    _env,
    _metrics,
    _checkpoints,
    _final,
    _others,
)

"""``train(data)``: plan, write the folder, train in it, finish it. The same call again goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scorefield import config as toml
from scorefield.errors import UserError
from scorefield.options import canonical, flatten, resolve
from scorefield.options.table import COMMANDS
from scorefield.runs import build, env, request, source
from scorefield.runs.display import Display, DisplayFactory, Silent
from scorefield.runs.draft import settled
from scorefield.runs.finish import finish, leave
from scorefield.runs.folder import RunFolder
from scorefield.runs.loading import Run, load
from scorefield.runs.lock import Lock
from scorefield.runs.plan import Plan, plan
from scorefield.runs.request import Chosen, Request
from scorefield.runs.worker import worker
from scorefield.show.files import write_aside
from scorefield.training import check_devices, choose_device, launch, newest

HEADING = "Everything about this run, and after each value where it came from. Written by scorefield."


def train(
    data: Any, *, display: DisplayFactory | None = None, progress: source.Progress | None = None, **options: Any
) -> Run:
    """Train a model on ``data`` (an embedded set, a path, an array or a tensor) and return it, ready to sample.

    ``options`` are those of ``scorefield train``, dotted ones included (``**{"net.channels": 64}``); what is not given
    is chosen for the data and the device. The run folder is ``runs/NAME``. The same call again goes on with an
    unfinished run and returns a finished one; ``steps=`` larger than before trains it longer; ``fresh=True`` begins
    anew under another name. ``display`` makes the object that is told what happens (in the process that trains);
    ``progress(done, total)`` is called while images are decoded.
    Raises UserError for anything that cannot be used, before anything is written; for a diverged run; KeyboardInterrupt
    at a second Ctrl-C. An interrupted run is returned: ``run.stopped["reason"]`` says so.
    """
    _refuse_launchers()
    labels = None if isinstance(options.get("label"), str | None) else options.pop("label")
    values, given = _resolved(options)
    origin = source.source_of(data, labels)
    asked = Request(origin.identity, values["name"] or origin.name, given)
    chosen = request.choose(asked, Path(values["runs"]), values["name"], values["fresh"])
    make_display = display or Silent
    check_devices(values["devices"] or 1, choose_device(values["device"] or "auto"))  # what is not here is said at once
    started = make_display()
    prepared = None if chosen.resumes else _planned(origin, values, given, progress)
    if chosen.note:
        started.note(chosen.note)
    with Lock(chosen.folder.path):
        if prepared is not None:
            _write(chosen.folder, prepared, asked, origin)
        elif not _taken_up(chosen, values, given, started):
            return load(chosen.folder.path, device=values["device"] or "auto")
        return _run(chosen.folder, make_display, started)


def _refuse_launchers() -> None:
    """One process owns a run folder; the others are its own."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("train starts its processes itself. Call it once, without torchrun, and write devices=N.")


def _resolved(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(every option, those the user gave), typed."""
    values = resolve("train", options)
    names = [canonical(COMMANDS["train"], name) for name in flatten(options)]
    return values, {name: values[name] for name in names if values[name] is not None}


def _planned(
    origin: source.Source, values: dict[str, Any], given: Mapping[str, Any], progress: source.Progress | None
) -> Plan:
    dataset = source.open_source(origin, values, progress)
    return plan(dataset, values, given, choose_device(values["device"] or "auto").type)


def _write(folder: RunFolder, made: Plan, asked: Request, origin: source.Source) -> None:
    """The folder of a new run; config.toml comes last, since it is what makes a folder a run."""
    if origin.in_memory:
        source.keep_arrays(folder, origin)
    made.config["data"]["source"] = source.ARRAYS if origin.in_memory else asked.identity
    env.write(folder, made, request.plain(asked.lasting), env.describe(made.config["train"]["device"]))
    write_aside(folder.config_file, toml.dumps(made.config, made.origins, HEADING))


def _taken_up(chosen: Chosen, values: dict[str, Any], given: Mapping[str, Any], display: Display) -> bool:
    """Make an earlier run ready to go on; False where it is finished and nothing more is asked of it."""
    folder, config = chosen.folder, chosen.folder.config()
    limits = {name: values[name] for name in request.LIMITS if values[name] is not None}
    changes = {key: settled(values[name]) for name, key in request.RENEWED.items() if name in given}
    changes = {key: value for key, value in changes.items() if value is not None}
    if limits:
        changes |= {name: limits.get(name) for name in request.LIMITS}
    config["train"] |= changes
    if _finished(folder, config):
        display.note(
            f"{folder.path} is finished ({folder.step():,} steps). To train it longer: steps={_more(folder)}. "
            "To begin anew: fresh=yes."
        )
        return False
    folder.done_file.unlink(missing_ok=True)
    env.add_start(folder, env.describe(config["train"]["device"]), {f"train.{key}": "command line" for key in changes})
    write_aside(folder.config_file, toml.dumps(config, folder.env()["origins"], HEADING))
    return True


def _finished(folder: RunFolder, config: dict[str, Any]) -> bool:
    """Whether the last checkpoint has reached every limit and all that follows training is there."""
    last = newest(folder.checkpoints) if folder.done_file.exists() else None
    if last is None:
        return False
    return build.settings(config).progress(last.step, last.state["images"], last.state["seconds"])[0] >= 1


def _more(folder: RunFolder) -> int:
    return max(2 * folder.step(), 1)


def _run(folder: RunFolder, make_display: DisplayFactory, display: Display) -> Run:
    train_section = folder.config()["train"]
    outcome = launch(
        worker, (str(folder.path), make_display), devices=train_section["devices"], device=train_section["device"]
    )
    ENDINGS.get(outcome["reason"], finish)(folder, display)
    if outcome["reason"] == "diverged":
        raise UserError(outcome["message"])
    return load(folder.path, device=train_section["device"])


ENDINGS = {"interrupted": leave, "diverged": leave}

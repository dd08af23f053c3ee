"""``train(data)``: plan, write the folder, train in it, finish it. The same call again goes on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from scorefield import config as toml
from scorefield.errors import UserError
from scorefield.options import canonical, flatten, option_of, resolve
from scorefield.options.table import COMMANDS
from scorefield.runs import coding, coding_stage, env, recipe_files, request, source, trackers
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
from scorefield.training import (
    World,
    check_devices,
    check_launched,
    choose_device,
    current_world,
    join,
    launch,
    launched,
    newest,
)

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
    at a second Ctrl-C. An interrupted run is returned: ``run.stopped["reason"]`` says so; while its codec was being
    trained there is no model yet, and KeyboardInterrupt is raised.
    """
    world, options = _joined(options)
    shown = display() if display is not None and world.main else Silent()
    with ExitStack() as held:
        made = world.first(lambda: _prepared(held, data, shown, progress, options))
        folder = RunFolder(Path(made["folder"]))
        if not folder.config_file.is_file():
            raise UserError(
                f"The first process trains in {made['folder']}, which process {world.rank} cannot see. All machines "
                "need the same folder: runs=FOLDER, on a disk that they share."
            )
        if not made["trains"]:
            return load(folder.path, device=made["device"])
        outcome = launch(worker, (str(folder.path), display or Silent), made["devices"], made["device"])
        ending = ENDINGS.get(outcome["reason"], finish)
        world.first(lambda: ending(folder, shown))
    if outcome["reason"] == "diverged":
        raise UserError(outcome["message"])
    if outcome.get("stage") == coding_stage.CODEC:
        raise KeyboardInterrupt
    return load(folder.path, device=made["device"])


def _joined(options: dict[str, Any]) -> tuple[World, dict[str, Any]]:
    """The world that a launcher made, and ``options`` with the number of its processes; without one, this process alone
    (it starts the others itself). Raises UserError where ``devices`` contradicts the launcher."""
    if launched() == 1:
        return World(0, 1, torch.device("cpu")), options
    device = option_of("train", "device").parse(options.get("device")) or "auto"
    check_launched(option_of("train", "devices").parse(options.get("devices")))
    join(choose_device(device))
    return current_world(device), options | {"devices": launched()}


def _prepared(
    held: ExitStack, data: Any, display: Display, progress: source.Progress | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Write or take up the run folder, whose lock ``held`` keeps; returns what all processes need to know of it."""
    labels = None if isinstance(options.get("label"), str | None) else options.pop("label")
    conditions = None if isinstance(data, str | Path) else options.pop("condition", None)
    values, given, said = _resolved(options)
    trackers.check(values["tracker"] or ())
    origin = source.source_of(data, labels, conditions)
    named = f"{origin.name}-classifier" if values["classifier"] else origin.name
    asked = Request(origin.identity, values["name"] or named, given)
    chosen = request.choose(asked, Path(values["runs"]), values["name"], values["fresh"])
    device = choose_device(values["device"] or "auto")
    if launched() == 1:
        check_devices(values["devices"] or 1, device)  # what is not here is said at once
    prepared = None if chosen.resumes else _planned(origin, values, said, progress)
    if chosen.note:
        display.note(chosen.note)
    held.enter_context(Lock(chosen.folder.path))
    trains = prepared is not None or _taken_up(chosen, values, said, display)
    if prepared is not None:
        _write(chosen.folder, prepared, asked, origin)
    section = chosen.folder.config()["train"]
    return {
        "folder": str(chosen.folder.path),
        "trains": trains,
        "devices": section["devices"],
        "device": section["device"] if trains else values["device"] or "auto",
    }


def _resolved(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """(every option, those that were given, who gave each: the command line or a recipe), typed."""
    word = options.get("recipe")
    recipe = recipe_files.find(word) if word not in (None, "auto") else None
    beneath = recipe.beneath(options) if recipe else {}
    values = resolve("train", beneath | dict(options))
    said = dict.fromkeys(beneath, recipe.origin) if recipe else {}
    said |= dict.fromkeys((canonical(COMMANDS["train"], name) for name in flatten(options)), "command line")
    return values, {name: values[name] for name in said if values[name] is not None}, said


def _planned(
    origin: source.Source, values: dict[str, Any], said: Mapping[str, str], progress: source.Progress | None
) -> Plan:
    dataset = source.open_source(origin, values, progress)
    return plan(dataset, values, device=choose_device(values["device"] or "auto").type, said=said)


def _write(folder: RunFolder, made: Plan, asked: Request, origin: source.Source) -> None:
    """The folder of a new run; config.toml comes last, since it is what makes a folder a run."""
    if origin.in_memory:
        source.keep_arrays(folder, origin)
    made.config["data"]["source"] = source.ARRAYS if origin.in_memory else asked.identity
    env.write(folder, made, request.plain(asked.lasting), env.describe(made.config["train"]["device"]))
    coding.copy(asked.given.get("codec"), asked.given.get("runs") or folder.path.parent, folder)
    write_aside(folder.config_file, toml.dumps(made.config, made.origins, HEADING))


def _taken_up(chosen: Chosen, values: dict[str, Any], said: Mapping[str, str], display: Display) -> bool:
    """Make an earlier run ready to go on; False where it is finished and nothing more is asked of it."""
    folder, config = chosen.folder, chosen.folder.config()
    limits = {name: values[name] for name in request.LIMITS if values[name] is not None}
    changes = {key: settled(values[name]) for name, key in request.RENEWED.items() if name in said}
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
    env.add_start(folder, env.describe(config["train"]["device"]), _sayings(changes, said))
    write_aside(folder.config_file, toml.dumps(config, folder.env()["origins"], HEADING))
    return True


def _sayings(changes: Mapping[str, Any], said: Mapping[str, str]) -> dict[str, str]:
    """Dotted key → who changed it, for the origins."""
    options = {key: name for name, key in request.RENEWED.items()}
    return {f"train.{key}": said.get(options.get(key, key), "command line") for key in changes}


def _finished(folder: RunFolder, config: dict[str, Any]) -> bool:
    """Whether the last checkpoint has reached every limit and all that follows training is there."""
    last = newest(folder.checkpoints) if folder.done_file.exists() else None
    if last is None:
        return False
    settings = coding_stage.of_diffusion(folder, config)
    return settings.progress(last.step, last.state["images"], last.state["seconds"])[0] >= 1


def _more(folder: RunFolder) -> int:
    return max(2 * folder.step(), 1)


ENDINGS = {"interrupted": leave, "diverged": leave}

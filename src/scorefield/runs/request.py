"""Which folder a training command means: the one it made before, or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scorefield.errors import UserError
from scorefield.options import written
from scorefield.runs.folder import RunFolder, free_name, is_run, runs_in

LIMITS = ("steps", "images", "minutes")
# Options that a later command for the same run may change, and their key in [train].
RENEWED = {
    "device": "device",
    "devices": "devices",
    "preview": "preview_every",
    "save": "save_every",
    "log": "log_every",
    "evaluate": "evaluate",
    "tracker": "tracker",
    "accumulate": "accumulate",
    "precision": "precision",
    "compile": "compile",
    "channels_last": "channels_last",
    "shard": "shard",
    "recompute": "recompute",
}


# Two commands that differ only in these mean the same run: how long, where, and how much is told on the way.
PASSING = frozenset((*LIMITS, *RENEWED, "name", "runs", "fresh", "cache", "recipe"))


@dataclass(frozen=True)
class Request:
    """A training command: the identity of its data, the base of its name, and what the user gave (typed)."""

    identity: str
    name: str
    given: Mapping[str, Any]

    @property
    def lasting(self) -> dict[str, Any]:
        """What makes it this run and no other."""
        return {"data": self.identity} | {k: v for k, v in self.given.items() if k not in PASSING and v is not None}

    def differences(self, folder: RunFolder) -> list[str]:
        """``lr=0.001 then, 0.002 now`` for everything that differs from the command that made ``folder``."""
        then, now = folder.env().get("options", {}), plain(self.lasting)
        return [
            f"{key}={written(then.get(key))} then, {written(now.get(key))} now"
            for key in sorted({*then, *now})
            if then.get(key) != now.get(key)
        ]


@dataclass(frozen=True)
class Chosen:
    """The folder of a command; ``resumes`` where it is an earlier run; ``note`` when the name needs a word."""

    folder: RunFolder
    resumes: bool
    note: str = ""


def choose(request: Request, root: Path, name: str | None, fresh: bool) -> Chosen:
    """The run that the same command made before, else a new folder in ``root``.

    Raises UserError when ``name`` was given and is another run's, or no run at all."""
    if name is not None and Path(name).name != name:
        raise UserError(f"name={name} is a path. Write a plain name, and the folder of runs as runs=FOLDER.")
    base = name or request.name
    if fresh:
        return _new(base, root, f"{base} exists, and fresh=yes starts anew beside it")
    if name is not None:
        return _named(request, root / name)
    same = [f for f in runs_in(root) if _of_family(f.name, base) and not request.differences(f)]
    if same:
        return Chosen(same[-1], resumes=True)
    return _new(base, root, f"{base} was made with other options")


def _named(request: Request, path: Path) -> Chosen:
    folder = RunFolder(path)
    if is_run(path):
        differences = request.differences(folder)
        if differences:
            raise UserError(
                f"{path} was trained with other options: {'; '.join(differences)}. "
                "Give it another name, give the options it was made with to go on with it, or write fresh=yes."
            )
        return Chosen(folder, resumes=True)
    if path.exists() and free_name(path.name, path.parent) != path.name:
        raise UserError(f"{path} exists and is not a run folder: it has no config.toml. Choose another name.")
    return Chosen(folder, resumes=False)


def _new(base: str, root: Path, why: str) -> Chosen:
    name = free_name(base, root)
    note = "" if name == base else f"{root / why}, so this run is {root / name}."
    return Chosen(RunFolder(root / name), resumes=False, note=note)


def _of_family(name: str, base: str) -> bool:
    """``digits`` and ``digits-2`` are of the family ``digits``."""
    return name == base or (name.startswith(f"{base}-") and name[len(base) + 1 :].isdigit())


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON would give it back: tuples are lists."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

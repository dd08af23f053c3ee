"""The runs of a folder at a glance. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scorefield.errors import UserError
from scorefield.runs.disk import read_json
from scorefield.runs.folder import RUNS, RunFolder, runs_in


def listing(runs: str | Path = RUNS) -> list[dict[str, Any]]:
    """One plain dict a run, newest first: name, path, state (running, done, interrupted, diverged), step, data, kind,
    model, loss and touched (seconds since the epoch). A run whose config cannot be read has state ``broken`` and says
    why in ``problem``."""
    return [_row(folder) for folder in reversed(list(runs_in(runs)))]


def _row(folder: RunFolder) -> dict[str, Any]:
    base = {"name": folder.name, "path": str(folder.path), "touched": folder.touched()}
    try:
        config = folder.config()
    except UserError as error:
        return base | {"state": "broken", "problem": str(error)}
    found = config["data"]["found"]
    losses = [record["loss"] for record in folder.history() if record.get("event") == "logged"]
    return base | {
        "state": folder.state(),
        "step": folder.step(),
        "data": found["name"],
        "kind": found["kind"],
        "model": config["net"]["type"],
        "loss": losses[-1] if losses else None,
        "scores": _scores(folder),
    }


def _scores(folder: RunFolder) -> dict[str, float]:
    """Metric → value of the last evaluation."""
    stored = read_json(folder.evaluation_file, {})
    return {score["name"]: score["value"] for score in stored.get("evaluation", {}).get("scores", [])}

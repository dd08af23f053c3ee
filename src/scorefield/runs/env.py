"""env.json: how a run was made, by which versions, on what."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import torch

import scorefield
from scorefield.runs.disk import write_json
from scorefield.runs.folder import RunFolder
from scorefield.runs.plan import Plan
from scorefield.show.files import write_aside

SECOND = "%Y-%m-%d %H:%M:%S"


def now() -> str:
    """Local time, for people."""
    return datetime.now().strftime(SECOND)


def describe(device: str) -> dict[str, Any]:
    """Versions, device and threads of this process, and the git commit it was started in, where there is one."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "scorefield": scorefield.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "cuda": torch.version.cuda,
        "platform": platform.platform(),
        "device": device,
        "gpu": torch.cuda.get_device_name(0) if device.startswith("cuda") else None,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "git": _commit(),
        "command": command(),
    }


def command() -> str:
    """What was typed, or the script that called."""
    if not sys.argv or not sys.argv[0]:
        return "python"
    script = Path(sys.argv[0])
    module = script.name == "__main__.py"  # python -m scorefield, which is what run.py starts
    return " ".join([script.parent.name if module else script.name, *sys.argv[1:]])


def write(folder: RunFolder, plan: Plan, options: dict[str, Any], start: dict[str, Any]) -> None:
    """Write env.json and command.txt of a new run. ``options`` are what the user gave."""
    record = {"options": options, "origins": plan.origins, "notes": list(plan.notes), "starts": [start]}
    write_json(folder.env_file, record)
    write_aside(folder.command_file, start["command"] + "\n")


def add_start(folder: RunFolder, start: dict[str, Any], origins: dict[str, str]) -> None:
    """Note that the run was taken up again, and which values changed."""
    env = folder.env()
    env |= {"starts": [*env.get("starts", []), start], "origins": env.get("origins", {}) | origins}
    write_json(folder.env_file, env)


def _commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None

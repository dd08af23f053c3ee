"""One run folder, one training process."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from scorefield.errors import UserError
from scorefield.runs.disk import explained, read_json


class Lock:
    """Hold a run folder while training in it, so that two processes never write the same checkpoints.

    The file names the holder: host, process id and the process's birth. A holder on this host that is gone, or whose
    process id now belongs to another process, left a stale lock, which is taken over silently.
    Raises UserError where the holder is alive, or sits on another host (nobody here can tell)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock.json"

    def __enter__(self) -> Lock:
        mine = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "birth": _birth(os.getpid())})
        with explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for _ in range(2):  # the second try follows the removal of a stale lock
                try:
                    with self.path.open("x", encoding="utf-8") as file:
                        file.write(mine)
                    return self
                except FileExistsError:
                    self._clear_if_stale()
        raise self._taken(holder(self.path.parent) or {})

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)

    def _clear_if_stale(self) -> None:
        other = holder(self.path.parent)
        if other is not None:
            raise self._taken(other)
        self.path.unlink(missing_ok=True)

    def _taken(self, other: dict[str, Any]) -> UserError:
        host, pid = other.get("host", "another host"), other.get("pid", "unknown")
        return UserError(
            f"{self.path.parent} is being trained by process {pid} on {host}. Stop that one, or give this run "
            f"a name of its own (name=...). If that process is gone for good, delete {self.path}."
        )


def holder(folder: Path) -> dict[str, Any] | None:
    """Who trains in this folder now, {"host", "pid", "birth"}; None for nobody (or a stale lock)."""
    path = folder / "lock.json"
    who = read_json(path, {}) if path.exists() else {}
    if "pid" not in who:
        return None
    if who.get("host") != socket.gethostname():
        return who
    alive = _alive(int(who["pid"])) and who.get("birth") == _birth(int(who["pid"]))
    return who if alive else None


def _alive(pid: int) -> bool:
    return (_alive_windows if os.name == "nt" else _alive_posix)(pid)


def _alive_posix(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # alive, and somebody else's
        return True
    return True


def _alive_windows(pid: int) -> bool:
    import ctypes  # os.kill(pid, 0) would send Ctrl-C on Windows

    kernel = ctypes.windll.kernel32  # pyrefly: ignore[missing-attribute]
    handle, code = kernel.OpenProcess(0x1000, False, pid), ctypes.c_ulong()
    known = bool(handle) and bool(kernel.GetExitCodeProcess(handle, ctypes.byref(code)))
    kernel.CloseHandle(handle)
    return known and code.value == 259  # STILL_ACTIVE


def _birth(pid: int) -> str:
    """When the process began, in clock ticks since boot (Linux); empty where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""

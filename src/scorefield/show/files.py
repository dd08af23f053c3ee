"""Write a file whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from scorefield.errors import UserError


def write_aside(path: str | Path, content: bytes | str) -> Path:
    """Write ``content`` beside ``path``, flush it to the disk, then rename it into place, so that a reader (or a
    kill at any instant) finds the old file or the new one and never half of one. An existing ``path`` is replaced.

    Returns the path. Raises UserError, and leaves nothing behind, when the disk is full or the folder is not writable.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        reason = error.strerror or str(error)
        raise UserError(f"{path} could not be written: {reason}. Free some space or choose another place.") from error
    return path

"""What an average of any length is rebuilt from: the stored averages at a few times of the run, in few bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import UserError
from .checkpoint import SNAPSHOTS as FOLDER

KEY = "scorefield.snapshot"
NARROW = torch.float16  # 11 significant bits; bfloat16 has 8, and rebuilding amplifies what rounding leaves


class Snapshot(NamedTuple):
    """One file: averages of all ``widths`` after ``step`` steps and ``images`` examples, called WIDTH/NAME."""

    path: Path
    step: int
    images: int
    widths: tuple[float, ...]

    def name(self, width: float, weight: str) -> str:
        """What a weight's average is called in the file."""
        return f"{width:.3f}/{weight}"


def write(checkpoints: Path, step: int, images: int, averages: Mapping[float, Mapping[str, Tensor]], keep: int) -> Path:
    """Store ``averages`` (width → weight → tensor) and thin the snapshots to ``keep``; returns the file.

    In float16, half the bytes of float32: two profiles take as much as the weights once. A tensor that would lose more
    than float16's 11 bits, by its size or by being tiny, stays as it is. Written aside and renamed: a kill leaves whole
    files alone. Raises UserError when the disk refuses."""
    folder = checkpoints / FOLDER
    path = folder / f"step-{step:08d}.safetensors"
    aside = folder / f".{path.name}.aside"
    here = Snapshot(path, step, images, tuple(averages))
    tensors = {here.name(w, name): narrowed(t) for w, of in averages.items() for name, t in of.items()}
    said = {"step": step, "images": images, "widths": list(averages)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(save(tensors, {KEY: json.dumps(said)}))  # one entry: their order in a header is not fixed
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        for old in superfluous(found(checkpoints), keep):
            old.path.unlink()
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise UserError(
            f"The snapshot of step {step} could not be written to {folder}: {error.strerror}. What was saved before "
            "stands. Free some space and run the same command again, or train with snapshots=0."
        ) from error
    return path


def narrowed(tensor: Tensor) -> Tensor:
    """A copy on the CPU in float16, or as it is where that loses more than 2⁻¹¹ of its largest entry."""
    whole = tensor.detach().to("cpu", copy=True).contiguous()
    if whole.numel() == 0:
        return whole
    half = whole.to(NARROW)
    lost = (half.to(whole.dtype) - whole).abs().max()
    return half if lost <= 2**-11 * whole.abs().max() else whole  # an overflow has lost infinitely much


def found(checkpoints: Path) -> list[Snapshot]:
    """The snapshots that can be read, oldest first. A damaged file is passed over: the others do without it."""
    read = [_read(path) for path in sorted((checkpoints / FOLDER).glob("step-*.safetensors"))]
    return sorted((s for s in read if s is not None), key=lambda snapshot: snapshot.step)


def _read(path: Path) -> Snapshot | None:
    try:
        with safe_open(path, framework="pt") as file:  # pyrefly: ignore[not-callable]
            said = json.loads((file.metadata() or {})[KEY])
        return Snapshot(path, said["step"], said["images"], tuple(said["widths"]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


def superfluous(snapshots: Sequence[Snapshot], keep: int) -> list[Snapshot]:
    """Which to remove so that ``keep`` stay, spread as evenly as they can be: again and again the one whose neighbours
    are nearest to each other, the oldest of equals, never the newest. So a run that goes on for longer thins out."""
    left, gone = list(snapshots), []
    while len(left) > max(keep, 1):
        ends = [0, *(snapshot.images for snapshot in left)]
        gaps = [after - before for before, after in zip(ends, ends[2:], strict=False)]
        gone.append(left.pop(gaps.index(min(gaps))))
    return gone


def drop_after(checkpoints: Path, step: int) -> None:
    """Remove what lies beyond ``step``, where a run goes on: those steps happen again, and perhaps in another way."""
    for path in (checkpoints / FOLDER).glob("step-*.safetensors"):
        if int(path.stem.removeprefix("step-")) > step:
            path.unlink()
    for path in (checkpoints / FOLDER).glob(".*.aside"):
        path.unlink()

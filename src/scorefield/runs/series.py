"""Sampled signals as files: sounds as .wav, other series as rows of numbers."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from scorefield.data.sound import wave_bytes
from scorefield.errors import UserError
from scorefield.show.files import write_aside

if TYPE_CHECKING:
    from scorefield.runs.samples import Samples


def wave(samples: Samples, path: Path) -> None:
    """One sound as 16-bit PCM at the data's rate. Raises UserError for several, and for what is no sound."""
    if samples.rate is None:
        raise UserError(f"{path.name}: a .wav holds a sound, but these samples are {samples.kind}. Use .npz.")
    if len(samples) > 1:
        raise UserError(
            f"{path.name} holds one sound, and there are {len(samples)} samples. Write a folder, "
            f"out={path.with_suffix('')}, or n=1."
        )
    write_aside(path, wave_bytes(samples.x[0].numpy(), samples.rate))


def waves(samples: Samples, path: Path, names: list[str]) -> None:
    """A folder with a .wav for each sample, in a folder of its class where there are classes."""
    assert samples.rate is not None
    for i, values in enumerate(samples.x.numpy()):
        below = path / names[i] if names else path
        write_aside(below / f"{i:06d}.wav", wave_bytes(values, samples.rate))


def rows(samples: Samples, names: list[str]) -> str:
    """A row for each sample and time: ``sample,time``, a column for each channel, and the ``label`` of those that
    have one.

    The time is in rows of the series, in seconds for sounds."""
    channels = samples.x.shape[1]
    columns = list(samples.columns) if len(samples.columns) == channels else [f"x{i}" for i in range(channels)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["sample", "time", *columns] + (["label"] if names else []))
    for i, signal in enumerate(samples.x.tolist()):
        for step, values in enumerate(zip(*signal, strict=True)):
            time = step if samples.rate is None else f"{step / samples.rate:.9g}"
            writer.writerow([i, time, *(f"{value:.9g}" for value in values), *names[i : i + 1]])
    return buffer.getvalue()

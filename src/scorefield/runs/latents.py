"""Latents of a run: the noise that its probability flow makes an example of, examples made of latents, and what lies
between two."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from scorefield import likelihood
from scorefield.core import as_time
from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.likelihood import Adams
from scorefield.likelihood.ode import slerp
from scorefield.runs import classifying
from scorefield.runs.disk import writer_of
from scorefield.runs.labels import NO_CLASS, asked_labels
from scorefield.runs.measured import encoded_picture
from scorefield.runs.recipes import GAUSSIAN
from scorefield.runs.samples import Samples
from scorefield.runs.spread import batch_of, parts_of
from scorefield.show.files import write_aside

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

Progress = Callable[[int, int], None]  # (examples done, examples in all)
KINDS = ("images", "vectors", "signals")
MOST = 256  # examples, when nobody says how many
TOL = 1e-4


@dataclass(frozen=True, eq=False)
class Latents:
    """``z`` (N, *D) float32, x₁/σ₁: standard normal where data are as the run expects them, on every schedule; ``x``
    (N, *D) the data as stored; ``labels`` (N,) int64 the classes that the flow was told, −1 for none, None for a run
    without classes."""

    z: Tensor
    x: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.z)

    def save(self, path: str | Path) -> Path:
        """Write ``.npz`` (z, x and label), ``.safetensors`` (the same) or ``.npy`` (z alone); returns the path. Raises
        UserError where it exists or the ending is not known."""
        path = Path(path).expanduser()
        writer_of(path, WRITERS)(self, path)
        return path

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, by name."""
        told = {} if self.labels is None else {"label": self.labels}
        return {"z": self.z.contiguous(), "x": self.x.contiguous()} | told


def _npz(latents: Latents, path: Path) -> None:
    buffer = io.BytesIO()
    arrays = {name: value.numpy() for name, value in latents.tensors().items()}
    np.savez(buffer, **arrays)  # pyrefly: ignore[bad-argument-type]
    write_aside(path, buffer.getvalue())


def _npy(latents: Latents, path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, latents.z.numpy())
    write_aside(path, buffer.getvalue())


def _safetensors(latents: Latents, path: Path) -> None:
    write_aside(path, save(latents.tensors()))


WRITERS: dict[str, Callable[[Latents, Path], None]] = {".npz": _npz, ".safetensors": _safetensors, ".npy": _npy}
READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".npz": lambda path: {name: torch.from_numpy(value) for name, value in np.load(path).items()},
    ".safetensors": lambda path: load_file(path),
    ".npy": lambda path: {"z": torch.from_numpy(np.load(path))},
}
DAMAGE = (OSError, ValueError, EOFError, SafetensorError)


def encode(
    run: Run,
    data: Any = None,
    n: int | None = None,
    *,
    label: Any = None,
    tol: float = TOL,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Latents:
    """The latents of the first ``n`` examples of ``data``, any source of the run's kind and shape, by default of what
    it held out. The flow is told ``label``; where that is None, the class that the data say, if the run knows the same
    ones. Numbers that a run is conditioned on are left open.

    Raises UserError for a run without a flow (text, tables, pixel after pixel), data of another kind or shape, a class
    that it does not know, n or batch < 1, and as ``likelihood.encode`` does."""
    _check(run, "encode")
    _positive(n=n, batch=batch)
    dataset = _data(run, data)
    count = min(n or MOST, len(dataset))
    rows = dataset.batch(torch.arange(count))
    known = rows.get("label") if tuple(dataset.classes) == run.classes else None
    labels, x = _labels(run, label, count, known), run.codec.encode(rows["x"])
    walked = _walked(run, likelihood.encode, x, labels, tol, batch, progress)
    return Latents(walked / _deviation(run), rows["x"], labels)


def decode(
    run: Run,
    latents: Any,
    *,
    label: Any = None,
    tol: float = TOL,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Samples:
    """Examples of ``latents``: ``Latents``, a file of them, or an array (N, *D) of deviation 1. The flow is told
    ``label``; where that is None, what it was told when they were encoded, else nothing. Raises UserError for a file
    that holds none, or of another shape, and as ``encode`` does."""
    _check(run, "decode")
    _positive(batch=batch)
    z, known = _read(run, latents)
    labels = _labels(run, label, len(z), known)
    x = _walked(run, likelihood.decode, z * _deviation(run), labels, tol, batch, progress)
    return _samples(run, x, labels)


def interpolate(
    run: Run,
    a: Any,
    b: Any,
    n: int = 8,
    *,
    label: Any = None,
    tol: float = TOL,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Samples:
    """``n`` examples from ``a`` to ``b``, both ends among them: decoded from the great circle between their latents.
    Each is the path of a picture, or the number of a held-out example. The flow is told one class, ``label``, else
    none. Raises UserError for n < 2, a number that there is no example of, and as ``encode`` does."""
    _check(run, "interpolate")
    _positive(batch=batch)
    if n < 2:
        raise UserError(f"n must be at least 2, got {n}: both ends are among the examples.")
    ends, told = torch.cat([_example(run, a), _example(run, b)]), _labels(run, label, n, None)
    found = _walked(run, likelihood.encode, ends, None if told is None else told[:2], tol, batch, None)
    z = slerp(found[0].double(), found[1].double(), torch.linspace(0, 1, n, dtype=torch.float64)).to(found)
    return _samples(run, _walked(run, likelihood.decode, z, told, tol, batch, progress), told)


@torch.no_grad()
def _walked(
    run: Run,
    walk: Callable[..., Tensor],
    x: Tensor,
    labels: Tensor | None,
    tol: float,
    batch: int | None,
    progress: Progress | None,
) -> Tensor:
    """``walk`` from x (N, *D) to the other end, in batches; on the CPU."""
    done = []
    for part in parts_of(len(x), batch or batch_of(run.width, run.device.type)):
        rows = slice(part.start, part.stop)
        told = {} if labels is None else {"label": labels[rows].to(run.device)}
        done.append(walk(run.denoiser, x[rows].float().to(run.device), solver=Adams(tol), **told).cpu())
        if progress is not None:
            progress(part.stop, len(x))
    return torch.cat(done)


def _check(run: Run, what: str) -> None:
    classifying.refuse(run, what)
    if run.family != GAUSSIAN or run.kind not in KINDS:
        raise UserError(
            f"{what} follows a probability flow, which runs on images, vectors and signals as numbers have, and "
            f"{run.name} has none: it makes {run.kind}."
        )


def _positive(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise UserError(f"{name} must be at least 1, got {number}.")


def _data(run: Run, data: Any) -> Dataset:
    from scorefield.runs.evaluate import other

    if data is not None:
        return other(run, data)
    own = run.dataset()
    if own.held_out is None:
        raise UserError(f"Nothing of {run.data_name} was held out. Say which examples: a folder or a file of them.")
    return own.held_out


def _example(run: Run, word: Any) -> Tensor:
    """One example (1, *D), encoded."""
    if not str(word).isdecimal():
        if run.kind != "images":
            raise UserError(f"{run.name} makes {run.kind}: say the numbers of two held-out examples, such as 0 1.")
        return encoded_picture(run, word, "interpolate")
    held, i = _data(run, None), int(word)
    if i >= len(held):
        raise UserError(f"there is no held-out example {i}: {run.data_name} has 0 … {len(held) - 1}.")
    return run.codec.encode(held.batch(torch.tensor([i]))["x"])


def _labels(run: Run, label: Any, n: int, known: Tensor | None) -> Tensor | None:
    """(n,) classes that the flow is told; None for a run without."""
    if not run.classes or label is not None:
        return asked_labels(label, run.classes, n)
    if known is not None:
        return known.long()
    if not run.config["objective"].get("label_dropout"):
        raise UserError(f"{run.name} was trained with label_dropout=0 and knows nothing without a class. Write class=.")
    return torch.full((n,), NO_CLASS)


def _read(run: Run, given: Any) -> tuple[Tensor, Tensor | None]:
    """Latents (N, *D) and the classes stored beside them."""
    if isinstance(given, str | Path):
        tensors = _file(Path(given).expanduser())
    else:
        tensors = given.tensors() if callable(getattr(given, "tensors", None)) else {"z": torch.as_tensor(given)}
    z, labels = tensors["z"], tensors.get("label")
    if tuple(z.shape[1:]) != run.encoded or not len(z) or not z.is_floating_point():
        wanted = " × ".join(map(str, ("N", *run.encoded)))
        raise UserError(f"latents of {run.name} are real numbers {wanted}, got {z.dtype} of {tuple(z.shape)}.")
    fits = labels is not None and run.classes and labels.shape == (len(z),) and labels.max() < len(run.classes)
    return z.float(), labels if fits else None


def _file(path: Path) -> dict[str, Tensor]:
    if path.suffix.lower() not in READERS:
        raise UserError(f"{path} should be latents: {', '.join(READERS)}, as `scorefield encode` writes them.")
    if not path.is_file():
        raise UserError(f"{path} does not exist. `scorefield encode` writes latents.")
    try:
        tensors = READERS[path.suffix.lower()](path)
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as latents ({error}).") from error
    if "z" not in tensors:
        raise UserError(f"{path} holds {', '.join(tensors)} and no latents z. `scorefield encode` writes them.")
    return tensors


def _deviation(run: Run) -> float:
    """σ₁, of the prior."""
    return run.process.schedule(as_time(1.0)).sigma.item()


def _samples(run: Run, x: Tensor, labels: Tensor | None) -> Samples:
    about: dict[str, Any] = {"columns": run.columns, "rate": run.rate, "codec": run.codec}
    return Samples(run.codec.decode(x), run.kind, labels, run.classes, **about)

"""Samples from anywhere against real data: what ``scorefield evaluate`` does where no run of ours made the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from scorefield.data import Dataset, codec_for, open_data
from scorefield.data.text import is_text
from scorefield.errors import UserError
from scorefield.metrics import Evaluation, Statistics, against_statistics, make_features
from scorefield.metrics import evaluate as measure
from scorefield.metrics import rehearse as rehearse_metrics
from scorefield.metrics.inputs import MAX_ROWS
from scorefield.runs.folder import is_run, runs_in
from scorefield.runs.sets_text import evaluate_texts
from scorefield.show.files import write_aside
from scorefield.training import choose_device

_SHOWN = 500  # examples that features are tried on before anything is spent
_BATCH = 256


def evaluate_samples(
    samples: Any,
    against: Any = None,
    *,
    n: int | None = None,
    metrics: Sequence[str] | None = None,
    features: Any = None,
    reference: str | Path | None = None,
    save_stats: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Evaluation:
    """Compare two sets: ``samples``, whoever made them, with real data ``against``.

    Both are a folder of images, a .npz, .npy or table file, or an array, as in ``open_data``; images of ``against`` are
    brought to the size and colours of the samples. ``n`` takes that many of the samples at random. The floor is one
    half of the real data against the other, so ``against`` should hold at least twice as many as there are samples.
    ``reference`` is a .npz with mu and sigma; without ``against`` nothing else is compared. ``save_stats`` writes
    one about ``against``. Raises UserError: nothing to compare with, sets of different kinds or shapes, unknown
    metrics or features. Two files of text are compared by an n-gram model and by what occurs (docs/text.md).
    """
    if isinstance(samples, (str, Path)) and is_text(str(samples)):
        others = {"features": features, "reference": reference, "save_stats": save_stats}
        return evaluate_texts(Path(samples).expanduser(), against, n=n, metrics=metrics, seed=seed, **others)
    fake = open_data(samples, holdout=0)
    if fake.coded is not None:
        raise UserError(
            f"{fake.name} holds {fake.kind}, which are measured through a run that learned them: "
            "scorefield evaluate RUN against=FILE."
        )
    if n is not None:
        fake = _some(fake, n, seed)
    if against is None:
        return _against_file(fake, metrics, features, reference, save_stats, seed, choose_device(device).type)
    real = _alike(open_data(against, holdout=0, **_reading(fake)), fake)
    chosen = Chosen.of(features, reference, real, choose_device(device).type)
    rehearse(real, chosen, metrics)
    if save_stats is not None:
        write_statistics(save_stats, real, chosen)
    found = measure(
        held(fake).x,
        held(real).x,
        features=chosen.features,
        metrics=metrics,
        reference=chosen.reference,
        seed=seed,
        device=chosen.device,
        schema=real.schema or None,
        rate=real.rate,
    )
    notes = [f"{set_.name}: {note}" for set_ in (fake, real) for note in set_.notes]
    return replace(found, notes=(*found.notes, *notes))


class Chosen(NamedTuple):
    """How sets are compared: features by name or as a function, statistics of a file, and where networks run."""

    features: Any
    reference: Statistics | None
    device: str

    @classmethod
    def of(cls, features: Any, reference: str | Path | None, real: Dataset, device: str) -> Chosen:
        """Read what was named. Tables are compared in the numbers of their codec unless other features were asked for.

        Raises UserError for a file that cannot be read."""
        chosen = features or "auto"
        if chosen == "auto" and real.schema:
            codec = codec_for(real)

            def encoded(x: torch.Tensor) -> torch.Tensor:
                return codec.plain.encode(x)

            chosen = encoded
        return cls(chosen, None if reference is None else Statistics.read(reference), device)


def rehearse(real: Dataset, chosen: Chosen, metrics: Sequence[str] | None, train: Dataset | None = None) -> None:
    """Raise what cannot work before samples are drawn."""
    given = [] if train is None else ["train"]
    given += ["labels", "real_labels", "train_labels"] if train is not None and real.labels is not None else []
    given += [name for name, there in (("schema", real.schema), ("rate", real.rate)) if there]
    shown = real.batch(torch.arange(min(len(real), _SHOWN)))["x"]
    how = {"features": chosen.features, "reference": chosen.reference, "device": chosen.device}
    rehearse_metrics(shown, metrics=metrics, given=given, **how)


def write_statistics(path: str | Path, data: Dataset, chosen: Chosen) -> Path:
    """Write mean and covariance of the features of ``data`` as a .npz that pytorch-fid and others read, too.

    Raises UserError where the file exists, its name has another ending, or features cannot be fixed to a name."""
    path = Path(path).expanduser()
    if path.suffix.lower() != ".npz":
        raise UserError(f"save_stats={path} should end in .npz. For example save_stats={path.with_suffix('.npz')}")
    if path.exists():
        raise UserError(f"{path} exists and is not overwritten. Write another save_stats=..., or remove it first.")
    shown = data.batch(torch.arange(min(len(data), _SHOWN)))["x"]
    made = make_features(chosen.features, shown, device=chosen.device)
    if made.fitted:
        raise UserError(
            f"features={made.name} are fitted to the data they compare, so a file of them fits no other data. Use "
            "features=pixels, random-conv:0 or inception:WEIGHTS.safetensors."
        )
    parts = torch.arange(len(data)).split(_BATCH)
    return write_aside(path, Statistics.of((made(data.batch(i)["x"]) for i in parts), made.name).to_bytes())


def is_samples(word: str, runs: str | Path) -> bool:
    """Whether ``word`` names a set of samples rather than a run: a file of data, or a folder that is no run's."""
    path = Path(word).expanduser()
    if path.is_file():
        return path.suffix.lower() not in (".safetensors", ".toml")
    known = (Path(runs) / word / "config.toml").exists()
    inside = path.is_dir() and {entry.name for entry in path.iterdir()}
    return bool(inside) and not (
        known or is_run(path) or inside & {"model.safetensors", "state.json"} or any(runs_in(path))
    )


def held(data: Dataset) -> Dataset:
    """The data in memory, thinned at random where they are too many for that."""
    return data.in_memory(MAX_ROWS)


def _against_file(
    fake: Dataset, metrics: Any, features: Any, reference: Any, save_stats: Any, seed: int, device: str
) -> Evaluation:
    if reference is None:
        raise UserError(
            f"{fake.name} is a set of samples, so say what to compare it with: against=PATH for real data, or "
            "reference=FILE.npz for a mean and a covariance."
        )
    if save_stats is not None:
        raise UserError("save_stats describes real data: give them with against=PATH.")
    strange = [name for name in metrics or () if name != "frechet_reference"]
    if strange:
        raise UserError(f"metrics={strange[0]} needs real data: give them with against=PATH.")
    chosen = Chosen.of(features, reference, fake, device)
    assert chosen.reference is not None
    return against_statistics(held(fake).x, chosen.reference, features=chosen.features, seed=seed, device=device)


def _some(fake: Dataset, n: int, seed: int) -> Dataset:
    if n > len(fake):
        raise UserError(f"n={n} is more than the {len(fake):,} samples in {fake.name}. Leave n out to take all.")
    rows = torch.randperm(len(fake), generator=torch.Generator().manual_seed(seed))[:n].sort().values
    labels = None if fake.labels is None else fake.labels[rows]
    return replace(fake, x=fake.batch(rows)["x"], labels=labels, captions=None, conditions=None)


def _reading(fake: Dataset) -> dict[str, Any]:
    if fake.kind != "images":
        return {}
    return {"size": fake.shape[-1], "color": {1: "gray"}.get(fake.shape[0], "rgb")}


def _alike(real: Dataset, fake: Dataset) -> Dataset:
    if (real.kind, real.shape) != (fake.kind, fake.shape):
        raise UserError(
            f"{real.name} holds {real.kind} of {'×'.join(map(str, real.shape))}, but {fake.name} holds {fake.kind} of "
            f"{'×'.join(map(str, fake.shape))}. Give sets of the same kind and shape."
        )
    return real

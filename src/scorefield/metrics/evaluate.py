"""All metrics at once, each measured a second time with real data in the place of the samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError, suggest
from .features import Rows, make_features
from .inputs import MAX_ROWS, Inputs, Sets, thin
from .resample import MIN_ROWS, check_rows, subset
from .score import Evaluation
from .statistics import Statistics
from .table import METRICS

_FLOORS = ("train", "real")


def evaluate(
    fake: Tensor,
    real: Tensor,
    *,
    train: Tensor | None = None,
    features: str | Rows = "auto",
    metrics: Sequence[str] | None = None,
    labels: Tensor | None = None,
    real_labels: Tensor | None = None,
    train_labels: Tensor | None = None,
    reference: Statistics | None = None,
    floor_from: str = "auto",
    seed: int = 0,
    device: str = "cpu",
    **about: Any,
) -> Evaluation:
    """Compare samples with real data, and put beside each number what real data reach in the samples' place.

    fake (N, *D), real (M, *D) and train (T, *D) are decoded data: uint8 images (·, C, H, W), float vectors (·, D) or
    signals (·, C, L). ``real`` should be held-out data; ``train`` is what the model saw. labels (N,), real_labels (M,),
    train_labels (T,) are whole numbers; ``labels`` are the classes that were asked for.

    The floor: real rows outside the reference stand in for samples; value and floor use the same reference and the
    same number n of rows, so their biases agree. ``floor_from="train"`` (the default where train is given): stand-ins
    are training rows, the reference is all of ``real``, n = min(N, T). ``floor_from="real"``: a random half of ``real``
    stands in, the other half is the reference, n = min(N, M / 2); choose it where ``train`` comes from another source
    than ``real``. Rows beyond n are left out at random. (``copies`` and ``class_accuracy`` use all rows and have
    floors of their own: see there.)

    metrics: names from ``METRICS``; by default all whose arguments are given. features: see ``make_features``; networks
    among them run on ``device``. reference: mean and covariance of features from a file, for "frechet_reference".
    ``about`` is what single metrics need to know of the data: ``schema``, the columns of a table, whose missing values
    may then be NaN; ``rate``, samples a second. All is a function of the arguments and ``seed``. Above 50,000 rows, or
    5,000 where all pairs are compared (1,000 by the classifier), sets are thinned at random, and a note says so.
    Raises UserError for anything that cannot be compared.
    """
    sets = {"fake": fake, "real": real} | ({} if train is None else {"train": train})
    given = {"labels": labels, "real_labels": real_labels, "train_labels": train_labels}
    known = {name: of for name, of in given.items() if of is not None}
    about = {name: what for name, what in about.items() if what is not None}
    names = _applicable(metrics, {*sets, *known, *about, *_kind(real), *(["reference"] if reference else [])})
    unfit = metrics is None and "class_accuracy" in names and _unfit(known)
    names = [name for name in names if not (unfit and name == "class_accuracy")]
    source = _floor_source(floor_from, train is not None)
    _check_sets(sets, MIN_ROWS if source == "train" else 2 * MIN_ROWS, finite="schema" not in about)
    _check_labels(sets, known)
    kept = {name: subset(len(x), MAX_ROWS, seed, 4) for name, x in sets.items()}
    notes = [f"{name}: {MAX_ROWS:,} of {len(x):,} rows were used." for name, x in sets.items() if len(x) > MAX_ROWS]
    notes += [f"class_accuracy was left out: {unfit}."] if unfit else []
    sets = {name: x[kept[name].to(x.device)].detach() for name, x in sets.items()}
    of = {"labels": "fake", "real_labels": "real", "train_labels": "train"}
    known = {name: of_rows.cpu()[kept[of[name]]] for name, of_rows in known.items() if of[name] in sets}

    shuffled = Rng(Rng.fold(seed, 5)).permutation(len(sets["real"]))
    halves = {"train": shuffled.sort().values, "real": shuffled[len(shuffled) // 2 :].sort().values}
    compared = halves[source]
    made = make_features(features, sets["real"][compared.to(sets["real"].device)], device=device)
    rows = {name: made(x) for name, x in sets.items()}
    if reference is not None:
        reference.check(rows["real"], made.name)
    feature_rows = _sets(rows, source, shuffled, compared, seed)
    n = len(feature_rows.matched)
    notes.append(_floor_note(source, n, len(rows["fake"])))
    notes.append(f"Features: {made.why or made.name}.")
    stored = partial(_sets, sets, source, shuffled, compared, seed)
    inputs = Inputs(feature_rows, stored, known, made.name, seed, reference, about)
    return Evaluation(tuple(METRICS[name].compute(inputs) for name in names), made.name, seed, tuple(notes))


def rehearse(
    real: Tensor,
    *,
    features: str | Rows = "auto",
    metrics: Sequence[str] | None = None,
    reference: Statistics | None = None,
    device: str = "cpu",
    given: Sequence[str] = (),
) -> None:
    """Raise the UserErrors of ``evaluate`` that do not depend on the samples, before time is spent on drawing them.

    real (M, *D) is a part of the real data; ``given`` are names of the further arguments that there will be."""
    here = {"fake", "real", *given, *_kind(real), *(["reference"] if reference else [])}
    _applicable(metrics, here)
    made = make_features(features, real, device=device)
    if reference is not None:
        reference.check(made(real[:1]), made.name)


def against_statistics(
    fake: Tensor, reference: Statistics, *, features: str | Rows = "auto", seed: int = 0, device: str = "cpu"
) -> Evaluation:
    """The Fréchet distance of samples to a mean and a covariance from a file, where that is all one has of the data.

    fake (N, *D) as in ``evaluate``; features that are fitted to data are fitted to the samples here, so name some that
    are not. The floor: N draws of the Gaussian that the file describes. Raises UserError as ``evaluate`` does."""
    check_rows("the samples", fake)
    made = make_features(features, fake, device=device)
    rows = made(thin(fake, MAX_ROWS, seed, 4))
    none = rows[:0]
    sets = Sets(rows, none, none, rows, none, none)
    inputs = Inputs(
        sets, lambda: Sets(fake, fake[:0], fake[:0], fake, fake[:0], fake[:0]), {}, made.name, seed, reference
    )
    score = METRICS["frechet_reference"].compute(inputs)
    return Evaluation((score,), made.name, seed, (f"Features: {made.why or made.name}.",))


def _sets(of: dict[str, Tensor], source: str, shuffled: Tensor, compared: Tensor, seed: int) -> Sets:
    """The six sets of the same examples, as stored or as feature rows: the choice depends on their numbers alone."""
    real, train = of["real"], of.get("train", of["real"][:0])
    half = shuffled[: len(shuffled) // 2].to(real.device)
    stand_ins = {"train": train, "real": real[half]}[source]
    n = min(len(of["fake"]), len(stand_ins))
    matched, stand_in = thin(of["fake"], n, seed, 6), thin(stand_ins, n, seed, 7)
    return Sets(of["fake"], real, train, matched, stand_in, real[compared.to(real.device)])


_KINDS = {2: ("vectors",), 3: ("signals",), 4: ("images",)}


def _kind(real: Tensor) -> tuple[str, ...]:
    """What the data are called among the needs of metrics."""
    return _KINDS.get(real.ndim, ())


def _applicable(metrics: Sequence[str] | None, given: set[str]) -> list[str]:
    """The metrics that were asked for, or all whose arguments are given."""
    if metrics is None:
        return [name for name, metric in METRICS.items() if metric.usual and given.issuperset(metric.needs)]
    asked = [metrics] if isinstance(metrics, str) else list(dict.fromkeys(metrics))
    for name in asked:
        if name not in METRICS:
            raise UserError(f"No metric {name!r}.{suggest(name, METRICS)}")
        missing = [needed for needed in METRICS[name].needs if needed not in given]
        if missing:
            raise UserError(f"The metric {name!r} needs {' and '.join(missing)}, which {_were(missing)} not given.")
    if not asked:
        raise UserError(f"No metric was asked for. Leave metrics out for all that apply, of {', '.join(METRICS)}.")
    return asked


def _unfit(labels: dict[str, Tensor]) -> str:
    """Why these labels tell nothing about classes, if so: then the metric is left out unless it was asked for."""
    classes = labels["train_labels"].unique().cpu()
    if len(classes) < 2:
        return "the training data hold one class only"
    strange = [name for name, of in labels.items() if not torch.isin(of.cpu(), classes).all()]
    return f"{' and '.join(strange)} hold classes that no training example has" if strange else ""


def _were(words: Sequence[str]) -> str:
    return "was" if len(words) == 1 else "were"


def _floor_source(floor_from: str, has_train: bool) -> str:
    source = floor_from if floor_from != "auto" else _FLOORS[0 if has_train else 1]
    if source not in _FLOORS:
        raise UserError(f"No floor_from={source!r}.{suggest(source, [*_FLOORS, 'auto'])}")
    if source == "train" and not has_train:
        raise UserError("floor_from='train' needs train, which was not given. Give it, or use floor_from='real'.")
    return source


_CALLED = {"fake": "the samples", "real": "the real data", "train": "the training data"}


def _check_sets(sets: dict[str, Tensor], least_real: int, finite: bool) -> None:
    """Every set is finite (unless it may hold missing values) and large enough, and all hold one kind of example."""
    real = sets["real"]
    for name, x in sets.items():
        check_rows(_CALLED[name], x if finite else x.nan_to_num(), least_real if name == "real" else MIN_ROWS)
        if x.shape[1:] != real.shape[1:]:
            raise UserError(
                f"{_CALLED[name].capitalize()} have shape {_shape(x)} an example and the real data {_shape(real)}. "
                "Resize one of them, or train and evaluate on the same data."
            )
        if (x.dtype == torch.uint8) != (real.dtype == torch.uint8):
            raise UserError(
                f"{_CALLED[name].capitalize()} are {x.dtype} and the real data {real.dtype}. "
                "Images are compared as uint8: give what the codec's decode() returns."
            )


def _check_labels(sets: dict[str, Tensor], known: dict[str, Tensor]) -> None:
    of = {"labels": "fake", "real_labels": "real", "train_labels": "train"}
    for name, labels in known.items():
        if of[name] in sets and labels.shape != (len(sets[of[name]]),):
            raise UserError(f"{name} has shape {tuple(labels.shape)}; {of[name]} holds {len(sets[of[name]])} examples.")


def _shape(x: Tensor) -> str:
    return "×".join(map(str, x.shape[1:]))


def _floor_note(source: str, n: int, samples: int) -> str:
    used = f"{n:,} samples" if n == samples else f"{n:,} of the {samples:,} samples"
    origin = {"train": "training examples", "real": "examples of one half of the real data"}[source]
    return f"Floor: {n:,} {origin} in the place of the samples; the distances use {used}."

"""The table of metrics: what each is called, what it needs, how many rows it can take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .classifier import class_accuracy
from .energy import energy_distance
from .features import Features
from .frechet import frechet_distance
from .neighbours import copies, two_sample
from .resample import Estimate, subset
from .score import Score
from .sliced import sliced_wasserstein

MAX_ROWS = 50_000  # of samples, real and training data each: 400 MB of features at most
_PAIR_ROWS = 5_000  # where every row meets every other
_FRECHET_ROWS = 10_000  # fewer rows than this leave a visible bias


@dataclass(frozen=True)
class Inputs:
    """What metrics are computed from: feature rows (·, K) float64, and labels (·,) of those that have them."""

    fake: Tensor
    real: Tensor
    train: Tensor  # (0, K) where there are none
    matched: Tensor  # as many of the samples as there are stand-ins
    stand_in: Tensor  # real rows in the place of samples
    reference: Tensor  # what both are compared with
    labels: dict[str, Tensor]  # of "labels", "real_labels", "train_labels"
    features: str
    seed: int


@dataclass(frozen=True)
class Metric:
    """A line of the table: how a score is computed, and the arguments of ``evaluate`` it cannot do without."""

    compute: Callable[[Inputs], Score]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Distance:
    """A two-sample metric, measured twice: samples against the reference, stand-ins against the reference."""

    name: str
    label: str
    measure: Callable[[Tensor, Tensor, int], Estimate]
    se_from: str
    limit: int = MAX_ROWS
    balanced: bool = False  # as many rows on either side
    remark: Callable[[int, int], str] = lambda rows, dim: ""

    def __call__(self, inputs: Inputs) -> Score:
        rows, others = min(self.limit, len(inputs.matched)), min(self.limit, len(inputs.reference))
        if self.balanced:
            rows = others = min(rows, others)
        fake, real = (thin(x, rows, inputs.seed, 1) for x in (inputs.matched, inputs.stand_in))
        reference = thin(inputs.reference, others, inputs.seed, 2)
        value, floor = (self.measure(x, reference, inputs.seed) for x in (fake, real))
        left_out = f"thinned at random to {rows:,} and {others:,} rows, because all pairs are compared"
        thinned = self.limit < max(len(inputs.matched), len(inputs.reference))
        remarks = [self.remark(min(rows, others), fake.shape[1]), left_out if thinned else ""]
        return Score(
            name=self.name,
            label=f"{self.label} ({inputs.features})",
            value=value.value,
            se=value.se,
            floor=floor.value,
            floor_se=floor.se,
            n_fake=rows,
            n_real=others,
            features=inputs.features,
            se_from=self.se_from,
            note="; ".join(filter(None, remarks)),
        )


def thin(x: Tensor, rows: int, *seed: int) -> Tensor:
    """``x`` itself, or ``rows`` of its rows, chosen by ``seed``."""
    return x if len(x) <= rows else x[subset(len(x), rows, *seed)]


def _few_rows(rows: int, dim: int) -> str:
    """The sentence that keeps a Fréchet distance of too few rows from being read as one of many."""
    if rows < 2 * dim:
        return f"{rows:,} rows are under twice the {dim:,} features: mostly bias, compare it only with its floor"
    if rows < _FRECHET_ROWS:
        return f"{rows:,} rows are under {_FRECHET_ROWS:,}: biased upwards, compare it with its floor"
    return ""


def _copies(inputs: Inputs) -> Score:
    fake, held_out = (thin(x, _PAIR_ROWS, inputs.seed, 3) for x in (inputs.fake, inputs.real))
    return copies(fake, inputs.train, held_out, seed=inputs.seed, features=inputs.features)


def _class_accuracy(inputs: Inputs) -> Score:
    asked, real, train = (inputs.labels[name] for name in ("labels", "real_labels", "train_labels"))
    ready = Features(inputs.features, lambda rows: rows)
    sets = (inputs.fake, asked, inputs.train, train, inputs.real, real)
    return class_accuracy(*sets, features=ready, seed=inputs.seed)


_DISTANCES = (
    Distance("frechet", "FD", lambda x, y, seed: frechet_distance(x, y), "delta method", remark=_few_rows),
    Distance(
        "sliced_wasserstein",
        "sliced Wasserstein",
        lambda x, y, seed: sliced_wasserstein(x, y, seed=seed),
        "jackknife over 10 groups, and the spread over directions",
    ),
    Distance(
        "energy",
        "energy distance",
        lambda x, y, seed: energy_distance(x, y),
        "delete-one jackknife",
        limit=_PAIR_ROWS,
    ),
    Distance(
        "two_sample",
        "1-NN accuracy",
        lambda x, y, seed: two_sample(x, y, seed=seed),
        "exact variance under random labels, scaled by 4 p (1 − p)",
        limit=_PAIR_ROWS,
        balanced=True,
    ),
)

METRICS: dict[str, Metric] = {distance.name: Metric(distance) for distance in _DISTANCES} | {
    "copies": Metric(_copies, ("train",)),
    "class_accuracy": Metric(_class_accuracy, ("train", "labels", "real_labels", "train_labels")),
}

"""What metrics are computed from, and what a line of their table is: files that add metrics import this alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .resample import Estimate, subset
from .score import Score

if TYPE_CHECKING:
    from .statistics import Statistics

MAX_ROWS = 50_000  # of samples, real and training data each: 800 MB of features at most
PAIR_ROWS = 5_000  # where every row meets every other


@dataclass(frozen=True)
class Sets:
    """The six sets that metrics compare, of the same examples either as stored (·, *D) or as feature rows (·, K)."""

    fake: Tensor
    real: Tensor  # held out
    train: Tensor  # (0, ·) where there are none
    matched: Tensor  # as many of the samples as there are stand-ins
    stand_in: Tensor  # real rows in the place of samples
    reference: Tensor  # what both are compared with


@dataclass(frozen=True)
class Inputs:
    """What metrics are computed from: feature rows (·, K) float64, and the same examples as they were given."""

    rows: Sets
    stored: Callable[[], Sets]  # makes ``raw``
    labels: dict[str, Tensor]  # of "labels", "real_labels", "train_labels": (·,) each
    features: str
    seed: int
    reference: Statistics | None = None  # a mean and a covariance from a file
    about: dict[str, Any] = field(default_factory=dict)  # further arguments of ``evaluate``: "schema", "rate", …

    @cached_property
    def raw(self) -> Sets:
        """The same examples as they were given: uint8 images (·, C, H, W), vectors (·, D), signals (·, C, L)."""
        return self.stored()

    @cached_property
    def memo(self) -> dict[str, Any]:
        """Results that several metrics share, by name; it lives as long as these inputs."""
        return {}


@dataclass(frozen=True)
class Metric:
    """A line of the table: how a score is computed, and the arguments of ``evaluate`` it cannot do without.

    ``needs`` are names of arguments (``train``, ``labels``, ``schema`` …) and words for the kind of the data
    (``images``, ``vectors``, ``signals``). Without ``usual`` it is computed only where it was asked for by name.
    """

    compute: Callable[[Inputs], Score]
    needs: tuple[str, ...] = ()
    usual: bool = True


@dataclass(frozen=True)
class Distance:
    """A two-sample metric, measured twice: samples against the reference, stand-ins against the reference."""

    name: str
    label: str
    measure: Callable[[Tensor, Tensor, int], Estimate]
    se_from: str
    limit: int = MAX_ROWS
    balanced: bool = False  # as many rows on either side
    better: str = "lower"
    praise: str = ""  # the reading where the samples do better than real data
    remark: Callable[[int, int], str] = lambda rows, dim: ""

    def __call__(self, inputs: Inputs) -> Score:
        rows, others = min(self.limit, len(inputs.rows.matched)), min(self.limit, len(inputs.rows.reference))
        if self.balanced:
            rows = others = min(rows, others)
        fake, real = (thin(x, rows, inputs.seed, 1) for x in (inputs.rows.matched, inputs.rows.stand_in))
        reference = thin(inputs.rows.reference, others, inputs.seed, 2)
        value, floor = (self.measure(x, reference, inputs.seed) for x in (fake, real))
        return self.score(inputs, value, floor, rows, others)

    def score(self, inputs: Inputs, value: Estimate, floor: Estimate, rows: int, others: int) -> Score:
        """The score of ``value`` over ``rows`` samples and ``others`` real rows, beside its floor."""
        left_out = f"thinned at random to {rows:,} and {others:,} rows, because all pairs are compared"
        held = ((rows, len(inputs.rows.matched)), (others, len(inputs.rows.reference)))
        thinned = any(used == self.limit < there for used, there in held)  # and not only to be as many on either side
        remarks = [self.remark(min(rows, others), inputs.rows.fake.shape[1]), left_out if thinned else ""]
        score = Score(
            name=self.name,
            label=f"{self.label} ({inputs.features})",
            value=value.value,
            se=value.se,
            floor=floor.value,
            floor_se=floor.se,
            n_fake=rows,
            n_real=others,
            features=inputs.features,
            better=self.better,
            se_from=self.se_from,
            note="; ".join(filter(None, remarks)),
        )
        return replace(score, verdict=self.praise) if self.praise and score.excess <= -3 else score


def thin(x: Tensor, rows: int, *seed: int) -> Tensor:
    """``x`` itself, or ``rows`` of its rows, chosen by ``seed``."""
    return x if len(x) <= rows else x[subset(len(x), rows, *seed)]

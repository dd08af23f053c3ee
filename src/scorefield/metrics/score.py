"""What a metric says: a number is never shown without its standard error and the value that real data reach."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import UserError, suggest

# How far the value is on the bad side of its floor, as a sign: +1 larger is worse, −1 smaller is worse, 0 both are.
_WORSE = {"lower": 1.0, "higher": -1.0, "floor": 0.0}


@dataclass(frozen=True)
class Score:
    """One metric: its value for the samples, and for real data in the samples' place (the floor)."""

    name: str  # as in METRICS: "frechet", …
    label: str  # as printed, with the features: "FD (pixels)"
    value: float
    se: float  # standard error of value
    floor: float
    floor_se: float
    n_fake: int  # rows that were used
    n_real: int
    features: str
    better: str = "lower"  # "lower", "higher", or "floor": best where it equals the floor
    se_from: str = ""
    note: str = ""
    verdict: str = ""  # the reading, where excess alone does not tell it
    details: dict[str, float] = field(default_factory=dict)

    @property
    def excess(self) -> float:
        """(value − floor) / (se² + floor_se²)^½: standard errors on the bad side of real data; negative is better
        than real data, and where ``better`` is "floor" it is the distance on either side. ±inf without errors."""
        difference, spread = self.value - self.floor, math.hypot(self.se, self.floor_se)
        sign = _WORSE[self.better] or math.copysign(1.0, difference)
        if spread == 0:
            return 0.0 if difference == 0 else math.copysign(math.inf, sign * difference)
        return sign * difference / spread

    @property
    def reading(self) -> str:
        """The score in words."""
        if self.verdict:
            return self.verdict
        if self.excess <= -3:
            return "closer than real data are: look for copies" if self.better == "lower" else "better than real data"
        if self.excess < 2:
            return "not told apart from real data at this n"
        return "close to real data" if self.excess < 4 else "told apart from real data"

    def row(self) -> dict[str, str]:
        """The score as strings for a table: metric, samples, floor, n, reading, note."""
        return {
            "metric": self.label,
            "samples": plus_minus(self.value, self.se),
            "floor": plus_minus(self.floor, self.floor_se),
            "n": f"{self.n_fake:,} / {self.n_real:,}" if self.n_real else f"{self.n_fake:,} / unknown",
            "reading": self.reading,
            "note": self.note,
        }


@dataclass(frozen=True)
class Evaluation:
    """All scores of one set of samples: iterate, or look one up by name (``evaluation["frechet"].value``)."""

    scores: tuple[Score, ...]
    features: str
    seed: int
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Score]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def __contains__(self, name: object) -> bool:
        return any(score.name == name for score in self.scores)

    def __getitem__(self, name: str) -> Score:
        """The score of that name. Raises UserError, with a suggestion, where it was not computed."""
        named = {score.name: score for score in self.scores}
        if name not in named:
            raise UserError(f"No metric {name!r} in this evaluation.{suggest(name, named)}")
        return named[name]

    def __str__(self) -> str:
        """A line for each score: metric, samples, real data in their place, and what that means."""
        shown = [("metric", "samples", "real data", "reading")]
        shown += [(row["metric"], row["samples"], row["floor"], row["reading"]) for row in self.rows()]
        widths = [max(len(line[i]) for line in shown) for i in range(4)]
        lines = ("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)) for line in shown)
        return "\n".join(line.rstrip() for line in lines)

    def rows(self) -> list[dict[str, str]]:
        """One dict of strings per score, in the order of computation, for whoever prints a table."""
        return [score.row() for score in self.scores]

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``json.dumps``, and for ``from_json``."""
        return {
            "features": self.features,
            "seed": self.seed,
            "notes": list(self.notes),
            "scores": [asdict(score) for score in self.scores],
        }

    @classmethod
    def from_json(cls, data: str | Mapping[str, Any]) -> Evaluation:
        """What ``to_json`` gave, or its text. Raises UserError where it is something else."""
        try:
            plain = json.loads(data) if isinstance(data, str) else data
            scores = tuple(Score(**score) for score in plain["scores"])
            return cls(scores, plain["features"], plain["seed"], tuple(plain["notes"]))
        except (KeyError, TypeError, ValueError) as problem:
            raise UserError(f"This is not an evaluation written by to_json(): {problem}.") from problem


def plus_minus(value: float, se: float) -> str:
    """``0.0042 ± 0.0006``: two digits of the error decide how many digits of the value are worth reading."""
    if not (math.isfinite(se) and se > 0):
        return f"{value:.4g} ± {se:.2g}"
    digits = 1 - math.floor(math.log10(se))
    if digits > 6 or abs(value) >= 1e6:
        return f"{value:.3g} ± {se:.2g}"
    return f"{value:.{max(digits, 0)}f} ± {se:.{max(digits, 0)}f}"

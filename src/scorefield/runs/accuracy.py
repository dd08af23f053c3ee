"""How well a classifier tells classes apart, by noise level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Rng, as_time
from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.metrics import Evaluation, Score
from scorefield.runs.spread import batch_of, parts_of

if TYPE_CHECKING:
    from scorefield.runs.measuring import Wanted

LEVELS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)  # σ/α at which it is measured
NOISE = 11  # folded with the seed of an evaluation


@dataclass
class Accuracy:
    """How often the class of noisy held-out data is told right, by noise level, beside training data."""

    wanted: Wanted
    samples = False  # whether samples are needed

    def __post_init__(self) -> None:
        wanted = self.wanted
        given = {"metrics": wanted.metrics, "features": wanted.features, "reference": wanted.reference}
        for name, value in given.items():
            if value is not None:
                raise UserError(f"{name}={value} is for samples, and {wanted.run.name} is a classifier. Leave it out.")
        for data in (wanted.real, wanted.train):
            if data is not None and (data.labels is None or tuple(data.classes) != wanted.run.classes):
                raise UserError(
                    f"{data.name} does not hold the classes that {wanted.run.name} tells apart "
                    f"({', '.join(wanted.run.classes[:6])}). Give data with the same classes."
                )

    def save(self, path: Any) -> None:
        """There are none."""
        raise UserError(f"save_stats={path} are statistics of samples, which a classifier has not. Leave it out.")

    def __call__(self, samples: Any) -> Evaluation:
        """A score for each noise level."""
        held = self._measured(self.wanted.real)
        own = held if self.wanted.train is None else self._measured(self.wanted.train)
        scores = tuple(_score(level, *pair) for level, *pair in zip(LEVELS, held, own, strict=True))
        notes = (
            "Accuracy on held-out data with noise of σ/α, compared with training data; each example is noised once. "
            f"Always naming the most frequent class would reach {_most_frequent(self.wanted.real):.3f}.",
        )
        return Evaluation(scores, "classes", self.wanted.seed, notes)

    @torch.no_grad()
    def _measured(self, data: Dataset) -> list[tuple[Tensor, Tensor]]:
        """For each level (right or wrong, nats of the true class), (N,) float64 each, of at most so many examples."""
        run = self.wanted.run
        index = torch.linspace(0, len(data) - 1, min(self.wanted.most, len(data))).round().long().unique()
        batch = data.batch(index)
        raw, label = batch["x"], batch["label"]
        found = []
        for k, level in enumerate(LEVELS):
            t = run.process.time(as_time(-math.log(level)))
            parts = []
            for part in parts_of(len(raw), batch_of(run.width, run.device.type)):
                rows = slice(part.start, part.stop)
                rng = Rng.each(Rng.fold(self.wanted.seed, NOISE, k), part)
                z = run.codec.encode(raw[rows]).to(run.device)
                parts.append(run.denoiser(run.process.corrupt(z, t, rng), t).log_probs.double().cpu())
            log_probs = torch.cat(parts)
            right = (log_probs.argmax(1) == label).double()
            found.append((right, -log_probs.gather(1, label[:, None])[:, 0]))
        return found


def _score(level: float, held: tuple[Tensor, Tensor], own: tuple[Tensor, Tensor]) -> Score:
    (right, nats), (floor, _) = held, own
    share, known = float(right.mean()), float(floor.mean())
    se, floor_se = (math.sqrt(max(p * (1 - p), 1 / (4 * len(r))) / len(r)) for p, r in ((share, right), (known, floor)))
    apart = known - share >= 2 * math.hypot(se, floor_se)
    told = f"told worse than training data, by {known - share:.2g}" if apart else "told as well as training data"
    return Score(
        name=f"accuracy_{level:g}",
        label=f"accuracy at σ/α {level:g}",
        value=share,
        se=se,
        floor=known,
        floor_se=floor_se,
        n_fake=len(right),
        n_real=len(floor),
        features="classes",
        better="higher",
        se_from="the binomial law",
        verdict=told,
        details={"nats": float(nats.mean())},
    )


def _most_frequent(data: Dataset) -> float:
    assert data.labels is not None  # checked before
    return float(torch.bincount(data.labels[data.labels >= 0]).max() / len(data))

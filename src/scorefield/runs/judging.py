"""What another run on text thinks of samples: its bound on them, beside its bound on text that people wrote."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.errors import UserError
from scorefield.metrics import Score
from scorefield.metrics.text import ratio
from scorefield.runs import bounding, recipes
from scorefield.runs.folder import RUNS
from scorefield.runs.spread import batch_of, parts_of

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

JUDGED = "judged"  # the name among the metrics
SEED = 8  # folded with that of the evaluation


@dataclass(frozen=True)
class Judge:
    """Another run on the same alphabet: bits a site of samples under its bound (generative perplexity is 2 to that)."""

    run: Run

    @torch.no_grad()
    def _bits(self, raw: Tensor, seed: int) -> tuple[float, float, int]:
        """(bits a site, standard error, examples) of texts as stored, (N, L)."""
        most = recipes.BOUNDED["cpu" if self.run.device.type == "cpu" else "gpu"]
        raw = raw[torch.linspace(0, len(raw) - 1, min(most, len(raw))).round().long().unique()]
        found = []
        for part in parts_of(len(raw), batch_of(self.run.width, self.run.device.type)):
            rng = Rng.each(Rng.fold(seed, SEED), part)
            found.append(bounding.bound(self.run, raw[part.start : part.stop], rng, {}))
        nats, sites = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
        return *ratio(nats / math.log(2), sites), len(raw)

    def __call__(self, fake: Tensor, real: Tensor, unit: str, seed: int) -> Score:
        """Samples against held-out text, both as stored."""
        (value, se, n), (floor, floor_se, n_real) = self._bits(fake, seed), self._bits(real, seed)
        return Score(
            name=JUDGED,
            label=f"bits per {unit}, {self.run.name}",
            value=value,
            se=se,
            floor=floor,
            floor_se=floor_se,
            n_fake=n,
            n_real=n_real,
            features="tokens",
            better="floor",
            se_from="the spread between examples",
            note=f"an upper bound on −log₂ p of samples under {self.run.name}, beside that of held-out text",
        )


def judge(run: Run, other: Any) -> Judge | None:
    """The judge that was asked for, loaded and checked; None where none was.

    ``other`` is a run, a run folder, or a name beside that of ``run``. Raises UserError where either run is not on
    text, or their alphabets or windows differ."""
    if other is None:
        return None
    if isinstance(other, str | Path):
        from scorefield.runs.loading import load

        other = load(other, runs=run.folder.path.parent if run.folder else RUNS, device=str(run.device))
    for one in (run, other):
        if one.kind != "text":
            raise UserError(f"judge={other.name} compares runs on text, but {one.name} makes {one.kind}. Leave it out.")
    if (run.config["codec"], run.shape) != (other.config["codec"], other.shape):
        raise UserError(
            f"judge={other.name} knows another alphabet or another length than {run.name}: {other.shape[0]} tokens of "
            f"{other.tokens.classes} against {run.shape[0]} of {run.tokens.classes}. Train both on one text."
        )
    return Judge(other)

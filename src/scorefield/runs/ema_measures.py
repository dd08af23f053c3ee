"""What a sweep over averages measures: a value, and what it would be without a part of its examples.

Every average meets the same examples, the same noise and the same parts left out, so that differences between two of
them are known far better than the values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.metrics import energy_distance, frechet_distance, make_features
from scorefield.runs import build, recipes
from scorefield.runs.conditions import usual
from scorefield.runs.sample import Progress, batch_of
from scorefield.runs.worker import conditioned

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

GROUPS = 20  # of the jackknife of a distance
REAL_ROWS = 2000  # held-out examples that samples are compared with
NOISE = 11  # folded with the seed
DISTANCES = {"energy": energy_distance, "frechet": frechet_distance}
Measured = Callable[["Run", Progress], tuple[float, Tensor]]  # → value, and jackknife replicates of it


def measure_of(
    run: Run, held: Dataset, metric: str, n: int | None, seed: int, batch: int | None, walk: dict[str, Any]
) -> tuple[Measured, int, int]:
    """(how to measure, n, different real examples) of one metric; ``walk`` are options of ``sample``.

    Raises UserError for a distance of too few examples."""
    usual_count = recipes.evaluated(run.kind, run.shape, run.device.type)
    size = batch_of(run.encoded) if batch is None else batch
    if metric == "loss":
        count = n or max(2 * usual_count, 2 * GROUPS)
        return (lambda it, tell: _loss(it, held, count, seed, size, tell)), count, min(count, len(held))
    count, real = n or max(usual_count // 4, 4 * GROUPS), min(len(held), REAL_ROWS)
    if min(count, real) < 2 * GROUPS:
        raise UserError(f"A distance needs {2 * GROUPS} samples and held-out examples, got {count} and {real}.")
    x = held.batch(torch.arange(real))["x"]
    features = make_features("auto", x)
    rows = features(x)
    labels = held.labels
    asked = {} if not run.classes or labels is None else {"label": labels.repeat(-(-count // len(labels)))[:count]}
    told = asked | usual(run, count, held) | walk

    def measured(it: Run, tell: Progress) -> tuple[float, Tensor]:
        samples = it.sample(count, seed=seed, batch=size, progress=tell, **told)
        return _distance(features(samples.x), rows, DISTANCES[metric])

    return measured, count, real


def _loss(run: Run, held: Dataset, n: int, seed: int, size: int, tell: Progress) -> tuple[float, Tensor]:
    """The objective on examples taken in turn from a shuffled order; replicates leave one example out."""
    dataset, objective = conditioned(held, run.config), build.objective(run.config)
    order = Rng(Rng.fold(seed, NOISE)).permutation(len(held))
    distinct = min(n, len(held))
    total, times = torch.zeros(distinct, dtype=torch.float64), torch.zeros(distinct, dtype=torch.float64)
    for start in range(0, n, size):
        place = torch.arange(start, min(start + size, n)) % len(order)
        cond = {name: t.to(run.device) for name, t in dataset.batch(order[place]).items()}
        x0 = run.codec.encode(cond.pop("x"))
        with torch.no_grad():
            each = objective(run.denoiser, x0, Rng(Rng.fold(seed, NOISE, start)), **cond).double().cpu()
        total.index_add_(0, place, each), times.index_add_(0, place, torch.ones_like(each))
        tell(min(start + size, n), n)
    means = total / times
    return means.mean().item(), (means.sum() - means) / (distinct - 1)


def _distance(fake: Tensor, real: Tensor, distance: Callable[..., Any]) -> tuple[float, Tensor]:
    """The distance; replicates leave out a twentieth of the samples and of the examples."""
    groups = [torch.arange(len(x)) % GROUPS for x in (fake, real)]
    left = [distance(fake[groups[0] != k], real[groups[1] != k]).value for k in range(GROUPS)]
    return distance(fake, real).value, torch.tensor(left, dtype=torch.float64)

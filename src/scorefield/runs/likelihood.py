"""Bits per dimension of a run: the bound in continuous time and the exact density of its flow, each for data it never
saw beside data it was trained on."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.likelihood import Adams
from scorefield.metrics import Evaluation, Score
from scorefield.runs import exact
from scorefield.runs.classifying import is_classifier
from scorefield.runs.counted import KINDS, Effort
from scorefield.runs.disk import write_json
from scorefield.runs.recipes import GAUSSIAN, ORDERED
from scorefield.runs.spread import batch_of, parts_of

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

NUMBERS = {"cpu": 8_192, "gpu": 1_000_000}  # of x that are measured where nobody says how many examples
FEWEST, MOST = 16, 2_000  # examples, then
SAMPLES = 32  # noised states of each, for the bound
PROBES = 2  # of each, for the divergence
SOLVER = Adams(1e-4)  # per dimension: far below the spread between examples
BINS = 24  # of log σ/α, in the chart of contributions
QUIET = ("batch", "devices")  # options that change no figure
NOISE = 13  # folded with the seed of an evaluation


class Measured(NamedTuple):
    """Bits a dimension of examples (N,) by the name of the figure, what noise levels add to the bound (bins,), and
    where (bins + 1,)."""

    bits: dict[str, Tensor]
    parts: Tensor
    edges: Tensor


def bits_per_dim(
    run: Run, real: Dataset, train: Dataset | None, n: int | None, seed: int, keep: bool, given: dict[str, Any]
) -> Evaluation:
    """The two figures of ``n`` examples each, with their standard errors from the spread between examples; stored in
    the run folder as likelihood.json. Raises UserError for data that have no density or levels (tokens and tables),
    and for options ``given`` that are for samples."""
    began = time.monotonic()
    strange = next((name for name, value in given.items() if value is not None and name not in QUIET), None)
    if strange:
        raise UserError(f"{strange} is for samples, and bits_per_dim=yes draws none. Leave one of them out.")
    kind = KINDS.get(run.kind) if run.family == GAUSSIAN else None
    if is_classifier(run.config):
        raise UserError(f"bits_per_dim=yes is of models of data, and {run.name} is a classifier. Leave it out.")
    if run.family == ORDERED:
        return _kept(run, real, exact.bits(run, real, train, n, seed), began, keep, {})
    if kind is None or getattr(run.codec, "pad", 0):
        raise UserError(
            f"bits_per_dim=yes is for images, vectors and signals that are not padded, as numbers, and this run makes "
            f"{run.kind} by the codec {run.config['codec']['type']}. The bound of runs on text and categories is a "
            "metric: metrics=bits."
        )
    size = math.prod(run.shape)
    usual = max(FEWEST, min(MOST, NUMBERS["cpu" if run.device.type == "cpu" else "gpu"] // size))
    counted = kind(run, real)
    held = _measured(run, real, n or usual, seed, counted)
    own = held if train is None else _measured(run, train, n or usual, seed, counted)
    scores = tuple(_score(name, label, note, held, own) for name, (label, note) in counted.figures.items())
    evaluation = Evaluation(scores, "density", seed, (counted.units, _spread_note(held)))
    chart = {"by_level": {"edges": held.edges.tolist(), "bits": held.parts.tolist()}}
    return _kept(run, real, evaluation, began, keep, chart)


def _kept(
    run: Run, real: Dataset, evaluation: Evaluation, began: float, keep: bool, chart: dict[str, Any]
) -> Evaluation:
    """The evaluation, stored in the run folder where it shall be."""
    if keep and run.folder is not None:
        record = {"step": run.step, "ema": run.ema, "against": real.name, "seconds": round(time.monotonic() - began, 2)}
        write_json(run.folder.likelihood_file, record | chart | {"evaluation": evaluation.to_json()})
    return evaluation


@torch.no_grad()
def _measured(run: Run, data: Dataset, most: int, seed: int, counted: Any) -> Measured:
    index = torch.linspace(0, len(data) - 1, min(most, len(data))).round().long().unique()
    batch, scale = data.batch(index), run.conditions
    told = {"label": batch["label"]} if run.classes and "label" in batch else {}
    if scale is not None and "condition" in batch:
        told["condition"] = scale(batch["condition"])
    effort, bit, found = Effort(SAMPLES, PROBES, SOLVER), math.prod(run.shape) * math.log(2), []
    for part in parts_of(len(index), batch_of(run.width, run.device.type)):
        rows = slice(part.start, part.stop)
        cond = {name: value[rows].to(run.device) for name, value in told.items()}
        found.append(counted(batch["x"][rows], cond, Rng.each(Rng.fold(seed, NOISE), part), effort))
    low, high = (f(getattr(f_.terms.levels, side)().item() for f_ in found) for f, side in ((min, "min"), (max, "max")))
    edges = torch.linspace(math.floor(low), math.ceil(high), BINS + 1).double()
    counts = torch.tensor([len(f.terms.prior) for f in found], dtype=torch.float64)
    parts = torch.stack([f.terms.by_level(edges)[0] for f in found])
    bits = {name: torch.cat([f.nats[name] for f in found]) / bit for name in found[0].nats}
    return Measured(bits, counts @ parts / counts.sum() / bit, edges)


def _score(name: str, label: str, note: str, held: Measured, own: Measured) -> Score:
    (value, se), (floor, floor_se) = (_mean(measured.bits[name]) for measured in (held, own))
    gap = (value - floor) / (math.hypot(se, floor_se) or 1)
    apart = f"held-out data cost {value - floor:.2g} bits more than training data"
    return Score(
        name=name,
        label=label,
        value=value,
        se=se,
        floor=floor,
        floor_se=floor_se,
        n_fake=len(held.bits[name]),
        n_real=len(own.bits[name]),
        features="density",
        se_from="the spread between examples",
        note=note,
        verdict=apart if gap >= 2 else "held-out data cost as much as training data",
    )


def _mean(bits: Tensor) -> tuple[float, float]:
    return bits.mean().item(), (bits.std() / math.sqrt(len(bits))).item() if len(bits) > 1 else math.nan


def _spread_note(held: Measured) -> str:
    most = int(held.parts.argmax())
    return (
        f"Of the bound, noise of σ/α from {math.exp(held.edges[most]):.2g} to {math.exp(held.edges[most + 1]):.2g} "
        f"costs most, {held.parts[most]:.3g} bits; report.html shows all levels."
    )

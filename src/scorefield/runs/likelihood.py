"""Bits per dimension of a run: the bound in continuous time and the exact density of its flow, each for data it never
saw beside data it was trained on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.likelihood import Levels, Terms, gaussian_elbo, log_prob
from scorefield.metrics import Evaluation, Score
from scorefield.runs.classifying import is_classifier
from scorefield.runs.disk import write_json
from scorefield.runs.recipes import GAUSSIAN
from scorefield.runs.spread import batch_of, parts_of
from scorefield.solvers import Adaptive

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

NUMBERS = {"cpu": 8_192, "gpu": 1_000_000}  # of x that are measured where nobody says how many examples
FEWEST, MOST = 16, 2_000  # examples, then
SAMPLES = 32  # noised states of each, for the bound
PROBES = 2  # of each, for the divergence
SOLVER = Adaptive(rtol=1e-4, atol=1e-4)  # per dimension: far below the spread between examples
BINS = 24  # of log σ/α, in the chart of contributions
QUIET = ("batch", "devices")  # options that change no figure
NOISE = 13  # folded with the seed of an evaluation


class Measured(NamedTuple):
    """Bits a dimension of examples (N,), what noise levels add to the bound (bins,), and where (bins + 1,)."""

    bound: Tensor
    flow: Tensor
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
    if kind is None or getattr(run.codec, "pad", 0):
        raise UserError(
            f"bits_per_dim=yes is for images, vectors and signals that are not padded, as numbers, and this run makes "
            f"{run.kind} by the codec {run.config['codec']['type']}. The bound of runs on text and categories is a "
            "metric: metrics=bits."
        )
    size = math.prod(run.shape)
    usual = max(FEWEST, min(MOST, NUMBERS["cpu" if run.device.type == "cpu" else "gpu"] // size))
    held = _measured(run, real, n or usual, seed, kind)
    own = held if train is None else _measured(run, train, n or usual, seed, kind)
    scores = tuple(_score(name, label, note, held, own) for name, label, note in kind.figures)
    evaluation = Evaluation(scores, "density", seed, (kind.units, _spread_note(held)))
    if keep and run.folder is not None:
        record = {"step": run.step, "ema": run.ema, "against": real.name, "seconds": round(time.monotonic() - began, 2)}
        chart = {"edges": held.edges.tolist(), "bits": held.parts.tolist()}
        write_json(run.folder.likelihood_file, record | {"by_level": chart, "evaluation": evaluation.to_json()})
    return evaluation


@dataclass(frozen=True)
class Kind:
    """How data of one kind are made continuous, and what that makes of the figures."""

    decoder: Callable[[Run], Any]
    jitter: float  # width of the uniform noise that spreads a level over its bin, in units of data as stored
    finest: Callable[[Run], float]  # σ/α at which the bound is handed to its decoder
    figures: tuple[tuple[str, str, str], ...]
    units: str


IMAGES = Kind(
    lambda run: Levels(run.codec.levels),
    1.0,
    lambda run: 1 / (3 * run.codec.levels),  # a third of half a bin (Kingma et al. 2021: γ₀ = −13.3 at 256 levels)
    (
        ("bits_bound", "bits/dim (bound)", "upper bound on −log₂ of the probability of the levels, in continuous time"),
        ("bits_flow", "bits/dim (flow)", "−log₂ density of the flow at levels spread over their bins by uniform noise"),
    ),
    "Both figures are upper bounds on −log₂ of the probability of the values as stored, a dimension.",
)
NUMERIC = Kind(
    lambda run: None,
    0.0,
    lambda run: 2e-3,
    (
        ("bits_bound", "bits/dim (bound)", "upper bound on −log₂ of the density, in continuous time"),
        ("bits_flow", "bits/dim (flow)", "−log₂ of the density of the flow"),
    ),
    "Densities are in the units of the data as stored, so that they may be below zero.",
)
KINDS: dict[str, Kind] = {"images": IMAGES, "vectors": NUMERIC, "signals": NUMERIC}


@torch.no_grad()
def _measured(run: Run, data: Dataset, most: int, seed: int, kind: Kind) -> Measured:
    index = torch.linspace(0, len(data) - 1, min(most, len(data))).round().long().unique()
    batch, scale = data.batch(index), run.conditions
    told = {"label": batch["label"]} if run.classes and "label" in batch else {}
    if scale is not None and "condition" in batch:
        told["condition"] = scale(batch["condition"])
    found = []
    for part in parts_of(len(index), batch_of(run.width, run.device.type)):
        rows = slice(part.start, part.stop)
        cond = {name: value[rows].to(run.device) for name, value in told.items()}
        rng = Rng.each(Rng.fold(seed, NOISE), part)
        found.append(_bits(run, batch["x"][rows], cond, rng, kind))
    bound, flow, parts, edges = zip(*found, strict=True)
    counts = torch.tensor([len(b) for b in bound], dtype=torch.float64)
    return Measured(torch.cat(bound), torch.cat(flow), counts @ torch.stack(parts) / counts.sum(), edges[0])


def _bits(run: Run, raw: Tensor, cond: dict[str, Any], rng: Rng, kind: Kind) -> Measured:
    """Of a batch as stored."""
    codec, size = run.codec, math.prod(run.shape)
    volume = codec.log_det(run.shape)
    finest = kind.finest(run)
    terms: Terms = gaussian_elbo(
        run.denoiser, codec.encode(raw).to(run.device), rng=rng, samples=SAMPLES, sigma_min=finest,
        decoder=kind.decoder(run), **cond,
    )  # fmt: skip
    spread = raw.double() + kind.jitter * (rng.uniform(raw.double()) - 0.5)
    flow = log_prob(
        run.denoiser, codec.encode(spread).float().to(run.device), probes=PROBES, rng=rng, solver=SOLVER, **cond
    )
    nats = -flow.nats.cpu().double() - volume
    bound = terms.bound.nats - (0.0 if kind.jitter else volume)  # levels have probabilities, in whatever units
    edges = torch.linspace(terms.levels.min().floor().item(), terms.levels.max().ceil().item(), BINS + 1).double()
    bit = size * math.log(2)
    return Measured(bound / bit, nats / bit, terms.by_level(edges)[0] / bit, edges)


def _score(name: str, label: str, note: str, held: Measured, own: Measured) -> Score:
    (value, se), (floor, floor_se) = (_mean(getattr(m, name.removeprefix("bits_"))) for m in (held, own))
    gap = (value - floor) / (math.hypot(se, floor_se) or 1)
    apart = f"held-out data cost {value - floor:.2g} bits more than training data"
    return Score(
        name=name,
        label=label,
        value=value,
        se=se,
        floor=floor,
        floor_se=floor_se,
        n_fake=len(held.bound),
        n_real=len(own.bound),
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

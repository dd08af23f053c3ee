"""What ``evaluate`` measures of each kind of data: samples against data in features, and runs on tokens by their bound
as well."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.data import Dataset
from scorefield.data.alphabet import ENDED
from scorefield.errors import UserError, suggest
from scorefield.metrics import Evaluation, Score
from scorefield.metrics import evaluate as measure
from scorefield.metrics.text import TEXT, NGrams, ratio, text_scores
from scorefield.runs import bounding, recipes, sets
from scorefield.runs.accuracy import Accuracy
from scorefield.runs.bounding import sites_of
from scorefield.runs.classifying import is_classifier
from scorefield.runs.judging import JUDGED, Judge
from scorefield.runs.spread import batch_of, parts_of

if TYPE_CHECKING:
    from scorefield.runs.loading import Run
    from scorefield.runs.samples import Samples

BITS = "bits"  # the name of the bound among the metrics
BOUND_IS = "an upper bound on −log₂ p"
BITS_ARE = {recipes.ORDERED: "−log₂ p, exact,"}  # by family, where it is no bound
BOUND_SEED = 7  # folded with that of the evaluation: the bound draws its own noise


@dataclass
class Wanted:
    """An evaluation that was asked for: of which run, against which data, with what."""

    run: Run
    real: Dataset  # held out
    train: Dataset | None
    metrics: Sequence[str] | None
    features: Any
    reference: str | Path | None
    seed: int
    label: Tensor | None = None  # (n,) classes that the samples were asked for
    judge: Judge | None = None

    @property
    def most(self) -> int:
        """How many samples are drawn where nobody says."""
        return min(len(self.real), recipes.evaluated(self.run.kind, self.run.shape, self.run.device.type))


class InFeatures:
    """Distances between samples and data, in the features of ``scorefield.metrics``."""

    samples = True  # whether samples are needed

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        train, real = wanted.train, wanted.real
        self.chosen = sets.Chosen.of(
            wanted.features or _features(wanted.run), wanted.reference, train or real, wanted.run.device.type
        )
        sets.rehearse(real, self.chosen, wanted.metrics, train)

    def save(self, path: str | Path) -> None:
        """Statistics of the training data, or of the other data, in these features."""
        sets.write_statistics(path, self.wanted.train or self.wanted.real, self.chosen)

    def __call__(self, samples: Samples) -> Evaluation:
        """All scores."""
        wanted, chosen = self.wanted, self.chosen
        real, train = sets.held(wanted.real), None if wanted.train is None else sets.held(wanted.train)
        asked = wanted.label
        return measure(
            samples.x,
            real.x,
            train=None if train is None else train.x,
            features=chosen.features,
            metrics=wanted.metrics,
            reference=chosen.reference,
            device=chosen.device,
            labels=asked if asked is not None and bool((asked >= 0).all()) else None,
            real_labels=real.labels,
            train_labels=None if train is None else train.labels,
            seed=wanted.seed,
            schema=wanted.run.schema or None,
            rate=real.rate,
        )


def _features(run: Run) -> Any:
    """What metrics compare unless told otherwise: of a table its rows as the network sees them, missing values too."""

    def encoded(x: Tensor) -> Tensor:
        return run.codec.plain.encode(x)

    return encoded if run.schema else "auto"


@dataclass
class Bounds:
    """The bound on −log p of a run on tokens, in bits a site: held-out data beside training data."""

    wanted: Wanted
    site: str  # character, byte, token, pixel, code, dimension
    most: int | None = None  # examples; otherwise as many as a bound takes
    name = BITS

    def __call__(self) -> Score:
        """The score, with its two standard errors over examples."""
        run = self.wanted.run
        most = self.most or recipes.BOUNDED["cpu" if run.device.type == "cpu" else "gpu"]
        held = self.of(self.wanted.real, most)
        own = held if self.wanted.train is None else self.of(self.wanted.train, most)
        (value, se), (floor, floor_se) = (ratio(nats / math.log(2), sites) for nats, sites in (held, own))
        gap = (value - floor) / (math.hypot(se, floor_se) or 1)
        apart = f"held-out data cost {value - floor:.2g} bits more than training data"
        return Score(
            name=BITS,
            label=f"bits per {self.site}",
            value=value,
            se=se,
            floor=floor,
            floor_se=floor_se,
            n_fake=len(held[0]),
            n_real=len(own[0]),
            features="tokens",
            se_from="the spread between examples",
            note=f"{BITS_ARE.get(run.family, BOUND_IS)} of held-out data, beside that of training data",
            verdict=apart if gap >= 2 else "held-out data cost as much as training data",
        )

    @torch.no_grad()
    def of(self, data: Dataset, most: int) -> tuple[Any, Any]:
        """(nats, sites) of at most ``most`` examples, spread evenly, (N,) float64 each."""
        run = self.wanted.run
        index = torch.linspace(0, len(data) - 1, min(most, len(data))).round().long().unique()
        batch = data.batch(index)
        raw, found = batch["x"], []
        for part in parts_of(len(raw), batch_of(run.width, run.device.type)):
            rows = slice(part.start, part.stop)
            cond: dict[str, Any] = {}
            if run.classes and "label" in batch:
                cond["label"] = batch["label"][rows].to(run.device)
            if run.conditions is not None and "condition" in batch:
                cond["condition"] = run.conditions(batch["condition"][rows]).to(run.device)
            rng = Rng.each(Rng.fold(self.wanted.seed, BOUND_SEED), part)
            found.append(bounding.bound(run, raw[rows], rng, cond))
        nats, sites = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
        return nats, sites


class OfText:
    """The bound on held-out text, and samples beside it: under an n-gram model, by pieces and by words that occur."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        given = {"features": wanted.features, "reference": wanted.reference}
        for name, value in given.items():
            if value is not None:
                raise UserError(f"{name}={value} is for images and other numbers, but this is a run on text.")
        drawn = (*TEXT, *([] if wanted.judge is None else [JUDGED]))
        known = (BITS, *drawn)
        for name in wanted.metrics or ():
            if name not in known:
                raise UserError(f"No metric {name!r} of text.{suggest(name, known)}")
        self.names = tuple(wanted.metrics or known)
        self.samples = bool(set(self.names) & {*drawn})

    def save(self, path: str | Path) -> None:
        """There are none."""
        raise UserError(f"save_stats={path} are statistics of features, which text has not. Leave save_stats out.")

    def __call__(self, samples: Samples | None) -> Evaluation:
        """The bound, and what samples are measured by, where they were asked for."""
        wanted, unit = self.wanted, unit_of(self.wanted.run)
        found = [Bounds(wanted, unit)()] if BITS in self.names else []
        found += [] if samples is None else [s for s in self._of(samples) if s.name in self.names]
        if samples is not None and wanted.judge is not None and JUDGED in self.names:
            found.append(wanted.judge(samples.x, self.real, unit, wanted.seed))
        notes = (
            f"bits per {unit}: the model's own bound on held-out text, compared with training text. The other figures: "
            f"samples, compared with held-out text; what was learned from is the training text"
            f"{'' if wanted.train is not None else ', here one half of the other text'}.",
        )
        return Evaluation(tuple(found), "tokens", wanted.seed, notes)

    def _of(self, samples: Samples) -> tuple[Score, ...]:
        codec = self.wanted.run.tokens
        rows = {"fake": samples.x, "real": self.real, "train": self.train}
        texts = {f"{name}_texts": codec.text(codec.encode(x)) for name, x in rows.items()}
        fake, real, train = (codec.encode(x) for x in rows.values())
        sizes = [sites_of(x) for x in (samples.x, self.real)]
        return text_scores(fake, real, train, codec.classes, sizes=sizes, **texts)

    @cached_property
    def real(self) -> Tensor:
        """Windows side by side of what was not learned, (N, L) as stored."""
        whole = side_by_side(self.wanted.real)
        return whole if self.wanted.train is not None else whole[len(whole) // 2 :]

    @cached_property
    def train(self) -> Tensor:
        """Windows side by side of what the n-gram model learns, (N, L) as stored."""
        if self.wanted.train is not None:
            return side_by_side(self.wanted.train)
        whole = side_by_side(self.wanted.real)
        return whole[: len(whole) // 2]


def unit_of(run: Run) -> str:
    """What a token of the run is called."""
    codec = run.config["codec"]
    return {"bytes": "byte", "tokens": "token"}.get(codec.get("inner", codec)["type"], "character")


def side_by_side(data: Dataset) -> Tensor:
    """Examples that do not share a place of their document: every L-th window where they begin at every place, and all
    of them where each is of its own."""
    length = data.shape[0]
    pair = data.batch(torch.tensor([0, min(1, len(data) - 1)]))["x"]
    shift = next((k for k in range(1, length) if torch.equal(pair[0, k:], pair[1, : length - k])), length)
    alone = bool((pair == ENDED).any()) or len(data) < 2
    step = 1 if alone else max(1, length // shift)
    return data.batch(torch.arange(0, len(data), step))["x"]


class OfCategories:
    """The bound on held-out images of categories or of levels, and samples against data as pictures."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        others = None if wanted.metrics is None else [name for name in wanted.metrics if name != BITS]
        self.bound = others is None or len(others) < len(wanted.metrics or ())
        self.samples = others is None or bool(others)
        drawn = replace(wanted, real=self._pictures(wanted.real), metrics=others)
        drawn.train = None if wanted.train is None else self._pictures(wanted.train)
        self.pictures = InFeatures(drawn) if self.samples else None

    def save(self, path: str | Path) -> None:
        """Statistics of the pictures."""
        if self.pictures is None:
            raise UserError(f"save_stats={path} needs a metric that compares pictures, and metrics={BITS} is none.")
        self.pictures.save(path)

    def __call__(self, samples: Samples | None) -> Evaluation:
        """The bound first."""
        site = SITES.get(self.wanted.run.family, "pixel")
        bound = (Bounds(self.wanted, site)(),) if self.bound else ()
        if samples is None or self.pictures is None:
            return Evaluation(bound, "tokens", self.wanted.seed)
        found = self.pictures(replace(samples, x=self._colours(samples.x)))
        return replace(found, scores=(*bound, *found.scores))

    def _pictures(self, data: Dataset) -> Dataset:
        held = sets.held(data)
        return replace(held, kind="images", x=self._colours(held.x), held_out=None)

    def _colours(self, x: Tensor) -> Tensor:
        """What is stored, as a picture: images are ones."""
        codec = self.wanted.run.tokens
        return x if self.wanted.run.kind == "images" else codec.pictures(codec.encode(x))


def _of_codes(wanted: Wanted) -> bounding.OfCodes:
    return bounding.OfCodes(wanted, Bounds(wanted, "code"), InFeatures)


SITES = {recipes.ORDERED: "dimension"}  # what bits are counted by, by family
MEASURING: dict[str, Callable[[Wanted], Any]] = {
    "text": OfText,
    "categories": OfCategories,
    "levels": OfCategories,
    "vq": _of_codes,
}


def of(wanted: Wanted) -> Any:
    """What measures this run. Raises UserError for what cannot be measured, before samples are drawn."""
    if is_classifier(wanted.run.config):
        return Accuracy(wanted)
    own = MEASURING.get(wanted.run.config["codec"]["type"])
    return (own or MEASURING.get(wanted.run.kind, InFeatures))(wanted)


__all__ = ["BITS", "NGrams", "Wanted", "of", "side_by_side", "unit_of"]

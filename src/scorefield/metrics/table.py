"""The table of metrics: what each is called, what it needs, how many rows it can take."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .classifier import class_accuracy
from .discriminator import classifier_two_sample
from .energy import energy_distance
from .features import Features
from .frechet import frechet_distance, frechet_to_moments
from .inputs import PAIR_ROWS, Distance, Inputs, Metric, thin
from .kernel import kernel_distance
from .manifold import manifold
from .neighbours import copies, two_sample
from .resample import Estimate
from .score import Score
from .series import SERIES
from .sliced import sliced_wasserstein
from .tabular_models import TABULAR

_FRECHET_ROWS = 10_000  # fewer rows than this leave a visible bias
_CLASSIFIER_ROWS = 1_000  # of either set: its time grows with the third power, to seconds here
_SURE = 0.01  # p-value from which on the classifier's success is no chance
_JACKKNIFE = "jackknife over 10 groups"
_TYPICAL = "more typical than real data are: look at recall and coverage"


def _few_rows(rows: int, dim: int) -> str:
    """The sentence that keeps a Fréchet distance of too few rows from being read as one of many."""
    if rows < 2 * dim:
        return f"{rows:,} rows are under twice the {dim:,} features: mostly bias, compare it only with its floor"
    if rows < _FRECHET_ROWS:
        return f"{rows:,} rows are under {_FRECHET_ROWS:,}: biased upwards, compare it with its floor"
    return ""


def _frechet_reference(inputs: Inputs) -> Score:
    """Samples against a mean and a covariance from a file: all samples count, as figures of the literature do.

    The floor: as many real rows that were not trained on, for the file may describe the training data; where there are
    fewer than samples, draws of the Gaussian that the file describes."""
    given, fake, real = inputs.reference, inputs.rows.fake, inputs.rows.real
    assert given is not None  # of ``needs``
    given.check(fake, inputs.features)
    enough = len(real) >= len(fake)
    stand_in = thin(real, len(fake), inputs.seed, 8) if enough else given.draw(len(fake), inputs.seed)
    value, floor = (frechet_to_moments(x, given.mean, given.cov) for x in (fake, stand_in))
    of_floor = "unseen real rows" if enough else "draws of the Gaussian in the file, for there are fewer real rows"
    remarks = [_few_rows(len(fake), fake.shape[1]), f"floor: {of_floor}"]
    if not given.features:
        remarks.append(f"{given.name} does not say what its features are: it must be those of the samples")
    return Score(
        name="frechet_reference",
        label=f"FD to {given.name} ({inputs.features})",
        value=value.value,
        se=value.se,
        floor=floor.value,
        floor_se=floor.se,
        n_fake=len(fake),
        n_real=given.n,
        features=inputs.features,
        se_from="delta method, the file taken as it is",
        note="; ".join(filter(None, remarks)),
    )


def _copies(inputs: Inputs) -> Score:
    fake, held_out = (thin(x, PAIR_ROWS, inputs.seed, 3) for x in (inputs.rows.fake, inputs.rows.real))
    return copies(fake, inputs.rows.train, held_out, seed=inputs.seed, features=inputs.features)


def _class_accuracy(inputs: Inputs) -> Score:
    asked, real, train = (inputs.labels[name] for name in ("labels", "real_labels", "train_labels"))
    ready = Features(inputs.features, lambda rows: rows)
    rows = inputs.rows
    sets = (rows.fake, asked, rows.train, train, rows.real, real)
    return class_accuracy(*sets, features=ready, seed=inputs.seed)


@dataclass(frozen=True)
class _Manifold:
    """One of the four figures of ``manifold``, which are computed together and once."""

    distance: Distance

    def __call__(self, inputs: Inputs) -> Score:
        sets = inputs.rows
        rows = min(PAIR_ROWS, len(sets.matched), len(sets.reference))  # as many on either side, as published
        if "manifold" not in inputs.memo:
            reference = thin(sets.reference, rows, inputs.seed, 2)
            measured = (thin(x, rows, inputs.seed, 1) for x in (sets.matched, sets.stand_in))
            inputs.memo["manifold"] = [manifold(x, reference, seed=inputs.seed) for x in measured]
        value, floor = (found[self.distance.name] for found in inputs.memo["manifold"])
        return self.distance.score(inputs, value, floor, rows, rows)


@dataclass(frozen=True)
class _Classifier:
    """A classifier's accuracy, with the p-value of the samples' own."""

    distance: Distance

    def __call__(self, inputs: Inputs) -> Score:
        sets, seed = inputs.rows, inputs.seed
        rows = min(self.distance.limit, len(sets.matched), len(sets.reference))
        reference = thin(sets.reference, rows, seed, 2)
        value, floor = (
            classifier_two_sample(thin(x, rows, seed, 1), reference, seed=seed) for x in (sets.matched, sets.stand_in)
        )
        estimate, floor_estimate = (Estimate(told.value, told.se) for told in (value, floor))
        score = self.distance.score(inputs, estimate, floor_estimate, rows, rows)
        told = f"p = {value.p_value:.3g} if samples and real data have one law; p = {floor.p_value:.3g} for real data"
        verdict = f"told apart in {value.value:.0%} of cases" if value.p_value <= _SURE else ""
        return replace(
            score,
            note="; ".join(filter(None, (told, score.note))),
            verdict=verdict or "not told apart from real data at this n",
            details={"p_value": value.p_value, "floor_p_value": floor.p_value},
        )


_DISTANCES = (
    Distance("frechet", "FD", lambda x, y, seed: frechet_distance(x, y), "delta method", remark=_few_rows),
    Distance(
        "kernel",
        "kernel distance",
        lambda x, y, seed: kernel_distance(x, y),
        "exact variance of the U-statistic",
        limit=PAIR_ROWS,
    ),
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
        limit=PAIR_ROWS,
    ),
    Distance(
        "two_sample",
        "1-NN accuracy",
        lambda x, y, seed: two_sample(x, y, seed=seed),
        "exact variance under random labels, scaled by 4 p (1 − p)",
        limit=PAIR_ROWS,
        balanced=True,
    ),
)


def _ball(name: str, better: str, praise: str = "") -> _Manifold:
    """A line of ``manifold``."""
    how = {"limit": PAIR_ROWS, "balanced": True, "better": better, "praise": praise}
    return _Manifold(Distance(name, name, lambda x, y, seed: manifold(x, y, seed=seed)[name], _JACKKNIFE, **how))


_CLASSIFIER = Distance(
    "classifier",
    "classifier accuracy",
    lambda x, y, seed: Estimate(*classifier_two_sample(x, y, seed=seed)[:2]),
    "spread over permuted labels, scaled by 4 p (1 − p)",
    limit=_CLASSIFIER_ROWS,
    balanced=True,
)

METRICS: dict[str, Metric] = {distance.name: Metric(distance) for distance in _DISTANCES} | {
    "classifier": Metric(_Classifier(_CLASSIFIER)),
    "precision": Metric(_ball("precision", "higher", _TYPICAL)),
    "recall": Metric(_ball("recall", "higher")),
    "density": Metric(_ball("density", "floor")),
    "coverage": Metric(_ball("coverage", "higher")),
    "frechet_reference": Metric(_frechet_reference, ("reference",)),
    "copies": Metric(_copies, ("train",)),
    "class_accuracy": Metric(_class_accuracy, ("train", "labels", "real_labels", "train_labels")),
}

METRICS |= TABULAR | SERIES

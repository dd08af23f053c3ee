"""Metrics of tables against closed forms, scipy and scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

from scorefield.metrics import evaluate
from scorefield.metrics import tabular_models as models
from scorefield.metrics.tabular import associations, marginals


@dataclass(frozen=True)
class Column:
    name: str
    kind: str = "number"
    categories: tuple[str, ...] = ()
    label: bool = False


A, B = Column("a"), Column("b")
K, L = (Column(name, "category", ("x", "y", "z")) for name in "kl")
NAN = float("nan")


def test_marginals_are_total_variation_and_kolmogorov_smirnov():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=400), rng.normal(0.3, 1.2, size=500)
    codes, others = rng.integers(0, 3, 400), rng.integers(0, 2, 500)
    fake = torch.tensor(np.stack([x, codes], 1))
    real = torch.tensor(np.stack([y, others], 1))
    found = marginals(fake, real, (A, K))
    p, q = np.bincount(codes, minlength=3) / 400, np.bincount(others, minlength=3) / 500
    assert found[0] == pytest.approx(stats.ks_2samp(x, y).statistic, abs=1e-12)
    assert found[1] == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-12)


def test_missing_values_count():
    fake = torch.tensor([[NAN, NAN], [1.0, 0.0], [2.0, 1.0], [NAN, 0.0]], dtype=torch.float64)
    real = torch.tensor([[1.0, 0.0], [2.0, 1.0]], dtype=torch.float64)
    assert marginals(fake, real, (A, K)).tolist() == [0.5, 0.25]
    assert marginals(fake * NAN, real, (A, K)).tolist() == [1.0, 1.0]


def test_associations_are_those_of_scipy():
    rng = np.random.default_rng(1)
    a = rng.normal(size=300)
    b = a + rng.normal(size=300)
    k = (a + rng.normal(size=300) > 0).astype(int) + (a > 1)
    lower = np.where(rng.random(300) < 0.5, k, rng.integers(0, 3, 300))
    x = torch.tensor(np.stack([a, b, k, lower], 1))
    ab, ak, _, _, _, kl = associations(x, (A, B, K, L)).tolist()
    assert ab == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)
    table = np.histogram2d(k, lower, 3)[0]
    assert kl == pytest.approx(stats.contingency.association(table.astype(int), "cramer"), abs=1e-9)
    ranks = stats.rankdata(a)
    between = sum((k == c).sum() * (ranks[k == c].mean() - ranks.mean()) ** 2 for c in range(3))
    assert ak == pytest.approx((between / ((ranks - ranks.mean()) ** 2).sum()) ** 0.5, abs=1e-9)


def test_linear_models_are_those_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import f1_score, r2_score

    rng = np.random.default_rng(2)
    rows, noise = rng.normal(size=(200, 4)), rng.normal(size=200)
    y = rows @ [1.0, -2.0, 0.5, 0.0] + noise
    own = models.ridge(torch.tensor(rows), torch.tensor(y))(torch.tensor(rows)).numpy()
    theirs = Ridge(alpha=1e-3 * 200, fit_intercept=False).fit(rows, y).predict(rows)
    np.testing.assert_allclose(own, theirs, atol=1e-9)
    assert models.r_squared(torch.tensor(own), torch.tensor(y)) == pytest.approx(r2_score(y, own), abs=1e-12)
    classes = np.digitize(y, [-1, 1])
    # The same objective up to the factor N: C = 1 / (ridge · N).
    theirs = LogisticRegression(C=1 / (1e-3 * 200), fit_intercept=False, tol=1e-8, max_iter=2000).fit(rows, classes)
    own = models.logistic(torch.tensor(rows), torch.tensor(classes), 3)(torch.tensor(rows)).numpy()
    assert (own == theirs.predict(rows)).mean() > 0.99  # L-BFGS ends within its tolerance: a row on the edge may turn
    assert models.macro_f1(torch.tensor(own), torch.tensor(classes)) == pytest.approx(
        f1_score(classes, own, average="macro"), abs=1e-12
    )


def tables(shift: float, broken: bool, seed: int, n: int = 400) -> torch.Tensor:
    """Numbers a, b, a category that follows a, and y = a + b; ``broken`` forgets how they go together."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(shift, 1, n), rng.normal(0, 1, n)
    x = np.stack([a, b, np.digitize(a, [-0.5, 0.5]).astype(float), a + b + 0.1 * rng.normal(size=n)], 1)
    x = np.stack([rng.permutation(column) for column in x.T], 1) if broken else x
    x[rng.random(n) < 0.1, 1] = NAN
    return torch.tensor(x)


SCHEMA = (A, B, K, Column("y"))
NAMES = ["marginals", "associations", "utility", "utility_boosted"]


def measured(fake: torch.Tensor) -> dict[str, tuple[float, float, float]]:
    found = evaluate(
        fake, tables(0, False, 1), train=tables(0, False, 2), metrics=NAMES, schema=SCHEMA,
        features=lambda x: x.nan_to_num(),
    )  # fmt: skip
    return {score.name: (score.value, score.floor, score.excess) for score in found}


def test_good_samples_reach_the_floor_and_bad_ones_are_found():
    """Seeds are fixed; the bound is three standard errors, which a good sampler stays within 99.9 % of the time."""
    good, moved, broken = (measured(tables(*how, 3)) for how in ((0, False), (1, False), (0, True)))
    assert all(excess < 3 for _, _, excess in good.values())
    assert moved["marginals"][2] > 4 and moved["marginals"][0] > 3 * moved["marginals"][1]
    assert broken["marginals"][2] < 3 and broken["associations"][2] > 4
    assert broken["utility"][0] < 0.1 and good["utility"][0] > 0.5 and good["utility"][1] > 0.5
    assert broken["utility_boosted"][0] < 0.3 < good["utility_boosted"][0]


def test_classes_are_predicted_where_there_are_any():
    x, y, z = (tables(0, False, seed) for seed in (1, 2, 3))
    labels = [(part[:, 3] > 0).long() for part in (z, x, y)]
    schema = (*SCHEMA[:3], Column("sign", "category", ("no", "yes"), label=True))
    found = evaluate(
        z[:, :3], x[:, :3], train=y[:, :3], metrics=["utility"], schema=schema, features=lambda x: x.nan_to_num(),
        labels=labels[0], real_labels=labels[1], train_labels=labels[2],
    )["utility"]  # fmt: skip
    assert found.label == "macro F1 of sign, linear" and found.value > 0.7 and found.n_fake == 400
    assert models.task_of(SCHEMA, False).name == "y"

"""Train on samples, test on real data: what samples of a table are worth to somebody who learns from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from .inputs import Inputs, Metric
from .resample import Estimate, subset
from .score import Score
from .tabular import ASSOCIATIONS, MARGINALS, Column

_ROWS = 20_000  # that a model learns from
_BOOTSTRAPS = 200
_RIDGE = 1e-3  # times the number of rows
_ITERATIONS = 60  # of L-BFGS


class Task(NamedTuple):
    """What is predicted from what: ``target`` an index into the columns, or None for the classes beside them."""

    name: str
    columns: tuple[Column, ...]
    target: int | None
    classes: int  # 0: a number


def task_of(schema: Sequence[Column], labelled: bool) -> Task:
    """The class column is predicted where there is one, otherwise the last column."""
    columns = tuple(column for column in schema if not column.label)
    label = next((column for column in schema if column.label and labelled), None)
    if label is not None:
        return Task(label.name, columns, None, len(label.categories))
    return Task(columns[-1].name, columns, len(columns) - 1, len(columns[-1].categories))


class Design:
    """Rows of a table as the columns of a linear model: standardised numbers, indicators of categories and of missing
    values, a constant. Fitted on real rows (N, C), so that every model has the same."""

    def __init__(self, x: Tensor, task: Task) -> None:
        self.columns = [(j, column) for j, column in enumerate(task.columns) if j != task.target]
        known = [x[:, j][~x[:, j].isnan()] for j, _ in self.columns]
        self.mean = [float(values.mean()) if len(values) else 0.0 for values in known]
        self.std = [float(values.std(correction=0)) or 1.0 if len(values) else 1.0 for values in known]

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C) → (N, K) float64."""
        parts = [torch.ones(len(x), 1, dtype=torch.float64)]
        for (j, column), mean, std in zip(self.columns, self.mean, self.std, strict=True):
            count = len(column.categories)
            if count:
                parts.append(F.one_hot(x[:, j].nan_to_num(count).long().clamp(0, count), count + 1).double())
            else:
                missing = x[:, j].isnan()
                parts.append(torch.stack([((x[:, j] - mean) / std).masked_fill(missing, 0.0), missing.double()], 1))
        return torch.cat(parts, 1)


def ridge(rows: Tensor, targets: Tensor) -> Callable[[Tensor], Tensor]:
    """Least squares with a small penalty: rows (N, K), targets (N,) → a function (M, K) → (M,)."""
    gram = rows.T @ rows
    gram.diagonal().add_(_RIDGE * len(rows))
    weights = torch.linalg.solve(gram, rows.T @ targets)
    return lambda others: others @ weights


def logistic(rows: Tensor, targets: Tensor, classes: int) -> Callable[[Tensor], Tensor]:
    """Multinomial logistic regression by L-BFGS from zero: no randomness. rows (N, K), targets (N,) int64 → a function
    (M, K) → (M,) int64."""
    weights = torch.zeros(rows.shape[1], classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(rows @ weights, targets) + _RIDGE / 2 * weights.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    fitted = weights.detach()
    return lambda others: (others @ fitted).argmax(1)


def macro_f1(predicted: Tensor, truth: Tensor) -> float:
    """The mean over the classes that occur in ``truth`` of 2 TP / (2 TP + FP + FN), in [0, 1]; (N,), (N,) int64."""
    scores = []
    for value in truth.unique():
        own, said = truth == value, predicted == value
        scores.append(2 * int((own & said).sum()) / int(own.sum() + said.sum()))
    return sum(scores) / len(scores)


def r_squared(predicted: Tensor, truth: Tensor) -> float:
    """1 − Σ (y − ŷ)² / Σ (y − ȳ)²: 1 is perfect, 0 as good as the mean; (N,), (N,)."""
    return float(1 - (truth - predicted).square().sum() / (truth - truth.mean()).square().sum().clamp_min(1e-300))


Learner = Callable[[Task, "Design", Tensor, Tensor, int], Callable[[Tensor], Tensor]]


def _linear(task: Task, design: Design, x: Tensor, y: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    fitted = logistic(design(x), y, task.classes) if task.classes else ridge(design(x), y)
    return lambda others: fitted(design(others))


def _boosted(task: Task, design: Design, x: Tensor, y: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """scikit-learn's gradient boosting; categories of up to 254 values are told to it as such."""
    if not has_boosting():
        raise UserError(
            "The metric 'utility_boosted' needs scikit-learn, which is not installed: pip install scikit-learn"
        )
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kept = [j for j, _ in design.columns]
    few = [0 < len(column.categories) <= 254 for _, column in design.columns]
    model: Any = HistGradientBoostingClassifier if task.classes else HistGradientBoostingRegressor
    fitted = model(categorical_features=few, random_state=seed).fit(x[:, kept].numpy(), y.numpy())
    return lambda others: torch.from_numpy(fitted.predict(others[:, kept].numpy()))


def has_boosting() -> bool:
    """Whether scikit-learn is installed."""
    from importlib.util import find_spec

    return find_spec("sklearn") is not None


@dataclass(frozen=True)
class _Utility:
    """The score on held-out rows of a model that learned from samples; the floor: one that learned from real rows."""

    name: str
    model: str
    learner: Learner

    def __call__(self, inputs: Inputs) -> Score:
        seed, labelled = inputs.seed, len(inputs.labels) == 3
        task = task_of(inputs.about["schema"], labelled)
        sets = {"labels": inputs.raw.fake, "train_labels": inputs.raw.train, "real_labels": inputs.raw.real}
        fake, train, test = (_known(task, x.cpu().double(), inputs.labels.get(name)) for name, x in sets.items())
        rows = min(_ROWS, len(fake[0]), len(train[0]))
        fake, train = (_thinned(part, rows, seed, k) for k, part in enumerate((fake, train)))
        design = Design(train[0], task)
        value, floor = (self._score(task, design, part, test, seed) for part in (fake, train))
        return Score(
            name=self.name,
            label=f"{'macro F1' if task.classes else 'R²'} of {task.name}, {self.model}",
            value=value.value,
            se=value.se,
            floor=floor.value,
            floor_se=floor.se,
            n_fake=rows,
            n_real=len(test[0]),
            features="columns",
            better="higher",
            se_from="bootstrap of the test rows",
            note=f"learned from {rows:,} samples, or for the floor from as many real rows, and tested on held-out rows",
        )

    def _score(
        self, task: Task, design: Design, learned: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], seed: int
    ) -> Estimate:
        measure = macro_f1 if task.classes else r_squared
        truth = test[1]
        if task.classes and len(learned[1].unique()) < 2:
            predicted = learned[1][:1].expand(len(truth))
        else:
            predicted = self.learner(task, design, *learned, seed)(test[0])
        drawn = Rng(Rng.fold(seed, 9)).integers(len(truth), torch.empty(_BOOTSTRAPS, len(truth)))
        spread = torch.tensor([measure(predicted[row], truth[row]) for row in drawn], dtype=torch.float64)
        return Estimate(measure(predicted, truth), float(spread.std()))


def _known(task: Task, x: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """(rows, targets) of the rows whose target is known."""
    if task.target is None:
        assert labels is not None  # of ``needs``
        known = labels >= 0
        return x[known], labels[known].long()
    target = x[:, task.target]
    known = ~target.isnan()
    return x[known], target[known].long() if task.classes else target[known]


def _thinned(part: tuple[Tensor, Tensor], rows: int, *seed: int) -> tuple[Tensor, Tensor]:
    chosen = subset(len(part[0]), rows, *seed)
    return part[0][chosen], part[1][chosen]


TABULAR: dict[str, Metric] = {
    "marginals": MARGINALS,
    "associations": ASSOCIATIONS,
    "utility": Metric(_Utility("utility", "linear", _linear), ("schema", "train")),
    "utility_boosted": Metric(
        _Utility("utility_boosted", "gradient boosting", _boosted), ("schema", "train"), usual=has_boosting()
    ),
}

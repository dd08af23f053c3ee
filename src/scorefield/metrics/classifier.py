"""Do samples belong to the class that was asked for? A small exact classifier, trained on the real data, decides."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from .features import Features, make_features
from .resample import check_rows, squared_distances, subset
from .score import Score

_TRAIN_ROWS = 5_000  # a Cholesky factor of this size takes seconds
_CHOICE_ROWS = 1_000  # rows on which width and ridge are chosen
_WIDTHS = (0.5, 1.0, 2.0, 4.0)
_RIDGES = (1e-4, 1e-2)


class KernelRidge:
    """Kernel ridge regression on the classes: no training loop, no randomness, one linear solve.

    scores = k(x, X) (K + λ I)⁻¹ Y with k = exp(−w |x − x′|² / mean|x − x′|²) and Y = ±1 per class (Rifkin et al. 2003).
    w and λ minimise the leave-one-out error on the training rows, which has a closed form (``leave_one_out``).

    rows (N, D) float64, labels (N,) int64; time N³. ``seed`` chooses the 1,000 rows on which w and λ are tried.
    """

    def __init__(self, rows: Tensor, labels: Tensor, *, seed: int = 0) -> None:
        self.classes, labels = labels.unique(return_inverse=True)
        self.rows, targets = rows, 2 * F.one_hot(labels, len(self.classes)).double() - 1
        self.mean_square = float(2 * self.rows.var(0, correction=0).sum()) or 1.0
        few = subset(len(rows), _CHOICE_ROWS, seed)
        choices = [(width, ridge) for width in _WIDTHS for ridge in _RIDGES]
        self.width, self.ridge = min(choices, key=lambda choice: self._loss(self.rows[few], targets[few], *choice))
        kernel = self._kernel(self.rows, self.rows, self.width)
        self.weights = torch.cholesky_solve(targets, _factor(kernel, self.ridge))

    def __call__(self, rows: Tensor) -> Tensor:
        """(N, D) → (N,) int64, the class of each row."""
        blocks = [self._kernel(block, self.rows, self.width) @ self.weights for block in rows.split(1_000)]
        return self.classes[torch.cat(blocks).argmax(1)]

    def _kernel(self, x: Tensor, y: Tensor, width: float) -> Tensor:
        return torch.cat([squared.mul_(-width / self.mean_square).exp_() for _, squared in squared_distances(x, y)])

    def _loss(self, rows: Tensor, targets: Tensor, width: float, ridge: float) -> float:
        return float(leave_one_out(self._kernel(rows, rows, width), targets, ridge).square().sum())


def leave_one_out(kernel: Tensor, targets: Tensor, ridge: float) -> Tensor:
    """The errors each row would have, had it not been trained on: G⁻¹Y / diag G⁻¹, G = K + λ I (Rifkin et al. 2003)."""
    inverse = torch.cholesky_inverse(_factor(kernel, ridge))
    return inverse @ targets / inverse.diagonal()[:, None]


def _factor(kernel: Tensor, ridge: float) -> Tensor:
    kernel = (kernel + kernel.T) / 2  # rounding of the distances is not symmetric
    kernel.diagonal().add_(ridge)
    return torch.linalg.cholesky(kernel)


def class_accuracy(
    fake: Tensor,
    asked_labels: Tensor,
    real: Tensor,
    real_labels: Tensor,
    held_out: Tensor,
    held_out_labels: Tensor,
    *,
    features: str | Features = "auto",
    seed: int = 0,
) -> Score:
    """The share of samples that a classifier trained on real data gives the class they were asked to have.

    The floor is the classifier's accuracy on held-out real data: what perfect samples would reach. fake (N, *D),
    real (T, *D) the training data, held_out (M, *D) as stored, labels int64 (N,), (T,), (M,). Values in [0, 1];
    standard errors binomial, (p (1 − p) / N)^½ with one success and one failure added to p. The classifier is
    ``KernelRidge`` on the features of at most 5,000 training rows, chosen by ``seed``. Raises UserError where labels
    are missing, unknown, or of one class only.
    """
    sets = {"the samples": (fake, asked_labels), "the training data": (real, real_labels)}
    for name, (x, labels) in (sets | {"the held-out data": (held_out, held_out_labels)}).items():
        check_rows(name, x)
        _check_labels(name.capitalize(), x, labels, real_labels)
    transform = make_features(features, real) if isinstance(features, str) else features
    asked_labels, held_out_labels, real_labels = asked_labels.cpu(), held_out_labels.cpu(), real_labels.cpu()
    kept = subset(len(real), _TRAIN_ROWS, seed)
    classifier = KernelRidge(transform(real[kept.to(real.device)]), real_labels[kept], seed=seed)
    right = classifier(transform(fake)) == asked_labels
    right_real = classifier(transform(held_out)) == held_out_labels
    by_class = {int(c): float(right[asked_labels == c].double().mean()) for c in asked_labels.unique()}
    floor = float(right_real.double().mean())
    return Score(
        name="class_accuracy",
        label="asked-for class",
        value=float(right.double().mean()),
        se=_binomial(right),
        floor=floor,
        floor_se=_binomial(right_real),
        n_fake=len(fake),
        n_real=len(held_out),
        features=transform.name,
        better="higher",
        se_from="binomial",
        note=f"the classifier (kernel ridge, {len(classifier.rows):,} real training examples) is right on {floor:.1%} "
        f"of held-out examples{_weakest(by_class)}",
        details={f"class_{label}": accuracy for label, accuracy in by_class.items()},
    )


def _check_labels(name: str, x: Tensor, labels: Tensor, known: Tensor) -> None:
    if labels.shape != (len(x),) or labels.is_floating_point():
        raise UserError(
            f"{name} hold {len(x)} examples but labels of shape {tuple(labels.shape)}, {labels.dtype}; "
            "one whole number per example is needed."
        )
    classes = known.unique()
    if len(classes) < 2:
        raise UserError("The training data hold one class only, so every sample has it. Leave class_accuracy out.")
    strange = sorted({int(label) for label in labels.unique()} - {int(c) for c in classes})
    if strange:
        raise UserError(
            f"{name} have the label {strange[0]}, which no training example has (−1 means no class). "
            f"The classes are {int(classes.min())} … {int(classes.max())}."
        )


def _binomial(right: Tensor) -> float:
    n = len(right)
    p = (float(right.sum()) + 1) / (n + 2)  # so that 100 % keeps a standard error
    return (p * (1 - p) / n) ** 0.5


def _weakest(by_class: dict[int, float]) -> str:
    label, accuracy = min(by_class.items(), key=lambda item: item[1])
    return "" if accuracy == 1 else f"; the weakest class is {label} with {accuracy:.1%}"

"""An evaluation as lines of text: each figure with its error, beside what real data reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorefield.cli.figures import table

if TYPE_CHECKING:
    from scorefield.metrics import Evaluation, Score
    from scorefield.runs.folder import RunFolder

_SHORT = {
    "frechet": "Fréchet distance",
    "kernel": "kernel distance",
    "classifier": "classifier accuracy",
    "sliced_wasserstein": "sliced Wasserstein",
    "energy": "energy distance",
    "two_sample": "1-NN accuracy",
    "copies": "distance to training",
    "class_accuracy": "asked-for class",
}
_HEADS = ("metric", "samples", "real data", "n", "reading")
_COMPARED = ("metric", "this model", "compared with", "n", "reading")
_OTHER_HEADS = {"tokens": _COMPARED, "classes": _COMPARED, "density": _COMPARED}  # by features


def lines(evaluation: Evaluation) -> list[str]:
    """A table: metric, samples, the same with real data in their place, and the reading in words."""
    rows = [
        (_short(score), row["samples"], row["floor"], row["n"], row["reading"])
        for score, row in zip(evaluation, evaluation.rows(), strict=True)
    ]
    return table([_OTHER_HEADS.get(evaluation.features, _HEADS), *rows])


def notes(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What must be known to read the figures: (metric or "note", sentence)."""
    own = [(_short(score), score.note) for score in evaluation if score.note]
    return [*own, *(("note", note) for note in evaluation.notes)]


def _short(score: Score) -> str:
    return _SHORT.get(score.name, score.label.removesuffix(f" ({score.features})"))


def stored(folder: RunFolder | None) -> Evaluation | None:
    """The evaluation that a run folder keeps; None where there is none."""
    from scorefield.runs.disk import read_json

    record = read_json(folder.evaluation_file) if folder else None
    if record is None:
        return None
    from scorefield.metrics import Evaluation

    return Evaluation.from_json(record["evaluation"])

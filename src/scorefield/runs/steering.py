"""A classifier run that steers the samples of another run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorefield.errors import UserError
from scorefield.guidance import Classifier
from scorefield.runs.classifying import is_classifier
from scorefield.runs.conditions import Asked
from scorefield.runs.conditions import asked as asked_of
from scorefield.runs.folder import RUNS
from scorefield.runs.labels import asked_labels

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

SAME = ("kind", "shape")


@dataclass(frozen=True)
class Steering:
    """The classifier of ``other`` at ``scale``, for the samples of ``run``."""

    run: Run
    other: Run
    scale: float

    def asked(self, label: Any, condition: Any, n: int) -> Asked:
        """What is asked of the samples: classes that the classifier knows, all in turn where nobody says."""
        own = asked_of(self.run, label if self.run.classes else None, condition, n)
        return replace(own, labels=asked_labels(label, self.other.classes, n))

    def around(self, denoiser: Any) -> Any:
        """The denoiser under classifier guidance, on whatever schedule it walks."""
        heard = self.other.denoiser.under(denoiser.process)
        return Classifier(denoiser, heard, self.scale, told=bool(self.run.classes))


def steering(run: Run, classifier: Any, scale: float | None) -> Steering | None:
    """The classifier that was asked for, loaded and checked; None where none was.

    ``classifier`` is a run, a run folder, or a name beside that of ``run``. Raises UserError for a run that is no
    classifier, was trained on data of another shape or scale, or knows other classes, and for a scale alone."""
    if classifier in (None, "auto"):
        if scale is not None:
            raise UserError(f"classifier_scale={scale:g} needs a classifier to scale: classifier=RUN.")
        return None
    if isinstance(classifier, str | Path):
        from scorefield.runs.loading import load

        runs = run.folder.path.parent if run.folder else RUNS
        classifier = load(classifier, runs=runs, device=str(run.device))
    _check(run, classifier)
    return Steering(run, classifier, 1.0 if scale is None else scale)


def _check(run: Run, other: Run) -> None:
    if not is_classifier(other.config):
        raise UserError(
            f"classifier={other.name} is a run that makes samples. Train a classifier on the same data: "
            f"scorefield train {other.data_name} classifier=yes."
        )
    for name in SAME:
        ours, theirs = getattr(run, name), getattr(other, name)
        if ours != theirs:
            raise UserError(f"{run.name} makes {_told(run)}, but {other.name} tells {_told(other)} apart.")
    if run.config["codec"] != other.config["codec"]:
        raise UserError(
            f"{other.name} was trained on data of another scale than {run.name}: their codecs differ. Train both on "
            "the same data with the same options."
        )
    if run.classes and run.classes != other.classes:
        raise UserError(
            f"{run.name} knows the classes {', '.join(run.classes[:6])}, but {other.name} tells "
            f"{', '.join(other.classes[:6])} apart. Train both on the same data."
        )


def _told(run: Run) -> str:
    return f"{run.kind} of {'×'.join(map(str, run.shape))}"

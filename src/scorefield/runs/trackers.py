"""Trackers: what metrics.jsonl is told, TensorBoard, Weights & Biases, MLflow and Trackio may be told as well.

Their libraries are looked for when one is asked for. A missing one is said before training starts; one that fails later
costs a sentence and is left out from then on, because no tracker is worth a training."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from scorefield.errors import UserError, suggest
from scorefield.options import flatten
from scorefield.runs.disk import read_json, write_json
from scorefield.runs.folder import RunFolder

if TYPE_CHECKING:
    from PIL.Image import Image

PROJECT = "scorefield"
SERVED = ("loss", "lr", "grad_norm", "examples_per_second", "memory")  # of a logged event
MEMORY = "trackers.json"  # in the run folder: under which name a server knows the run


class Tracker(Protocol):
    """One place that is told. Any method may raise whatever its library raises."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of one step."""

    def picture(self, step: int, name: str, image: Image) -> None:
        """A picture drawn at one step."""

    def close(self) -> None:
        """Nothing more will come."""


@dataclass(frozen=True)
class Session:
    """What a tracker needs to know when it is opened: the run, its settings, and the step it goes on from."""

    folder: RunFolder
    config: Mapping[str, Any]
    step: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """The config, flat."""
        return flatten(self.config)

    @property
    def identity(self) -> str:
        """A name of this very run, the same in every session: made of its folder's name and its first start."""
        first = next(iter(self.folder.env().get("starts", [])), {}).get("when", "")
        return hashlib.blake2b(f"{self.folder.name} {first}".encode(), digest_size=8).hexdigest()

    def recall(self, tracker: str) -> str | None:
        """What ``remember`` was told in an earlier session."""
        return read_json(self.folder.path / MEMORY, {}).get(tracker)

    def remember(self, tracker: str, name: str) -> None:
        """Keep the name under which a tracker knows this run."""
        path = self.folder.path / MEMORY
        write_json(path, read_json(path, {}) | {tracker: name})


class TensorBoard:
    """Event files in the run folder: ``tensorboard --logdir runs`` shows all runs beside each other."""

    def __init__(self, session: Session) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a killed session wrote after its last checkpoint happens again, so TensorBoard is told to forget it.
        purge = session.step + 1 if session.step else None
        self._writer = SummaryWriter(str(session.folder.path / "tensorboard"), purge_step=purge, flush_secs=10)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: Image) -> None:
        self._writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class WandB:
    """Weights & Biases: into the run folder where there is no key, to be sent later with ``wandb sync``."""

    def __init__(self, session: Session) -> None:
        import wandb  # pyrefly: ignore[missing-import]

        self._library = wandb
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=session.folder.name,
            id=session.identity,
            resume="allow",
            dir=str(session.folder.path),
            config=session.settings,
            mode=os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline"),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, image: Image) -> None:
        self._run.log({name: self._library.Image(image)}, step=step)

    def close(self) -> None:
        self._run.finish()


def _has_key() -> bool:
    """Whether Weights & Biases can be reached without asking anybody: it would wait for an answer in the middle."""
    kept = Path.home() / (".netrc" if os.name != "nt" else "_netrc")
    return bool(os.environ.get("WANDB_API_KEY")) or (kept.is_file() and "wandb" in kept.read_text(errors="replace"))


class MLflow:
    """MLflow, at ``MLFLOW_TRACKING_URI`` or where the library keeps its runs without one."""

    def __init__(self, session: Session) -> None:
        from mlflow import MlflowClient  # pyrefly: ignore[missing-import]

        self._client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        self._run = session.recall("mlflow")
        if self._run is None:
            self._run = self._client.create_run(experiment, run_name=session.folder.name).info.run_id
            session.remember("mlflow", self._run)
            for key, value in session.settings.items():
                self._client.log_param(self._run, key, str(value)[:500])
        else:
            self._client.update_run(self._run, status="RUNNING")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def picture(self, step: int, name: str, image: Image) -> None:
        self._client.log_image(self._run, image, artifact_file=f"{name}-{step:08d}.png")

    def close(self) -> None:
        self._client.set_terminated(self._run)


class Trackio:
    """Trackio, which keeps its runs on this machine."""

    def __init__(self, session: Session) -> None:
        import trackio  # pyrefly: ignore[missing-import]

        self._library = trackio
        self._run = trackio.init(project=PROJECT, name=session.folder.name, config=session.settings, resume="allow")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, image: Image) -> None:
        self._run.log({name: self._library.Image(image)}, step=step)

    def close(self) -> None:
        self._run.finish()


def _tensorboard() -> None:
    import torch.utils.tensorboard  # noqa: F401


def _wandb() -> None:
    import wandb  # noqa: F401  # pyrefly: ignore[missing-import]


def _mlflow() -> None:
    import mlflow  # noqa: F401  # pyrefly: ignore[missing-import]


def _trackio() -> None:
    import trackio  # noqa: F401  # pyrefly: ignore[missing-import]


# name: (import its library, open it, how to get it)
TRACKERS: dict[str, tuple[Callable[[], None], Callable[[Session], Tracker], str]] = {
    "tensorboard": (_tensorboard, TensorBoard, 'pip install "scorefield[tensorboard]"'),
    "wandb": (_wandb, WandB, "pip install wandb"),
    "mlflow": (_mlflow, MLflow, "pip install mlflow"),
    "trackio": (_trackio, Trackio, "pip install trackio"),
}


def check(names: Iterable[str]) -> None:
    """Say before training starts what would be missing. Raises UserError: an unknown tracker, a library not here."""
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"tracker={name} is not known.{suggest(name, TRACKERS)}")
        load, _, how = TRACKERS[name]
        try:
            load()
        except ImportError as error:
            raise UserError(f"tracker={name} needs a library that is not here ({error}). Get it with: {how}") from error


def figures(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """evaluation.json as scalars: each figure and, beside it, the floor that real data reach."""
    scores = evaluation.get("evaluation", {}).get("scores", [])
    values = {f"evaluation/{score['name']}": score["value"] for score in scores}
    return values | {f"evaluation/{score['name']}_floor": score["floor"] for score in scores}


@dataclass
class Trackers:
    """Those that were asked for, told together; each that fails is left out and ``warn`` is called once."""

    session: Session
    warn: Callable[[str], object]
    opened: dict[str, Tracker] = field(default_factory=dict)

    def open(self) -> Trackers:
        """Open every tracker that the config names."""
        for name in self.session.config["train"].get("tracker") or ():
            self._guarded(name, lambda name=name: self.opened.__setitem__(name, TRACKERS[name][1](self.session)))
        return self

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of one step, for all of them."""
        for name, tracker in list(self.opened.items()):
            self._guarded(name, lambda tracker=tracker: tracker.scalars(step, values))

    def picture(self, step: int, name: str, image: Image) -> None:
        """A picture of one step, for all of them."""
        for own, tracker in list(self.opened.items()):
            self._guarded(own, lambda tracker=tracker: tracker.picture(step, name, image))

    def close(self) -> None:
        """Close all of them."""
        for name, tracker in list(self.opened.items()):
            self._guarded(name, tracker.close)
        self.opened.clear()

    def _guarded(self, name: str, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # somebody else's code, which may raise anything and must not end a training
            self.opened.pop(name, None)
            first = (str(error).strip().splitlines() or [""])[0]
            told = f"{type(error).__name__}{': ' * bool(first)}{first}"
            self.warn(f"tracker={name} failed ({told}) and is told nothing more; training goes on.")

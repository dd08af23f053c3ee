"""What each training process runs. It rebuilds everything from the run folder, so one process or many, the first start
or the tenth are the same path."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn

from scorefield.core import Rng
from scorefield.data import Dataset
from scorefield.runs import build, coding, coding_stage, env, recipes, weights
from scorefield.runs.classifying import is_classifier
from scorefield.runs.conditions import standardised
from scorefield.runs.disk import append
from scorefield.runs.display import Display, DisplayFactory, Silent
from scorefield.runs.folder import RunFolder
from scorefield.runs.loading import Run
from scorefield.runs.plan import Plan
from scorefield.runs.samples import PICTURED
from scorefield.runs.source import reopen, without_labels
from scorefield.runs.trackers import SERVED, Session, Trackers
from scorefield.show.files import write_aside
from scorefield.show.grid import thumbnail
from scorefield.training import Logged, PreviewDue, Saved, Squeezed, Started, Stopped, current_world, training_steps

UNFINISHED = ("interrupted", "diverged")
WEIGHTS = 7, 1  # numbers folded with the seed for the first weights


def worker(path: str, make_display: DisplayFactory) -> dict[str, Any]:
    """Train the run in ``path`` until something stops it; returns {"step", "reason", "message"}.

    Raises UserError when the data have changed, the disk is full, the config cannot be built."""
    folder = RunFolder(Path(path))
    config = folder.config()
    train = config["train"]
    world = current_world(train["device"])
    found = reopen(folder, config)
    dataset = conditioned(found, config)
    display = make_display() if world.main else Silent()
    codec, stage = build.codec(config), ""
    if coding.quantised(config):
        first = coding_stage.train(folder, config, found, display, world)
        if first.reason in UNFINISHED:
            return {"step": 0, "reason": first.reason, "message": first.message, "stage": coding_stage.CODEC}
        stage = "" if first.reason == coding_stage.TRAINED else "diffusion"
        codec = coding.load(config, folder, {}, world.device)
        dataset = coding_stage.coded(folder, dataset, codec, train["flip"], world)
    recorder = Recorder(folder, config, found, display, codec, stage) if world.main else None
    stopped = Stopped(0, "steps")
    for event in training_steps(
        initial(config),
        dataset,
        coding.Codes() if coding.quantised(config) else codec,
        build.objective(config),
        coding_stage.of_diffusion(folder, config),
        folder.checkpoints,
        device=train["device"],
        metadata=weights.metadata(config),
    ):
        if recorder is not None:
            recorder.take(event)
        if type(event) is Stopped:
            stopped = event
    return {"step": stopped.step, "reason": stopped.reason, "message": stopped.message}


def initial(config: dict[str, Any]) -> nn.Module:
    """The denoiser with the first weights of ``config``'s seed; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Rng.fold(config["train"]["seed"], *WEIGHTS))
        return build.denoiser(config)


def conditioned(dataset: Dataset, config: dict[str, Any]) -> Dataset:
    """As the network learns it: without labels where it learns none, with standardised numbers where it learns some."""
    labelled = dataset if config["net"].get("classes") else without_labels(dataset)
    return standardised(labelled, config)


@dataclass
class Recorder:
    """Writes down what happens, and shows it."""

    folder: RunFolder
    config: dict[str, Any]
    dataset: Dataset
    display: Display
    codec: Any
    stage: str = ""
    began: float = field(default_factory=monotonic)
    pictured: float = 0.0  # seconds spent on previews
    trackers: Trackers | None = None

    def take(self, event: Any) -> None:
        """One event of the training loop."""
        _TAKEN[type(event)](self, event)

    def started(self, event: Started) -> None:
        self._forget_after(event.step)
        stored = self.folder.env()
        notes = (*(() if self.stage else stored.get("notes", ())), *event.warnings)  # the first stage has told them
        made = Plan(self.config, stored.get("origins", {}), notes, self.folder.path, event.step, self.stage)
        self.display.started(made)
        self._say(f"started at step {event.step}" if event.step == 0 else f"resumed at step {event.step}")
        for sentence in (*event.decisions, *event.warnings):
            self._say(sentence)
        self.trackers = Trackers(Session(self.folder, self.config, event.step), self._warn).open()

    def logged(self, event: Logged) -> None:
        self._record("logged", **asdict(event))
        if self.trackers is not None:
            self.trackers.scalars(event.step, {name: getattr(event, name) for name in SERVED})
        self.display.logged(event)

    def preview(self, event: PreviewDue) -> None:
        """Draw, unless nobody asked for previews by number and they have taken more than their share of the time."""
        if is_classifier(self.config):
            return
        asked = self.folder.env().get("origins", {}).get("train.preview_every") == "command line"
        started = monotonic()
        if asked or self.pictured <= recipes.PREVIEW_SHARE * (started - self.began):
            self._preview(event)
            self.pictured += monotonic() - started

    def _preview(self, event: PreviewDue) -> None:
        device = next(event.denoiser.parameters()).device
        run = Run(self.config, event.denoiser, self.codec, self.folder, event.step, device)
        samples = run.preview(data=self.dataset)
        path = self.folder.preview_file(event.step)
        drawn = samples.save_picture(path, reference(self.dataset))
        if self.trackers is not None:
            self.trackers.picture(event.step, "samples", drawn)
        self._record("preview", step=event.step, path=str(path.relative_to(self.folder.path)))
        shown = samples.texts[0] if samples.texts else thumbnail(*samples.look(), schema=samples.schema)
        self.display.preview(shown, path)

    def squeezed(self, event: Squeezed) -> None:
        """Said, and kept: memory that ran out says something about the machine."""
        self._record("squeezed", **asdict(event))
        self._warn(event.message)

    def saved(self, event: Saved) -> None:
        self._record("saved", step=event.step)
        self.display.saved(event)

    def stopped(self, event: Stopped) -> None:
        self._record("stopped", step=event.step, reason=event.reason, message=event.message)
        self._say(f"stopped at step {event.step}: {event.reason}. {event.message}".strip())
        if self.trackers is not None:
            self.trackers.close()
        self.display.stopped(replace(event, denoiser=None))

    def _record(self, kind: str, **values: Any) -> None:
        append(self.folder.metrics_file, json.dumps({"event": kind} | values))

    def _warn(self, sentence: str) -> None:
        self._say(sentence)
        self.display.note(sentence)

    def _say(self, sentence: str) -> None:
        self.folder.note(sentence, env.now())

    def _forget_after(self, step: int) -> None:
        """What a killed session logged beyond its last checkpoint happens again: keep the record a single line."""
        kept = [record for record in self.folder.history() if record.get("step", 0) <= step]
        if len(kept) < len(self.folder.history()):
            write_aside(self.folder.metrics_file, "".join(json.dumps(record) + "\n" for record in kept))


def reference(dataset: Dataset) -> Any:
    """Real examples to draw under the samples; images and texts need none."""
    return None if dataset.kind in PICTURED else dataset.x[: recipes.PICTURED[dataset.kind]]


_TAKEN = {
    Started: Recorder.started,
    Logged: Recorder.logged,
    PreviewDue: Recorder.preview,
    Squeezed: Recorder.squeezed,
    Saved: Recorder.saved,
    Stopped: Recorder.stopped,
}

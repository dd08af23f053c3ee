"""The first of two stages: training the quantiser of a run, and writing down what it makes of the data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from scorefield.core import Rng
from scorefield.data import Dataset, Pixels
from scorefield.objectives import Quantising
from scorefield.runs import build, coding, env, recipes_coded, weights
from scorefield.runs.disk import append
from scorefield.runs.display import Display
from scorefield.runs.folder import RunFolder
from scorefield.runs.plan import Plan
from scorefield.show.files import write_aside
from scorefield.show.film import save_picture
from scorefield.show.grid import picture, thumbnail
from scorefield.training import Logged, PreviewDue, Settings, Squeezed, Started, Stopped, World, newest, training_steps

CODEC, TRAINED = "codec", "trained"
WEIGHTS = 7, 2  # numbers folded with the seed for the first weights
OF_THE_RUN = ("seed", "flip", "precision", "channels_last", "keep", "clip")


def settings(config: dict[str, Any]) -> Settings:
    """How the quantiser is trained: as [train.codec] says, and otherwise as the network."""
    train = config["train"]
    own = {"steps": None, "minutes": None} | train["codec"]
    rest = {name: train[name] for name in OF_THE_RUN if name in train}
    whole = {"ema": (), "compile": False, "shard": False}  # the table moves by itself, between the steps of any of them
    return Settings(logs=40, log_every=0, previews=recipes_coded.PREVIEWS, **whole | rest | own)


def of_diffusion(folder: RunFolder, config: dict[str, Any]) -> Settings:
    """The settings of the network's training: the minutes of a run are those of both stages."""
    made = build.settings(config)
    if not coding.quantised(config):
        return made
    last = newest(coding.folder_of(folder).checkpoints) if "codec" in config["train"] else None
    spent = 0.0 if last is None else last.state["seconds"] / 60
    minutes = None if made.minutes is None else max(made.minutes - spent, 1e-3)
    return replace(made, minutes=minutes, flip=False)  # the codes of mirrored images are among the data


def train(folder: RunFolder, config: dict[str, Any], dataset: Dataset, display: Display, world: World) -> Stopped:
    """Train the quantiser of a run until something stops it, and write it down where it was trained to its end. The
    reason is "trained" where that is done already, or it was lent.

    Raises UserError as training does."""
    file, own = coding.file_of(folder), coding.folder_of(folder)
    if world.first(file.is_file):
        return Stopped(0, TRAINED)
    own.path.mkdir(exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Rng.fold(config["train"]["seed"], *WEIGHTS))
        net: Any = build.codec(config)
    teller = Teller(folder, own, config, dataset, display) if world.main else None
    stopped = Stopped(0, "steps")
    how, objective = settings(config), cast(Any, Quantising())
    header = weights.metadata(config)
    bare = replace(dataset, labels=None, conditions=None)
    for event in training_steps(
        net, bare, Pixels(), objective, how, own.checkpoints, device=config["train"]["device"], metadata=header
    ):
        if teller is not None:
            teller.take(event)
        if type(event) is Stopped:
            stopped = event
    if stopped.reason in ("steps", "images", "minutes"):
        last = newest(own.checkpoints)
        assert last is not None  # the loop saves at its end
        if teller is not None:
            teller.draw(own.samples / "final.png", net)
        world.first(lambda: str(weights.write(file, last.tensors("model"), config, last.step)))
    return stopped


@dataclass
class Teller:
    """Writes down and shows how the first stage goes: in codec/metrics.jsonl, and pictures of what comes back."""

    folder: RunFolder
    own: RunFolder
    config: dict[str, Any]
    dataset: Dataset
    display: Display

    def take(self, event: Any) -> None:
        """One event of the training loop."""
        if type(event) in TAKEN:
            TAKEN[type(event)](self, event)

    def started(self, event: Started) -> None:
        stored = self.folder.env()
        train = self.config["train"] | {"steps": None, "images": None, "minutes": None} | self.config["train"]["codec"]
        notes = (*stored.get("notes", ()), *event.warnings)
        config = self.config | {"train": train}
        self.display.started(Plan(config, stored.get("origins", {}), notes, self.folder.path, event.step, CODEC))
        self._say(f"the codec started at step {event.step}")

    def logged(self, event: Logged) -> None:
        append(self.own.metrics_file, json.dumps({"event": "logged"} | asdict(event)))
        self.display.logged(event)

    def preview(self, event: PreviewDue) -> None:
        path = self.own.preview_file(event.step)
        self.display.preview(thumbnail(self.draw(path, event.denoiser), "images"), path)

    def draw(self, path: Path, codec: Any) -> Tensor:
        """Write the picture of what the codec gives back; returns what is in it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pair = before_and_after(codec, self.dataset)
        save_picture(path, picture(pair, "images", across=recipes_coded.SHOWN))
        return pair

    def squeezed(self, event: Squeezed) -> None:
        """Memory ran out, and what was done about it."""
        self._say(event.message)
        self.display.note(event.message)

    def stopped(self, event: Stopped) -> None:
        self._say(f"the codec stopped at step {event.step}: {event.reason}. {event.message}".strip())
        self.display.stopped(replace(event, denoiser=None))

    def _say(self, sentence: str) -> None:
        self.folder.note(sentence, env.now())


TAKEN: dict[type, Any] = {
    Started: Teller.started,
    Logged: Teller.logged,
    PreviewDue: Teller.preview,
    Squeezed: Teller.squeezed,
    Stopped: Teller.stopped,
}


def before_and_after(codec: Any, dataset: Dataset) -> Tensor:
    """A row of images that were not learned, where there are some, above what the codec makes of them."""
    data = dataset.held_out or dataset
    index = torch.linspace(0, len(data) - 1, min(recipes_coded.SHOWN, len(data))).long()
    x = data.batch(index)["x"]
    training = codec.training
    codec.eval()
    back = codec.decode(codec.encode(x)).cpu()
    codec.train(training)
    return torch.cat((x, back))


def coded(folder: RunFolder, dataset: Dataset, codec: nn.Module, flip: bool, world: World) -> Dataset:
    """The codes of the data as data, mirrored images beside the others where ``flip``; computed once and kept, so that
    another machine goes on with the same."""
    path = coding.folder_of(folder).path / "codes.safetensors"
    known = f"{dataset.fingerprint}{'/flip' if flip else ''}"
    world.first(lambda: _write(path, known, dataset, codec, flip) if _named(path) != known else None)
    return replace(
        dataset,
        kind="categories",
        x=load_file(path)["codes"],
        labels=_repeated(dataset.labels, 1 + flip),
        conditions=_repeated(dataset.conditions, 1 + flip),
        captions=None,
        key=None,
        held_out=None,
    )


def _repeated(values: Tensor | None, times: int) -> Tensor | None:
    return None if values is None else torch.cat([values] * times)


def _named(path: Path) -> str:
    """Of which data the codes at ``path`` are; "" where there are none."""
    try:
        with safe_open(path, framework="pt") as file:  # pyrefly: ignore[not-callable]
            return (file.metadata() or {}).get("data", "")
    except (OSError, SafetensorError):
        return ""


def _write(path: Path, known: str, dataset: Dataset, codec: Any, flip: bool) -> None:
    dtype = torch.uint8 if codec.classes <= 256 else torch.int32
    parts = []
    for turned in (False, True)[: 1 + flip]:
        for index in torch.arange(len(dataset)).split(256):
            x = dataset.batch(index)["x"]
            parts.append(codec.encode(x.flip(-1) if turned else x).to("cpu", dtype))
    write_aside(path, save({"codes": torch.cat(parts)}, {"data": known}))

"""A run in words and figures, for its report and its card: read from the folder, nothing computed anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorefield.config import toml_value
from scorefield.metrics import Evaluation, Score
from scorefield.options import flatten
from scorefield.runs import build
from scorefield.runs.classifying import is_classifier
from scorefield.runs.disk import read_json
from scorefield.runs.folder import RunFolder
from scorefield.runs.recipes import GAUSSIAN, MIXED, ORDERED, TOKENS
from scorefield.runs.story import PLURALS, destroys, readable
from scorefield.show.story import Metric, Setting

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

Pairs = list[tuple[str, str]]
NETS = {
    "mlp": "an MLP",
    "unet": "a U-Net",
    "dit": "a diffusion transformer",
    "edm2": "a magnitude-preserving U-Net",
    "transformer": "a transformer",
    "sequence": "a transformer for sequences",
    "pixelcnn": "a Gated PixelCNN",
    "pixelcnn++": "a PixelCNN++",
}
NOISES: dict[str, Callable[[dict[str, Any]], str]] = {
    GAUSSIAN: lambda process: f"on the {process['schedule']['type']} noise schedule",
    MIXED: lambda process: (
        f"on the {process['numbers']['schedule']['type']} noise schedule for numbers and masks for tokens"
    ),
    ORDERED: lambda process: f"that draws pixel after pixel among {process['levels']} levels",
    TOKENS: lambda process: f"on noise that {destroys(process)} on the {process['keep']['type']} schedule",
}
LONGEST = 600  # letters of a value in the report
VERSIONS = ("scorefield", "torch", "python", "numpy", "platform", "device", "gpu", "threads", "git")


@dataclass(frozen=True)
class Account:
    """What can be told of ``run``."""

    run: Run
    folder: RunFolder

    @cached_property
    def _env(self) -> dict[str, Any]:
        return self.folder.env()

    @cached_property
    def _logged(self) -> list[dict[str, Any]]:
        return [record for record in self.folder.history() if record.get("event") == "logged"]

    @cached_property
    def _stored(self) -> dict[str, Any]:
        return read_json(self.folder.evaluation_file, {})

    @cached_property
    def _scores(self) -> list[Score]:
        return list(Evaluation.from_json(self._stored["evaluation"])) if self._stored else []

    @property
    def _found(self) -> dict[str, Any]:
        return self.run.config["data"]["found"]

    def story(self) -> str:
        """One paragraph: what was trained on what, for how long."""
        name = self.run.config["net"].get("body", self.run.config["net"]["type"])
        net = NETS.get(name, f"the network {name}")
        conditional = "class-conditional " if self.run.classes else ""
        model = "noise-aware classifier" if self._classifies else f"{conditional}diffusion model"
        return (
            f"A {model} of {self._found['name']}: {net} with {self._parameters()} parameters "
            f"{NOISES[self.run.family](self.run.config['process'])}, trained for {self.run.step:,} steps on "
            f"{self._found['examples']:,} examples."
        )

    def training(self) -> str:
        """How it was trained, in sentences."""
        train = self.run.config["train"]
        ema = f" Its weights are averaged with σ_rel = {train['ema'][0]:g}." if train["ema"] else ""
        return (
            f"{self.run.step:,} steps of batch {train['batch']} with AdamW (learning rate {train['lr']:g}, "
            f"{train['decay']}) in {_duration(self._seconds())}, seed {train['seed']}.{ema}"
        )

    def facts(self) -> Pairs:
        """Short (name, value) pairs."""
        pairs = [
            ("data", f"{self._found['name']}, {self._found['examples']:,}"),
            ("parameters", self._parameters()),
            ("steps", f"{self.run.step:,}"),
            ("training", _duration(self._seconds())),
        ]
        return [*pairs, ("loss", f"{self._logged[-1]['loss']:.4g}")] if self._logged else pairs

    def curve(self) -> tuple[list[int], list[float]]:
        """(steps, losses), each (N,)."""
        return [record["step"] for record in self._logged], [record["loss"] for record in self._logged]

    def sampling(self) -> str:
        """How samples are drawn unless told otherwise."""
        usual = self.run.config["sample"]
        return f"solver {usual['solver']}, {usual['steps']} steps"

    def metrics(self) -> list[Metric]:
        """The last evaluation."""
        return [
            Metric(
                name=score.label.removesuffix(f" ({score.features})"),
                value=score.value,
                se=score.se,
                floor=score.floor,
                floor_se=score.floor_se,
                lower_is_better=score.better != "higher",
                n=f"{score.n_fake:,} against {score.n_real:,}" if score.n_real else f"{score.n_fake:,}",
                features=f"features: {score.features}",
                se_from=f"± by {score.se_from}" if score.se_from else "",
                reading="; ".join(filter(None, (score.reading, score.note))),
            )
            for score in self._scores
        ]

    def metrics_note(self) -> str:
        """How the last evaluation was made."""
        if not self._stored:
            return ""
        notes = " ".join(note.rstrip(".") + "." for note in self._stored["evaluation"]["notes"])
        return f"{self._measured()} of step {self._stored['step']:,} against {self._stored['against']}. {notes}"

    @cached_property
    def _likelihood(self) -> dict[str, Any]:
        return read_json(self.folder.likelihood_file, {})

    def noises(self) -> tuple[list[float], list[float]]:
        """(log σ/α, bits a dimension that noise around it adds to the bound), (N,) each; empty before bits_per_dim."""
        chart = self._likelihood.get("by_level", {"edges": [], "bits": []})
        return [(a + b) / 2 for a, b in pairwise(chart["edges"])], chart["bits"]

    def bits_caption(self) -> str:
        """The figures that the chart belongs to."""
        if not self._likelihood:
            return ""
        scores = Evaluation.from_json(self._likelihood["evaluation"])
        figures = "; ".join(f"{s.label} {s.row()['samples']}, training data {s.row()['floor']}" for s in scores)
        curve = (
            " The curve is what the bound pays at each level of noise; the rest of it is the last step to clean data."
        )
        return (
            f"Step {self._likelihood['step']:,} against {self._likelihood['against']}, {scores.scores[0].n_fake:,} "
            f"examples: {figures}.{curve if 'by_level' in self._likelihood else ''}"
        )

    def _measured(self) -> str:
        return "The classifier" if self._classifies else f"{self._stored['n']:,} samples"

    def data_story(self) -> str:
        """What it was trained on, in a sentence."""
        found, shape = self._found, "×".join(map(str, self._found["shape"]))
        held_out = f"; {found['held_out']:,} more were held out" if found["held_out"] else ""
        classes = f" in {len(found['classes'])} classes" if found["classes"] else ""
        kind = PLURALS.get(found["kind"], found["kind"])
        return f"{found['name']}: {found['examples']:,} {kind} of shape {shape}{classes}{held_out}."

    def data_facts(self) -> Pairs:
        """Where the data came from, and what tells them from others."""
        found = self._found
        pairs = [("source", Path(self.run.config["data"]["source"]).name), ("fingerprint", found["fingerprint"])]
        return [*pairs, ("classes", _listed(found["classes"]))] if found["classes"] else pairs

    def notes(self) -> list[str]:
        """Conversions of the data and compromises of the plan."""
        return list(self._env.get("notes", []))

    def settings(self) -> list[Setting]:
        """Every value of the config with where it came from."""
        origins = self._env.get("origins", {})
        rows = []
        for path, value in flatten(self.run.config).items():
            section, _, key = path.rpartition(".")
            rows.append(Setting(section, key, _shortened(toml_value(value)), origins.get(path, "")))
        return rows

    def command(self) -> str:
        """What was typed to make it."""
        return self._first.get("command", "")

    def versions(self) -> Pairs:
        """Software and machine of the first start."""
        return [(name, str(self._first[name])) for name in VERSIONS if self._first.get(name)]

    @property
    def _classifies(self) -> bool:
        return is_classifier(self.run.config)

    def shell(self) -> str:
        """A command that samples it, or with it."""
        if self._classifies:
            return f"scorefield sample RUN classifier={self.folder.path} class={self.run.classes[0]}"
        return f"scorefield sample {self.folder.path}"

    def python(self) -> str:
        """Code that loads and samples it."""
        if self._classifies:
            loaded = 'import scorefield\n\nrun = scorefield.load("runs/OTHER")  # on the same data\n'
            return f'{loaded}run.sample(16, classifier="{self.folder.path}").save("samples.png")'
        file = "samples.txt" if self.run.kind == "text" else "samples.png"
        return f'import scorefield\n\nrun = scorefield.load("{self.folder.path}")\nrun.sample(16).save("{file}")'

    def limits(self) -> list[str]:
        """What it cannot do or what was not checked."""
        scores = {score.name: score for score in self._scores}
        said = [
            f"It knows {self._found['examples']:,} examples of {self._found['name']} and nothing else.",
            "scorefield does not know the licence of the data: look before you publish samples or weights.",
        ]
        if not scores:
            said.append("It was not evaluated.")
        if "frechet" in scores and not scores["frechet"].features.startswith("inception"):
            said.append(f"{scores['frechet'].label} is not the FID of the literature: the features are others.")
        if "copies" in scores:
            said.append(f"Copies of training examples: {scores['copies'].note}.")
        return said

    @property
    def _first(self) -> dict[str, Any]:
        return next(iter(self._env.get("starts", [])), {})

    def _seconds(self) -> float:
        return self._logged[-1]["seconds"] if self._logged else 0.0

    def _parameters(self) -> str:
        return readable(build.parameters(self.run.denoiser))


def _shortened(text: str) -> str:
    """What fits into a report: the codec of a table has numbers that only config.toml shows in full."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} letters in config.toml)"


def _duration(seconds: float) -> str:
    """``41 seconds``, ``12 minutes``, ``3.5 hours``."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")

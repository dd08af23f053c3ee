"""Systems that were made for likelihood, side by side on one data set: each trained as a run of its own, all measured
on the same held-out examples."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scorefield.errors import UserError, suggest
from scorefield.metrics import Evaluation, Score
from scorefield.options import option_of
from scorefield.runs import build
from scorefield.runs.disk import read_json, write_json
from scorefield.runs.display import DisplayFactory
from scorefield.runs.launching import train
from scorefield.runs.loading import Run
from scorefield.runs.source import open_source, source_of
from scorefield.show.files import write_aside

STEPS = 1200  # of each system: minutes on a CPU
FILE = "bits.json"  # in the folder of a run: what its training took
READING = ("size", "color", "holdout")


class System(NamedTuple):
    """Options of ``scorefield train``, and what the system is, in a sentence."""

    options: dict[str, Any]
    told: str


_DDPM = {"schedule": "ddpm", "predict": "eps", "weight": "simple"}
_FLOW = {"schedule": "vp", "weight": "likelihood", "dequantise": "variational"}
SYSTEMS = {
    "ddpm": System(_DDPM, "trained to predict the noise; a thousand steps, their variance fixed (Ho et al. 2020)"),
    "iddpm": System(
        {"variance": "learned"}, "cosine steps whose variance is learned, hybrid loss (Nichol and Dhariwal 2021)"
    ),
    "iddpm-vlb": System(
        {"variance": "learned", "weight": "likelihood"},
        "the same with the bound as its loss, steps drawn by their loss (Nichol and Dhariwal 2021)",
    ),
    "vdm": System({"schedule": "learned"}, "the bound in continuous time, with a noise schedule that is learned "
                  "(Kingma et al. 2021)"),
    "scoreflow": System(
        _FLOW, "likelihood weighting, importance-sampled times, variational dequantisation (Song et al. 2021b)"
    ),
    "pixelcnn": System({"model": "pixelcnn"}, "pixel after pixel, a softmax each (van den Oord et al. 2016)"),
    "pixelcnn++": System(
        {"model": "pixelcnn++"}, "pixel after pixel, a mixture of discretised logistics each (Salimans et al. 2017)"
    ),
}  # fmt: skip
USUAL = ("ddpm", "iddpm", "vdm", "scoreflow", "pixelcnn++")
HEAD = ("system", "bits/dim", "of", "on training data", "parameters", "steps", "CPU seconds", "other figures")


@dataclass(frozen=True)
class Row:
    """One system: its figures, and what they took."""

    system: str
    run: str
    scores: tuple[Score, ...]
    parameters: int
    steps: int
    cpu_seconds: float  # of training

    @property
    def best(self) -> Score:
        """The lowest: each is an upper bound on the same number of bits, so the least says most."""
        return min(self.scores, key=lambda score: score.value)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        figures = {s.name: {"value": s.value, "se": s.se, "train": s.floor, "train_se": s.floor_se, "n": s.n_fake}
                   for s in self.scores}  # fmt: skip
        return {"system": self.system, "run": self.run, "best": self.best.name, "figures": figures} | {
            "parameters": self.parameters, "steps": self.steps, "cpu_seconds": round(self.cpu_seconds, 1)
        }  # fmt: skip

    def cells(self) -> tuple[str, ...]:
        """Under HEAD."""
        best = self.best
        others = "; ".join(f"{_of(s)} {_shown(s.value, s.se)}" for s in self.scores if s is not best)
        trained = _shown(best.floor or math.nan, best.floor_se)
        sizes = (f"{self.parameters:,}", f"{self.steps:,}", f"{self.cpu_seconds:.0f}")
        return (self.system, _shown(best.value, best.se), _of(best), trained, *sizes, others)


def _of(score: Score) -> str:
    return score.label.partition("(")[2].rstrip(")")


def _shown(value: float, se: float | None) -> str:
    return f"{value:.3f}" + (f" ± {se:.3f}" if se is not None and math.isfinite(se) else "")


@dataclass(frozen=True)
class Bits:
    """The table, lowest first, and where it lies."""

    data: str
    rows: tuple[Row, ...]
    seconds: float  # CPU, of all of it
    levels: int = 256
    files: tuple[Path, ...] = ()

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The head and the rows, as text."""
        return [HEAD, *(row.cells() for row in self.rows)]

    @property
    def notes(self) -> list[str]:
        """What must be known to read it."""
        n = self.rows[0].scores[0].n_fake
        uniform = f" Spread evenly over its {self.levels} levels a dimension costs {math.log2(self.levels):.3f}."
        return [
            f"Bits a dimension of {n} held-out examples of {self.data}, the same for every system, ± one standard "
            f"error (the spread between examples). Without classes; one seed.{uniform}",
            "Every figure is −log₂ of a probability of the levels or an upper bound on it, so for each system the "
            "lowest of its figures counts: `flow` and the bounds are of different models with the same network.",
            "A bound in steps goes down to the noise of the first step, far below the spacing of coarse levels, and "
            "pays for what the network does not know there; that in continuous time ends at a third of half a bin.",
            "All systems were trained for so few steps that the order says what is learned soon, not what is best.",
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        rows = [row.to_json() for row in self.rows]
        return {"data": self.data, "levels": self.levels, "cpu_seconds": round(self.seconds, 1), "rows": rows}

    def markdown(self) -> str:
        """The page."""
        head, *rows = self.cells
        lines = [f"# Bits per dimension on {self.data}", "", "\n\n".join(self.notes), ""]
        table = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
        training = sum(row.cpu_seconds for row in self.rows)
        took = f"{training:.0f} CPU seconds of training; this call took {self.seconds:.0f} in all."
        told = [f"- `{row.system}`: {SYSTEMS[row.system].told}." for row in self.rows]
        return "\n".join([*lines, *table, "", *told, "", took]) + "\n"


def bits(
    data: Any,
    systems: Sequence[str] | str | None = None,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    n: int = 128,
    name: str | None = None,
    runs: str | Path = "runs",
    seed: int = 0,
    device: str = "auto",
    size: int | None = None,
    color: str | None = None,
    holdout: float | None = None,
    display: DisplayFactory | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bits:
    """Train ``systems`` (names of SYSTEMS) on images and measure bits a dimension of ``n`` held-out examples.

    Each is an ordinary run NAME-SYSTEM in ``runs``, of ``steps`` steps (1,200 unless ``minutes`` are given); the same
    call again goes on where it stopped. The table is stored beside them, NAME-bits.md and NAME-bits.json.
    ``size``, ``color`` and ``holdout`` are those of ``train``.
    Raises UserError for an unknown system, and for data that are not images, before anything is trained.
    """
    names = _named(systems)
    began = time.process_time()
    said = {"size": size, "color": color, "holdout": holdout, "minutes": minutes, "seed": seed, "device": device}
    said["steps"] = steps if steps or minutes else STEPS
    said = {key: value for key, value in said.items() if value not in (None, "auto")}
    common = said | {"conditional": "no", "runs": str(runs), "evaluate": False, "preview": 0}
    base = name or source_of(data).name
    _check(data, common)
    rows, levels, called = [], 256, base
    for done, system in enumerate(names):
        if progress is not None:
            progress(done, len(names))
        run, folder, seconds = _trained(data, f"{base}-{system}", SYSTEMS[system].options | common, display)
        scores = tuple(_measured(run, n, seed))
        rows.append(Row(system, str(folder), scores, build.parameters(run.denoiser), run.step, seconds))
        levels, called = _levels(run), run.data_name
    rows.sort(key=lambda row: row.best.value)
    made = Bits(called, tuple(rows), time.process_time() - began, levels)
    files = tuple(Path(runs) / f"{base}-bits.{ending}" for ending in ("md", "json"))
    write_aside(files[0], made.markdown())
    write_json(files[1], made.to_json())
    return Bits(made.data, made.rows, made.seconds, levels, files)


def _named(systems: Sequence[str] | str | None) -> list[str]:
    names = option_of("bits", "systems").parse(systems) if systems else list(USUAL)
    for system in names:
        if system not in SYSTEMS:
            raise UserError(f"systems: none is called {system!r}.{suggest(system, SYSTEMS)}")
    return list(dict.fromkeys(names))


def _check(data: Any, options: dict[str, Any]) -> None:
    """Raises UserError for data whose bits cannot be compared."""
    dataset = open_source(source_of(data), options)
    if dataset.kind != "images":
        raise UserError(f"bits compares systems on images, but {dataset.name} holds {dataset.kind}. Give others.")
    if dataset.held_out is None:
        raise UserError(f"nothing of {dataset.name} is held out, and bits are measured on that. Write holdout=0.1.")


def _trained(data: Any, name: str, options: dict[str, Any], display: DisplayFactory | None) -> tuple[Run, Path, float]:
    """The run, its folder, and the CPU seconds that its training took in all sessions."""
    began = time.process_time()
    run = train(data, display=display, name=name, **options)
    if run.stopped.get("reason") == "interrupted":
        raise KeyboardInterrupt
    folder: Any = run.folder
    path = folder.path / FILE
    before = read_json(path, {})
    seconds = before.get("cpu_seconds", 0.0)
    if before.get("step") != run.step:
        seconds += time.process_time() - began
        write_json(path, {"step": run.step, "cpu_seconds": seconds})
    return run, folder.path, seconds


def _measured(run: Run, n: int, seed: int) -> Evaluation:
    """Every figure of a run; what was measured before of the same weights and examples is not measured again."""
    folder: Any = run.folder
    stored = read_json(folder.likelihood_file, {})
    if stored.get("step") == run.step and stored.get("against") == f"{run.data_name} (held out)":
        found = Evaluation.from_json(stored["evaluation"])
        if found.seed == seed and all(score.n_fake == n for score in found):
            return found
    return run.evaluate(bits_per_dim=True, n=n, seed=seed)


def _levels(run: Run) -> int:
    found = run.config["data"]["found"].get("levels")
    return int(found["count"]) if found else 256

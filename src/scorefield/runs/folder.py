"""The run folder: where each thing lies, how a run is found by what the user typed, and in which state it is.

Torch-free, so that listing runs is instant."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scorefield.errors import UserError
from scorefield.runs.disk import append, read_json, read_lines
from scorefield.runs.lock import holder

FORMAT = 1  # of config.toml and of the config inside final/model.safetensors; raised when an older reader would err
RUNS = "runs"  # the folder of run folders, under the current directory


@dataclass(frozen=True)
class RunFolder:
    """Names of everything in a run folder. A kill at any instant leaves it readable: files are replaced as a whole."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's own name, by which a run is called."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """The complete config; each line says where its value came from."""
        return self.path / "config.toml"

    @property
    def env_file(self) -> Path:
        """Options the user gave, where each value came from, and every start: versions, device, command."""
        return self.path / "env.json"

    @property
    def command_file(self) -> Path:
        """What was typed to make the run."""
        return self.path / "command.txt"

    @property
    def metrics_file(self) -> Path:
        """One JSON object a line: what was logged, saved and why it stopped."""
        return self.path / "metrics.jsonl"

    @property
    def log_file(self) -> Path:
        """Sentences with their time, for people."""
        return self.path / "log.txt"

    @property
    def samples(self) -> Path:
        """Folder of pictures: step-*.png while training, final.png after it."""
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        """Folder of step-*/: weights, averages, optimiser and state, whole or not there."""
        return self.path / "checkpoints"

    @property
    def weights_file(self) -> Path:
        """The averaged weights with the config in their metadata: this one file is loadable alone."""
        return self.path / "final" / "model.safetensors"

    @property
    def evaluation_file(self) -> Path:
        """The last evaluation: figures, and how the samples were drawn."""
        return self.path / "evaluation.json"

    @property
    def likelihood_file(self) -> Path:
        """The last bits per dimension, and what each noise level adds to them."""
        return self.path / "likelihood.json"

    @property
    def average_file(self) -> Path:
        """The last sweep over widths of the averaged weights."""
        return self.path / "ema.json"

    @property
    def average_picture(self) -> Path:
        """Its picture."""
        return self.path / "ema.png"

    @property
    def report_file(self) -> Path:
        """One page that opens offline."""
        return self.path / "report.html"

    @property
    def card_file(self) -> Path:
        """The model card."""
        return self.path / "README.md"

    @property
    def done_file(self) -> Path:
        """Exists once training ended and everything after it (final/, evaluation, report) was written."""
        return self.path / "DONE"

    @property
    def data_file(self) -> Path:
        """The training data of a run that was given arrays instead of a name or a path."""
        return self.path / "data.npz"

    def table_file(self, steps: int) -> Path:
        """The sampler tuned to ``steps`` evaluations."""
        return self.path / "tables" / f"{steps}.json"

    def tables(self) -> list[tuple[int, Path]]:
        """(steps, file) of every tuned sampler, fewest steps first; not those that newer ones have replaced."""
        found = (self.path / "tables").glob("*.json")
        return sorted((int(p.stem), p) for p in found if p.stem.isdigit())

    def preview_file(self, step: int) -> Path:
        """The picture drawn at ``step``."""
        return self.samples / f"step-{step:08d}.png"

    def previews(self) -> list[tuple[int, Path]]:
        """(step, picture) in the order of training."""
        found = self.samples.glob("step-*.png")
        return sorted((int(p.stem[5:]), p) for p in found if p.stem[5:].isdigit())

    def config(self) -> dict[str, Any]:
        """The config as plain data. Raises UserError where it is missing, torn or of a newer format."""
        try:
            config = tomllib.loads(self.config_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(_not_a_run(self.path)) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{self.config_file} cannot be read as TOML: {error}.") from error
        check_format(config, self.config_file)
        return config

    def env(self) -> dict[str, Any]:
        """What env.json holds; empty where it is missing or torn."""
        return read_json(self.env_file, {})

    def history(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl."""
        return read_lines(self.metrics_file)

    def note(self, sentence: str, when: str) -> None:
        """Add a line to log.txt."""
        append(self.log_file, f"{when}  {sentence}")

    def state(self) -> str:
        """``running``, ``done``, ``diverged`` or ``interrupted``."""
        if holder(self.path) is not None:
            return "running"
        if self.done_file.exists():
            return "done"
        reasons = [r["reason"] for r in self.history() if r.get("event") == "stopped"]
        return "diverged" if reasons[-1:] == ["diverged"] else "interrupted"

    def step(self) -> int:
        """The last step that metrics.jsonl knows of."""
        return max((r["step"] for r in self.history() if "step" in r), default=0)

    def touched(self) -> float:
        """When something last happened here (seconds since the epoch)."""
        files = (self.config_file, self.metrics_file, self.done_file)
        return max((f.stat().st_mtime for f in files if f.exists()), default=0.0)


def check_format(config: dict[str, Any], where: Path) -> None:
    """Raises UserError for a config that this version cannot understand."""
    given = config.get("format")
    if not isinstance(given, int):
        raise UserError(f"{where} has no 'format' number, so it was not written by scorefield.")
    if given > FORMAT:
        raise UserError(
            f"{where} has format {given}, written by a newer scorefield; this one reads up to format {FORMAT}. "
            'Update it with: python -m pip install --upgrade "scorefield"'
        )


class Found(NamedTuple):
    """What a user's words pointed at: a run folder, perhaps one file of weights or one checkpoint of it."""

    folder: RunFolder | None
    weights: Path | None = None  # a .safetensors file that holds its config
    checkpoint: Path | None = None  # a folder step-… of the run


def is_run(path: Path) -> bool:
    """Whether ``path`` is a run folder: config.toml makes it one."""
    return (path / "config.toml").is_file()


def runs_in(root: str | Path = RUNS) -> Iterator[RunFolder]:
    """Every run folder directly inside ``root``, oldest first."""
    root = Path(root)
    folders = [RunFolder(p) for p in root.iterdir() if is_run(p)] if root.is_dir() else []
    yield from sorted(folders, key=lambda folder: (folder.touched(), folder.name))


def find(run: str | Path, runs: str | Path = RUNS) -> Found:
    """What ``run`` names: a run folder, its final/ or one of its checkpoints, one .safetensors file, ``last``, or a
    unique prefix of the name of a run in ``runs``.

    Raises UserError: nothing there, not a run folder (saying what is missing), an ambiguous prefix (listing them)."""
    path = Path(run).expanduser()
    if str(run) == "last" and not path.exists():
        return Found(_last(Path(runs)))
    if path.is_file():
        return _file(path)
    if path.is_dir():
        return _directory(path)
    root = path.parent if path.parent != Path(".") else Path(runs)
    return Found(_prefixed(path.name, root, str(run)))


def _last(root: Path) -> RunFolder:
    newest = list(runs_in(root))[-1:]
    if not newest:
        raise UserError(f"There are no runs in {root}/ yet. Train one first: scorefield train digits")
    return newest[0]


def _file(path: Path) -> Found:
    if path.suffix == ".safetensors":
        beside = path.parent.parent
        return Found(RunFolder(beside) if path.parent.name == "final" and is_run(beside) else None, path)
    if path.name == "config.toml":
        return Found(RunFolder(path.parent))
    raise UserError(f"{path} is not a run folder and not a .safetensors file. Give one of the two, or 'last'.")


def _directory(path: Path) -> Found:
    owners = path.resolve().parents
    if is_run(path):
        return Found(RunFolder(path))
    if path.name == "final" and (path / "model.safetensors").is_file():
        return _file(path / "model.safetensors")
    if (path / "state.json").is_file() and len(owners) > 1 and is_run(owners[1]):
        return Found(RunFolder(owners[1]), checkpoint=path)
    raise UserError(_not_a_run(path))


def _prefixed(prefix: str, root: Path, typed: str) -> RunFolder:
    known = {folder.name: folder for folder in runs_in(root)}
    if prefix in known:
        return known[prefix]
    matches = sorted(name for name in known if name.startswith(prefix))
    if len(matches) == 1:
        return known[matches[0]]
    if matches:
        raise UserError(f"{typed!r} could be {_listed(matches)} in {root}/. Write more of the name.")
    there = f"Runs in {root}/: {_listed(sorted(known))}." if known else f"There are no runs in {root}/ yet."
    raise UserError(f"No run is called {typed!r}. {there} Write one of them, a path, or 'last'.")


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown


def _not_a_run(path: Path) -> str:
    inside = list(runs_in(path))
    if inside:
        return (
            f"{path} is not a run folder but holds {len(inside)}: {_listed([f.name for f in inside])}. "
            f"Write one of them, such as {path / inside[-1].name}."
        )
    return f"{path} is not a run folder: it has no config.toml. Runs are made by: scorefield train DATA"


def free_name(name: str, root: Path) -> str:
    """``name``, or the first of name-2, name-3 … that no folder has. One that a killed start left empty is free."""
    taken = {p.name for p in root.iterdir() if not _is_bare(p)} if root.is_dir() else set()
    numbered = (f"{name}-{k}" if k > 1 else name for k in range(1, len(taken) + 2))
    return next(candidate for candidate in numbered if candidate not in taken)


def _is_bare(path: Path) -> bool:
    return path.is_dir() and {p.name for p in path.iterdir()} <= {"lock.json", "data.npz"}

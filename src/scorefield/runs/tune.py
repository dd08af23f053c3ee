"""Tuning a sampler on a run's own network, and keeping it in the run folder for ``sample`` to use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from scorefield.errors import UserError
from scorefield.runs import recipes
from scorefield.runs.conditions import asked as asked_of
from scorefield.runs.conditions import usual as usual_of
from scorefield.runs.sample import Progress, guided
from scorefield.runs.tables import identity
from scorefield.runs.tokens import refuse, refuse_mixed
from scorefield.show.files import write_aside
from scorefield.solvers import Table
from scorefield.tuning import GRIDS, ROUND, STARTS, TEACHER_STEPS, TRIAL, TRIED, Look
from scorefield.tuning import tune as fitted

if TYPE_CHECKING:
    from scorefield.runs.folder import RunFolder
    from scorefield.runs.loading import Run

AT_ONCE = 1, 65_536, 256  # examples differentiated at once: least; numbers of x_t in all; most
SEARCH = 1.3  # evaluations of the gradient that an iteration of L-BFGS costs, line search included: for the bar alone


class Kept(NamedTuple):
    """A table in a run folder, and what it gained: mean distances at the end from the teacher (root mean square over
    coordinates, in encoded units) on ``held_out`` seeds that the tuning never saw; ``former`` is where a table that
    stood there went."""

    path: Path
    table: Table
    begun_with: str
    before: float
    after: float
    iterations: int
    held_out: int
    former: Path | None

    @property
    def steps(self) -> int:
        """Network evaluations per sample, one a step."""
        return self.table.nfe

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the rows left in the file."""
        former = None if self.former is None else str(self.former)
        plain = {name: value for name, value in self._asdict().items() if name != "table"}
        return {"steps": self.steps} | plain | {"path": str(self.path), "former": former, "made": self.table.made}


def tune(
    run: Run,
    steps: int | Sequence[int],
    *,
    guidance: float | None = None,
    examples: int | None = None,
    held_out: int | None = None,
    iterations: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    progress: Progress | None = None,
) -> tuple[Kept, ...]:
    """Sampler tables of ``steps`` evaluations each, fitted to where many steps of this very network end, and stored
    as tables/STEPS.json in the run folder; ``sample`` with as many steps then uses them.

    ``guidance`` None is that of the run; classes are taken in turn. ``examples`` are fitted, ``held_out`` others decide
    what is kept; None chooses them, and the most ``iterations``, by what the device does in minutes. On a CPU the same
    seed and batch give the same file. A different table that stood there is renamed, not lost. Raises UserError for a
    weights file without a folder, steps < 2, guidance without classes.
    """
    refuse_mixed(run, "A table holds the steps of numbers alone")
    refuse(run, "A table holds the steps of numbers", "Sample with fewer steps=, or another solver=.")
    counts = list(dict.fromkeys([steps] if isinstance(steps, int) else steps))
    if run.folder is None:
        raise UserError(
            f"tables are kept in a run folder, and this is the weights file of {run.name} alone. Load the run folder; "
            "in Python, scorefield.tune(run.denoiser, run.shape, steps) needs none."
        )
    if not counts or min(counts) < 2:
        raise UserError(f"steps must be numbers from 2 on, got {', '.join(map(str, counts)) or 'none'}.")
    usual = recipes.tuned(run.shape, run.device.type)
    given = (examples, held_out, iterations)
    chosen = [default if own is None else own for own, default in zip(given, usual, strict=True)]
    size = at_once(run.shape) if batch is None else batch
    if min(*chosen, size) < 1:
        raise UserError("examples, held_out, iterations and batch must all be at least 1.")
    asked, scale = guided(run, run.denoiser, guidance)
    made = {
        **identity(run, scale),
        "schedule": run.config["process"]["schedule"],
        **dict(zip(("examples", "held_out", "iterations"), chosen, strict=True)),
        **{"seed": seed, "batch": size},
    }
    bar = _Bar(asked, [_work(count, size, *chosen) for count in counts], progress)
    done = []
    for count in counts:
        result = fitted(
            bar,
            run.shape,
            count,
            examples=chosen[0],
            held_out=chosen[1],
            iterations=chosen[2],
            seed=seed,
            batch=size,
            device=run.device,
            cond=_classes(run, max(chosen[:2])),
            tell=bar.tell,
        )
        table = replace(result.table, made=result.table.made | made)
        path, former = _store(run.folder, table)
        done.append(Kept(path, table, *result[1:], chosen[1], former))
        bar.next()
    return tuple(done)


def at_once(shape: tuple[int, ...]) -> int:
    """How many examples are differentiated at once: through all rows, so fewer than are sampled at once."""
    least, numbers, most = AT_ONCE
    return max(least, min(most, numbers // math.prod(shape)))


def _classes(run: Run, count: int) -> Callable[[range], dict[str, Tensor]] | None:
    """The conditions of examples: all classes in turn, as ``sample`` takes them; numbers as held-out data have them."""
    told = {} if run.conditions is None else usual_of(run, count, run.dataset())
    asked = asked_of(run, told.get("label"), told.get("condition"), count)
    return (lambda part: asked.part(part, run.device)) if asked.part(range(1), run.device) else None


def _store(folder: RunFolder, table: Table) -> tuple[Path, Path | None]:
    """(file, where a different table that stood there is now). A kill at any instant leaves every file whole."""
    path, text = folder.table_file(table.nfe), table.to_json()
    before = path.read_bytes() if path.is_file() else None
    former = None
    if before is not None and before != text.encode():
        former = _free(path)
        write_aside(former, before)
    write_aside(path, text)
    return path, former


def _free(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.stem}-former-{number}.json")).exists():
        number += 1
    return candidate


class _Work(NamedTuple):
    """Evaluations of the denoiser before the first iteration (trials included), in one, and the most iterations."""

    before: int
    each: float
    iterations: int

    @property
    def total(self) -> int:
        return round(self.before + self.each * self.iterations)


def _work(steps: int, batch: int, examples: int, held_out: int, iterations: int) -> _Work:
    chunks, unseen = -(-examples // batch), -(-held_out // batch)
    trials = TRIED * max(ROUND, TRIAL * iterations) * SEARCH * steps
    before = round((chunks + unseen) * TEACHER_STEPS + len(STARTS) * len(GRIDS) * steps + trials)
    return _Work(before, SEARCH * chunks * steps, iterations)


class _Bar:
    """The denoiser, which moves a progress bar as it is asked; every look sets the bar right."""

    def __init__(self, denoiser: Any, works: list[_Work], progress: Progress | None) -> None:
        self.denoiser, self.works, self.progress = denoiser, works, progress or (lambda done, total: None)
        self.total = sum(work.total for work in works)
        self.base, self.done, self.at = 0, 0.0, 0

    @property
    def process(self) -> Any:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        self._move(self.done + 1)
        return self.denoiser(x, t, **cond)

    def tell(self, look: Look) -> None:
        """An iteration ended."""
        work = self.works[self.at]
        self._move(self.base + work.before + work.each * look.iteration)

    def next(self) -> None:
        """The table is stored, perhaps before its last iteration."""
        self.base += self.works[self.at].total
        self.at += 1
        self._move(self.base)

    def _move(self, done: float) -> None:
        ends = self.base + self.works[self.at].total if self.at < len(self.works) else self.total
        self.done = min(done, ends)
        self.progress(round(self.done), self.total)

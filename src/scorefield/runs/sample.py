"""Drawing samples from a run: sample i of a seed is the same, whatever n, the batch and the device are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.errors import UserError, suggest
from scorefield.guidance import ClassifierFree
from scorefield.options.shared import KEEPS, SCHEDULES
from scorefield.registry import from_config
from scorefield.runs import build, frames
from scorefield.runs.conditions import Asked
from scorefield.runs.conditions import asked as asked_of
from scorefield.runs.draft import settled
from scorefield.runs.labels import in_proportion
from scorefield.runs.recipes import MIXED, OTHER_STEPS, SAMPLING
from scorefield.runs.samples import Samples
from scorefield.runs.spread import batch_of, collected, over_processes, own_parts, parts_of, sharing
from scorefield.runs.steering import steering
from scorefield.runs.tables import Choice, choose
from scorefield.runs.tokens import check_solver, sharpened
from scorefield.sampling import noise_at
from scorefield.sampling import trajectory as walk
from scorefield.solvers import AfterTokens, InTurn, Table, tabulate

if TYPE_CHECKING:
    from scorefield.runs.loading import Run
    from scorefield.training import World

Progress = Callable[[int, int], None]  # (solver steps done, solver steps in all)
PREVIEW_SEED = 0  # the same in every preview, so that the eye can compare them


@dataclass(frozen=True)
class Walk:
    """How to get from noise to data: everything that ``sample`` was asked for, ready to be walked for any batch."""

    denoiser: Any
    times: Tensor
    solver: Any
    seed: int
    shape: tuple[int, ...]
    device: torch.device
    table: Table | None = None  # walked instead of solver over times, where there is one

    def states(self, indices: range, asked: Asked) -> Iterator[Any]:
        """The steps of the examples ``indices``, with ``.x`` (B, *D) encoded."""
        rng = Rng.each(self.seed, indices)
        cond: dict[str, Any] = asked.part(indices, self.device)
        with torch.no_grad():
            like = torch.empty(len(indices), *self.shape, device=self.device)
            x = noise_at(self.denoiser.process, self.times[0], like, rng)
            how: dict[str, Any] = {"times": self.times, "solver": self.solver}
            how = how if self.table is None else {"table": self.table}
            yield from walk(self.denoiser, x, rng=rng, **how, **cond)


@over_processes
def sample(
    run: Run,
    n: int = 16,
    *,
    steps: int | None = None,
    solver: str | None = None,
    grid: str | None = None,
    eta: float | None = None,
    label: Any = None,
    condition: Any = None,
    guidance: float | None = None,
    classifier: Any = None,
    classifier_scale: float | None = None,
    seed: int = 0,
    batch: int | None = None,
    schedule: str | None = None,
    table: Any = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    trajectory: bool = False,
    devices: int | None = None,
    progress: Progress | None = None,
) -> Samples:
    """``n`` new examples of what the run learned.

    ``steps``, ``solver`` and ``grid`` say how to walk (None: as the run's [sample] section, and, for another number of
    steps than there, where that names the usual solver, as docs/choose-a-solver.md advises); ``eta`` is fresh noise in
    each step, for solvers that take it. ``label`` is a class name or number, ``none``, or a sequence taken in turn;
    None takes all classes in turn, for a table as often as the data have them. ``condition`` holds the numbers of a run
    that was trained with some: one row for all, rows taken in turn, NaN or ``none`` for a number left open; None leaves
    all of them open. ``guidance`` 1 is none. ``classifier`` is a classifier run that steers toward ``label`` at
    ``classifier_scale``, also where the run itself learned no classes. ``schedule`` walks under another noise schedule
    than that of training. ``table`` is a tuned sampler, a file or a ``Table``; None takes that of the run folder for as
    many steps, where it was tuned for these weights and this guidance and neither solver, grid, eta nor schedule is
    given; yes insists on that, no does without. ``temperature``, ``top_k`` and ``top_p`` make a run on tokens surer.
    ``batch`` examples are computed at once, by ``devices`` processes that share the batches.
    ``trajectory`` keeps every x_t for a film. Raises UserError for a class, solver, grid or schedule that is not known,
    n or steps below 1, guidance without classes, a table that cannot be read or was made for another schedule.
    """
    if batch is not None and batch < 1:
        raise UserError(f"batch must be at least 1, got {batch}.")
    if n < 1:
        raise UserError(f"n must be at least 1, got {n}. It is how many samples are drawn.")
    solver, grid, schedule = (settled(word) for word in (solver, grid, schedule))
    told = in_proportion(run, n) if label is None else label
    guide = steering(run, classifier, classifier_scale)
    asked = asked_of(run, told, condition, n) if guide is None else guide.asked(told, condition, n)
    table = "no" if guide is not None and table is None else table  # tables were tuned without it
    course, choice = course_of(run, steps, solver, grid, eta, guidance, seed, schedule, table, trajectory)
    if guide is not None:
        course = replace(course, denoiser=guide.around(course.denoiser))
    sharper = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    course = replace(course, denoiser=sharpened(course.denoiser, sharper))
    samples = walked(run, course, choice, asked, n, batch, trajectory, devices, progress)
    return samples if guide is None else replace(samples, classes=guide.other.classes)


def walked(
    run: Run,
    course: Walk,
    choice: Choice,
    asked: Asked,
    n: int,
    batch: int | None,
    trajectory: bool,
    devices: int | None,
    progress: Progress | None,
    around: Callable[[Any, slice], Any] | None = None,
) -> Samples:
    """``n`` walks along ``course``, a batch at a time, on all processes that share them. ``around`` (denoiser, rows)
    puts something around the denoiser of these examples: what is known of each."""
    world = sharing(devices, run.device)
    drawn = _Drawn(run, course, choice, trajectory)
    parts = own_parts(parts_of(n, batch or batch_of(run.width, run.device.type)), world)
    tell, each = progress or unseen, len(course.times) - 1
    for done, part in enumerate(parts):
        if around is not None:
            drawn.course = replace(course, denoiser=around(course.denoiser, slice(part.start, part.stop)))
        drawn.take(part, asked, lambda step, before=done * each: tell(before + step, each * len(parts)))
    drawn.gather(world)
    return drawn.samples(asked)


def unseen(done: int, total: int) -> None:
    """Progress that nobody watches."""


def course_of(
    run: Run,
    steps: int | None,
    solver: str | None,
    grid: str | None,
    eta: float | None,
    guidance: float | None,
    seed: int,
    schedule: str | None,
    table: Any,
    film: bool,
) -> tuple[Walk, Choice]:
    """How ``sample`` with these options walks, and the table that it chose. ``film`` keeps the solver's own steps,
    which may be more than one evaluation each. Raises UserError for everything that ``sample`` refuses."""
    check_solver(run, solver)
    usual = run.config["sample"]
    denoiser, scale = guided(run, run.denoiser if schedule is None else under(run.denoiser, schedule), guidance)
    count = usual["steps"] if steps is None else steps
    if count < 1:
        raise UserError(f"steps must be at least 1, got {count}.")
    free = solver is None and grid is None and eta is None
    choice = choose(run, denoiser.process, table, steps=steps, guidance=scale, free=free, usual=schedule is None)
    if choice.table is not None:
        table = choice.table
        return Walk(denoiser, table.times, None, seed, run.encoded, run.device, table), choice
    own_solver, own_grid = usual["solver"], usual["grid"]
    if free and count != usual["steps"] and (own_solver, own_grid) == (SAMPLING["solver"], SAMPLING["grid"]):
        own_solver, own_grid = OTHER_STEPS
    spacing, made = build.grid(own_grid if grid is None else grid), build.solver(solver or own_solver, eta)
    if run.family in COMPOSED:
        spacing, made = COMPOSED[run.family](spacing, made)
    times = spacing(denoiser.process, count)
    if film or not made.tabulates:  # a film shows the steps of the solver, which may be more than one evaluation each
        return Walk(denoiser, times, made, seed, run.encoded, run.device), choice
    table = tabulate(made, denoiser.process, times)
    return Walk(denoiser, table.times, None, seed, run.encoded, run.device, table), choice


# What walks over more than numbers, by family: made of the grid and the solver of the numbers.
COMPOSED: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    MIXED: lambda grid, solver: (AfterTokens(grid), InTurn(solver)),
}


def guided(run: Run, denoiser: Any, guidance: float | None) -> tuple[Any, float]:
    """The denoiser under classifier-free guidance, and its strength: that of the run where ``guidance`` is None.

    Raises UserError where there are no classes to strengthen."""
    scale = run.config["sample"]["guidance"] if guidance is None else guidance
    if scale != 1 and not run.classes and run.conditions is None:
        raise UserError(f"guidance={scale:g} strengthens a class, but this run learned no classes. Leave guidance out.")
    return (denoiser if scale == 1 else ClassifierFree(denoiser, scale)), scale


def under(denoiser: Any, schedule: str) -> Any:
    """The same network on another noise schedule (it was told the noise level, never the time). Raises UserError for
    one of another kind of noise."""
    if getattr(denoiser.process, "known", None) is not None:
        raise UserError(f"schedule={schedule} is for noise, and this run draws pixel after pixel. Leave schedule out.")
    whole, process = denoiser.process, getattr(denoiser.process, "numbers", denoiser.process)
    family, known = ("schedule", SCHEDULES) if getattr(process, "classes", None) is None else ("keep", KEEPS)
    if schedule not in (*SCHEDULES, *KEEPS):
        raise UserError(f"no schedule is called {schedule!r}.{suggest(schedule, known)}")
    if schedule not in known:
        raise UserError(f"schedule={schedule} does not suit this run. Write one of {', '.join(known)}.")
    other = replace(process, **{family: from_config({"type": schedule}, family, "schedule")})
    return denoiser.under(other if whole is process else replace(whole, numbers=other))


@dataclass
class _Drawn:
    """Collects batches; states are kept on the scale of the data, so that noise can be shown."""

    run: Run
    course: Walk
    choice: Choice
    trajectory: bool
    parts: list[Tensor] = field(default_factory=list)
    films: list[list[Tensor]] = field(default_factory=list)
    nfe: int = 0

    def take(self, indices: range, asked: Asked, tell: Callable[[int], None]) -> None:
        states, step = [], None
        for count, step in enumerate(self.course.states(indices, asked)):
            if self.trajectory:
                states.append(frames.of(self.run).frame(self.run, self.course.denoiser.process, step))
            tell(count)
        assert step is not None
        self.parts.append(self.run.codec.decode(step.x).cpu())
        self.films.append(states)
        self.nfe = step.nfe

    def gather(self, world: World) -> None:
        """Take in what the other processes drew."""
        self.parts, self.films = collected(self.parts, world), collected(self.films, world)
        self.nfe = max(world.gathered(self.nfe))

    def samples(self, asked: Asked) -> Samples:
        run = self.run
        shown = tuple(torch.cat(states) for states in zip(*self.films, strict=True))
        times = self.course.times.tolist() if shown else []
        return Samples(
            x=torch.cat(self.parts),
            kind=run.kind,
            labels=asked.labels,
            classes=run.classes,
            conditions=asked.numbers,
            condition_names=() if run.conditions is None else run.conditions.names,
            columns=run.columns,
            schema=run.schema,
            nfe=self.nfe,
            seed=self.course.seed,
            times=tuple(times),
            frames=shown,
            captions=frames.of(run).captions(self.course.denoiser.process, times),
            codec=run.tokens,
            table=self.choice.path,
            rate=run.rate,
            note=" ".join(filter(None, (self.choice.note, asked.note, run.note))),
        )

"""Which solver is most exact for its cost, on a run's own network: every one walks from the same noise."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.errors import UserError, suggest
from scorefield.metrics import sliced_wasserstein
from scorefield.options.compare import COMPARED, STEPS
from scorefield.runs import build
from scorefield.runs.conditions import asked
from scorefield.runs.draft import settled
from scorefield.runs.sample import Progress, Walk, guided, unseen
from scorefield.runs.spread import batch_of, collected, over_processes, own_parts, parts_of, sharing
from scorefield.runs.tables import kept
from scorefield.solvers import NAMES

if TYPE_CHECKING:
    from PIL.Image import Image

    from scorefield.runs.loading import Run
    from scorefield.training import World

REFERENCE = "dpmpp3m", "log-snr"  # solver and grid of the reference: its order holds to the end on even log-SNR
FIRST, LAST = 128, 1024  # steps of the reference: doubled until it is exact enough, or these many
EXACT = 0.05  # of the smallest error measured: how far a reference may still move when its steps double


@dataclass(frozen=True)
class Entry:
    """One solver (``tuned``: a table of the run) at one number of steps: network evaluations per example (guidance
    counts its second one), endpoint error (root mean square over examples and numbers; of the median example), or
    distance in distribution."""

    solver: str
    steps: int
    nfe: int
    error: float | None = None
    median: float | None = None
    distance: float | None = None

    @property
    def figure(self) -> float:
        """What this comparison ranks by."""
        value = self.error if self.distance is None else self.distance
        assert value is not None
        return value


@dataclass(frozen=True)
class Reference:
    """The converged solution: how it was made, its evaluations, and how far it moved when its steps last doubled,
    which bounds the error of the one before. ``floor``: its distance to itself from other noise."""

    solver: str
    grid: str
    steps: int
    nfe: int
    error: float
    floor: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The figures, in the order asked for. Errors are in the units of the encoded data (images: −1 to 1), whose
    deviation is ``sigma_data``."""

    run: str
    entries: tuple[Entry, ...]
    reference: Reference
    n: int
    seed: int
    guidance: float
    grid: str
    sigma_data: float
    notes: tuple[str, ...] = ()  # tables of the run that could not be compared

    @property
    def of_distributions(self) -> bool:
        """True where a solver draws noise: then distances between distributions are compared, not endpoints."""
        return self.reference.floor is not None

    @property
    def trusted(self) -> bool:
        """Whether the reference is at least five times as exact as the best entry."""
        smallest = min((e.figure for e in self.entries if math.isfinite(e.figure)), default=0.0)
        return self.of_distributions or self.reference.error <= 0.2 * smallest

    def best(self) -> tuple[Entry, ...]:
        """The entries that no other beats in both cost and error, cheapest first. Distances below the floor are as
        good as the floor."""
        front: list[Entry] = []
        for entry in sorted(self.entries, key=lambda e: (e.nfe, not math.isfinite(e.figure), e.figure)):
            if all(self._worth(entry) < self._worth(other) for other in front) and math.isfinite(entry.figure):
                front.append(entry)
        return tuple(front)

    def _worth(self, entry: Entry) -> float:
        return max(entry.figure, self.reference.floor or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def to_csv(self) -> str:
        """One row an entry, the reference last."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = [
            name for name in Entry.__dataclass_fields__ if any(getattr(e, name) is not None for e in self.entries)
        ]
        writer.writerow(columns)
        known = {"solver": "reference", "steps": self.reference.steps, "nfe": self.reference.nfe}
        known |= {"error": self.reference.error, "distance": self.reference.floor}
        writer.writerows([getattr(entry, name) for name in columns] for entry in self.entries)
        writer.writerow([known.get(name, "") for name in columns])
        return text.getvalue()

    def picture(self) -> Image:
        """Error against evaluations on logarithmic axes, one line a solver."""
        from scorefield.show.work_precision import Course, work_precision

        names = dict.fromkeys(entry.solver for entry in self.entries)
        own = {name: [entry for entry in self.entries if entry.solver == name] for name in names}
        courses = [Course(name, [e.nfe for e in row], [e.figure for e in row]) for name, row in own.items()]
        far = self.of_distributions
        return work_precision(
            courses,
            title=f"{self.run}: {'distance' if far else 'error'} against cost, {self.n} samples",
            y_label="sliced Wasserstein distance to exact samples" if far else "endpoint error, RMS in encoded units",
            floor=self.reference.floor if far else self.reference.error,
            floor_label="exact samples among themselves" if far else "uncertainty of the reference",
        )


def check_solvers(names: Sequence[str]) -> None:
    """Raises UserError for a solver that does not exist, or none at all."""
    if not names:
        raise UserError(f"solvers names no solver. Leave it out for {', '.join(COMPARED)}, or write some.")
    for name in names:
        if name not in NAMES:
            raise UserError(f"no solver is called {name!r}.{suggest(name, NAMES)}")


@over_processes
def compare(
    run: Run,
    solvers: str | Sequence[str] = COMPARED,
    steps: int | Sequence[int] = STEPS,
    *,
    n: int = 64,
    label: Any = None,
    guidance: float | None = None,
    grid: str | None = None,
    seed: int = 0,
    batch: int | None = None,
    devices: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Every one of ``solvers`` at every number of ``steps`` against a converged solution from the same noise.

    Deterministic solvers are compared by endpoint error. Where one of them draws noise there is no endpoint to compare:
    then all are compared by the sliced Wasserstein distance of their ``n`` samples to exact samples from other noise.
    Tuned tables that the run keeps and that fit are ``tuned`` entries. ``grid`` None is that of the run; the rest as
    for ``Run.sample``. Raises UserError for an unknown solver, steps below 1, n below 2 (10 for distributions), and
    what ``Run.sample`` refuses.
    """
    names = list(dict.fromkeys([solvers] if isinstance(solvers, str) else solvers))
    counts = list(dict.fromkeys([steps] if isinstance(steps, int) else steps))
    check_solvers(names)
    noisy = any(NAMES[name].noisy for name in names)
    if not counts or min(counts) < 1:
        raise UserError(f"steps must be numbers from 1 on, got {', '.join(map(str, counts)) or 'none'}.")
    if n < (10 if noisy else 2):
        need = "10, because a solver that draws noise is compared by its distribution" if noisy else "2"
        raise UserError(f"n must be at least {need}, got {n}.")
    walks = _Walks(run, n, label, guidance, seed, batch, progress or unseen, sharing(devices, run.device))
    usual: Any = settled(grid) or run.config["sample"]["grid"]
    stored = list(kept(run, walks.scale))
    tables = [choice.table for choice in stored if choice.table is not None]
    walks.total += len(names) * sum(counts) + sum(table.nfe for table in tables)
    walks.total += 3 * FIRST // 2 + (FIRST if noisy else 0)
    ends = {(name, count): walks.end(name, usual, count) for name in names for count in counts}
    ends |= {("tuned", table.nfe): walks.along(table.times, table) for table in tables}
    finest, nfe, size, own = _converged(walks, [x for x, _ in ends.values()])
    floor, other = None, finest
    if noisy:
        other, _ = walks.end(*REFERENCE, size, seed=Rng.fold(seed, 1))
        floor = sliced_wasserstein(_flat(finest), _flat(other)).value
    judge = (lambda x: {"distance": _distance(x, other)}) if noisy else (lambda x: _errors(x, finest))
    return Comparison(
        run=run.name,
        entries=tuple(Entry(*key, cost, **judge(x)) for key, (x, cost) in ends.items()),
        reference=Reference(*REFERENCE, size, nfe, own, floor),
        n=n,
        seed=seed,
        guidance=walks.scale,
        grid=usual if isinstance(usual, str) else usual["type"],
        sigma_data=run.config["denoiser"]["sigma_data"],
        notes=tuple(choice.note for choice in stored if choice.table is None),
    )


def _converged(walks: _Walks, ends: Sequence[Tensor]) -> tuple[Tensor, int, int, float]:
    """(endpoints, evaluations, steps, own error) of the reference: its steps double until that moves it little, or no
    longer less than before (rounding)."""
    size, (coarse, _) = FIRST // 2, walks.end(*REFERENCE, FIRST // 2)
    before = float("inf")
    while True:
        size *= 2
        fine, nfe = walks.end(*REFERENCE, size)
        own = _rms(fine - coarse)
        smallest = min((rms for x in ends if math.isfinite(rms := _rms(x - fine))), default=0.0)
        if own <= EXACT * smallest or own > 0.7 * before or size >= LAST:
            return fine, nfe, size, own
        coarse, before, walks.total = fine, own, walks.total + 2 * size


@dataclass
class _Walks:
    """All walks of one comparison: the same examples, labels and guidance."""

    run: Run
    n: int
    label: Any
    guidance: float | None
    seed: int
    batch: int | None
    tell: Callable[[int, int], None]
    world: World
    done: float = 0.0
    total: int = 0  # solver steps, as many as are known to come

    def __post_init__(self) -> None:
        _, self.scale = guided(self.run, self.run.denoiser, self.guidance)
        self.asked = asked(self.run, self.label, None, self.n)

    def end(self, solver: str, grid: Any, steps: int, seed: int | None = None) -> tuple[Tensor, int]:
        """``along`` the named solver and grid."""
        return self.along(build.grid(grid)(self.run.process, steps), build.solver(solver), seed)

    def along(self, times: Tensor, solver: Any, seed: int | None = None) -> tuple[Tensor, int]:
        """Endpoints (n, *D), encoded, float64 on the CPU, and network evaluations per example."""
        counted = _Counted(self.run.denoiser)
        asked, _ = guided(self.run, counted, self.guidance)
        start = self.seed if seed is None else seed
        course = Walk(asked, times, solver, start, self.run.encoded, self.run.device)
        size = self.batch or batch_of(self.run.encoded, self.run.device.type)
        ends, mine = [], own_parts(parts_of(self.n, size), self.world)
        for part in mine:
            x, share = torch.empty(0), len(part) / sum(map(len, mine))
            for taken, state in enumerate(course.states(part, self.asked)):
                x, done = state.x, self.done + taken * share
                self.tell(round(done), max(self.total, round(done)))
            ends.append(x.double().cpu())
            self.done += (len(times) - 1) * share
        calls = counted.calls // max(1, len(mine))
        return torch.cat(collected(ends, self.world)), max(self.world.gathered(calls))


class _Counted:
    """The network's denoiser, counting how often it is asked."""

    def __init__(self, denoiser: Any) -> None:
        self.denoiser, self.calls = denoiser, 0

    @property
    def process(self) -> Any:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        self.calls += 1
        return self.denoiser(x, t, **cond)


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)


def _rms(difference: Tensor) -> float:
    return difference.square().mean().sqrt().item()


def _errors(x: Tensor, exact: Tensor) -> dict[str, float]:
    each = _flat(x - exact).square().mean(1).sqrt()
    return {"error": _rms(x - exact), "median": each.median().item()}


def _distance(x: Tensor, exact: Tensor) -> float:
    return sliced_wasserstein(_flat(x), _flat(exact)).value if x.isfinite().all() else float("nan")

"""A many-step solver distilled into a table of a few rows, by gradient through the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .core import Denoiser, Rng, as_time, need
from .errors import UserError
from .solvers.exponential import Exponential
from .solvers.grids import Grid, Karras, LogSNR, Optimised, Quadratic, Rectified, Uniform
from .solvers.names import named
from .solvers.table import Row, Table
from .solvers.tabulate import tabulate

STARTS = ("dpmpp2m", "dpmpp3m", "dpm3m", "unipc2", "unipc3", "deis3", "flow3m", "flow3pc")  # one evaluation a step each
GRIDS: dict[str, Grid] = {
    "karras": Karras(),
    "karras from 0.02": Karras(0.02),
    "log-snr": LogSNR(),
    "log-snr from 0.02": LogSNR(0.02),
    "log-snr from 0.05": LogSNR(0.05),
    "uniform": Uniform(),
    "quadratic": Quadratic(),
    "rectified": Rectified(),
    "optimised": Optimised(),
}
AUDITION = 64  # examples on which the untuned solvers to begin with are chosen
TRIED, TRIAL = 3, 0.15  # how many of them are tuned a little, and for what share of the iterations: the best untuned
# one need not lie in the deepest valley
TEACHER_STEPS = 128
ROUND = 10  # iterations between two looks at the held-out error
PATIENCE = 4  # rounds without a better one, then stop


class Tuned(NamedTuple):
    """A tuned table, and what it gained: how far from the teacher it ends, the mean over examples of the root mean
    square over coordinates, on seeds that the tuning never saw, of the table it began with and of the result."""

    table: Table
    begun_with: str
    before: float
    after: float
    iterations: int


class Look(NamedTuple):
    """How far a tuning is: iterations, training error, held-out error of the best so far."""

    iteration: int
    error: float
    held_out: float


@dataclass(frozen=True)
class Lesson:
    """Starting noise, where the teacher ends, and the conditions, in chunks that fit into memory."""

    chunks: tuple[tuple[Tensor, Tensor, dict[str, Tensor]], ...]

    def __len__(self) -> int:
        return sum(len(target) for _, target, _ in self.chunks)

    def error(self, walk: Callable[..., Tensor]) -> float:
        """Mean distance of walk(x, **cond) from the target."""
        with torch.no_grad():
            far = [distance(walk(x, **cond), target).double().sum() for x, target, cond in self.chunks]
        return torch.stack(far).sum().item() / len(self)


def distance(x: Tensor, target: Tensor) -> Tensor:
    """Root mean square of x − target over coordinates, (B, *D) → (B,).

    Examples are averaged without squares: of thousands of starts a few lie so near the border between two modes that
    a short walk ends in the other, and a mean square would fit these few and nothing else.
    """
    return torch.linalg.vector_norm((x - target).flatten(1), dim=1) / target[0].numel() ** 0.5


class Rows(nn.Module):
    """The rows of a table as free numbers, such that a constant belief is always reproduced.

    Between the evaluations i and i + 1, x ← keep x + (α_{i+1} − α_i keep) · aim, where keep = e^κ σ_{i+1}/σ_i and aim =
    D_i + Σ_j w_ij (D_j − D_i); the last row ends at aim. Free are λ_i = log α/σ of every evaluation but the first, κ_i
    and w_ij. (x = α d + n with noise n stays so for a constant belief d, whatever these are.)
    """

    def __init__(self, table: Table, process: Any) -> None:
        super().__init__()
        self.process, self.first = process, table.times[:1]
        alpha, sigma = as_time(table.alphas), as_time(table.sigmas)
        keep, mixed = as_time([row.keep for row in table.rows]), torch.zeros(table.nfe, table.nfe, dtype=torch.float64)
        for i, row in enumerate(table.rows):
            mixed[i, i + 1 - len(row.beliefs) : i + 1] = as_time(row.beliefs).flip(0) / (
                alpha[i + 1] - alpha[i] * keep[i]
            )
        self.log_ratios = nn.Parameter(process.log_ratio(table.times[1:-1]))
        self.kappa = nn.Parameter((keep[:-1] * sigma[:-2] / sigma[1:-1]).log())
        self.mixed = nn.Parameter(mixed.tril(-1))

    def coefficients(self) -> tuple[Tensor, Tensor, Tensor]:
        """(times, keep, weights of the beliefs (n, n), oldest first), differentiable."""
        times = torch.cat([self.first, self.process.time(self.log_ratios)])
        alpha, sigma = self.process.schedule(times)
        keep = torch.cat([self.kappa.exp() * sigma[1:] / sigma[:-1], sigma.new_zeros(1)])
        past = self.mixed.tril(-1)
        weights = past + torch.diag(1 - past.sum(1))
        gain = torch.cat([alpha[1:], alpha.new_ones(1)]) - alpha * keep
        return times, keep, gain[:, None] * weights

    def forward(self, denoiser: Denoiser, x: Tensor, **cond: Any) -> Tensor:
        """x (B, *D) at the first time ↦ x at the end."""
        times, keep, weights = self.coefficients()
        beliefs: list[Tensor] = []
        for i, t in enumerate(times.unbind()):
            beliefs.append(denoiser(x, t, **cond).mean.to(x.dtype))
            x = sum((weights[i, j] * belief for j, belief in enumerate(beliefs)), keep[i] * x)
        return x

    def table(self, made: dict[str, Any]) -> Table:
        """These numbers, frozen."""
        with torch.no_grad():
            times, keep, weights = self.coefficients()
            at = torch.cat([times, as_time([0.0])])
            scales = self.process.schedule(at)
        rows = tuple(
            Row(t, k, 0.0, tuple(weights[i, : i + 1].flip(0).tolist()), 0.0)
            for i, (t, k) in enumerate(zip(times.tolist(), keep.tolist(), strict=True))
        )
        return Table(rows, 0.0, tuple(scales.alpha.tolist()), tuple(scales.sigma.tolist()), made, self.process)


def tune(
    denoiser: Denoiser,
    shape: Sequence[int],
    steps: int,
    *,
    table: Table | None = None,
    teacher: Table | None = None,
    examples: int = 512,
    held_out: int = 256,
    iterations: int = 300,
    seed: int = 0,
    batch: int = 256,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    cond: Callable[[range], dict[str, Tensor]] | None = None,
    tell: Callable[[Look], None] | None = None,
) -> Tuned:
    """A table of ``steps`` evaluations that ends where ``teacher`` does, for examples of ``shape`` (*D).

    Times and coefficients are fitted by L-BFGS on the mean distance at the end, from ``table`` or, by default, from
    that of the best untuned solvers which a few iterations improve most; what is kept is what was best on the
    ``held_out`` seeds. ``teacher`` is by
    default third-order exponential in 128 steps. ``cond(indices)`` gives the conditions of examples; ``batch`` examples
    are differentiated at once. State and coefficients stay in ``dtype`` (float32 or float64) when the network runs in
    bfloat16. Raises UserError for steps < 2, a table of other than ``steps`` plain rows, a process without α, σ and λ.
    """
    process = denoiser.process
    need(process, Rows, "schedule", "log_ratio", "time")
    if steps < 2:
        raise UserError(f"tuning needs at least 2 steps, got {steps}: one step has nothing to tune.")
    if min(examples, held_out, iterations, batch) < 1:
        raise UserError("examples, held_out, iterations and batch must all be at least 1.")
    if table is not None and (table.nfe != steps or not tunable(table)):
        raise UserError(
            f"only a deterministic table of {steps} rows that ends on clean data can be tuned to {steps} steps."
        )
    teacher = teacher or tabulate(Exponential(3), process, Karras()(process, TEACHER_STEPS))

    def lesson(which: int, count: int) -> Lesson:
        parts = (range(i, min(i + batch, count)) for i in range(0, count, batch))
        return Lesson(
            tuple(_taught(denoiser, teacher, shape, Rng.fold(seed, which), p, cond, dtype, device) for p in parts)
        )

    train, unseen = lesson(1, examples), lesson(2, held_out)
    spent = 0 if table is not None else _trial(iterations)
    if table is not None:
        rows, name = Rows(table, process), "the given table"
        best = before = _error(rows, denoiser, unseen)
    else:
        rows, name, before, best = _promising(denoiser, steps, train, unseen, iterations)
    kept, since, done = {k: v.clone() for k, v in rows.state_dict().items()}, 0, 0
    for done, error in _descent(rows, denoiser, train, iterations - spent):
        now = _error(rows, denoiser, unseen)
        since = 0 if now < best * 0.999 else since + 1
        if now < best:
            best, kept = now, {k: v.clone() for k, v in rows.state_dict().items()}
        if tell:
            tell(Look(spent + done, error, best))
        if since >= PATIENCE or not now < float("inf"):
            break
    rows.load_state_dict(kept)
    made = {"solver": f"tuned from {name}", "process": str(process), "held_out_error": best, "untuned_error": before}
    return Tuned(rows.table(made), name, before, best, spent + done)


def tunable(table: Table) -> bool:
    """Whether every row is x ← keep x + beliefs, without noise or the start, down to clean data."""
    plain = all(row.keep > 0 for row in table.rows[:-1]) and not any(row.start or row.fresh for row in table.rows)
    return plain and table.end == 0 and abs(table.rows[-1].keep) < 1e-9 and bool((table.times.diff() < 0).all())


def _taught(
    denoiser: Denoiser,
    teacher: Table,
    shape: Sequence[int],
    seed: int,
    part: range,
    cond: Callable[[range], dict[str, Tensor]] | None,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    rng, given = Rng.each(seed, part), cond(part) if cond else {}
    with torch.no_grad():
        x = denoiser.process.prior(torch.empty(len(part), *shape, dtype=dtype, device=device), rng)
        return x, teacher.run(denoiser, x, rng, **given), given


def _promising(
    denoiser: Denoiser, steps: int, train: Lesson, unseen: Lesson, iterations: int
) -> tuple[Rows, str, float, float]:
    """(rows, name of the solver they began as, held-out error then, and now): of the untuned tables that come nearest
    to the teacher, the one that is nearest after a few iterations."""
    found = []
    for name, table in _nearest(denoiser, steps, train):
        rows = Rows(table, denoiser.process)
        before = _error(rows, denoiser, unseen)
        for _ in _descent(rows, denoiser, train, _trial(iterations)):
            pass
        after = _error(rows, denoiser, unseen)
        if not after < before:
            rows, after = Rows(table, denoiser.process), before
        found.append((rows, name, before, after))
    return min(found, key=lambda entry: entry[3])


def _trial(iterations: int) -> int:
    """How many of the iterations are spent on a trial."""
    return min(iterations, ROUND * max(1, round(TRIAL * iterations / ROUND)))


def _error(rows: Rows, denoiser: Denoiser, lesson: Lesson) -> float:
    return lesson.error(lambda x, **cond: rows(denoiser, x, **cond))


def _nearest(denoiser: Denoiser, steps: int, train: Lesson) -> list[tuple[str, Table]]:
    """The untuned tables that come nearest to the teacher on the first few examples, each solver on its best grid."""
    x, target, cond = train.chunks[0]
    few = {key: value[:AUDITION] for key, value in cond.items()}
    process, look = denoiser.process, Lesson(((x[:AUDITION], target[:AUDITION], few),))
    found: list[tuple[float, str, Table]] = []
    for name in STARTS:
        own = []
        for where, grid in GRIDS.items():
            table = tabulate(named(name), process, grid(process, steps))
            if tunable(table):
                error = look.error(lambda x, table=table, **c: table.run(denoiser, x, Rng(0), **c))
                own.append((error if error == error else math.inf, f"{name} on {where}", table))
        found += [min(own, key=lambda entry: entry[0])] if own else []
    return [(name, table) for _, name, table in sorted(found, key=lambda entry: entry[0])[:TRIED]]


def _descent(rows: Rows, denoiser: Denoiser, lesson: Lesson, iterations: int) -> Iterator[tuple[int, float]]:
    """(iterations so far, training error) after every round of L-BFGS on the logarithm of the mean distance.

    The logarithm makes the steps independent of the scale of the data. Gradients are asked for the rows alone, so
    that the weights of a network cost nothing.
    """
    numbers = [p for p in rows.parameters() if p.numel()]
    optimizer = torch.optim.LBFGS(
        numbers, max_iter=ROUND, history_size=30, line_search_fn="strong_wolfe", tolerance_change=0, tolerance_grad=0
    )
    last = [0.0]

    def loss() -> float:
        total, gradient = 0.0, [torch.zeros_like(p) for p in numbers]
        with torch.enable_grad():
            for x, target, cond in lesson.chunks:
                far = distance(rows(denoiser, x, **cond), target).sum()
                for slot, part in zip(gradient, torch.autograd.grad(far, numbers), strict=True):
                    slot += part
                total += far.item()
        for p, part in zip(numbers, gradient, strict=True):
            p.grad = part / max(total, 1e-300)
        last[0] = total / len(lesson)
        return math.log(max(last[0], 1e-300))

    for done in range(ROUND, iterations + ROUND, ROUND):
        optimizer.step(loss)  # type: ignore[arg-type]
        yield min(done, iterations), last[0]

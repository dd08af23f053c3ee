"""A sampler as data: one row of numbers per evaluation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, need
from ..errors import UserError

FORMAT = "scorefield table 1"
AGREE = 1e-6  # relative: α and σ of a table's process and of the one it is used on


class Row(NamedTuple):
    """D = denoiser(x, t), then x ← keep · x + start · x_start + Σ_j beliefs[j] · D_{−j} + fresh · ε, newest D first."""

    t: float
    keep: float
    start: float
    beliefs: tuple[float, ...]
    fresh: float


class Course(NamedTuple):
    """Where a walk is: the next row, the state it began with, the last beliefs, newest first."""

    row: int
    start: Tensor | None
    past: tuple[Tensor, ...]


@dataclass(frozen=True)
class Table:
    """A solver written down for one process and one grid: frozen float64 ``rows``, an evaluation each, to t = ``end``.

    ``alphas`` and ``sigmas`` (n + 1,) are those of the process at its times: a table refuses another process. ``made``
    says by what it was made. Get one from ``tabulate`` or ``tune``; walk it with ``sample(denoiser, shape, table=…)``,
    or ``trajectory(denoiser, x, table=…)``, a step a row. Raises UserError where the numbers do not fit together.
    """

    rows: tuple[Row, ...]
    end: float
    alphas: tuple[float, ...]
    sigmas: tuple[float, ...]
    made: dict[str, Any] = field(default_factory=dict, compare=False)
    process: Any = field(default=None, compare=False, repr=False)  # the one it was made on, where that is known

    tabulates = False  # it is one already

    def __post_init__(self) -> None:
        n = len(self.rows)
        if n == 0 or not len(self.alphas) == len(self.sigmas) == n + 1:
            raise UserError(f"a table has n ≥ 1 rows and n + 1 scales, got {n} rows and {len(self.alphas)} scales.")
        if any(not 1 <= len(row.beliefs) <= i + 1 for i, row in enumerate(self.rows)):
            raise UserError("row i of a table mixes at least 1 and at most i + 1 beliefs.")

    @cached_property
    def times(self) -> Tensor:
        """(n + 1,) float64: when each row evaluates, and where the last one ends."""
        return as_time([*(row.t for row in self.rows), self.end])

    @property
    def nfe(self) -> int:
        """Network evaluations, one a row."""
        return len(self.rows)

    @cached_property
    def _starts(self) -> bool:
        return any(row.start for row in self.rows)

    @cached_property
    def _kept(self) -> tuple[int, ...]:
        """How many beliefs are worth keeping after each row."""
        wants = [len(row.beliefs) - 1 for row in self.rows[1:]]
        return tuple(max((want - later for later, want in enumerate(wants[i:])), default=0) for i in range(self.nfe))

    @cached_property
    def _steps(self) -> list[tuple[Tensor, Row, int]]:
        return list(zip(self.times.unbind(), self.rows, self._kept, strict=False))

    def check(self, process: Any) -> None:
        """Raise UserError when ``process`` is not the one that the table was made for."""
        if self.process is not None and process == self.process:
            return
        need(process, self, "schedule")
        scales = process.schedule(self.times)
        for own, other in ((self.alphas, scales.alpha), (self.sigmas, scales.sigma)):
            if not torch.allclose(as_time(own), other, rtol=AGREE, atol=AGREE):
                made = f" ({self.made['process']})" if "process" in self.made else ""
                raise UserError(f"this table was made for another noise schedule{made} than {process}: make a new one.")

    def init(self, process: Any, times: Tensor) -> Course:
        if times.shape != self.times.shape or not torch.equal(times, self.times):
            raise UserError(f"a table walks its own {len(self.times)} times, table.times, and no others.")
        self.check(process)
        return Course(0, None, ())

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Course, rng: Rng
    ) -> tuple[Tensor, Course]:
        i, start, past = memory
        past = (denoiser(x, t).mean, *past)
        if start is None and self._starts:
            start = x
        return _mixed(self.rows[i], x, start, past, rng), Course(i + 1, start, past[: self._kept[i]])

    def run(self, denoiser: Denoiser, x: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """x (B, *D) at the first time ↦ x at the end: all rows, with nothing between them. What a ``trajectory`` shows
        step by step. Raises UserError when the denoiser's process is not the table's."""
        self.check(denoiser.process)
        start, past = x if self._starts else None, ()
        for t, row, kept in self._steps:
            past = (denoiser(x, t, **cond).mean, *past)
            x = _mixed(row, x, start, past, rng)
            past = past[:kept]
        return x

    def columns(self) -> dict[str, list[float]]:
        """The coefficients by name, n numbers each: keep, D, D-1 …, and start and fresh where any row has them. With
        ``levels`` what ``show.table_picture`` draws."""
        width = max(len(row.beliefs) for row in self.rows)
        mixed = {
            f"D-{j}" if j else "D": [row.beliefs[j] if j < len(row.beliefs) else 0.0 for row in self.rows]
            for j in range(width)
        }
        others = {"start": [row.start for row in self.rows], "fresh": [row.fresh for row in self.rows]}
        found = {name: column for name, column in others.items() if any(column)}
        return {"keep": [row.keep for row in self.rows], **mixed, **found}

    @property
    def levels(self) -> list[float]:
        """σ/α at each evaluation, ∞ where α = 0."""
        return [s / a if a else float("inf") for a, s in zip(self.alphas[:-1], self.sigmas[:-1], strict=True)]

    def __str__(self) -> str:
        width = max(len(row.beliefs) for row in self.rows)
        head = ["row", "t", "σ/α", "keep", *["start"] * self._starts, *(f"D-{j}" if j else "D" for j in range(width))]
        lines = [[*head, "fresh"]]
        for i, row in enumerate(self.rows):
            mixed = [f"{c:+.5f}" for c in row.beliefs] + [""] * (width - len(row.beliefs))
            begin = [f"{row.start:+.5f}"] * self._starts
            lines.append(
                [str(i), f"{row.t:.5f}", f"{self.levels[i]:.4g}", f"{row.keep:.5f}", *begin, *mixed, f"{row.fresh:.5f}"]
            )
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([*text, f"ends at t = {self.end:g} after {self.nfe} evaluations"])

    def to_json(self) -> str:
        """Every number to the last bit, as text."""
        content = {
            "format": FORMAT,
            "made": self.made,
            "end": self.end,
            "alphas": self.alphas,
            "sigmas": self.sigmas,
            "rows": [row._asdict() for row in self.rows],
        }
        return json.dumps(content, indent=1) + "\n"

    def save(self, path: str | Path) -> None:
        """Write ``to_json`` to a file, whole or not at all."""
        aside = Path(f"{path}.part")
        aside.write_text(self.to_json(), encoding="utf-8")
        aside.replace(path)

    @classmethod
    def from_json(cls, text: str, name: str = "the text") -> Table:
        """The table that ``to_json`` wrote. Raises UserError, naming the source, when it is none."""
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise UserError(f"{name} has the format {content['format']!r}, this version reads {FORMAT!r}.")
            rows = tuple(_row(row) for row in content["rows"])
            scales = (tuple(map(float, content[key])) for key in ("alphas", "sigmas"))
            return cls(rows, float(content["end"]), *scales, made=dict(content["made"]))
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            if type(error) is UserError:
                raise
            raise UserError(f"{name} is not a sampler table ({error}). `scorefield tune` writes one.") from error

    @classmethod
    def load(cls, path: str | Path) -> Table:
        """Read what ``save`` wrote. Raises UserError when the file is missing or no table."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the table {path} cannot be read: {error}.") from error
        return cls.from_json(text, str(path))


def _mixed(row: Row, x: Tensor, start: Tensor | None, past: tuple[Tensor, ...], rng: Rng) -> Tensor:
    """The row's linear combination, accumulated in place."""
    _, keep, begin, beliefs, fresh = row
    x = x * keep
    for weight, belief in zip(beliefs, past, strict=False):
        x.add_(belief, alpha=weight)
    if begin and start is not None:
        x.add_(start, alpha=begin)
    if fresh:
        x.add_(rng.normal(x), alpha=fresh)
    return x


def _row(content: dict[str, Any]) -> Row:
    t, keep, start, fresh = (float(content[name]) for name in ("t", "keep", "start", "fresh"))
    return Row(t, keep, start, tuple(map(float, content["beliefs"])), fresh)

"""What is exported: torch modules whose inputs and outputs are plain tensors, built of the library's own parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..belief import Moments
from ..core import as_time
from ..denoisers.predictions import Coefficients
from ..guidance import ClassifierFree
from ..noise import Gaussian
from ..noise.schedules import Scales
from ..solvers.table import Table

Decode = Callable[[Tensor], Tensor]


class Input(NamedTuple):
    """One input of a program: its name, type, shape without the batch, smallest and largest value, and a sentence."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float | None
    high: float | None
    meaning: str


@dataclass(frozen=True)
class ByLevel:
    """The schedule whose time *is* log σ: α = 1, σ = e^t. A network that is told the noise level alone runs on it
    whatever it was trained on, so an exported denoiser needs no schedule."""

    def __call__(self, t: Tensor) -> Scales:
        return Scales(torch.ones_like(t), t.exp())

    def time(self, log_ratio: Tensor) -> Tensor:
        """log σ = −log α/σ."""
        return -log_ratio


class DenoiserProgram(nn.Module):
    """x̂₀ of x = x₀ + e^level ε: forward(x (B, *D), level (B,), label (B,), condition (B, V)) → (B, *D) float32.

    ``level`` is log σ/α, so a state x_t of any schedule goes in as x_t / α_t. ``guidance`` other than 1 asks the
    network twice. ``denoiser`` is a ``Preconditioned``."""

    def __init__(self, denoiser: Any, guidance: float = 1.0) -> None:
        super().__init__()
        self.denoiser = denoiser.under(Gaussian(ByLevel()))
        self.guided: Any = _guided(self.denoiser, guidance)

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        return self.guided(x, level, **_given(label, condition)).mean


class SamplerProgram(nn.Module):
    """All rows of a sampler's table as one graph: forward(noise (B, *D), fresh (B, K, *D), label (B,), condition
    (B, V)) → (B, *D), decoded by ``decode`` where there is one.

    ``noise`` and ``fresh`` are standard normal; ``fresh`` holds what a stochastic solver draws on its way, and is no
    input where K = ``draws`` is 0. Everything that depends on times alone is a number of the graph. ``denoiser`` is a
    ``Preconditioned``. Raises UserError when the table is of another schedule."""

    def __init__(self, denoiser: Any, table: Table, guidance: float = 1.0, decode: Decode | None = None) -> None:
        super().__init__()
        table.check(denoiser.process)
        denoiser = denoiser.under(denoiser.process)  # a Preconditioned, whatever stands around it
        self.denoiser, self.decode = denoiser, decode
        self.table = replace(table, process=denoiser.process)
        self.scale = float(denoiser.process.schedule(table.times[0]).sigma)
        self.draws = sum(row.fresh != 0 for row in table.rows)
        self.asked = _guided(_AtRow(denoiser), guidance)
        self.rows = [_row(denoiser, t) for t in table.times[:-1].unbind()]

    def forward(
        self,
        noise: Tensor,
        fresh: Tensor | None = None,
        label: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        walked = _Rows(self.asked, self.denoiser.process, iter(self.rows))
        drawn: Any = _Drawn(iter(() if fresh is None else fresh.unbind(1)))
        x = self.table.run(walked, noise * self.scale, drawn, **_given(label, condition))
        return x if self.decode is None else self.decode(x)


class _Row(NamedTuple):
    """What the denoiser needs to know of a time, as numbers."""

    coefficients: Any  # Coefficients, of numbers
    level: float


def _row(denoiser: Any, t: Tensor) -> _Row:
    exact = denoiser.coefficients(as_time(t), torch.empty(1, 1))
    numbers: Any = Coefficients(*map(float, exact))  # pyrefly: ignore[bad-argument-type]
    return _Row(numbers, float(denoiser.level(as_time(t))))


class _AtRow:
    """The denoiser, asked at a ``_Row`` in the place of a time."""

    def __init__(self, denoiser: Any) -> None:
        self.denoiser, self.process = denoiser, denoiser.process

    def __call__(self, x: Tensor, row: _Row, **cond: Any) -> Moments:
        return self.denoiser.believe(x, row.coefficients, x.new_full((), row.level), **cond)


class _Rows:
    """A denoiser for ``Table.run``: its n-th call is at the n-th row, whatever time it is told."""

    def __init__(self, asked: Any, process: Any, rows: Iterator[_Row]) -> None:
        self.asked, self.process, self.rows = asked, process, rows

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        return self.asked(x, next(self.rows), **cond)


class _Drawn:
    """Stands in for an ``Rng``: the draws are inputs."""

    def __init__(self, draws: Iterator[Tensor]) -> None:
        self.draws = draws

    def normal(self, x: Tensor) -> Tensor:
        """The next of them."""
        return next(self.draws).to(x.dtype)


def _guided(denoiser: Any, guidance: float) -> Any:
    return denoiser if guidance == 1 else ClassifierFree(denoiser, guidance)


def _given(label: Tensor | None, condition: Tensor | None) -> Mapping[str, Tensor]:
    both = {"label": label, "condition": condition}
    return {name: tensor for name, tensor in both.items() if tensor is not None}

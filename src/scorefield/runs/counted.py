"""What bits a dimension are counted of: the levels of images, or the numbers of other data in their own units."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from scorefield.core import Rng
from scorefield.data import Dataset
from scorefield.data.levels import ValueLevels, levels_of
from scorefield.likelihood import Levels, Real, Softmax, Terms, gaussian_elbo, log_prob
from scorefield.runs.densities import spread_least

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

STEP_SAMPLES = 64  # noised states of each example, for a bound in steps: its terms differ by orders of magnitude
REAL_LEAST = 2e-3  # σ/α at which the bound of real data is handed to its decoder


class Effort(NamedTuple):
    """How much is spent on an example."""

    samples: int  # noised states, for the bound
    probes: int  # for the divergence
    solver: Any


class Found(NamedTuple):
    """Nats of examples by the name of the figure, (B,) float64 on the CPU each, and the terms of the bound."""

    nats: dict[str, Tensor]
    terms: Terms


FIGURES = {  # name → label and what it is
    "bits_bound": ("bits/dim (bound)", "upper bound on −log₂ of {}, in continuous time"),
    "bits_flow": ("bits/dim (flow)", "−log₂ of the density of the flow{}"),
    "bits_steps": ("bits/dim (bound, {} steps)", "upper bound on −log₂ of {}, of the model that draws all its steps"),
}
SPREAD = {  # how levels become points for the flow
    False: " at levels spread over their bins by uniform noise",
    True: " at levels spread over their bins by the law that was learned with it",
}


@dataclass(frozen=True)
class Placed:
    """A decoder of levels on [−1, 1], for levels that were encoded elsewhere: around ``centre``, ``half`` as wide."""

    inner: Any
    centre: float
    half: float

    def __call__(self, x0: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return self.inner((x0 - self.centre) / self.half, (mean - self.centre) / self.half, var / self.half**2)


class OfLevels:
    """Bits of the levels of images: probabilities, so that figures of all models of the same levels compare."""

    def __init__(self, run: Run, real: Dataset) -> None:
        found = run.config["data"]["found"].get("levels")
        self.run, self.levels = run, ValueLevels.from_json(found) if found else levels_of(real)
        ends = self._encoded(real.x.new_tensor([0, self.levels.count - 1]).double())
        self.low, self.half = float(ends.mean()), float((ends[1] - ends[0]) / 2)
        self.volume = math.log(self.half / ((self.levels.count - 1) / 2))  # log |∂z/∂(number of the level)|

    @property
    def units(self) -> str:
        """What must be known to read the figures."""
        return (
            f"All figures are upper bounds on −log₂ of the probability of the values as stored, {self.levels.count} "
            "levels, a dimension."
        )

    @property
    def figures(self) -> dict[str, tuple[str, str]]:
        """Name → (label, note)."""
        steps, learned = _steps(self.run), self.run.config["denoiser"].get("dequantiser") is not None
        told = {"bits_bound": "the probability of the levels", "bits_flow": SPREAD[learned]}
        told |= {"bits_steps": "the probability of the levels"} if steps else {}
        return _figures(told, steps)

    def __call__(self, raw: Tensor, cond: dict[str, Any], rng: Rng, effort: Effort) -> Found:
        """raw (B, C, H, W) uint8."""
        run, size = self.run, math.prod(raw.shape[1:])
        index = self.levels.index(raw)
        z = self._encoded(index.double()).float().to(run.device)
        if run.config["denoiser"]["type"] == "dequantised":
            return self._dequantised(z, cond, rng, effort)
        decoder, least, centre = self._last()
        terms = gaussian_elbo(
            run.denoiser, z, rng=rng, samples=effort.samples, sigma_min=least, decoder=decoder, centre=centre, **cond
        )
        nats = {"bits_bound": terms.bound.nats}
        point = self._encoded(index.double() + rng.uniform(index.double()) - 0.5).float().to(run.device)
        # below a learned γ₀ the network knows nothing
        solver = effort.solver if centre == "belief" else replace(effort.solver, sigma_min=least)
        flow = log_prob(run.denoiser, point, probes=effort.probes, rng=rng, solver=solver, **cond)
        nats["bits_flow"] = -flow.nats.cpu().double() - size * self.volume
        if steps := _steps(run):
            nats["bits_steps"] = _in_steps(run, z, steps, self._placed(Levels(self.levels.count)), cond, rng)
        return Found(nats, terms)

    def _dequantised(self, z: Tensor, cond: dict[str, Any], rng: Rng, effort: Effort) -> Found:
        """−log P ≤ log q(u | v) − log p(v + u), one draw of u an example."""
        denoiser, least = self.run.denoiser, spread_least(self.levels.count) * self.half
        x, log_q = denoiser.dequantise(z, rng)
        terms = gaussian_elbo(denoiser, x, rng=rng, samples=effort.samples, sigma_min=least, decoder=Real(), **cond)
        solver = replace(effort.solver, sigma_min=least)
        flow = log_prob(denoiser, x, probes=effort.probes, rng=rng, solver=solver, **cond)
        log_q = log_q.cpu().double()
        return Found({"bits_bound": terms.bound.nats + log_q, "bits_flow": -flow.nats.cpu().double() + log_q}, terms)

    def _last(self) -> tuple[Any, float, str]:
        """The decoder, σ/α at which it takes over, and what it is centred on: VDM's own where γ₀ was learned."""
        if self.run.config["process"]["schedule"]["type"] == "learned":
            least = math.exp(self.run.process.schedule.range[0] / 2)
            return self._placed(Softmax(self.levels.count)), least, "state"
        # A third of half a bin: γ₀ = −13.3 at 256 levels (Kingma et al. 2021).
        return self._placed(Levels(self.levels.count)), self.half / (3 * self.levels.count), "belief"

    def _placed(self, decoder: Any) -> Any:
        even = abs(self.low) < 1e-6 and abs(self.half - 1) < 1e-6
        return decoder if even else Placed(decoder, self.low, self.half)

    def _encoded(self, index: Tensor) -> Tensor:
        """Numbers of levels, float64, between them too → what is diffused."""
        return self.run.codec.encode(self.levels.first + self.levels.step * index)


class OfNumbers:
    """Bits of densities in the units of the data as stored; they may be below zero."""

    units = "Densities are in the units of the data as stored, so that they may be below zero."

    def __init__(self, run: Run, real: Dataset) -> None:
        self.run = run

    @property
    def figures(self) -> dict[str, tuple[str, str]]:
        """Name → (label, note)."""
        steps = _steps(self.run)
        told = {"bits_bound": "the density", "bits_flow": ""} | ({"bits_steps": "the density"} if steps else {})
        return _figures(told, steps)

    def __call__(self, raw: Tensor, cond: dict[str, Any], rng: Rng, effort: Effort) -> Found:
        """raw (B, *D) real."""
        run = self.run
        volume = run.codec.log_det(run.shape)
        z = run.codec.encode(raw).to(run.device)
        terms = gaussian_elbo(run.denoiser, z, rng=rng, samples=effort.samples, sigma_min=REAL_LEAST, **cond)
        point = run.codec.encode(raw.double()).float().to(run.device)
        flow = log_prob(run.denoiser, point, probes=effort.probes, rng=rng, solver=effort.solver, **cond)
        nats = {"bits_bound": terms.bound.nats - volume, "bits_flow": -flow.nats.cpu().double() - volume}
        if steps := _steps(run):
            nats["bits_steps"] = _in_steps(run, z, steps, Real(), cond, rng) - volume
        return Found(nats, terms)


def _steps(run: Run) -> int | None:
    """The steps of a run on a table of them, or with a variance that was learned for so many."""
    return run.config["denoiser"].get("steps") or getattr(run.process.schedule, "steps", None)


def _in_steps(run: Run, z: Tensor, steps: int, decoder: Any, cond: dict[str, Any], rng: Rng) -> Tensor:
    """With the variance that was learned, or else the larger of DDPM's two."""
    variance = "belief" if run.config["denoiser"]["type"] in ("learned-variance", "diagonal") else "large"
    terms = gaussian_elbo(run.denoiser, z, steps, rng, samples=STEP_SAMPLES, decoder=decoder, variance=variance, **cond)
    return terms.bound.nats


def _figures(told: dict[str, str], steps: int | None) -> dict[str, tuple[str, str]]:
    return {name: (FIGURES[name][0].format(steps), FIGURES[name][1].format(words)) for name, words in told.items()}


KINDS: dict[str, Callable[[Run, Dataset], Any]] = {"images": OfLevels, "vectors": OfNumbers, "signals": OfNumbers}

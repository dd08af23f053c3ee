"""Exponential multistep solvers for Gaussian diffusion, all of them one rule.

Every one takes the *same* step, the bridge of the process, and differs only in what it aims at: a weighted average of
the last few beliefs (``weights.py``), in clean images, in noise or in their difference. A corrector (UniPC, SA-Solver)
uses the next belief, when it comes, to mend the step that led to it, at no further evaluation.

    Exponential(1)            DDIM                     Exponential(2, weights="published")   DPM-Solver++(2M)
    Exponential(1, eta=1)     DDPM                     Exponential(2, eta=1)                 SDE-DPM-Solver++(2M)
    Exponential(2, space="eps", clock="t")  tAB-DEIS   Exponential(3, corrector=4)           UniPC-3
    Exponential(3, corrector=4, tau=1)                 SA-Solver
    Exponential(3, corrector=4, space="flow", clock="flow")   the same on the straight lines of rectified flow
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core import Denoiser, Rng, need
from ..errors import UserError, suggest
from ..registry import register
from .weights import RULES, aim_weights, quadrature_weights


class Space(NamedTuple):
    """What is averaged, with (α, σ) of t and s: its value by a belief, the step (keep, gain) of x_s = keep x_t + gain ·
    value, and the kernel of the average, e^{rate λ} (None: uniform in σ/(α + σ))."""

    of: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # (mean, x, α, σ) ↦ value
    step: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]  # (α_t, σ_t, α_s, σ_s)
    rate: float | None


SPACES = {
    "x0": Space(lambda mean, x, a, s: mean, lambda a, s, a2, s2: (s2 / s, a2 - a * s2 / s), 1.0),
    "eps": Space(lambda mean, x, a, s: (x - a * mean) / s, lambda a, s, a2, s2: (a2 / a, s2 - s * a2 / a), -1.0),
    "flow": Space(  # ε − x₀: x/(α + σ) moves along it at unit rate of σ/(α + σ)
        lambda mean, x, a, s: (x - (a + s) * mean) / s,
        lambda a, s, a2, s2: ((a2 + s2) / (a + s), s2 - s * (a2 + s2) / (a + s)),
        None,
    ),
}
CLOCKS: dict[str, Callable[[Any, Tensor], Tensor]] = {  # (process, λ) ↦ where on the clock
    "lambda": lambda process, lam: lam,
    "t": lambda process, lam: process.time(lam),
    "sigma": lambda process, lam: (-lam).exp(),
    "flow": lambda process, lam: torch.sigmoid(-lam),
}


class Node(NamedTuple):
    """A belief at λ, in the units of the space."""

    lam: Tensor
    value: Tensor


@dataclass(frozen=True)
class Memory:
    """The times left, the last beliefs (newest last), and what the last step did, for the corrector."""

    left: int
    past: tuple[Node, ...] = ()
    aim: Tensor | None = None  # what the step that led here aimed at
    gain: Tensor = field(default_factory=lambda: torch.zeros(()))  # by how much x moves when that aim moves by 1
    rate: Tensor | float | None = 1.0


@register("exponential", "solver")
@dataclass(frozen=True)
class Exponential:
    """The polynomial through the last ``order`` beliefs, integrated exactly (Lu et al. 2022b, eq. 3.3; Zhang and Chen
    2023, eq. 15). One evaluation a step; the first steps use the beliefs that there are.

    - ``eta`` ≥ 0 is the fresh noise of DDIM, in units of DDPM's; ``tau`` that of SA-Solver (Xue et al. 2023), a rate of
      the SDE, at σ/α inside ``tau_span``. Both are 0 for the probability-flow ODE and 1 for the reverse SDE.
    - ``corrector`` n > 0 mends each step with n beliefs, the one at its end included: order n (Zhao et al. 2023).
    - ``space`` x0, eps or flow (ε − x₀): what is averaged. ``clock``: lambda, t, sigma (σ/α) or flow (σ/(α + σ)), in
      which it is a polynomial. Flow in flow is the linear multistep method of rectified flow, on any schedule.
    - ``weights`` is exact, or a short cut of the literature (``weights.RULES``).
    - ``lower_final`` uses k beliefs at most with k steps left, as the official codes do on short grids.

    Raises UserError for values outside these.
    """

    order: int = 2
    eta: float = 0.0
    tau: float = 0.0
    corrector: int = 0
    space: str = "x0"
    clock: str = "lambda"
    weights: str = "exact"
    tau_span: tuple[float, float] = (0.0, float("inf"))
    lower_final: bool = False

    tabulates = True

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3, 4):
            raise UserError(f"order must be 1, 2, 3 or 4, got {self.order}.")
        if not 0 <= self.corrector <= 5:
            raise UserError(f"corrector must be 0 (none) or a number of beliefs up to 5, got {self.corrector}.")
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta must be between 0 (deterministic) and 1 (as noisy as DDPM), got {self.eta}.")
        if not self.tau >= 0 or (self.tau and self.eta):
            raise UserError(f"tau must be at least 0, and 0 where eta is given; got tau={self.tau}, eta={self.eta}.")
        for name, known in (("space", SPACES), ("clock", CLOCKS), ("weights", RULES)):
            if getattr(self, name) not in known:
                raise UserError(f"no {name} is called {getattr(self, name)!r}.{suggest(getattr(self, name), known)}")
        if self.space != "x0" and (self.eta or self.tau):
            raise UserError(f"noise is defined for space='x0' only: averages of {self.space} follow the flow.")
        if self.clock != "lambda" and self.weights != "exact":
            raise UserError(f"weights={self.weights!r} are short cuts in lambda; clock={self.clock!r} has exact ones.")

    def init(self, process: Any, times: Tensor) -> Memory:
        need(process, self, "bridge", "log_ratio", "schedule", *["time"] * (self.clock == "t"))
        return Memory(len(times) - 1)

    def step(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: Memory, rng: Rng
    ) -> tuple[Tensor, Memory]:
        process, belief = denoiser.process, denoiser(x, t)
        start, end = process.log_ratio(t), process.log_ratio(s)
        scales, target = process.schedule(t), process.schedule(s)
        space = SPACES[self.space]
        eta, rate = self._noise(start, end)
        if torch.isneginf(start) and not self._regular:  # a belief formed at λ = −∞ is no node to interpolate from
            keep, gain, fresh = process.bridge(t, s, eta)
            return move(x, belief.mean, keep, gain, fresh, rng), Memory(memory.left - 1)
        keep, gain, fresh = process.bridge(t, s, eta) if self.space == "x0" else (*space.step(*scales, *target), None)
        new = Node(start, space.of(belief.mean, x, *scales))
        if self.corrector and memory.aim is not None:
            nodes = (*memory.past, new)[-self.corrector :]
            mended = self._average(process, nodes, memory.past[-1].lam, start, memory.rate)
            x = x + memory.gain * (mended - memory.aim)
        past = (*memory.past, new)[-self.order :]
        used = past[-memory.left :] if self.lower_final else past
        aim = self._average(process, used, start, end, rate)
        return move(x, aim, keep, gain, fresh, rng), Memory(memory.left - 1, past, aim, gain, rate)

    @property
    def _regular(self) -> bool:
        """Whether the average exists across steps that are infinite in λ."""
        return self.space == self.clock == "flow"

    def _average(
        self, process: Any, nodes: tuple[Node, ...], start: Tensor, end: Tensor, rate: Tensor | float | None
    ) -> Tensor:
        clock = CLOCKS[self.clock]
        at = [clock(process, node.lam) for node in nodes]
        if self.clock == "lambda" and rate is not None:
            weights = aim_weights(at, start, end, rate, self.weights)
        elif self._regular:
            weights = aim_weights(at, clock(process, start), clock(process, end), 0.0)
        else:
            weights = quadrature_weights(at, lambda lam: clock(process, lam), _kernel(rate, end), start, end)
        average = weights[0] * nodes[0].value
        for weight, node in zip(weights[1:], nodes[1:], strict=True):
            average = average + weight * node.value
        return average

    def _noise(self, start: Tensor, end: Tensor) -> tuple[Tensor | float, Tensor | float | None]:
        """(η of the bridge, rate of the kernel) of a step λ: start → end.

        An SDE of constant τ keeps e^{−τ² h} of the noise where η keeps √(1 − η² (1 − e^{−2h})): each is a name for the
        other (Xue et al. 2023, eq. 9), so that orders above 1 are defined for every η too.
        """
        base, h = SPACES[self.space].rate, end - start
        if base is None:
            return 0.0, None
        if self.tau and self.tau_span[0] <= (-start).exp() <= self.tau_span[1]:
            square = -torch.expm1(-2 * self.tau**2 * h) / -torch.expm1(-2 * h)
            return square.sqrt(), base + self.tau**2
        if self.eta in (0, 1) or not torch.isfinite(h):
            return self.eta, base + self.eta**2
        kept = torch.log1p(self.eta**2 * torch.expm1(-2 * h))
        return self.eta, base - kept / (2 * h)


def _kernel(rate: Tensor | float | None, end: Tensor) -> Callable[[Tensor], Tensor]:
    if rate is None:
        return lambda lam: torch.sigmoid(lam) * torch.sigmoid(-lam)  # −d/dλ of σ/(α + σ)
    return lambda lam: ((lam - end) * rate).exp()


def move(x: Tensor, aim: Tensor, keep: Tensor, gain: Tensor, fresh: Tensor | None, rng: Rng) -> Tensor:
    """keep · x + gain · aim + fresh · ε; nothing is drawn where nothing is fresh."""
    x = keep * x + gain * aim
    return x + fresh * rng.normal(x) if fresh is not None and fresh > 0 else x

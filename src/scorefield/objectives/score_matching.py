"""Score matching: what a network that gives ∇ log p, or an energy −log p, can learn from data without knowing p's
constant. Each loss is E ½‖s − ∇ log p‖² up to a constant that no parameter moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Denoiser, Rng, as_time, need
from ..errors import UserError, suggest
from ..registry import register

Score = Callable[[Tensor], Tensor]  # (B, *D) ↦ (B, *D)


def energy_score(energy: Callable[[Tensor], Tensor]) -> Score:
    """The score −∇E (B, *D) of an energy network (B, *D) → (B,) or (B, 1), differentiable in its parameters. Its
    Jacobian is symmetric, and differences of −E are differences of log p. An example's energy must depend on no
    other. ``explicit`` and ``sliced`` take a third derivative of E, which torch has wrong for its layer norm: such a
    network belongs in ``denoisers.Energy``, which writes that out."""

    def score(x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            return -torch.autograd.grad(energy(x).sum(), x, create_graph=True)[0]

    return score


@torch.enable_grad()
def explicit(score: Score, x: Tensor) -> Tensor:
    """½‖s‖² + tr ∇s (Hyvärinen 2005, eq. 4), x (B, *D) → (B,): E ½‖s − ∇ log p‖² less ½ E‖∇ log p‖², for densities
    that vanish at infinity. A pass backward for every dimension.

    The trace needs a second derivative: networks of ReLU have none, and data on levels no density (add noise). On few
    examples it has no minimum: a network can spike at each."""
    at, s = _at(score, x)
    flat = s.flatten(1)
    traces = [_back(flat[:, i].sum(), at).flatten(1)[:, i] for i in range(flat.shape[1])]
    return 0.5 * flat.square().sum(1) + torch.stack(traces, 1).sum(1)


@torch.enable_grad()
def sliced(score: Score, x: Tensor, rng: Rng, slices: int = 1, reduced: bool = True, law: str = "rademacher") -> Tensor:
    """vᵀ∇s v + ½‖s‖² with random v (Song et al. 2019, eq. 8), x (B, *D) → (B,), a mean over ``slices``: as ``explicit``
    in expectation, at a pass backward a slice. Not ``reduced``, ½ (vᵀs)² stands for ½‖s‖² (eq. 7), with more variance.
    ``law`` of v: rademacher or gaussian. Raises UserError for slices < 1 or another law."""
    directions = _law(law, slices)
    at, s = _at(score, x)
    losses = []
    for _ in range(slices):
        v = directions(rng, at)
        along = (s * v).flatten(1).sum(1)
        curve = (_back(along.sum(), at) * v).flatten(1).sum(1)
        losses.append(curve + 0.5 * (s.flatten(1).square().sum(1) if reduced else along.square()))
    return torch.stack(losses).mean(0)


def finite_difference(
    score: Score, x: Tensor, rng: Rng, step: float = 1e-2, slices: int = 1, law: str = "rademacher"
) -> Tensor:
    """``sliced`` with vᵀ[s(x + hv) − s(x − hv)]/2h for the derivative (Pang et al. 2020, section 3), x (B, *D) → (B,):
    no derivative in x, so that it costs two passes forward more; wrong by O(h²), h = ``step``. Raises UserError for
    slices < 1, a step that is not above 0 or another law."""
    if not 0 < step < math.inf:
        raise UserError(f"the step of a finite difference must be above 0, got {step}.")
    directions, s, losses = _law(law, slices), score(x), []
    for _ in range(slices):
        v = directions(rng, x)
        change = score(x + step * v) - score(x - step * v)
        losses.append((v * change).flatten(1).sum(1) / (2 * step))
    return 0.5 * s.flatten(1).square().sum(1) + torch.stack(losses).mean(0)


def denoising(score: Score, x: Tensor, rng: Rng, std: float) -> Tensor:
    """½‖s(x + σε) + ε/σ‖² (Vincent 2011, eq. 11), x (B, *D) → (B,): it learns the score of the data with noise of
    deviation σ = ``std``. It exceeds E ½‖s − ∇ log p_σ‖² by ½ (D/σ² − E‖∇ log p_σ‖²). Raises UserError for std ≤ 0."""
    if not 0 < std < math.inf:
        raise UserError(f"std, the deviation of the noise, must be above 0, got {std}.")
    noise = rng.normal(x)
    return 0.5 * (score(x + std * noise) + noise / std).flatten(1).square().sum(1)


FORMS: dict[str, Callable[[Score, Tensor, Rng, int], Tensor]] = {
    "explicit": lambda score, x, rng, slices: explicit(score, x),
    "sliced": sliced,
    "sliced-plain": lambda score, x, rng, slices: sliced(score, x, rng, slices, reduced=False, law="gaussian"),
    "finite-difference": lambda score, x, rng, slices: finite_difference(score, x, rng, slices=slices),
}


@register("score-matching", "objective")
@dataclass(frozen=True)
class ScoreMatching:
    """Any of these on a denoiser at one noise level, σ² J(∇ log p_t)/D with noise σ/α = ``level`` in units of data: the
    loss of NCSN's levels without the noise that made x_t (Song and Ermon 2019, eq. 5).

    ``form`` is explicit, sliced, sliced-plain or finite-difference; ``slices`` how many directions. Raises UserError
    for another form, level ≤ 0 or slices < 1."""

    form: str = "sliced"
    level: float = 0.1
    slices: int = 1

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UserError(f"no form of score matching is called {self.form!r}.{suggest(self.form, FORMS)}")
        if not 0 < self.level < math.inf:
            raise UserError(f"level, the noise σ/α of score matching, must be above 0, got {self.level}.")
        _law("rademacher", self.slices)

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor:
        """The loss of each example: x0 (B, *D) → (B,)."""
        process = denoiser.process
        need(process, self, "score", "schedule", "time")
        t = process.time(as_time(-math.log(self.level)))
        sigma = process.schedule(t).sigma.item()

        def score(u: Tensor) -> Tensor:
            return sigma * process.score(sigma * u, denoiser(sigma * u, t, **cond), t)

        return FORMS[self.form](score, process.corrupt(x0, t, rng) / sigma, rng, self.slices) / math.prod(x0.shape[1:])


def _at(score: Score, x: Tensor) -> tuple[Tensor, Tensor]:
    """A point that can be differentiated by, and the score there."""
    at = x.detach().requires_grad_()
    return at, score(at)


def _back(total: Tensor, x: Tensor) -> Tensor:
    """d total/dx, differentiable; zero where there is no connection."""
    return torch.autograd.grad(total, x, create_graph=True, materialize_grads=True)[0]


LAWS: dict[str, Callable[[Rng, Tensor], Tensor]] = {
    "rademacher": lambda rng, x: 2 * rng.integers(2, x).to(x.dtype) - 1,
    "gaussian": lambda rng, x: rng.normal(x),
}


def _law(law: str, slices: int) -> Callable[[Rng, Tensor], Tensor]:
    if law not in LAWS:
        raise UserError(f"no law of slices is called {law!r}.{suggest(law, LAWS)}")
    if slices < 1:
        raise UserError(f"score matching needs at least 1 slice, got {slices}.")
    return LAWS[law]

"""Diffusion on ordered categories whose steps differ in more than their length: D3PM's discretised Gaussian."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..belief import Logits
from ..core import Rng, as_time
from ..errors import UserError, suggest
from ..registry import register
from .compare import divergence, surprise
from .unmasked import Unmasked

FORMS = ("mixture", "product")
MOST = 2**27  # entries of the table of products: 1 GiB in float64
WHOLE = 1e-6  # how far from a step a time may lie, in steps


@register("gaussian-steps", "process")
@dataclass(frozen=True)
class GaussianSteps(Unmasked):
    """Step i of ``steps`` moves a category to j with probability ∝ exp(−4 (i − j)²/((K − 1)² β_i)), normalised over
    −K + 1 … K − 1, and keeps it otherwise (D3PM: Austin et al. 2021, appendix A.2.3), site by site; β_i runs evenly
    from ``first`` to ``last``, the published 1e-4 to 0.02.

    The width grows with i, so the matrices have no common eigenvectors and, unlike those of ``Markov``, no times
    between steps: t and s are multiples of 1/steps, the bound is that in steps, and all products Q₁ … Q_i are stored,
    8 (steps + 1) K² bytes (0.5 GB for 256 categories and 1000 steps). Each is doubly stochastic: the prior is uniform.
    States are int64 (B, *D), 0 … K − 1. Raises UserError for fewer than 2 classes, steps < 1, β outside (0, ∞), a
    table of more than 1 GiB, and times between the steps.
    """

    classes: int
    steps: int = 1000
    first: float = 1e-4
    last: float = 0.02

    def __post_init__(self) -> None:
        if self.classes < 2 or self.steps < 1 or not min(self.first, self.last) > 0:
            raise UserError(
                f"gaussian-steps needs classes ≥ 2, steps ≥ 1, and first and last above 0; got classes={self.classes}, "
                f"steps={self.steps}, first={self.first}, last={self.last}."
            )
        if (self.steps + 1) * self.classes**2 > MOST:
            raise UserError(
                f"{self.steps} steps of {self.classes} categories need a table of more than 1 GiB. Use fewer steps, or "
                "Markov(GaussianJumps(...)), which keeps the shape and stores none."
            )

    @cached_property
    def each(self) -> Tensor:
        """Q_1 … Q_T, (T, K, K) float64, from row to column."""
        beta = torch.linspace(self.first, self.last, self.steps, dtype=torch.float64)
        away = torch.arange(self.classes, dtype=torch.float64)
        weight = (-4 * (away / (self.classes - 1)).square() / beta[:, None]).exp()  # (T, K) by distance
        weight = weight / (2 * weight.sum(1, keepdim=True) - weight[:, :1])
        apart = (away - away[:, None]).abs().long()
        moves = weight[:, apart] * (apart > 0)
        return moves + torch.diag_embed(1 - moves.sum(2))

    @cached_property
    def products(self) -> Tensor:
        """Q_1 ⋯ Q_i for i = 0 … T, (T + 1, K, K) float64."""
        found = [torch.eye(self.classes, dtype=torch.float64)]
        for matrix in self.each:
            found.append(found[-1] @ matrix)
        return torch.stack(found)

    def log_ratio(self, t: Tensor) -> Tensor:
        """log α/(1 − α) for α = (tr Q_1 ⋯ Q_i − 1)/(K − 1), that of the uniform process with the same chance to stay:
        what networks are told of the noise."""
        traces = self.products.diagonal(dim1=1, dim2=2).sum(1)[self._step(t)]
        alpha = ((traces - 1) / (self.classes - 1)).clamp_min(0)
        return alpha.log() - (1 - alpha).log()

    def weight(self, t: Tensor) -> Tensor:
        """1: every step weighs the same."""
        return torch.ones_like(as_time(t))

    def prior(self, like: Tensor, rng: Rng) -> Tensor:
        """x₁, uniform, int64, shaped like ``like`` (B, *D)."""
        return rng.integers(self.classes, torch.zeros_like(like, dtype=torch.int64))

    def corrupt(self, x0: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x₀), int64 (B, *D)."""
        return rng.categorical(self._rows(self.products[self._step(t)], x0).log())

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x_s): back up from s to t > s."""
        return rng.categorical(self._rows(self._between(s, t), x).log())

    def reverse(self, x: Tensor, belief: Logits, t: Tensor, s: Tensor, rng: Rng) -> Tensor:
        """x_s ~ Σ_{x₀} q(x_s | x_t, x₀) belief(x₀)."""
        return rng.categorical(self.bridge(x, belief, t, s).log())

    def log_likelihood(self, x: Tensor, t: Tensor) -> Tensor:
        """log q(x_t | x₀ = k) of every site and class, (B, *D, K) float64."""
        return self._rows(self.products[self._step(t)].mT, x).log()

    def informed(self, logits: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """logits (B, *D, K) + log q(x_t | x₀), as that of ``Discrete``."""
        return logits + self.log_likelihood(x, t).clamp_min(-60).to(logits.dtype)

    def bridge(self, x: Tensor, belief: Logits, t: Tensor, s: Tensor, form: str = "mixture") -> Tensor:
        """Probabilities (B, *D, K) of x_s given x_t, float64, in the forms of ``Discrete.bridge``."""
        if form not in FORMS:
            raise UserError(f"no form of a bridge is called {form!r}.{suggest(form, FORMS)}")
        weights = belief.probs.double()
        if form == "mixture":
            chance = self._rows(self.products[self._step(t)].mT, x)
            weights = torch.where(chance > 0, weights / chance.clamp_min(torch.finfo(chance.dtype).tiny), 0.0)
        law = self._rows(self._between(s, t).mT, x) * self._pushed(weights, s)
        return law / law.sum(-1, keepdim=True)

    def kl(self, x: Tensor, x0: Tensor, belief: Logits, t: Tensor, s: Tensor, form: str = "mixture") -> Tensor:
        """KL(q(x_s | x_t, x₀) ‖ bridge) in nats, summed over the event, (B,)."""
        known = Logits(torch.nn.functional.one_hot(x0, self.classes).double().log())
        return divergence(self.bridge(x, known, t, s), self.bridge(x, belief, t, s, form), x)

    def prior_kl(self, x0: Tensor) -> Tensor:
        """KL(q(x₁ | x₀) ‖ uniform) in nats, (B,)."""
        end = self.products[-1].to(x0.device)[x0]
        return torch.special.xlogy(end, end * self.classes).sum(-1).flatten(1).sum(1).clamp_min(0)

    def reconstruction(self, x: Tensor, x0: Tensor, belief: Logits, t: Tensor, form: str = "mixture") -> Tensor:
        """−log p(x₀ | x_t) in nats by the bridge from t to 0, (B,)."""
        return surprise(self.bridge(x, belief, t, torch.zeros_like(as_time(t)), form).log(), x0).flatten(1).sum(1)

    def _step(self, t: Tensor) -> Tensor:
        """The number of the step that ends at t, int64 in the shape of t."""
        place = as_time(t) * self.steps
        if (place - place.round()).abs().max() > WHOLE:
            raise UserError(
                f"gaussian-steps knows only multiples of 1/{self.steps}, got t = {as_time(t).flatten()[0]:g}. Use the "
                f"grid uniform with a number of steps that divides {self.steps}, and Elbo(steps={self.steps})."
            )
        return place.round().long()

    def _between(self, s: Tensor, t: Tensor) -> Tensor:
        """q(x_t | x_s), (K, K) or (B, K, K) from row to column."""
        first, last = torch.broadcast_tensors(self._step(s), self._step(t))
        pairs, which = torch.stack((first.reshape(-1), last.reshape(-1)), 1).unique(dim=0, return_inverse=True)
        made = torch.stack([self._product(low, high) for low, high in pairs.tolist()])
        return made[which] if first.ndim else made[0]

    def _product(self, low: int, high: int) -> Tensor:
        found = torch.eye(self.classes, dtype=torch.float64)
        for matrix in self.each[low:high]:
            found = found @ matrix
        return found

    def _rows(self, matrix: Tensor, x: Tensor) -> Tensor:
        """Row x of a matrix (K, K), or of one for each example (B, K, K): (B, *D, K)."""
        matrix = matrix.to(x.device)
        if matrix.ndim == 2:
            return matrix[x]
        which = torch.arange(len(x), device=x.device).reshape(-1, *[1] * (x.ndim - 1)).expand(x.shape)
        return matrix[which, x]

    def _pushed(self, weights: Tensor, s: Tensor) -> Tensor:
        """Σ_{x₀} w(x₀) q(x_s = k | x₀) for every k, (B, *D, K)."""
        matrix = self.products[self._step(s)].to(weights.device)
        flat = weights.reshape(len(weights), -1, self.classes)
        return (flat @ matrix).view(weights.shape)

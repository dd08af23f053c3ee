"""Laws on sequences of categories whose every quantity is known: entropy, samples, the exact belief under any noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..belief import Logits
from ..core import Rng, quantile
from ..errors import UserError

FLOOR = -1e9  # log of "never" that sums without NaN


@dataclass(frozen=True, eq=False)
class Law:
    """Any law on {0 … K−1}ᴸ: ``probs`` (K,)·L, or ``probs`` (N,) of the only possible ``points`` (N, L) int64.

    Raises UserError when the shapes do not fit or the probabilities are not ≥ 0 with sum 1.
    """

    probs: Tensor
    points: Tensor | None = None
    classes: int = 0  # of a law on points; 0: as many as they show

    def __post_init__(self) -> None:
        if (self.probs < 0).any() or abs(self.probs.sum().item() - 1) > 1e-6:
            raise UserError(f"the probabilities of a law must be ≥ 0 and sum to 1, they sum to {self.probs.sum():g}.")
        if self.points is None and len(set(self.probs.shape)) != 1:
            raise UserError(f"a table of probabilities has K entries along each axis, got {tuple(self.probs.shape)}.")
        if self.points is not None and (self.probs.ndim, self.points.ndim, len(self.points)) != (1, 2, len(self.probs)):
            shapes = tuple(self.probs.shape), tuple(self.points.shape)
            raise UserError(f"a law on points needs probs (N,) and points (N, L), got {shapes[0]} and {shapes[1]}.")

    @cached_property
    def support(self) -> tuple[Tensor, Tensor]:
        """The possible sequences (N, L) and their probabilities (N,)."""
        if self.points is not None:
            return self.points, self.probs
        axes = [torch.arange(self.size, device=self.probs.device)] * self.probs.ndim
        return torch.cartesian_prod(*axes).view(-1, self.probs.ndim), self.probs.flatten()

    @property
    def size(self) -> int:
        """K."""
        return (self.classes or int(self.points.max()) + 1) if self.points is not None else len(self.probs)

    @property
    def length(self) -> int:
        """L."""
        return self.support[0].shape[1]

    @cached_property
    def entropy(self) -> float:
        """−Σ p log p in nats."""
        return torch.special.entr(self.support[1]).sum().item()

    @cached_property
    def marginals(self) -> Tensor:
        """The law of every site, (L, K)."""
        points, probs = self.support
        return torch.einsum("n,nlk->lk", probs, torch.nn.functional.one_hot(points, self.size).to(probs))

    @cached_property
    def total_correlation(self) -> float:
        """KL(law ‖ product of its marginals) in nats: what a model loses that draws all sites at once."""
        return torch.special.entr(self.marginals).sum().item() - self.entropy

    def sample(self, n: int, rng: Rng) -> Tensor:
        """n draws, int64 (n, L). Needs an ``Rng`` with one seed, or n of them."""
        points, probs = self.support
        return points[rng.categorical(probs.log().expand(n, -1))]

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, x int64 (B, L) → (B,); −∞ of what cannot be."""
        points, probs = self.support
        powers = self.size ** torch.arange(self.length, device=points.device)
        keys, order = (points * powers).sum(1).sort()
        key = (x * powers).sum(1)
        i = torch.searchsorted(keys, key).clamp_max(len(keys) - 1)
        return torch.where(keys[i] == key, probs[order[i]], 0.0).log()

    def denoiser(self, process: Any) -> ExactTokens:
        """The exact belief p(x₀ⁱ | x_t) of every site under ``process``, whatever its noise."""
        return ExactTokens(self, process)


@dataclass(frozen=True, eq=False)
class ExactTokens:
    """The token posteriors when the data follow ``law``: Bayes over all its sequences."""

    law: Law
    process: Any

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Logits:
        """x_t int64 (B, L), t () or (B,) → the belief, float64. A state that no sequence explains gets the posterior of
        those that explain the most sites. Conditions tell it nothing."""
        points, probs = self.law.support
        onehot = torch.nn.functional.one_hot(points, self.law.size).to(probs).flatten(1)  # (N, L K)
        evidence = self.process.log_likelihood(x, t).clamp_min(FLOOR).flatten(1) @ onehot.mT
        posterior = (evidence + probs.log()).softmax(-1)
        return Logits((posterior @ onehot).view(*x.shape, self.law.size).log())


def heartbeat(length: int = 20, period: int = 5) -> Law:
    """Sohl-Dickstein's test (2015, sec. 3.1.2): bits with a 1 every ``period`` places, the phase uniform. Entropy:
    log₂ period bits. Raises UserError unless the period divides the length."""
    if period < 1 or length % period:
        raise UserError(f"a heartbeat's period must divide its length, got period {period} and length {length}.")
    phases = (torch.arange(length) - torch.arange(period)[:, None]) % period == 0
    return Law(torch.full((period,), 1 / period, dtype=torch.float64), phases.long(), 2)


@dataclass(frozen=True, eq=False)
class MarkovText:
    """Sequences of ``length`` from a stationary chain of order 1: ``transitions`` (K, K), rows from one token to the
    next. A text whose entropy is known, with the exact belief at any length.

    Raises UserError when rows are not laws.
    """

    transitions: Tensor
    length: int

    def __post_init__(self) -> None:
        rows = self.transitions
        square = rows.ndim == 2 and rows.shape[0] == rows.shape[1]
        if not square or (rows < 0).any() or ((rows.sum(1) - 1).abs() > 1e-6).any() or self.length < 1:
            raise UserError("a Markov text needs a length ≥ 1 and transitions (K, K) whose rows are ≥ 0 and sum to 1.")

    @property
    def size(self) -> int:
        """K."""
        return len(self.transitions)

    @cached_property
    def start(self) -> Tensor:
        """The stationary law, (K,): the solution of π P = π, Σ π = 1."""
        eye = torch.eye(self.size).to(self.transitions)
        equations = torch.cat([(self.transitions - eye).mT, torch.ones_like(eye[:1])])
        right = torch.cat([torch.zeros_like(eye[0]), torch.ones_like(eye[0, :1])])
        return torch.linalg.lstsq(equations, right[:, None], driver="gelsd").solution[:, 0].clamp_min(0)

    @cached_property
    def rate(self) -> float:
        """Entropy rate in nats a token, −Σ π_i P_ij log P_ij."""
        return (self.start @ torch.special.entr(self.transitions).sum(1)).item()

    @property
    def entropy(self) -> float:
        """Entropy of one sequence in nats."""
        return torch.special.entr(self.start).sum().item() + (self.length - 1) * self.rate

    def sample(self, n: int, rng: Rng) -> Tensor:
        """n sequences, int64 (n, L). Needs an ``Rng`` with one seed, or n of them."""
        u = rng.uniform(torch.empty(n, self.length, dtype=torch.float64))
        x = [quantile(self.start.log().expand(n, -1), u[:, 0])]
        for i in range(1, self.length):
            x.append(quantile(self.transitions.log()[x[-1]], u[:, i]))
        return torch.stack(x, 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, x int64 (B, L) → (B,)."""
        return self.start.log()[x[:, 0]] + self.transitions.log()[x[:, :-1], x[:, 1:]].sum(1)

    def denoiser(self, process: Any) -> ExactChain:
        """The exact belief under ``process``, by the forward-backward recursion."""
        return ExactChain(self, process)


@dataclass(frozen=True, eq=False)
class ExactChain:
    """The token posteriors of a Markov text: O(L K²), in log-probabilities."""

    law: MarkovText
    process: Any

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Logits:
        """x_t int64 (B, L), t () or (B,) → the belief, float64. Conditions tell it nothing."""
        evidence = self.process.log_likelihood(x, t).clamp_min(FLOOR)  # (B, L, K)
        step, start = (part.log().clamp_min(FLOOR) for part in (self.law.transitions, self.law.start))
        ahead, behind = [start + evidence[:, 0]], [torch.zeros_like(evidence[:, 0])]
        for i in range(1, x.shape[1]):
            ahead.append((ahead[-1][:, :, None] + step).logsumexp(1) + evidence[:, i])
            behind.append((step + (evidence[:, -i] + behind[-1])[:, None]).logsumexp(2))
        total = torch.stack(ahead, 1) + torch.stack(behind[::-1], 1)
        return Logits(torch.where(total < 0.5 * FLOOR, -torch.inf, total))

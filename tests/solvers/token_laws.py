"""A random law on 27 sequences (three sites, three values) with its exact belief, and what samples say against it."""

from __future__ import annotations

import itertools

import torch
from scipy.stats import chi2
from torch import Tensor

from scorefield.belief import Logits
from scorefield.core import as_time

K, L = 3, 3


def random_law(seed: int = 0, length: int = L) -> Tensor:
    """(3, 3, 3) float64: exponential weights, so that sites depend on each other and no state is too rare to count."""
    weights = torch.empty((K,) * length, dtype=torch.float64)
    weights.exponential_(generator=torch.Generator().manual_seed(seed))
    return weights / weights.sum()


class Exact:
    """The exact posterior of every token by enumeration, from nothing but the definition of the noise:
    α_t δ + (1 − α_t) redraw. ``label`` (B,) −1 takes the law itself, c ≥ 0 the c-th of ``laws``. ``calls`` counts."""

    def __init__(self, law: Tensor, process, laws: list[Tensor] | None = None):
        self.law, self.process, self.laws, self.calls = law, process, laws or [], 0

    def __call__(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Logits:
        self.calls += 1
        if label is None and as_time(t).ndim == 0:  # as many states as there are, whatever the batch
            every = states(self.process.states, x.shape[1])
            return Logits(self.posterior(every, t, None)[index(x, self.process.states)].log())
        return Logits(self.posterior(x, t, label).log())

    def posterior(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        """(B, L, K) probabilities; of a state that has none, numbers that never matter."""
        kept = self.process.keep(as_time(t).reshape(-1, 1, 1))
        if self.process.masked == 1:  # whatever is left: a prompt shows tokens also at t = 1, where none is
            kept = torch.full_like(kept, 0.5)
        redraw = self.process.redraw[x][..., None]  # (B, L, 1)
        likely = kept * (x[..., None] == torch.arange(K)) + (1 - kept) * redraw  # (B, L, K)
        table = torch.stack([*self.laws, self.law])
        prior = (table[-1:] if label is None else table[label]).expand(len(x), *self.law.shape)
        axes = "ijklmn"[: x.shape[1]]
        joint = torch.einsum(f"b{axes}," + ",".join(f"b{a}" for a in axes) + f"->b{axes}", prior, *likely.unbind(1))
        sites = torch.stack([torch.einsum(f"b{axes}->b{a}", joint) for a in axes], 1)
        total = sites.sum(-1, keepdim=True)
        return torch.where(total > 0, sites / total, 1 / K)


def states(size: int, length: int) -> Tensor:
    """All sequences (sizeᴸ, L), in the order of a flattened table."""
    return torch.tensor(list(itertools.product(range(size), repeat=length)))


def index(x: Tensor, size: int) -> Tensor:
    """Where the sequences x (N, L) stand among ``states``, (N,)."""
    return (x * size ** torch.arange(x.shape[1] - 1, -1, -1)).sum(1)


def noised(law: Tensor, process, t: Tensor) -> Tensor:
    """p_t over all sequences of states, (S,)·L: each axis of the law through α_t δ + (1 − α_t) redraw."""
    kept = process.keep(as_time(t))
    step = (1 - kept) * process.redraw.expand(K, -1) + kept * torch.eye(K, process.states, dtype=torch.float64)
    for _ in range(law.ndim):
        law = torch.tensordot(law, step, ([0], [0]))  # takes the first axis off, puts the new one last
    return law


def counts(x: Tensor, size: int) -> Tensor:
    """How often each sequence occurs among x (N, L), (sizeᴸ,) float64."""
    return torch.bincount(index(x, size), minlength=size ** x.shape[1]).double()


def distance(p: Tensor, law: Tensor) -> float:
    """Total variation."""
    return 0.5 * (p.flatten() - law.flatten()).abs().sum().item()


def variation(x: Tensor, law: Tensor) -> float:
    """Total variation between the samples x (N, L) and the law; of 200,000 exact ones about 0.005."""
    return distance(counts(x, law.shape[0]) / len(x), law)


def doubt(x: Tensor, law: Tensor) -> float:
    """The probability that exact samples are as far from the law as x (N, L), by Pearson's χ². Tests say no below 1e-4:
    that is the rate of false alarms of each."""
    seen, expected = counts(x, law.shape[0]), len(x) * law.flatten()
    possible = expected > 0
    if seen[~possible].any():
        return 0.0
    statistic = ((seen - expected)[possible] ** 2 / expected[possible]).sum().item()
    return float(chi2.sf(statistic, int(possible.sum()) - 1))

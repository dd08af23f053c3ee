"""The protocols. Every other file of this package implements one of them or uses them.

Shapes: ``B`` batch, ``*D`` the event shape of one example. Times are in [0, 1]: 0 is clean, 1 is noise, ``s < t``.
A time is a float64 CPU tensor, ``()`` when sampling (one time for the batch: exact coefficients, no device sync,
no dtype promotion) or ``(B,)`` when training (one per example).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor

from .errors import UserError

B = TypeVar("B", bound="Belief")
M = TypeVar("M")


class Belief(Protocol):
    """What a model believes about the clean x₀ after it has seen x_t."""

    def lerp(self, other: Self, weight: float | Tensor) -> Self:
        """self + weight · (other − self), in the space's own coordinates: classifier-free guidance is a lerp."""
        ...

    def error(self, x0: Tensor) -> Tensor:
        """(B, *D) → (B,): how wrong the belief is about x₀, minimised in expectation by the truth."""
        ...


class Process(Protocol[B]):
    """How data are destroyed, and how one step is taken back given a belief about x₀."""

    def prior(self, shape: Sequence[int], rng: Rng) -> Tensor:
        """x₁ ~ p₁ of shape (B, *D)."""
        ...

    def corrupt(self, x0: Tensor, t: Tensor, rng: Rng) -> Tensor:
        """x_t ~ q(x_t | x₀), of the shape of x0."""
        ...

    def reverse(self, x: Tensor, belief: B, t: Tensor, s: Tensor, rng: Rng) -> Tensor:
        """x_s ~ ∫ q(x_s | x_t, x₀) belief(dx₀), of the shape of x."""
        ...

    def weight(self, t: Tensor) -> Tensor:
        """The weight that makes ``belief.error`` a well-scaled loss, of the shape of t."""
        ...


class Denoiser(Protocol[B]):
    """x_t, t → a belief about x₀. Networks, closed forms and guidance are all denoisers."""

    @property
    def process(self) -> Any:
        """The ``Process`` that it undoes, with whatever further capabilities that has (``velocity``, ``log_ratio``…):
        a solver or an objective that needs one says so in its documentation."""
        ...

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> B: ...


class Solver(Protocol[M]):
    """One step of a sampler. ``memory`` is whatever the method carries from step to step."""

    @property
    def tabulates(self) -> bool:
        """Whether x_s is affine in the state, the beliefs and fresh noise, with coefficients that depend on the times
        alone: such a solver can be written down as a ``Table``, and ``sample`` runs it that way."""
        ...

    def init(self, process: Any, times: Tensor) -> M:
        """The memory at the start of a walk over the falling ``times`` (n + 1,). Raises UserError, before any
        evaluation, when the process lacks a capability or the times do not suit the method."""
        ...

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, memory: M, rng: Rng) -> tuple[Tensor, M]:
        """One step t → s: (x_t, memory) ↦ (x_s, memory)."""
        ...


class Objective(Protocol):
    """The loss of each example, (B, *D) → (B,)."""

    def __call__(self, denoiser: Denoiser, x0: Tensor, rng: Rng, **cond: Any) -> Tensor: ...


class Codec(Protocol):
    """Where the data stop and the diffusion begins: scaling, dequantisation, a chart, an autoencoder."""

    def encode(self, raw: Tensor) -> Tensor:
        """Data as stored → what is diffused, (B, *D)."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """What was sampled, (B, *D) → data as stored."""
        ...


class Rng:
    """The only source of randomness: one seed, or one seed per example (then batching changes nothing).

    Draws come from CPU generators and move to the device of the result, so the same seed gives the same numbers on
    every machine. With ``device`` (a GPU), tensors that live there are drawn there instead: faster, and other numbers.
    Every method takes a tensor and returns a draw of its shape, dtype and device; with one seed per example the leading
    dimension must equal the number of seeds.
    """

    def __init__(self, seed: int | Sequence[int], device: torch.device | str = "cpu") -> None:
        self.per_example = not isinstance(seed, int)
        self._seeds: Sequence[int] = [seed] if isinstance(seed, int) else seed
        self.device = torch.device(device)
        self._made: dict[torch.device, list[torch.Generator]] = {}

    @classmethod
    def each(cls, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> Rng:
        """One generator per example: example ``i`` of seed ``seed`` is the same whatever batch it is drawn in."""
        return cls(_Folded(seed, indices), device)

    @staticmethod
    def fold(*numbers: int) -> int:
        """Any integers → one well-mixed 63-bit seed (SplitMix64, Steele et al. 2014). Order matters."""
        state = 0
        for number in (*numbers, len(numbers)):
            state = (state + 0x9E3779B97F4A7C15 + (number & _MASK)) & _MASK
            state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
            state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
            state ^= state >> 31
        return state >> 1

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers, shaped like ``like``."""
        return self._draw(torch.randn, like, like.dtype)

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform numbers on [0, 1), shaped like ``like``."""
        return self._draw(torch.rand, like, like.dtype)

    def integers(self, high: int, like: Tensor) -> Tensor:
        """Uniform integers in [0, high), int64, shaped like ``like``."""
        return self._draw(lambda shape, **how: torch.randint(high, shape, **how), like, torch.int64)

    def categorical(self, log_probs: Tensor) -> Tensor:
        """Draws from log-probabilities (…, K), normalised or not: int64 (…), by ``quantile`` at float64 numbers."""
        return quantile(log_probs, self.uniform(log_probs.new_empty(log_probs.shape[:-1], dtype=torch.float64)))

    def over_batch(self, of: Callable[[Tensor], tuple[Tensor, ...]], like: Tensor) -> tuple[Tensor, ...]:
        """``of`` uniform numbers (B,) of a whole batch, the rows of the examples that this generator draws for: here
        they are the whole batch; in training a micro-batch is a part of one."""
        return of(self.uniform(like))

    def permutation(self, n: int) -> Tensor:
        """A random order of 0 … n − 1, (n,) int64, from the first generator."""
        return torch.randperm(n, generator=self._generators(self.device)[0], device=self.device)

    def _draw(self, draw: Callable[..., Tensor], like: Tensor, dtype: torch.dtype) -> Tensor:
        device = self.device if like.device.type == self.device.type else _CPU
        generators = self._generators(device)
        how: dict[str, Any] = {"dtype": dtype, "device": device}
        if not self.per_example:
            return draw(tuple(like.shape), generator=generators[0], **how).to(like.device)
        if len(like) != len(generators):
            raise ValueError(f"This Rng holds {len(generators)} seeds, one per example; got {len(like)} examples.")
        return torch.stack([draw(tuple(like.shape[1:]), generator=g, **how) for g in generators]).to(like.device)

    def _generators(self, device: torch.device) -> list[torch.Generator]:
        if device not in self._made:
            self._made[device] = [torch.Generator(device).manual_seed(seed) for seed in self._seeds]
        return self._made[device]


class _Folded(Sequence[int]):
    """The seeds of ``Rng.each``, worked out when a number is drawn: a deterministic walk needs none."""

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        self.seed, self.indices = seed, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: Any) -> Any:
        return Rng.fold(self.seed, self.indices[i])


def quantile(log_probs: Tensor, u: Tensor) -> Tensor:
    """The category at which the distribution function passes u: log_probs (…, K), normalised or not, u (…) float64 in
    [0, 1) → int64 (…).

    Sums and u are float64, so a category of probability p is drawn with probability p (1 ± 1e-7) however small p is.
    A race of float32 exponentials, −log u / p, is wrong by factors there: its u are multiples of 2⁻²⁴.
    """
    flat, where = log_probs.reshape(-1, log_probs.shape[-1]), u.reshape(-1)
    rows = max(1, _BLOCK // log_probs.shape[-1])
    drawn = [_quantile(*part) for part in zip(flat.split(rows), where.split(rows), strict=True)]
    return torch.cat(drawn).view(u.shape) if drawn else u.long()


def _quantile(log_probs: Tensor, u: Tensor) -> Tensor:
    wide = log_probs.to(torch.promote_types(log_probs.dtype, torch.float32))
    upper = (wide - wide.amax(-1, keepdim=True)).exp().cumsum(-1, dtype=torch.float64)
    total = upper[:, -1]
    level = torch.minimum(u * total, torch.nextafter(total, torch.zeros_like(total)))  # u · total may round to total
    return torch.searchsorted(upper, level[:, None], right=True)[:, 0]


_BLOCK = 1 << 24  # probabilities summed at once: 128 MB in float64
_CPU = torch.device("cpu")
_MASK = (1 << 64) - 1


def need(process: Any, asker: Any, *capabilities: str) -> None:
    """Raise UserError, in one sentence, when ``process`` lacks what ``asker`` (a solver, or a name) calls."""
    missing = [name for name in capabilities if not callable(getattr(process, name, None))]
    if missing:
        name = asker if isinstance(asker, str) else type(asker).__name__
        raise UserError(
            f"{name} needs a process with {' and '.join(missing)}, which {type(process).__name__} has not. "
            "Use a Gaussian process, or the solver Ancestral on the grid Uniform, which do with any."
        )


def as_time(t: float | Sequence[float] | Tensor) -> Tensor:
    """A time as every process wants it: float64 on the CPU, () or (B,)."""
    return torch.as_tensor(t, dtype=torch.float64, device="cpu")


def like(c: Tensor, x: Tensor) -> Tensor:
    """View a coefficient, () or (B,), so that it multiplies x (B, *D). A 0-dim coefficient stays on the CPU in
    float64: torch then multiplies by an exact scalar, without copy or promotion."""
    return c.to(x.device, x.dtype).reshape(-1, *[1] * (x.ndim - 1)) if c.ndim else c


def slope(f: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """df/dt at every entry of t, for an f that acts entry by entry. Reverse mode: ten times cheaper than forward mode
    on such small tensors."""
    return torch.func.grad(lambda u: f(u).sum())(t)

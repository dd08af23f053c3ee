"""What discrete diffusion is set beside in categories.py: counting what stands near, and a causal transformer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import scorefield as sf
from scorefield.nets.sequence import turns
from scorefield.nets.tokens import turned
from scorefield.noise import masking

Offset = tuple[int, ...]  # how far a neighbour lies along each axis


def counted(
    train: np.ndarray, test: np.ndarray, classes: int, offsets: Sequence[Offset], edges: bool = True
) -> np.ndarray:
    """−log p of every place of ``test`` (M, *D) given its nearest n neighbours before it, for n = 0 … len(offsets), by
    counts of ``train`` (N, *D) with Witten and Bell's smoothing (1991, method C), (n, M, *D) nats.

    n neighbours back off to n − 1, at last to 1/K. What lies outside is a category of its own; without ``edges`` it is
    not known, as of a window cut out of a text. With offsets −1, −2, … of a text these are n-grams of order n + 1."""
    keys, sought = np.zeros(train.shape, np.int64), np.zeros(test.shape, np.int64)
    p, found, contexts = np.full(test.shape, 1 / classes), [], 1
    for n in range(len(offsets) + 1):
        if n:
            wider, near = classes + 1, neighbour(test, offsets[n - 1], classes)
            keys = keys * wider + neighbour(train, offsets[n - 1], classes)
            sought = np.where((sought >= 0) & (edges | (near < classes)), sought * wider + near, -1)
            known, keys = np.unique(keys, return_inverse=True)
            keys, sought, contexts = keys.reshape(train.shape), places_in(known, sought), len(known)
        codes, counts = np.unique(keys * classes + train, return_counts=True)
        followed = np.bincount(codes // classes, counts, contexts)
        kinds = np.bincount(codes // classes, minlength=contexts)
        at = places_in(codes, np.where(sought >= 0, sought * classes + test, -1))
        times = np.where(at >= 0, counts[np.maximum(at, 0)], 0)
        context = np.maximum(sought, 0)
        longer = (times + kinds[context] * p) / (followed[context] + kinds[context])
        p = np.where(sought >= 0, longer, p)
        found.append(-np.log(p))
    return np.stack(found)


def places_in(known: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Where each of ``x`` stands among the rising numbers ``known``, −1 where it does not."""
    at = np.minimum(np.searchsorted(known, x), len(known) - 1)
    return np.where((known[at] == x) & (x >= 0), at, -1)


def neighbour(x: np.ndarray, offset: Offset, outside: int) -> np.ndarray:
    """For each place of x (N, *D) what stands ``offset`` away from it; ``outside`` where that is beyond an edge."""
    found = np.full(x.shape, outside, np.int64)
    to, of = [slice(None)], [slice(None)]
    for step, size in zip(offset, x.shape[1:], strict=True):
        to.append(slice(max(0, -step), size - max(0, step)))
        of.append(slice(max(0, step), size - max(0, -step)))
    found[tuple(to)] = x[tuple(of)]
    return found


class CausalBlock(nn.Module):
    """x ← x + attention to what stands before; x ← x + MLP: the sizes of our block, without what is told of noise."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for layer in (self.out, self.narrow):
            nn.init.zeros_(layer.weight)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norms[0](x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(turned(q, places), turned(k, places), v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norms[1](x)), approximate="tanh"))


class Autoregressive(nn.Module):
    """log p(x_i | x_1 … x_{i−1}): the transformer of a language model, tied table, rotary positions; the ``near`` ones
    before a token enter with it as in our network; for grids there is a learned vector at each of ``places``."""

    def __init__(self, classes: int, width: int, depth: int, heads: int, near: int, places: int = 0) -> None:
        super().__init__()
        self.near = nn.Parameter(torch.randn(near, width) / 2)
        self.classes, self.process = classes, masking(classes)  # the loop of training wants to know of one
        self.table = nn.Embedding(classes + 1, width)  # the last one stands before the text
        nn.init.normal_(self.table.weight, std=width**-0.5)
        self.places = nn.Parameter(torch.zeros(places, width)) if places else None
        self.blocks = nn.ModuleList(CausalBlock(width, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, width)
        nn.init.zeros_(self.head.weight)  # like ours: nothing is said before something is learned
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        """−log p of each of x (B, *D), in nats, in reading order (B, L)."""
        x, width = x.flatten(1), self.table.embedding_dim
        h = self.table(F.pad(x[:, :-1], (1, 0), value=self.classes)) * math.sqrt(width)
        h = h if self.places is None else h + self.places
        before = F.pad(h, (0, 0, len(self.near), 0))
        h = h + sum(w * before[:, k : k + x.shape[1]] for k, w in enumerate(self.near))
        places = turns(torch.arange(x.shape[1], dtype=h.dtype), width // self.blocks[0].heads)
        for block in self.blocks:
            h = block(h, places)
        logits = F.linear(self.head(self.norm(h)), self.table.weight[: self.classes], self.bias)
        return F.cross_entropy(logits.transpose(1, 2), x, reduction="none")


def next_one(model: nn.Module, x0: Tensor, rng: sf.Rng, **cond: Any) -> Tensor:
    """The objective of the autoregressive network, (B,)."""
    return model(x0).mean(1)

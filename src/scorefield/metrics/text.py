"""How good is sampled text? A small n-gram model of the training text, and what of the samples occurs in that text.

Everything is a figure of rows of token numbers (N, L), beside the same figure of held-out text; an error is that of a
mean over rows, so rows should be independent."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..errors import UserError
from .score import Score

ORDERS = {1000: 5, 2**62: 3}  # order of the n-gram model by the number of different tokens
TEXT = ("perplexity", "grams", "words")  # the figures of this file
GRAMS = (2, 4, 8, 16, 32)  # lengths of which it is counted how many occur in the training text
SHOWN = 8  # the one of them that is the figure: beyond what a model of a few tokens gets right by chance
MOST_TOKENS = 4_000_000  # of the training text
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length: sorted codes (number of the first n − 1 tokens · K + the last one), how often each
    occurs, and for every context how many tokens followed it and how many different ones."""

    codes: np.ndarray
    counts: np.ndarray
    followed: np.ndarray
    kinds: np.ndarray

    def find(self, codes: np.ndarray) -> np.ndarray:
        """The number of each code, −1 where it never occurred."""
        at = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where((self.codes[at] == codes) & (codes >= 0), at, -1)


class NGrams:
    """An n-gram model with Witten and Bell's smoothing (1991, method C), the baseline that needs no training:

    p(w | h) = (c(hw) + T(h) p(w | h')) / (c(h) + T(h)), with T(h) different tokens after the context h, and h' the
    context without its first token; below the last one 1/K. Rows are texts of their own: the first tokens of a row have
    shorter contexts. Raises UserError for an order below 1, and for rows without a token.
    """

    def __init__(self, rows: Tensor | np.ndarray, classes: int, order: int | None = None) -> None:
        x = _rows(rows)
        if order is not None and order < 1:
            raise UserError(f"order must be at least 1, got {order}.")
        known = next(n for most, n in ORDERS.items() if classes <= most)
        self.classes, self.order = classes, min(order or known, x.shape[1])
        self.levels: list[_Level] = []
        starts = np.zeros_like(x)
        for n in range(1, self.order + 1):
            codes = starts[:, : x.shape[1] - n + 1] * classes + x[:, n - 1 :]
            unique, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
            contexts = unique // classes
            followed = np.bincount(contexts, weights=counts)
            self.levels.append(_Level(unique, counts, followed, np.bincount(contexts)))
            starts = inverse.reshape(codes.shape)

    def nll(self, rows: Tensor | np.ndarray) -> np.ndarray:
        """−log p of every token given those before it in its row, (N, L) int64 → (N, L) nats."""
        x = _rows(rows)
        p = np.full(x.shape, 1 / self.classes)
        starts = np.zeros_like(x)
        for n, level in enumerate(self.levels, 1):
            if n > x.shape[1]:
                break
            contexts, tokens = starts[:, : x.shape[1] - n + 1], x[:, n - 1 :]
            known = (contexts >= 0) & (contexts < len(level.kinds))
            at = np.where(known, contexts, 0)
            followed, kinds = level.followed[at], level.kinds[at]
            grams = level.find(np.where(known, contexts * self.classes + tokens, -1))
            counts = np.where(grams >= 0, level.counts[np.maximum(grams, 0)], 0)
            shorter = p[:, n - 1 :]
            longer = (counts + kinds * shorter) / np.maximum(followed + kinds, 1)
            p[:, n - 1 :] = np.where(known & (followed > 0), longer, shorter)
            starts = grams
        return -np.log(p)


def seen(
    train: Tensor | np.ndarray, rows: Tensor | np.ndarray, classes: int, sizes: np.ndarray | None = None
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """length → for each of ``rows`` (N, L) how many of its pieces of that length occur in ``train``, and how many
    pieces it has, (N,) each. Of row i the first ``sizes[i]`` tokens count.

    Pieces of 2n tokens are pairs of pieces of n, so that every length costs one sorting. Lengths above L are absent."""
    known, others = _rows(train), _rows(rows)
    sizes = np.full(len(others), others.shape[1]) if sizes is None else sizes
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    length, kinds = 1, classes
    while length < min(known.shape[1], others.shape[1], GRAMS[-1]):
        unique, inverse = np.unique(_pairs(known, length, kinds), return_inverse=True)
        pairs = _pairs(others, length, kinds)
        at = np.minimum(np.searchsorted(unique, pairs), len(unique) - 1)
        known, others = inverse.reshape(len(known), -1), np.where(unique[at] == pairs, at, -1)
        length, kinds = 2 * length, len(unique)
        inside = np.arange(others.shape[1]) + length <= sizes[:, None]
        found[length] = ((others >= 0) & inside).sum(1), inside.sum(1)
    return found


def _pairs(x: np.ndarray, length: int, kinds: int) -> np.ndarray:
    """Each piece of ``length`` tokens and the one that follows it as one number, −1 where either is unknown."""
    first, second = x[:, :-length], x[:, length:]
    return np.where((first < 0) | (second < 0), -1, first * kinds + second)


def ratio(totals: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """(Σ totals / Σ sizes, its standard error) over independent rows, (N,) each: linearised, which for rows of one size
    is the error of a mean."""
    value, n = float(totals.sum() / sizes.sum()), len(totals)
    spread = float(np.sqrt(np.square(totals - value * sizes).sum()) / sizes.sum())
    return value, spread * math.sqrt(n / (n - 1)) if n > 1 else 0.0


def text_scores(
    fake: Tensor,
    real: Tensor,
    train: Tensor,
    classes: int,
    *,
    sizes: Sequence[Tensor] = (),
    fake_texts: Sequence[str] = (),
    real_texts: Sequence[str] = (),
    train_texts: Sequence[str] = (),
) -> tuple[Score, ...]:
    """Samples beside held-out text, each as rows of tokens (·, L) below ``classes``; ``train`` is what was learned.

    ``sizes`` (·,) of both say how many tokens of each row are text, where the rest fills it up. ``perplexity``: exp of
    the mean −log p of a token under an n-gram model of ``train``; best where it equals that of held-out text, for below
    it the samples repeat what is common, above it they are not the language. ``grams``: the share of pieces of
    ``SHOWN`` tokens that occur in ``train`` (other lengths in its details). ``words``, where texts are given: the share
    of words that do. Errors are those of means over rows. Raises UserError for fewer than two rows, and for rows
    without a token."""
    for name, x in (("the samples", fake), ("the held-out text", real)):
        if len(x) < 2:
            raise UserError(f"{name} hold {len(x)} example{'s' * (len(x) != 1)}; at least 2 are needed for an error.")
    rows = _rows(fake), _rows(real)
    counts = [np.asarray(of, np.int64) for of in sizes] or [np.full(len(x), x.shape[1]) for x in rows]
    learned = _rows(train)[: max(1, MOST_TOKENS // train.shape[1])]
    sets = list(zip(rows, counts, strict=True))
    return (
        _perplexity(NGrams(learned, classes), sets),
        *_grams(learned, sets, classes),
        *_words(fake_texts, real_texts, train_texts),
    )


def _perplexity(model: NGrams, sets: list[tuple[np.ndarray, np.ndarray]]) -> Score:
    nats = []
    for x, sizes in sets:
        counted = np.arange(x.shape[1]) < sizes[:, None]
        nats.append(ratio((model.nll(x) * counted).sum(1), sizes))
    values = [math.exp(mean) for mean, _ in nats]
    errors = [value * error for value, (_, error) in zip(values, nats, strict=True)]
    bits = {name: mean / math.log(2) for name, (mean, _) in zip(("bits", "held_out_bits"), nats, strict=True)}
    note = (
        f"exp of the mean −log p of a token under a {model.order}-gram model of the training text "
        f"({bits['bits']:.3f} bits; held-out text {bits['held_out_bits']:.3f})"
    )
    return _score("perplexity", f"{model.order}-gram perplexity", values, errors, _lengths(sets), note, bits)


def _grams(train: np.ndarray, sets: list[tuple[np.ndarray, np.ndarray]], classes: int) -> list[Score]:
    fake, real = (seen(train, x, classes, sizes) for x, sizes in sets)
    lengths = [n for n in fake if n in real and fake[n][1].any() and real[n][1].any()]
    if not lengths:
        return []
    shares = {n: (ratio(*fake[n]), ratio(*real[n])) for n in lengths}
    length = SHOWN if SHOWN in shares else lengths[-1]
    details = {f"{name}{n}": of[0] for n, pair in shares.items() for name, of in zip(_SIDES, pair, strict=True)}
    told = ", ".join(f"{n}: {a[0]:.1%} ({b[0]:.1%})" for n, (a, b) in shares.items())
    note = f"pieces of so many tokens that occur in the training text, samples (held-out text): {told}"
    values, errors = zip(*shares[length], strict=True)
    return [_score("grams", f"{length}-grams seen", values, errors, _lengths(sets), note, details)]


def _words(fake: Sequence[str], real: Sequence[str], train: Sequence[str]) -> list[Score]:
    known = {word for text in train for word in _WORD.findall(text)}
    counts = []
    for texts in (fake, real):
        words = [inner for text in texts if (inner := _WORD.findall(text)[1:-1])]  # its ends may have cut the others
        counts.append((np.array([sum(w in known for w in of) for of in words]), np.array([len(of) for of in words])))
    if not known or min(len(sizes) for _, sizes in counts) < 2:
        return []
    values, errors = zip(*(ratio(*of) for of in counts), strict=True)
    note = f"words that occur in the training text, which has {len(known):,} different ones"
    return [_score("words", "words known", values, errors, (len(counts[0][0]), len(counts[1][0])), note, {})]


def _lengths(sets: list[tuple[np.ndarray, np.ndarray]]) -> tuple[int, int]:
    return len(sets[0][0]), len(sets[1][0])


_SIDES = ("seen_", "held_out_seen_")
_READINGS = {  # name: (below the held-out text, above it)
    "perplexity": ("plainer than held-out text: samples repeat what is common", "less likely than held-out text"),
    "grams": ("fewer than in held-out text: not yet the language", "more than in held-out text: look for copies"),
    "words": ("fewer than in held-out text: not yet the language", "more than in held-out text: plainer words"),
}


def _score(
    name: str,
    label: str,
    values: Sequence[float],
    errors: Sequence[float],
    sizes: tuple[int, int],
    note: str,
    details: dict[str, float],
) -> Score:
    spread = math.hypot(*errors)
    apart = (values[0] - values[1]) / spread if spread else 0.0
    verdict = _READINGS[name][apart > 0] if abs(apart) >= 2 else ""
    return Score(
        name=name, label=label, value=values[0], se=errors[0], floor=values[1], floor_se=errors[1], n_fake=sizes[0],
        n_real=sizes[1], features="tokens", better="floor", se_from="a mean over rows", note=note, verdict=verdict,
        details=details,
    )  # fmt: skip


def _rows(rows: Tensor | np.ndarray) -> np.ndarray:
    x = np.asarray(rows).astype(np.int64)
    if x.ndim != 2 or not x.size:
        raise UserError(f"rows of tokens have shape (N, L) with no empty side, got {x.shape}.")
    return x

"""Figures of text against their definitions, written out with dictionaries."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from scorefield.errors import UserError
from scorefield.metrics.text import NGrams, ratio, seen, text_scores

RNG = np.random.default_rng(0)
TRAIN, OTHER = RNG.integers(0, 3, (20, 12)), RNG.integers(0, 3, (5, 9))


def pieces(row: list[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]


def test_the_model_is_witten_and_bells():
    order, counts, after = 4, Counter(), defaultdict(Counter)
    for row in TRAIN.tolist():
        for n in range(1, order + 1):
            for gram in pieces(row, n):
                counts[gram] += 1
                after[gram[:-1]][gram[-1]] += 1

    def p(context: tuple[int, ...], token: int) -> float:
        shorter = p(context[1:], token) if context else 1 / 3
        kinds, total = len(after[context]), sum(after[context].values())
        return (counts[(*context, token)] + kinds * shorter) / (total + kinds) if total else shorter

    rows = OTHER.tolist()
    wanted = [[-math.log(p(tuple(row[max(0, j - 3) : j]), row[j])) for j in range(len(row))] for row in rows]
    assert np.abs(NGrams(TRAIN, 3, order).nll(OTHER) - np.array(wanted)).max() < 1e-12
    law = [math.exp(-NGrams(TRAIN, 3, order).nll(np.array([[0, 1, 2, token]]))[0, -1]) for token in range(3)]
    assert sum(law) == pytest.approx(1, abs=1e-12)


def test_pieces_that_occur_are_counted_up_to_the_end_of_a_row():
    sizes = np.array([9, 4, 9, 1, 7])
    found = seen(TRAIN, OTHER, 3, sizes)
    assert list(found) == [2, 4, 8]
    for n, (hits, total) in found.items():
        known = {gram for row in TRAIN.tolist() for gram in pieces(row, n)}
        own = [pieces(row[:size], n) for row, size in zip(OTHER.tolist(), sizes, strict=True)]
        assert hits.tolist() == [sum(gram in known for gram in grams) for grams in own]
        assert total.tolist() == [len(grams) for grams in own]


def test_a_ratio_of_equal_rows_is_a_mean_with_its_error():
    totals = RNG.normal(size=30)
    value, error = ratio(totals, np.full(30, 4))
    assert value == pytest.approx(totals.mean() / 4) and error == pytest.approx(totals.std(ddof=1) / 4 / 30**0.5)


def test_text_like_the_training_text_is_not_told_apart_and_other_text_is():
    """Rows of one chain with strong transitions, and rows without any. The seeds are fixed."""
    rng = np.random.default_rng(1)

    def chain(n: int) -> torch.Tensor:
        rows = np.zeros((n, 32), np.int64)
        for j in range(1, 32):
            rows[:, j] = np.where(rng.random(n) < 0.8, (rows[:, j - 1] + 1) % 8, rng.integers(0, 8, n))
        return torch.from_numpy(rows)

    train, real, like = chain(400), chain(100), chain(100)
    good = {score.name: score for score in text_scores(like, real, train, 8)}
    assert abs(good["perplexity"].excess) < 3 and good["perplexity"].value == pytest.approx(2.6, abs=0.4)
    bad = {score.name: score for score in text_scores(torch.randint(0, 8, (100, 32), generator=SEED), real, train, 8)}
    assert bad["perplexity"].excess > 20 and bad["grams"].value < bad["grams"].floor


SEED = torch.Generator().manual_seed(0)


def test_words_are_those_of_the_training_text():
    rows = torch.zeros(2, 4, dtype=torch.int64)
    texts = {"fake_texts": ["a the fog z"] * 2, "real_texts": ["a the dog z"] * 2, "train_texts": ["the dog", "a z"]}
    words = next(score for score in text_scores(rows, rows, rows, 2, **texts) if score.name == "words")
    assert (words.value, words.floor) == (0.5, 1.0)  # the first and the last word may be cut, so they do not count


def test_too_little_is_refused():
    with pytest.raises(UserError, match="the samples hold 1 example; at least 2"):
        text_scores(torch.zeros(1, 4), torch.zeros(2, 4), torch.zeros(2, 4), 2)
    with pytest.raises(UserError, match=r"shape \(N, L\)"):
        NGrams(np.zeros((2, 0)), 2)

"""What is random belongs to the examples of a batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.noise import EDM, Gaussian
from scorefield.objectives import Importance, LogNormal, Stratified
from scorefield.training import draws
from scorefield.training.draws import Draws

BATCH, EVENT = 12, (3, 2)


def drawn(parts: list[tuple[int, int]], seed: int = 5) -> list[Tensor]:
    """What an objective draws, for each kind of draw put together over parts (start, count) of one batch."""
    process, law = Gaussian(EDM()), Stratified(LogNormal())
    step = Draws(seed, 7, BATCH, EVENT, torch.device("cpu"))
    each = []
    for start, count in parts:
        rng = step.part(start, count)
        times = torch.empty(count, dtype=torch.float64)
        t, _ = rng.over_batch(lambda u: law(u, process), times)
        each.append(
            (t, rng.uniform(torch.empty(count)), rng.normal(torch.empty(count, *EVENT)), rng.integers(9, times))
        )
    return [torch.cat(kind) for kind in zip(*each, strict=True)]


@pytest.mark.parametrize("block", [1, 5, 12, 10**6])
@pytest.mark.parametrize("cut", [[(0, 6), (6, 6)], [(k, 1) for k in range(12)], [(8, 4), (0, 4), (4, 4)]])
def test_however_a_batch_is_cut_its_draws_are_the_same(
    cut: list[tuple[int, int]], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draws, "BLOCK", block * 6)
    ordered = sorted(range(len(cut)), key=lambda k: cut[k])
    for whole, parts in zip(drawn([(0, BATCH)]), drawn(cut), strict=True):
        pieces = parts.split([count for _, count in cut])
        assert torch.equal(whole, torch.cat([pieces[k] for k in ordered]))


def test_one_process_draws_as_from_one_generator() -> None:
    """The batch fits into one block nearly always; then its draws are those of a plain Rng."""
    rng, like = Rng(Rng.fold(5, 7, 0, 0)), torch.empty(BATCH, *EVENT)
    part = Draws(5, 7, BATCH, EVENT, torch.device("cpu")).part(0, BATCH)
    assert torch.equal(rng.normal(like), part.normal(like))
    assert torch.equal(rng.uniform(like), part.uniform(like))
    importance = lambda u: Importance()(u, Gaussian(EDM()))  # noqa: E731
    flat = torch.empty(BATCH, dtype=torch.float64)
    for one, other in zip(rng.over_batch(importance, flat), part.over_batch(importance, flat), strict=True):
        assert torch.equal(one, other)


def test_strata_are_those_of_the_whole_batch() -> None:
    step = Draws(1, 0, BATCH, EVENT, torch.device("cpu"))
    spread = lambda u: ((torch.arange(len(u)) + u) / len(u),)  # noqa: E731
    (u,) = step.part(9, 3).over_batch(spread, torch.empty(3))
    assert (u * BATCH).floor().tolist() == [9, 10, 11]


def test_blocks_and_steps_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "BLOCK", 6 * 6)
    normal = drawn([(0, BATCH)])[2]
    assert not torch.equal(normal[:6], normal[6:]) and not torch.equal(normal, drawn([(0, BATCH)], seed=6)[2])


def test_a_draw_for_other_examples_is_refused() -> None:
    part = Draws(1, 0, BATCH, EVENT, torch.device("cpu")).part(0, 4)
    with pytest.raises(ValueError, match=r"draws for 4 examples; got a shape of \(5,\)"):
        part.normal(torch.empty(5))
    assert sorted(part.permutation(4).tolist()) == [0, 1, 2, 3]

"""The order is a function of numbers."""

from __future__ import annotations

import pytest
import torch

from scorefield.training import World
from scorefield.training.feed import Feed
from scorefield.training.order import Order, coins, mirrored
from tests.training.toy import Points, Same, settings


def test_every_epoch_is_a_permutation_and_no_two_are_alike() -> None:
    order = Order(101, seed=3)
    epochs = [order.indices(101 * k, 101) for k in range(4)]
    assert all(torch.equal(epoch.sort().values, torch.arange(101)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 4
    assert not torch.equal(Order(101, seed=4).indices(0, 101), epochs[0])


@pytest.mark.parametrize("size", [1, 3, 10])
def test_batches_run_on_into_the_next_epochs(size: int) -> None:
    """However it is cut, also into batches larger than the data, the sequence is the same."""
    whole = Order(size, 0).indices(0, 70)
    parts = torch.cat([Order(size, 0).indices(start, 7) for start in range(0, 70, 7)])
    assert torch.equal(whole, parts)


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 1), (2, 1), (1, 2), (2, 3), (4, 3)])
def test_processes_and_micro_batches_share_one_batch(processes: int, accumulate: int) -> None:
    data, how = Points(size=50), settings(batch=12, accumulate=accumulate)
    feeds = [Feed(data, Same(), how, World(r, processes, torch.device("cpu"))) for r in range(processes)]
    parts = [part for feed in feeds for part in feed.step(45)]
    assert [start for start, _, _ in parts] == list(range(0, 12, 12 // (processes * accumulate)))
    seen = torch.cat([x0 for _, x0, _ in parts])
    assert torch.equal(seen, data.batch(Order(50, how.seed).indices(45, 12))["x"])


def test_coins_are_fair_and_belong_to_their_position() -> None:
    flips = coins(seed=9, start=1000, count=10_000)
    assert torch.equal(coins(9, 4000, 100), flips[3000:3100])
    # 5 standard deviations of 10,000 fair coins, and of the agreement of neighbours and of seeds.
    assert abs(flips.float().mean() - 0.5) < 5 * 0.5 / 100
    assert abs((flips[1:] == flips[:-1]).float().mean() - 0.5) < 5 * 0.5 / 100
    assert abs((coins(10, 1000, 10_000) == flips).float().mean() - 0.5) < 5 * 0.5 / 100


def test_mirroring_turns_marked_images_left_to_right() -> None:
    x = torch.arange(12, dtype=torch.uint8).reshape(2, 1, 2, 3)
    out = mirrored(x, torch.tensor([True, False]))
    assert torch.equal(out[0], x[0].flip(-1)) and torch.equal(out[1], x[1])

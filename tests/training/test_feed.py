"""What a codec draws in training: fresh for each example of each step, and the same whoever computes it."""

from __future__ import annotations

import torch

from scorefield.core import Rng
from scorefield.training import Settings, World
from scorefield.training.feed import Feed
from tests.training.toy import Points


class Shaken:
    """A codec that adds noise."""

    draws = True

    def encode(self, raw: torch.Tensor, rng: Rng | None = None) -> torch.Tensor:
        return raw if rng is None else raw + rng.normal(raw)


def examples(seed: int, rank: int = 0, processes: int = 1, accumulate: int = 1, steps: int = 4) -> list[torch.Tensor]:
    """What each step feeds to this process, (share, D)."""
    settings = Settings(steps=steps, batch=8, accumulate=accumulate, seed=seed)
    feed = Feed(Points(4), Shaken(), settings, World(rank, processes, torch.device("cpu")))
    return [torch.cat([x for _, x, _ in feed.step(8 * step)]) for step in range(steps)]


def test_noise_of_a_codec_is_fresh_and_belongs_to_the_example() -> None:
    """Four points, eight a step: every point comes twice a step, with other noise each time, in this step and in every
    other; two micro-batches and two processes draw the same, another seed something else."""
    whole = examples(0)
    rows = torch.cat(whole)
    assert len(rows.unique(dim=0)) == 32
    shaken = Points(4).batch(torch.arange(4))["x"]
    noise = rows - shaken[torch.cdist(rows, shaken).argmin(1)]
    assert 0.5 < noise.std() < 1.2  # the nearest point is not always the right one
    for other in (examples(0, accumulate=2), examples(0)):
        assert all(torch.equal(a, b) for a, b in zip(whole, other, strict=True))
    parts = [examples(0, rank, 2) for rank in (0, 1)]
    assert all(torch.equal(torch.cat(pair), one) for one, *pair in zip(whole, *parts, strict=True))
    assert not torch.equal(examples(1)[0], whole[0])

"""Masks in raster order: how many are left at a time, and that nothing random is in it."""

from __future__ import annotations

import pytest
import torch

from scorefield.core import Rng, as_time
from scorefield.errors import UserError
from scorefield.noise import Raster


def test_what_is_known_are_the_first_pixels_of_all_channels():
    process, x0 = Raster(5), torch.randint(5, (3, 2, 4, 6), generator=torch.Generator().manual_seed(0))
    times = as_time([0.0, 0.3, 1.0])
    for x, x0_, t in zip(process.corrupt(x0, times, Rng(0)), x0, times, strict=True):
        known = process.known(t, 24)
        assert torch.equal(x.flatten(1)[:, :known], x0_.flatten(1)[:, :known])
        assert (x.flatten(1)[:, known:] == process.mask).all()
        assert torch.equal(process.corrupt(x0_[None], t, Rng(1))[0], x)
    assert torch.equal(process.prior(x0.float(), Rng(0)), process.corrupt(x0, as_time(1.0), Rng(0)))


def test_as_many_steps_as_pixels_unmask_one_each_however_many_there_are():
    for pixels in (4, 49, 64, 784, 1024):
        known = [Raster(2).known(t, pixels) for t in torch.linspace(1, 0, pixels + 1, dtype=torch.float64)]
        assert known == list(range(pixels + 1))


def test_one_level_is_none():
    with pytest.raises(UserError, match="at least 2 levels"):
        Raster(1)

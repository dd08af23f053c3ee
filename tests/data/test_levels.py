"""The levels that bytes take are found, and nothing is taken for levels that is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scorefield.data import Dataset, open_data
from scorefield.data.levels import ValueLevels, levels_of
from scorefield.errors import UserError


def _images(values: list[int], count: int = 64) -> Dataset:
    """Images that hold each of ``values``."""
    x = torch.tensor(values, dtype=torch.uint8).repeat(count * 16)[: count * 16].view(count, 1, 4, 4)
    return Dataset(name="made", kind="images", x=x)


def test_digits_have_the_17_levels_of_their_scans():
    """Bytes are round(255 i/16), i = 0 … 16: index and bytes are each other's inverse on all of them."""
    data = open_data("digits")
    levels = levels_of(data)
    assert levels == (17, 0, 255 / 16) and levels.words == "0, 16, 32 … 255"
    assert torch.equal(levels.bytes(torch.arange(17)), torch.from_numpy(np.rint(np.arange(17) * 255 / 16)).byte())
    assert torch.equal(levels.bytes(levels.index(data.x)), data.x)
    assert ValueLevels.from_json(levels.to_json()) == levels


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0, 255], (2, 0, 255.0)),
        ([0, 85, 170, 255], (4, 0, 85.0)),
        ([10, 30, 50, 90, 110], (6, 10, 20.0)),  # 70 does not occur
        ([0, 16, 32, 33, 255], (256, 0, 1.0)),  # not even
        ([3, 4, 5, 6], (256, 0, 1.0)),  # dark, not coarse
        (list(range(0, 256, 2)), (128, 0, 2.0)),
        ([7], (256, 0, 1.0)),
    ],
)
def test_even_values_are_levels(values, found):
    assert levels_of(_images(values)) == found


def test_a_value_that_only_held_out_examples_have_counts():
    data, more = _images([0, 64, 128]), _images([0, 64, 128, 192])
    assert levels_of(data).count == 3
    assert levels_of(Dataset(name="made", kind="images", x=data.x, held_out=more)) == (4, 0, 64.0)


def test_other_bytes_and_other_data_are_refused():
    with pytest.raises(UserError, match=r"the value 17, which is none of the 17 levels 0, 16, 32 … 255"):
        ValueLevels(17, 0, 255 / 16).index(torch.tensor([[16, 17]], dtype=torch.uint8))
    with pytest.raises(UserError, match="levels are of images of bytes, but moons holds vectors"):
        levels_of(open_data("moons"))

"""The picture of error against cost: lines in their colours, a floor only where it matters, nothing that breaks it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scorefield.show.palette import CATEGORIES, DATA
from scorefield.show.work_precision import Course, _spread, work_precision

TWO = [Course("one", (5, 10, 20), (1.0, 0.1, 0.01)), Course("two", (9, 19), (0.5, 0.05))]


def holds(picture, colour):
    return bool((np.asarray(picture) == colour).all(-1).any())


def test_every_line_has_its_colour_and_a_near_floor_is_drawn():
    plain = work_precision(TWO, title="a", floor=1e-9)
    assert holds(plain, CATEGORIES[0]) and holds(plain, CATEGORIES[1]) and not holds(plain, CATEGORIES[2])
    assert not holds(plain, DATA)  # a floor seven decades below would squeeze the lines
    assert holds(work_precision(TWO, title="a", floor=5e-3, floor_label="b"), DATA)


@pytest.mark.parametrize("errors", [(math.nan, math.inf), (0.0, -1.0), (0.3, 0.3), (0.2, math.nan)])
def test_what_cannot_be_drawn_is_left_out(errors):
    work_precision([Course("odd", (5, 10), errors)], title="a")
    both = work_precision([*TWO, Course("odd", (5, 10), errors)], title="a")
    assert holds(both, CATEGORIES[0])


def test_labels_keep_their_order_and_their_distance():
    places = _spread([100.0, 101.0, 102.0, 755.0, 756.0])
    assert (np.diff(places) >= 25 - 1e-9).all() and places[0] == 100.0 and places[-1] <= 736.0

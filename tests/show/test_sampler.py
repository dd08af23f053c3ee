from __future__ import annotations

import numpy as np

from scorefield import Gaussian, tabulate
from scorefield.noise import VP, Cosine
from scorefield.show import table_picture
from scorefield.show.palette import categories
from scorefield.solvers import Karras, named


def drawn(name, schedule, steps=8):
    """The picture of a table as pixels, and the table."""
    process = Gaussian(schedule)
    table = tabulate(named(name), process, Karras()(process, steps))
    return np.asarray(table_picture(table.levels, table.columns(), name)), table


def test_every_column_has_its_colour_and_noise_is_one_of_them():
    pixels, table = drawn("sde-dpmpp2m", VP())
    columns = table.columns()
    assert list(columns) == ["keep", "D", "D-1", "fresh"] and {len(c) for c in columns.values()} == {8}
    for colour in categories(len(columns)):
        assert (pixels == np.array(colour)).all(-1).sum() > 100


def test_a_level_without_signal_is_left_out_and_the_picture_is_always_the_same():
    pixels, table = drawn("unipc3", Cosine())
    assert table.levels[0] == float("inf") or table.levels[0] > 1e6
    assert np.array_equal(pixels, drawn("unipc3", Cosine())[0])
    assert table_picture([float("inf")], {"keep": [0.0]}, "one row").size == (1000, 760)

"""The transformer: sets do not know an order, columns do."""

from __future__ import annotations

import torch

from scorefield.nets import Transformer

EXACT = {"rtol": 1e-11, "atol": 1e-12}


def test_a_permuted_set_gives_the_permuted_answer_whatever_its_size(awake) -> None:
    net = awake(Transformer(3, columns=False, width=16, depth=2, heads=2))
    for count in (1, 7, 20):
        x, level = torch.randn(2, count, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
        order = torch.randperm(count)
        torch.testing.assert_close(net(x[:, order], level), net(x, level)[:, order], **EXACT)


def test_a_point_of_a_set_depends_on_the_others(awake) -> None:
    net, x = awake(Transformer(3, columns=False, width=16, depth=2, heads=2)), torch.randn(1, 4, 3).double()
    moved = x.clone()
    moved[:, 3] += 1
    level = torch.zeros(1).double()
    assert not torch.isclose(net(moved, level)[:, 0], net(x, level)[:, 0]).any()


def test_columns_are_told_apart(awake) -> None:
    net, x = awake(Transformer(4, width=16, depth=2, heads=2)), torch.full((1, 4), 0.3).double()
    y = net(x, torch.zeros(1).double())[0]
    assert not any(torch.isclose(y[i], y[j]) for i in range(4) for j in range(i))

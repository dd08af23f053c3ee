"""Learning rates by hand, clipping, and the guard."""

from __future__ import annotations

from itertools import pairwise
from math import cos, pi

import pytest
import torch
from torch import nn

from scorefield.training import Settings
from scorefield.training.optim import Guard, adamw, clip_to, guarded_step, learning_rate

CPU = torch.device("cpu")


def _rate(step: int, progress: float = 0.0, **changes: object) -> float:
    return learning_rate(Settings(steps=100, lr=2.0, **changes), step, progress)


def test_warm_up_is_linear_and_ends_at_the_peak() -> None:
    assert [_rate(k, warmup=4, decay="constant") for k in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert _rate(0, warmup=0, decay="constant") == 2.0


def test_cosine_falls_to_zero_with_the_progress_of_the_run() -> None:
    for progress in (0.0, 0.3, 0.5, 1.0):
        assert _rate(50, progress, warmup=0) == pytest.approx(1 + cos(pi * progress), abs=1e-12)
    assert _rate(50, 1.2, warmup=0) == pytest.approx(0, abs=1e-12)


def test_rsqrt_is_flat_and_then_an_inverse_root() -> None:
    how = {"decay": "rsqrt", "warmup": 10, "decay_after": 25}
    assert _rate(25, **how) == 2.0
    assert _rate(100, **how) == pytest.approx(1.0)
    assert _rate(400, **how) == pytest.approx(0.5)
    assert _rate(40, decay="rsqrt", warmup=10) == pytest.approx(1.0)


@pytest.mark.parametrize("decay", ["cosine", "rsqrt"])
def test_rates_never_rise_after_the_warm_up(decay: str) -> None:
    rates = [_rate(k, k / 100, decay=decay, warmup=10) for k in range(10, 100)]
    assert all(a >= b > 0 for a, b in pairwise(rates))


def test_weight_decay_leaves_vectors_alone() -> None:
    net = nn.Linear(3, 2)
    optimizer = adamw(net.named_parameters(), Settings(steps=1, weight_decay=0.5, lr=0.1), CPU)
    before = net.weight.detach().clone(), net.bias.detach().clone()
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert torch.allclose(net.weight, before[0] * (1 - 0.1 * 0.5))
    assert torch.equal(net.bias, before[1])


def test_clipping_measures_all_gradients_together() -> None:
    net = nn.Linear(2, 1)
    net.weight.grad, net.bias.grad = torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])
    assert clip_to(net.parameters(), 10.0).item() == 5.0
    assert net.bias.grad.item() == 4.0
    assert clip_to(net.parameters(), 1.0).item() == 5.0
    assert net.bias.grad.item() == pytest.approx(0.8, rel=1e-6)


@pytest.mark.parametrize("fused", [True, False])
def test_a_bad_step_changes_neither_weights_nor_moments(fused: bool) -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, fused=fused)
    scaler, guard = torch.amp.GradScaler("cpu", enabled=False), Guard(CPU)

    def step(number: int, value: float) -> None:
        for p in net.parameters():
            p.grad = torch.full_like(p, value)
        guarded_step(optimizer, scaler, guard.see(torch.tensor(0.0), torch.tensor(value), number), fused)

    step(1, 1.0)
    before = [t.clone() for p in net.parameters() for t in (p.detach(), *optimizer.state[p].values())]
    assert guard.broken_at() is None
    step(2, float("nan"))
    step(3, float("inf"))
    after = [t for p in net.parameters() for t in (p.detach(), *optimizer.state[p].values())]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert guard.broken_at() == 2


def test_the_guard_tolerates_so_many_in_a_row() -> None:
    guard, bad, good = Guard(CPU, tolerated=2), torch.tensor(float("inf")), torch.tensor(1.0)
    for step, norm in enumerate([bad, bad, good, bad, bad], 1):
        guard.see(good, norm, step)
    assert guard.broken_at() is None
    guard.see(good, bad, 6)
    guard.see(good, good, 7)
    assert guard.broken_at() == 6


def test_warm_up_of_a_run_that_only_the_clock_limits_is_a_share_of_it():
    settings = Settings(minutes=3, lr=1.0, decay="constant")
    assert learning_rate(settings, 0, 0.01) == pytest.approx(0.2)  # 1 % of the run out of 5 %
    assert learning_rate(settings, 3, 0.06) == 1.0
    assert learning_rate(settings, 499, 0.001) == 1.0  # or 500 steps, whichever ends first

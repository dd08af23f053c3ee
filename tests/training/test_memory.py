"""Memory that runs out costs time, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from scorefield.errors import UserError
from scorefield.training import Squeezed, Started
from scorefield.training.memory import exhausted, smaller, switches
from tests.training import toy
from tests.training.test_scaling import BOUND, HOW, apart

CPU = "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


@pytest.mark.parametrize(
    ("error", "so"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError(CPU), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_says_that_memory_ran_out(error: BaseException, so: bool) -> None:
    assert exhausted(error) is so


def test_what_really_is_too_much_for_the_cpu_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert exhausted(caught.value)


def test_half_or_the_next_that_cuts_evenly() -> None:
    assert [smaller(12, micro) for micro in (12, 6, 3, 2, 1)] == [6, 3, 1, 1, None]


@pytest.mark.parametrize(("limit", "accumulate"), [(4, 2), (3, 4), (1, 8)])
def test_a_smaller_micro_batch_is_found_and_the_run_is_the_same(limit: int, accumulate: int) -> None:
    """The same examples, noise and steps; the bound is that of sums in another order."""
    whole, squeezed = toy.learn(toy.settings(**HOW)), toy.learn(toy.settings(**HOW), None, (limit,))
    assert apart(whole, squeezed) < BOUND
    assert len(squeezed["told"]) == accumulate.bit_length() - 1
    assert f"{accumulate} micro-batches of {8 // accumulate} example" in squeezed["told"][-1]
    assert f"accumulate={accumulate} says so" in squeezed["told"][-1]


class Buffered(toy.Net):
    """Counts the examples it has seen, before memory runs out above ``limit`` at once."""

    limit = 2

    def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        made = super().forward(x, label)
        toy.run_out(len(x), self.limit)
        return made


def test_a_pass_that_broke_off_leaves_no_trace() -> None:
    net = Buffered()
    events = toy.train(net, toy.settings(accumulate=1, steps=3))
    assert net.seen == 3 * 4
    (told,) = (e for e in events if type(e) is Squeezed)
    assert (told.step, told.micro_batch, told.accumulate) == (0, 2, 2)


def test_what_was_found_is_remembered(tmp_path: Path) -> None:
    how = toy.settings(accumulate=1, save_every=2)
    toy.train(Buffered(), how, tmp_path, until=2)
    events = toy.train(Buffered(), how, tmp_path)
    assert type(events[0]) is Started
    assert events[0].warnings == ("Goes on with micro-batches of 2, which fitted into memory before.",)
    assert not [e for e in events if type(e) is Squeezed]


def test_one_example_too_many_is_a_sentence() -> None:
    net = Buffered()
    net.limit = 0
    with pytest.raises(UserError, match="Memory ran out with one example at a time: batch=4 is not what is too large"):
        toy.train(net, toy.settings(accumulate=1))


def test_another_error_is_not_taken_for_it() -> None:
    class Broken(toy.Net):
        def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        toy.train(Broken(), toy.settings())


class Switched(toy.Net):
    """Fits only while ``checkpoint`` is on."""

    checkpoint = False

    def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        toy.run_out(1, int(self.checkpoint))
        return super().forward(x, label)


def test_recompute_is_the_last_resort_and_can_be_asked_for() -> None:
    net = Switched()
    told = [e.message for e in toy.train(net, toy.settings(accumulate=4)) if type(e) is Squeezed]
    assert net.checkpoint and len(told) == 1 and "computed again in the backward pass" in told[0]
    asked = Switched()
    events: list[Any] = toy.train(asked, toy.settings(recompute=True))
    assert asked.checkpoint and "recompute on: as asked." in events[0].decisions
    with pytest.raises(UserError, match="recompute=yes"):
        toy.train(Switched(), toy.settings(accumulate=4, recompute=False))
    with pytest.raises(UserError, match="recompute=yes needs a network that can compute its blocks again"):
        toy.train(toy.Net(), toy.settings(recompute=True))


def test_our_networks_have_the_switch() -> None:
    from scorefield.nets import MLP, UNet

    nets: list[nn.Module] = [UNet(1, channels=8, mult=(1,), blocks=1, attention=())]
    assert all(switches(net) for net in nets) and not switches(nn.Linear(1, 1)), MLP

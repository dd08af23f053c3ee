"""What a run tells, how it ends, and what it refuses."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from scorefield.errors import UserError
from scorefield.training import (
    Event,
    Logged,
    PreviewDue,
    Saved,
    Settings,
    Started,
    Stopped,
    fit,
    newest,
    precision,
    training_steps,
)
from scorefield.training.precision import choose
from scorefield.training.stopping import ECHO, StopRequest
from tests.training import toy


def _kinds(events: list[Event]) -> list[tuple[str, int]]:
    return [(type(event).__name__, event.step) for event in events]


def test_events_come_when_they_are_due(tmp_path: Path) -> None:
    events = toy.train(toy.Net(), toy.settings(steps=5, log_every=2, save_every=3, preview_every=3), tmp_path)
    assert _kinds(events) == [
        ("Started", 0),
        ("Logged", 2),
        ("Saved", 3),
        ("PreviewDue", 3),
        ("Logged", 4),
        ("Logged", 5),
        ("Saved", 5),
        ("Stopped", 5),
    ]
    last = [event for event in events if type(event) is Logged][-1]
    assert last.examples == 20 and last.progress == 1 and last.memory > 1_000_000 and last.examples_per_second > 0
    assert last.lr == pytest.approx(0.05 * (1 + torch.cos(torch.tensor(torch.pi * 0.8))).item() / 2)


def test_it_learns_and_fit_returns_the_average(tmp_path: Path) -> None:
    net, seen = toy.Net(dropout=0.0), []
    how = toy.settings(steps=300, batch=10, log_every=50)
    result = fit(net, toy.Points(), toy.Same(), toy.Plain(), how, tmp_path, device="cpu", watch=seen.append)
    assert result.step == 300 and result.stopped.reason == "steps" and len(seen) == 9
    assert [step for step, _ in result.losses] == [50, 100, 150, 200, 250, 300]
    assert result.losses[-1][1] < 0.1 * result.losses[0][1]
    batch = toy.Points().batch(torch.arange(10))
    assert (result.denoiser(batch["x"], batch["label"]) - batch["x"]).square().mean() < 0.02
    again = fit(net, toy.Points(), toy.Same(), toy.Plain(), how, tmp_path, device="cpu")
    assert again.losses == result.losses


class Clock:
    """Each look at it takes ``tick`` seconds."""

    def __init__(self, tick: float) -> None:
        self.now, self.tick = 1000.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def test_minutes_end_a_run_and_count_over_sessions(tmp_path: Path) -> None:
    how = toy.settings(steps=None, minutes=1.0, save_minutes=0, save_every=4)
    events = toy.train(toy.Net(), how, tmp_path, clock=Clock(1.0))
    assert events[-1].reason == "minutes"
    assert events[-1].step == 20  # three looks at the clock a step
    toy.train(toy.Net(), how, tmp_path / "two", until=8, clock=Clock(1.0))
    resumed = toy.train(toy.Net(), how, tmp_path / "two", clock=Clock(1.0))
    assert (resumed[0].step, resumed[-1].step, resumed[-1].reason) == (8, 20, "minutes")


def test_a_slow_run_saves_by_the_clock(tmp_path: Path) -> None:
    events = toy.train(toy.Net(), toy.settings(save_minutes=1.0), tmp_path, clock=Clock(10.0))
    assert [event.step for event in events if type(event) is Saved] == [2, 4, 6, 7]


def test_images_end_a_run() -> None:
    stopped = toy.train(toy.Net(), toy.settings(steps=None, images=10))[-1]
    assert (stopped.step, stopped.reason) == (3, "images")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_loss_that_is_not_finite_stops_before_it_is_applied(precision: str, tmp_path: Path) -> None:
    how = toy.settings(accumulate=1, save_every=2, precision=precision)
    net = toy.Net()
    events = toy.train(net, how, tmp_path, objective=toy.BreaksAt(5))
    stopped = events[-1]
    assert type(stopped) is Stopped and (stopped.step, stopped.reason) == (5, "diverged")
    assert "stopped being finite at step 5" in stopped.message
    assert "The checkpoint of step 4 stands. Try lr=0.02" in stopped.message
    assert ("precision=fp32" in stopped.message) == (precision == "bf16")
    saved = newest(tmp_path)
    assert saved is not None and saved.step == 4
    state = saved.tensors("model")
    assert all(torch.equal(p, state[name]) for name, p in net.named_parameters())


def test_half_precision_that_never_finds_a_scale_diverges() -> None:
    class Broken(toy.Plain):
        def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            return super().__call__(*args, **kwargs) * float("inf")

    stopped = toy.train(toy.Net(), toy.settings(steps=100, precision="fp16"), objective=Broken())[-1]
    assert (stopped.step, stopped.reason) == (31, "diverged")


def test_the_first_signal_finishes_the_step_and_handlers_come_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    events: list[Event] = []
    for event in training_steps(
        toy.Net(), toy.Points(), toy.Same(), toy.Noisy(), toy.settings(log_every=1), tmp_path, device="cpu"
    ):
        events.append(event)
        if _kinds([event]) == [("Logged", 3)]:
            os.kill(os.getpid(), signal.SIGTERM)
    assert _kinds(events)[-3:] == [("Logged", 4), ("Saved", 4), ("Stopped", 4)]
    assert events[-1].reason == "interrupted" and "The same command again goes on" in events[-1].message
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_second_signal_ends_it_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored where a shell started the tests in the background
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # an echo of the first
        assert stop.asked
        time.sleep(ECHO + 0.1)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_in_another_thread_leaves_signals_alone() -> None:
    events: list[Event] = []
    thread = threading.Thread(target=lambda: events.extend(toy.train(toy.Net(), toy.settings())))
    thread.start()
    thread.join()
    assert events[-1].reason == "steps"


def test_decisions_are_told_in_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_cpu_flags", set)
    started = toy.train(toy.Net(), toy.settings(steps=1, precision="auto"))[0]
    assert type(started) is Started
    assert started.decisions == (
        "1 process on cpu, fused AdamW.",
        "precision fp32: this CPU has no bf16 matrix units, without which narrower numbers are not faster.",
        "channels-last off: the data are neither images nor signals.",
        "compile off: on cpu it costs minutes and gains little.",
        "shard off: one process has nobody to share with.",
        "recompute off: this network has no switch for it.",
    )
    asked = choose(
        Settings(steps=1, precision="bf16", channels_last=True, compile=True), torch.device("cpu"), (3, 8, 8)
    )
    assert (asked.precision, asked.channels_last, asked.compile) == ("bf16", True, True)


def test_bf16_on_a_cpu_needs_units_for_it_and_work_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = lambda event: choose(Settings(steps=1), torch.device("cpu"), event).precision  # noqa: E731
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"avx512_bf16"})
    assert chosen((3, 32, 32)) == "fp32"  # products without matrix units were half as fast as in float32
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"avx512_bf16", "amx_bf16"})
    assert [chosen(event) for event in ((3, 32, 32), (1, 8, 8), (1000,))] == ["bf16", "fp32", "fp32"]


def test_flips_change_what_is_seen() -> None:
    nets = toy.Net(), toy.Net()
    for net, flip in zip(nets, (False, True), strict=True):
        toy.train(net, toy.settings(steps=2, flip=flip))
    assert not torch.equal(nets[0].first.weight, nets[1].first.weight)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": None}, "Nothing says when to stop"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"images": 0}, "images must be a whole number of at least 1, got 0"),
        ({"minutes": -1.0}, "minutes must be greater than 0, got -1"),
        ({"lr": -1.0}, "lr must be greater than 0, got -1"),
        ({"lr": float("nan")}, "lr must be greater than 0, got nan"),
        ({"decay": "cosin"}, "decay has no choice 'cosin'. Did you mean 'cosine'"),
        ({"precision": "fp8"}, "precision has no choice 'fp8'"),
        ({"ema": (0.5,)}, "ema must be different widths"),
        ({"ema": (0.1, 0.1)}, "ema must be different widths"),
        ({"betas": (0.9, 1.0)}, "betas must be two numbers"),
        ({"compile": "maybe"}, "compile must be auto, yes or no"),
    ],
)
def test_what_cannot_be_used_is_said(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Settings(**({"steps": 5} | changes))


def test_a_batch_that_cannot_be_shared_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"batch=10 .* multiple of 4. Use batch=8 or batch=12"):
        toy.train(toy.Net(), toy.settings(batch=10, accumulate=4))
    with pytest.raises(UserError, match=r"Use batch=4\."):
        toy.train(toy.Net(), toy.settings(batch=1, accumulate=4))


def test_no_data_and_no_weights_are_sentences() -> None:
    with pytest.raises(UserError, match="no examples"):
        toy.train(toy.Net(), toy.settings(), data=toy.Points(size=0))
    with pytest.raises(UserError, match="no weights that can be trained"):
        toy.train(toy.Net().requires_grad_(False), toy.settings())


def test_a_preview_holds_the_average_of_its_moment() -> None:
    weights = []
    for event in training_steps(
        toy.Net(), toy.Points(), toy.Same(), toy.Noisy(), toy.settings(preview_every=2), device="cpu"
    ):
        if type(event) is PreviewDue:
            weights.append(event.denoiser.first.weight.clone())
    assert len(weights) == 3 and not torch.equal(weights[0], weights[1])

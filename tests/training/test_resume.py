"""Whatever interrupts a run, the resumed one is the uninterrupted one, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from scorefield.core import Rng
from scorefield.errors import UserError
from scorefield.training import Logged, PreviewDue, launch, training_steps
from tests.training import toy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole() -> dict[str, object]:
    net = toy.Net()
    return toy.numbers(net, toy.train(net, toy.settings()))


@pytest.mark.parametrize("kill", [1, 2, 3, 5, 6])
def test_a_kill_after_any_checkpoint_changes_nothing(kill: int, whole: dict[str, object], tmp_path: Path) -> None:
    how = toy.settings(save_every=1)
    toy.train(toy.Net(), how, tmp_path, until=kill)
    net = toy.Net(dropout=0.2)
    torch.nn.init.zeros_(net.first.weight)  # whatever it begins with is replaced
    events = toy.train(net, how, tmp_path)
    assert events[0].step == kill and events[0].resumed == tmp_path / f"step-{kill:08d}"
    assert toy.equal(toy.numbers(net, events), whole)


def test_a_kill_between_checkpoints_repeats_the_steps_since(whole: dict[str, object], tmp_path: Path) -> None:
    how = toy.settings(save_every=3)
    running = training_steps(toy.Net(), toy.Points(), toy.Same(), toy.Noisy(), how, tmp_path, device="cpu")
    while not (type(event := next(running)) is Logged and event.step == 4):
        pass
    running.close()
    net = toy.Net()
    events = toy.train(net, how, tmp_path)
    assert events[0].step == 3
    assert toy.equal(toy.numbers(net, events), whole)


def test_listeners_disturb_nothing(whole: dict[str, object]) -> None:
    """Previews sample, and draw from the global generator."""
    net, events = toy.Net(), []
    how = toy.settings(preview_every=1)
    for event in training_steps(net, toy.Points(), toy.Same(), toy.Noisy(), how, device="cpu"):
        events.append(event)
        torch.rand(3)
        if type(event) is PreviewDue:
            assert not event.denoiser.training
            event.denoiser(torch.randn(2, 4), torch.tensor([0, 1]))
    assert toy.equal(toy.numbers(net, events), whole)
    assert [type(e) for e in events].count(PreviewDue) == 6


def test_the_global_generator_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    net = toy.Net()
    torch.manual_seed(5)
    toy.train(net, toy.settings())
    assert torch.equal(torch.rand(3), expected)


def test_other_data_are_refused_and_other_settings_are_told(tmp_path: Path) -> None:
    toy.train(toy.Net(), toy.settings(), tmp_path)
    with pytest.raises(UserError, match=r"other data.*fresh=yes"):
        toy.train(toy.Net(), toy.settings(), tmp_path, data=toy.Points(fingerprint="others"))
    with pytest.raises(UserError, match=r"another network: size mismatch.*fresh=yes"):
        toy.train(toy.Net(dim=5), toy.settings(), tmp_path, data=toy.Points(dim=5))
    started = toy.train(toy.Net(), toy.settings(steps=9, batch=8, ema=(0.05, 0.2)), tmp_path)[0]
    assert started.step == 7
    assert started.warnings == (
        "batch was 4 and is 8 from here on.",
        "The average ema=0.2 was not kept before; it begins with the weights of step 7.",
    )


def test_a_finished_run_says_so_and_fresh_begins_anew(tmp_path: Path) -> None:
    toy.train(toy.Net(), toy.settings(), tmp_path)
    started, stopped = toy.train(toy.Net(), toy.settings(), tmp_path)
    assert (started.step, stopped.step, stopped.reason) == (7, 7, "steps")
    events = []
    for event in training_steps(
        toy.Net(), toy.Points(), toy.Same(), toy.Noisy(), toy.settings(), tmp_path, device="cpu", fresh=True
    ):
        events.append(event)
    assert events[0].step == 0 and events[0].resumed is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["replaced-1", "step-00000007"]
    assert [path.name for path in (tmp_path / "replaced-1").iterdir()] == ["step-00000007"]


def test_a_loss_with_weights_of_its_own_resumes_too(tmp_path: Path) -> None:
    class Weighted(torch.nn.Module):
        """An uncertainty that is learned beside the network (Karras et al. 2024, EDM2)."""

        def __init__(self) -> None:
            super().__init__()
            self.log_variance = torch.nn.Parameter(torch.zeros(1))

        def forward(self, denoiser: torch.nn.Module, x0: torch.Tensor, rng: Rng, label: torch.Tensor) -> torch.Tensor:
            return toy.Noisy()(denoiser, x0, rng, label) * (-self.log_variance).exp() + self.log_variance

    once, net = Weighted(), toy.Net()
    toy.train(net, toy.settings(), objective=once)
    toy.train(toy.Net(), toy.settings(save_every=3), tmp_path, objective=Weighted(), until=3)
    again, resumed = Weighted(), toy.Net()
    toy.train(resumed, toy.settings(), tmp_path, objective=again)
    assert once.log_variance.item() != 0
    assert torch.equal(once.log_variance, again.log_variance)
    assert toy.equal(net.state_dict(), resumed.state_dict())


def test_half_precision_resumes_with_its_loss_scale(tmp_path: Path) -> None:
    """The scale begins so high that the first steps are skipped; that is no divergence, and it is remembered."""
    how = toy.settings(precision="fp16", save_every=3)
    net, resumed = toy.Net(), toy.Net()
    whole = toy.numbers(net, toy.train(net, how))
    toy.train(toy.Net(), how, tmp_path, until=3)
    assert toy.equal(toy.numbers(resumed, toy.train(resumed, how, tmp_path)), whole)


INTERRUPTED = """
import sys
from pathlib import Path
from scorefield.training import Stopped, launch
from tests.training import toy
if __name__ == "__main__":
    how = toy.settings(steps=400, accumulate=1, save_every=0, log_every=1, decay="constant")
    print(launch(toy.slow_run, (sys.argv[1], how), devices=int(sys.argv[2]), device="cpu"))
"""


def _interrupt(folder: Path, devices: int, number: int) -> str:
    """Start a slow run, send it a signal once it trains, and return what it said at its end."""
    note = folder / "note"
    script = folder / "script.py"
    script.write_text(INTERRUPTED)
    environment = os.environ | {"TOY_NOTE": str(note), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(folder / "checkpoints"), str(devices)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not note.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    return out.strip()


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "number"), [(1, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM)])
def test_a_signal_saves_and_the_rest_of_the_run_is_the_same(devices: int, number: int, tmp_path: Path) -> None:
    assert _interrupt(tmp_path, devices, number) == "interrupted"
    (saved,) = (tmp_path / "checkpoints").iterdir()
    steps = int(saved.name.removeprefix("step-")) + 3
    assert 0 < steps < 400
    how = toy.settings(steps=steps, accumulate=1, log_every=1, decay="constant")  # a cosine would depend on the end
    runs = [(folder, how, toy.Noisy(), 0.2) for folder in (None, str(tmp_path / "checkpoints"))]
    whole, resumed = launch(toy.work_through, runs, devices, "cpu")
    assert [step for step, _ in resumed["losses"]] == list(range(1, steps + 1))
    assert toy.equal(resumed, whole)


@pytest.mark.slow
def test_two_processes_resume_bit_for_bit(tmp_path: Path) -> None:
    folder = str(tmp_path)
    how = {"accumulate": 1, "save_every": 3, "decay": "constant"}
    short, long = toy.settings(steps=3, **how), toy.settings(**how)
    runs = [(None, long, toy.Noisy(), 0.2), (folder, short, toy.Noisy(), 0.2), (folder, long, toy.Noisy(), 0.2)]
    whole, _, resumed = launch(toy.work_through, runs, 2, "cpu")
    assert "2 processes, gloo on cpu" in whole["decisions"][0]
    assert whole["step"] == 7
    # The shorter run logged its last step, 3, which the whole one did not.
    whole["losses"], resumed["losses"] = [pair[-1:] for pair in (whole["losses"], resumed["losses"])]
    assert toy.equal(resumed, whole)

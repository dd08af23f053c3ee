"""Several processes are one trainer."""

from __future__ import annotations

import pytest
import torch

from scorefield.errors import UserError
from scorefield.training import World, choose_device, current_world, launch
from tests.training import toy


def test_alone_is_a_world_of_one() -> None:
    world = current_world("cpu")
    assert (world.rank, world.size, world.main, str(world)) == (0, 1, True, "1 process")
    assert world.largest(1.0, 2.0) == [1.0, 2.0] and world.mean(3.0) == 3.0
    assert str(World(1, 2, torch.device("cpu"), "gloo")) == "2 processes, gloo"


def test_one_device_needs_no_process() -> None:
    inside: list[int] = []
    assert launch(lambda number: inside.append(number) or number, (5,), 1, "cpu") == 5
    assert inside == [5]


@pytest.mark.parametrize(
    ("devices", "device", "sentence"),
    [
        (0, "cpu", "devices must be a whole number"),
        (1, "gpu", "device=gpu is not a device"),
        (1, "cuda:99", "device=cuda:99 was"),
    ],
)
def test_what_is_not_there_is_a_sentence(devices: int, device: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        launch(print, (), devices, device)


def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device().type == "cuda"
    with pytest.raises(UserError, match=r"devices=2 were asked for, but this machine has 1 GPU\. Use devices=1"):
        launch(print, (), 2)


def test_a_launcher_s_world_must_be_the_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UserError, match="devices=2 were asked for, but the launcher started 4 processes"):
        launch(print, (), 2, "cpu")


@pytest.mark.slow
def test_two_processes_learn_what_one_does() -> None:
    """The same global batches, so the same gradients but for the order of sums in float32."""
    how = toy.settings(batch=8, accumulate=1, steps=5)
    alone = toy.work(None, how, toy.Plain(), 0.0)
    together = launch(toy.work, (None, how, toy.Plain(), 0.0), 2, "cpu")
    assert together["decisions"][0] == "2 processes, gloo on cpu, fused AdamW."
    for name in ("first.weight", "last.bias", "embed.weight"):
        torch.testing.assert_close(together["weights"][name], alone["weights"][name], rtol=1e-4, atol=1e-5)
    assert [loss for _, loss in together["losses"]] == pytest.approx([loss for _, loss in alone["losses"]], rel=1e-5)


@pytest.mark.slow
def test_a_sentence_travels_from_a_process(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"^The photos are all black; give others\.$"):
        launch(toy.complain, ("The photos are all black; give others.",), 2, "cpu")
    assert capfd.readouterr() == ("", "")

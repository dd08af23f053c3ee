"""Layout and precision change the speed of a run and neither what it learns nor how it resumes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import scorefield as sf
from scorefield.noise import EDM
from scorefield.training import Settings
from scorefield.training.precision import choose
from tests.training import toy


@dataclass(frozen=True)
class Waves:
    """Ten images (1, 28, 28) of different frequency."""

    fingerprint: str = "waves"

    def __len__(self) -> int:
        return 10

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        place = torch.linspace(0, 3, 28)
        return {"x": torch.sin(place[:, None] * (1 + index[:, None, None, None]) + place)}


def denoiser(dropout: float) -> Any:
    torch.manual_seed(0)
    net = sf.UNet(1, channels=8, mult=(1, 2), blocks=1, attention=(14,), size=28, updown="conv", dropout=dropout)
    for parameter in net.parameters():  # no branch at zero
        parameter.data.add_(0.02 * torch.randn(parameter.shape))
    return sf.Preconditioned(net, sf.Gaussian(EDM()))


def run(folder: Path | None = None, until: int | None = None, dropout: float = 0.1, **settings: Any) -> dict[str, Any]:
    model, how = denoiser(dropout), Settings(steps=4, batch=4, save_every=2, log_every=1, **settings)
    events = toy.train(model, how, folder, until, data=Waves(), objective=sf.Denoising())
    return {} if until else toy.numbers(model, events)


@pytest.mark.parametrize("settings", [{}, {"channels_last": False}, {"precision": "bf16"}], ids=str)
def test_every_mode_resumes_bit_for_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    whole = run(**settings)
    run(tmp_path, until=2, **settings)
    assert toy.equal(run(tmp_path, **settings), whole)


def test_the_loss_does_not_know_how_it_was_computed() -> None:
    """Four steps: float32 in another order of sums, and bf16, whose 8 bits round every number by up to 2⁻⁹. Without
    dropout, whose draws follow the order in memory."""
    plain, last, narrow = (
        [loss for _, loss in run(dropout=0.0, **settings)["losses"]]
        for settings in ({"precision": "fp32", "channels_last": False}, {"precision": "fp32"}, {"precision": "bf16"})
    )
    assert last == pytest.approx(plain, rel=1e-5)
    assert narrow == pytest.approx(plain, rel=2e-2)


def test_channels_last_on_a_cpu_is_for_images_and_signals_with_work_in_them() -> None:
    chosen = lambda event: choose(Settings(steps=1), torch.device("cpu"), event).channels_last  # noqa: E731
    shapes = {(3, 32, 32): True, (1, 28, 28): True, (1, 1024): True, (1, 8, 8): False, (1, 64): False, (2,): False}
    assert {event: chosen(event) for event in shapes} == shapes


def test_weights_of_five_dimensions_stay_as_they_are() -> None:
    """A Fourier layer's or a voxel convolution's, in a network of images."""
    net = torch.nn.Module()
    net.kernel, net.waves = (torch.nn.Parameter(torch.randn(shape)) for shape in ((4, 3, 3, 3), (2, 2, 4, 4, 2)))
    before = [held.detach().clone() for held in net.parameters()]
    choose(Settings(steps=1, channels_last=True), torch.device("cpu"), (3, 8, 8)).prepare(net)
    assert net.kernel.is_contiguous(memory_format=torch.channels_last) and net.waves.is_contiguous()
    assert all(torch.equal(*pair) for pair in zip(before, net.parameters(), strict=True))

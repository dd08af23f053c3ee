"""Codecs are inverse to themselves, and their log-determinant is that of an autograd Jacobian."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd.functional import jacobian

from scorefield.data import Pixels, Standardise, codec_for, open_data
from scorefield.errors import UserError
from scorefield.registry import from_config, to_config


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_pixels_return_every_level(levels: int):
    values = torch.arange(levels, dtype=torch.uint8).view(1, 1, 1, levels)
    z = Pixels(levels).encode(values)
    assert z.dtype == torch.float32 and (z.min(), z.max()) == (-1, 1)
    assert torch.equal(Pixels(levels).decode(z), values)
    # Anything within half a level rounds back; anything outside the range is clamped.
    half = 0.98 / (levels - 1)
    assert torch.equal(Pixels(levels).decode(z + half), values) and torch.equal(Pixels(levels).decode(z - half), values)
    assert Pixels(levels).decode(torch.tensor([-9.0, 9.0])).tolist() == [0, levels - 1]


def test_standardise_is_inverse_to_itself():
    codec = Standardise([3.0, -1.0], [2.0, 0.5])
    for shape in ((7, 2), (7, 2, 5)):
        x = torch.randn(shape, dtype=torch.float64)
        torch.testing.assert_close(codec.decode(codec.encode(x)), x, rtol=0, atol=1e-15)
    assert codec.encode(torch.tensor([[5.0, -1.0]])).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    "codec, shape", [(Pixels(), (1, 2, 3)), (Pixels(16), (4,)), (Standardise([0.0, 1.0], [3.0, 0.1]), (2, 3))]
)
def test_log_det_is_that_of_the_jacobian(codec, shape: tuple[int, ...]):
    x = torch.rand(shape, dtype=torch.float64) * 10
    numel = x.numel()
    matrix = jacobian(lambda v: codec.encode(v[None])[0], x).reshape(numel, numel)
    assert codec.log_det(shape) == pytest.approx(torch.linalg.slogdet(matrix).logabsdet.item(), abs=1e-12)


def test_codecs_fit_their_data():
    assert to_config(codec_for(open_data("digits"))) == {"type": "pixels"}
    x = np.random.default_rng(0).normal([5, -300, 4], [0.1, 20, 0], (500, 3))
    data = open_data(x, holdout=0)
    codec = codec_for(data)
    z = codec.encode(data.x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.std(0, unbiased=False), torch.tensor([1.0, 1.0, 0.0]), rtol=1e-5, atol=1e-5)
    signals = open_data(np.random.default_rng(0).normal(size=(50, 2, 9)) * [[3], [7]], holdout=0)
    z = codec_for(signals).encode(signals.x)
    assert z.shape == (50, 2, 10) and torch.equal(z[..., 9], z[..., 8])  # an even length can be halved
    torch.testing.assert_close(z[..., :9].std((0, 2), unbiased=False), torch.ones(2), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "codec", [Pixels(), Pixels(16), Standardise([1.0, 2.0], [3.0, 4.0]), Standardise([1.0], [2.0], pad=3)], ids=repr
)
def test_codecs_are_their_config(codec):
    again = from_config(to_config(codec), "codec")
    assert to_config(again) == to_config(codec)


@pytest.mark.parametrize(
    "build, error",
    [
        (lambda: Pixels(1), "levels must be from 2 to 256, got 1."),
        (lambda: Standardise([0.0], [1.0, 2.0]), "mean has 1 entries but std has 2; write one of each per column."),
        (
            lambda: Standardise([0.0], [0.0]),
            "mean must be finite and std above zero. For a constant column write a std of 1.0.",
        ),
        (
            lambda: Standardise([0.0], [1.0]).encode(torch.zeros(4, 3)),
            "standardise knows 1 columns, but the data have shape (4, 3).",
        ),
    ],
)
def test_codecs_refuse(build, error: str):
    with pytest.raises(UserError) as caught:
        build()
    assert str(caught.value) == error

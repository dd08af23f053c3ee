"""The parts against what defines them: softmax by hand, bilinear filters of torch, the range of the level."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from scorefield.errors import UserError
from scorefield.nets.layers import (
    HIGHEST_FREQUENCY,
    Attention,
    Conditioning,
    Double,
    Halve,
    ResidualBlock,
    group_norm,
    level_features,
)

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize(
    "channels, each, groups",
    [
        (1, 4, 1),
        (3, 4, 1),
        (32, 4, 8),
        (100, 4, 25),
        (128, 4, 32),
        (144, 4, 24),
        (7, 4, 1),
        (32, 16, 2),
        (1024, 16, 32),
    ],
)
def test_group_norm_takes_the_most_groups_that_divide(channels: int, each: int, groups: int) -> None:
    assert group_norm(channels, each).num_groups == groups


def test_level_features_tell_all_levels_apart_and_their_distance_grows_with_the_gap() -> None:
    level = torch.linspace(-10, 10, 2001, dtype=torch.float64)
    apart = (level_features(level, 64) - level_features(level[:1], 64)).norm(dim=1)  # by stationarity, of all pairs
    near, far = apart[1:51], apart[51:]  # gaps up to half a unit, and beyond
    assert (near.diff() > 0).all()
    assert far.min() > 0.9 * near[-1]
    # Half a circle of the slowest wave and 25 of the fastest: a step of 0.01 moves the features by ω·0.01 each, rms.
    rms = torch.linspace(math.log(math.pi / 20), math.log(8), 32, dtype=torch.float64).exp().square().sum().sqrt()
    torch.testing.assert_close(apart[1], 0.01 * rms, rtol=1e-3, atol=0)


def test_the_fastest_frequency_is_where_the_exact_denoiser_has_no_detail_left() -> None:
    spectrum = HIGHEST_FREQUENCY / math.sinh(math.pi * HIGHEST_FREQUENCY / 2)  # of sech², whose value at ω → 0 is 2/π
    assert spectrum / (2 / math.pi) < 1e-4


def test_level_features_do_not_lose_phase_in_half_precision() -> None:
    level = torch.tensor([-9.5, 0.25, 7.0])  # exact in bfloat16
    assert level_features(level.bfloat16(), 32).dtype == torch.float32
    torch.testing.assert_close(level_features(level.bfloat16(), 32), level_features(level, 32), rtol=0, atol=0)


def test_label_minus_one_adds_nothing_and_a_class_adds_its_row() -> None:
    told = Conditioning(16, 8, classes=3).double()
    level = normal(4)
    without, null = told(level, None, 4), told(level, torch.full((4,), -1), 4)
    torch.testing.assert_close(without, null, rtol=0, atol=0)
    mixed = told(level, torch.tensor([-1, 0, 1, 2]), 4)
    assert torch.equal(mixed[0], without[0]) and not torch.isclose(mixed[1:], without[1:]).all(1).any()


def test_a_null_row_would_be_redundant() -> None:
    """A learned null embedding n is the bias b + n with rows e_k − n: the network without one loses no function."""
    told, null, level = Conditioning(16, 8, classes=2).double(), normal(8), normal(2)
    hidden = F.silu(told.first(level_features(level, 16)))
    with_null = [F.silu(told.last(hidden) + row) for row in (null, told.table.weight[0], told.table.weight[1])]
    told.last.bias.data += null
    told.table.weight.data -= null
    for label, expected in zip((-1, 0, 1), with_null, strict=True):
        torch.testing.assert_close(told(level, torch.tensor([label] * 2), 2), expected, **EXACT)


NOT_WHOLE = "label must hold one whole number per example, int64 of shape (2,); got "
NOT_KNOWN = " is out of range: this network has 3 classes, so a label is 0 … 2, or −1 for no class."


@pytest.mark.parametrize(
    "classes, label, words",
    [
        (0, [0, 0], "This network was built without classes, so it takes no label. Build it with classes=K."),
        (3, [0, 3], f"label 3{NOT_KNOWN}"),
        (3, [-2, 0], f"label -2{NOT_KNOWN}"),
        (3, [0], f"{NOT_WHOLE}int64 of shape (1,)."),
        (3, [0.0, 1.0], f"{NOT_WHOLE}float32 of shape (2,)."),
    ],
)
def test_wrong_labels_get_a_sentence(classes: int, label: list[float], words: str) -> None:
    with pytest.raises(UserError) as error:
        Conditioning(8, 8, classes)(torch.zeros(2), torch.tensor(label), 2)
    assert str(error.value) == words


@pytest.mark.parametrize("fir", [False, True])
@pytest.mark.parametrize("dims", [1, 2])
def test_resampling_keeps_constants_up_to_the_border(dims: int, fir: bool) -> None:
    x = torch.full((2, 3, *(8, 4)[:dims]), 0.7, dtype=torch.float64)
    half, twice = Halve(dims, fir)(x), Double(dims, fir)(x)
    assert half.shape[2:] == tuple(n // 2 for n in x.shape[2:])
    assert twice.shape[2:] == tuple(n * 2 for n in x.shape[2:])
    for y in (half, twice):
        torch.testing.assert_close(y, torch.full_like(y, 0.7), **EXACT)


def test_the_fir_filter_is_the_triangle_filter_of_image_libraries() -> None:
    """[1, 3, 3, 1] samples the triangle: torch's bilinear upsampling everywhere, its antialiased halving inside."""
    x = normal(2, 3, 8, 6)
    twice = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(Double(2, fir=True)(x), twice, **EXACT)
    half = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False, antialias=True)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(Halve(2, fir=True)(x)[inside], half[inside], **EXACT)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_is_softmax_attention_and_does_not_know_where_things_are(awake, heads: int, rescale: bool) -> None:
    layer, x = awake(Attention(16, heads=heads, rescale=rescale)), normal(2, 16, 4, 3)
    places = layer.norm(x).flatten(2).transpose(1, 2)
    q, k, v = (part.unflatten(2, (heads, -1)) for part in layer.qkv(places).chunk(3, 2))
    weights = (torch.einsum("blhd,bmhd->bhlm", q, k) / math.sqrt(16 // heads)).softmax(-1)
    seen = layer.out(torch.einsum("bhlm,bmhd->blhd", weights, v).flatten(2))
    expected = (x + seen.transpose(1, 2).unflatten(2, (4, 3))) * (math.sqrt(0.5) if rescale else 1)
    torch.testing.assert_close(layer(x), expected, **EXACT)

    order = torch.randperm(12)
    shuffled = x.flatten(2)[:, :, order].view_as(x)
    torch.testing.assert_close(layer(shuffled).flatten(2), layer(x).flatten(2)[:, :, order], **EXACT)


@pytest.mark.parametrize(
    "channels, head_channels, heads", [(32, 64, 1), (128, 64, 2), (208, 64, 2), (12, 4, 3), (7, 2, 1)]
)
def test_heads_are_as_many_as_divide_the_channels(channels: int, head_channels: int, heads: int) -> None:
    assert Attention(channels, head_channels=head_channels).heads == heads


@pytest.mark.parametrize("rescale, gain", [(False, 1.0), (True, math.sqrt(0.5))])
@pytest.mark.parametrize("resample", [None, Halve(2, fir=True), Double(2)])
def test_a_new_residual_block_is_its_skip(resample, rescale: bool, gain: float) -> None:
    block = ResidualBlock(8, 8, width=4, rescale=rescale, resample=resample).double()
    x = normal(2, 8, 4, 4)
    expected = gain * (x if resample is None else resample(x))
    torch.testing.assert_close(block(x, normal(2, 4)), expected, **EXACT)


def test_scale_shift_of_zero_and_an_added_zero_are_the_same_block(awake) -> None:
    shifted, added = (awake(ResidualBlock(4, 8, width=4, scale_shift=kind)) for kind in (True, False))
    state = {k: v for k, v in shifted.state_dict().items() if not k.startswith("told")}
    added.load_state_dict(state, strict=False)
    for block in (shifted, added):
        block.told.weight.data.zero_()
        block.told.bias.data.zero_()
    x, told = normal(2, 4, 6, 6), normal(2, 4)
    torch.testing.assert_close(shifted(x, told), added(x, told), **EXACT)

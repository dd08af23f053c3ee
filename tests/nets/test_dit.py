"""DiT against its paper: the equations of a block, the places of patches, the number of parameters."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from scorefield.errors import UserError
from scorefield.nets import DiT, dit, parameters_millions
from scorefield.nets.dit import places
from scorefield.nets.tokens import AdaptiveBlock

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def test_a_block_is_the_equations_of_the_paper(awake) -> None:
    """Peebles & Xie 2023, fig. 3, written out with softmax attention and no module of ours."""
    block, heads = awake(AdaptiveBlock(12, 3)), 3
    x, told = torch.randn(2, 5, 12, dtype=torch.float64), torch.randn(2, 12, dtype=torch.float64)
    shift1, scale1, gate1, shift2, scale2, gate2 = block.told(told).chunk(6, 1)

    def norm(h: torch.Tensor) -> torch.Tensor:
        return (h - h.mean(2, keepdim=True)) / (h.var(2, correction=0, keepdim=True) + 1e-6).sqrt()

    h = norm(x) * (1 + scale1[:, None]) + shift1[:, None]
    q, k, v = (part.reshape(2, 5, heads, 4) for part in block.attention.qkv(h).chunk(3, 2))
    weights = (torch.einsum("blhd,bmhd->bhlm", q, k) / math.sqrt(4)).softmax(-1)
    x1 = x + gate1[:, None] * block.attention.out(torch.einsum("bhlm,bmhd->blhd", weights, v).flatten(2))
    h = block.wide(norm(x1) * (1 + scale2[:, None]) + shift2[:, None])
    gelu = 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
    torch.testing.assert_close(block(x, told), x1 + gate2[:, None] * block.narrow(gelu), **EXACT)
    torch.testing.assert_close(AdaptiveBlock(12, 3).double()(x, told), x, **EXACT)  # adaLN-Zero: a new block is nothing


def test_patches_come_back_to_where_they_were() -> None:
    net, x = DiT(3, patch=2, width=8, depth=1, heads=1), torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    cut = x.unfold(2, 2, 2).unfold(3, 2, 2)  # (B, C, rows, columns, patch, patch)
    assert torch.equal(net._joined(cut.permute(0, 2, 3, 4, 5, 1).reshape(2, 6, 12), (2, 3)), x)
    line, y = DiT(3, dims=1, patch=4, width=8, depth=1, heads=1), torch.arange(2 * 3 * 8.0).reshape(2, 3, 8)
    assert torch.equal(line._joined(y.unfold(2, 4, 4).permute(0, 2, 3, 1).reshape(2, 2, 12), (2,)), y)


def test_places_are_sines_and_cosines_of_column_and_row() -> None:
    found = places((2, 3), 8, torch.empty(0, dtype=torch.float64))
    for row in range(2):
        for column in range(3):
            angles = [[i * 10_000 ** -(j / 2) for j in range(2)] for i in (column, row)]
            waves = [f(a) for axis in angles for f in (math.sin, math.cos) for a in axis]
            torch.testing.assert_close(found[3 * row + column], torch.tensor(waves).double(), rtol=1e-6, atol=1e-6)
    larger = places((4, 5), 8, torch.empty(0)).reshape(4, 5, 8)[:2, :3].flatten(0, 1)
    assert torch.equal(larger, found.float())  # they do not depend on the size of the picture


def test_learned_places_reach_to_other_sizes(awake) -> None:
    net = awake(DiT(1, patch=2, width=8, depth=1, heads=2, positions="learned", size=8))
    assert net(torch.randn(1, 1, 12, 6, dtype=torch.float64), torch.zeros(1).double()).shape == (1, 1, 12, 6)
    resized = F.interpolate(net.table, (6, 3), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
    torch.testing.assert_close(net._places((6, 3), net.table.flatten(2).transpose(1, 2)), resized, **EXACT)


# Peebles & Xie 2023, tab. 4 (on latents of 32×32×4, patch 2, with the learned variance and 1,000 classes).
@pytest.mark.parametrize(("name", "published"), [("S", 33), ("B", 130), ("L", 458), ("XL", 675)])
def test_parameter_counts(name: str, published: int) -> None:
    options = dit(name)
    with torch.device("meta"):
        net = DiT(4, out_channels=8, classes=1000, **options)
    w, depth, inputs, outputs = options["width"], options["depth"], 4 * 4, 4 * 8
    told = 256 * w + w + w * w + w + 1000 * w  # the paper has one more row: its null class; ours is the bias
    block = (3 * w * w + 3 * w) + (w * w + w) + (4 * w * w + 4 * w) + (4 * w * w + w) + (6 * w * w + 6 * w)
    total = told + (inputs * w + w) + depth * block + (2 * w * w + 2 * w) + (w * outputs + outputs)
    assert round(parameters_millions(net) * 1e6) == total
    assert round(parameters_millions(net)) == published


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dims": 3}, "dims must be 1 (signals) or 2 (images), got 3."),
        ({"patch": 0}, "patch, width and depth must be at least 1, got 0, 16 and 2."),
        ({"width": 18}, "width=18 cannot hold 2 axes of sines and cosines: it must be a multiple of 4."),
        ({"heads": 3}, "heads=3 does not divide the width 16 of a transformer."),
        ({"positions": "rope"}, "no positions are called 'rope'. Known: learned, sincos."),
        (
            {"positions": "learned"},
            "positions='learned' is a table for one size: give size, or write positions='sincos'.",
        ),
        (
            {"patch": 4, "size": 30},
            "size 30x30 does not fit this DiT: patch=4 must divide every edge. Use patch=3, or size 28x28 or 32x32.",
        ),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_get_a_sentence(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        DiT(2, **{"width": 16, "depth": 2, "heads": 2} | arguments)
    assert str(error.value) == words


def test_an_unknown_preset_gets_a_sentence() -> None:
    with pytest.raises(UserError, match=r"^dit has no size 'XXL'\. Did you mean 'XL'\?|^dit has no size 'XXL'\. Known"):
        dit("XXL")

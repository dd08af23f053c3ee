"""Networks of tokens under the laws of all networks, and what is their own: relative positions and tied weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from scorefield.errors import UserError
from scorefield.nets import TokenGrid, TokenTransformer
from scorefield.nets.sequence import Near, turns
from scorefield.nets.tokens import SelfAttention
from scorefield.registry import from_config, to_config

K, CLASSES, NUMBERS = 5, 3, 2
EXACT = {"rtol": 1e-10, "atol": 1e-11}  # float64 through some ten layers


class Case(NamedTuple):
    make: Callable[..., Any]
    shape: tuple[int, ...]  # of one example


DEEP: dict[str, Any] = {"width": 16, "depth": 2, "heads": 2}
CONVOLUTIONS: dict[str, Any] = {"channels": 8, "mult": (1, 2), "blocks": 1, "size": 8, "features": 4}
NETS = {
    "sequence": Case(lambda **more: TokenTransformer(K, states=K + 1, **DEEP, **more), (7,)),
    "sequence, not tied": Case(lambda **more: TokenTransformer(K, states=K + 1, tied=False, **DEEP, **more), (7,)),
    "sequence, near": Case(lambda **more: TokenTransformer(K, states=K + 1, near=2, **DEEP, **more), (7,)),
    "sequence, normed": Case(lambda **more: TokenTransformer(K, states=K + 1, qk_norm=True, **DEEP, **more), (7,)),
    "grid, unet": Case(lambda **more: TokenGrid(K, states=K + 1, **CONVOLUTIONS, **more), (8, 8)),
    "grid, dit": Case(lambda **more: TokenGrid(K, states=K + 1, body="dit", **DEEP, **more), (4, 6)),
    "row, dit": Case(lambda **more: TokenGrid(K, states=K + 1, body="dit", dims=1, **DEEP, **more), (8,)),
}
every = pytest.mark.parametrize("name", NETS)


def made(name: str, **more: Any) -> nn.Module:
    """A network that takes classes and numbers, of seeded weights, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return NETS[name].make(classes=CLASSES, condition=NUMBERS, **more).double()


def given(name: str, batch: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x with masks, level, label and condition of ``batch`` examples."""
    x = torch.randint(K + 1, (batch, *NETS[name].shape), generator=torch.Generator().manual_seed(5))
    level = torch.linspace(-4, 3, batch, dtype=torch.float64)
    condition = torch.tensor([[0.5, -1.2], [torch.nan] * 2, [torch.nan, 0.7], [torch.nan] * 2], dtype=torch.float64)
    return x, level, torch.tensor([0, 2, -1, -1])[:batch], condition[:batch]


@every
def test_it_begins_without_an_opinion_and_every_weight_learns(awake, name: str) -> None:
    net, parts = made(name, dropout=0.1), given(name)
    assert torch.equal(net(*parts), torch.zeros(*parts[0].shape, K, dtype=torch.float64))
    awake(net)(*parts).square().sum().backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]


@every
def test_no_class_and_no_number_are_the_null_however_they_are_said(awake, name: str) -> None:
    net = awake(made(name))
    x, level, _, _ = given(name)
    nothing, none = torch.full((4,), -1), torch.full((4, NUMBERS), torch.nan, dtype=torch.float64)
    null = net(x, level)
    for label, condition in ((None, none), (nothing, None), (nothing, none)):
        torch.testing.assert_close(net(x, level, label, condition), null, **EXACT)
    told = net(x, level, *given(name)[2:])
    assert all(not torch.isclose(told[i], null[i]).any() for i in (0, 1, 2))


@every
def test_examples_do_not_see_each_other(awake, name: str) -> None:
    net, parts = awake(made(name)), given(name)
    alone = torch.cat([net(*(part[i : i + 1] for part in parts)) for i in range(4)])
    torch.testing.assert_close(net(*parts), alone, **EXACT)
    torch.testing.assert_close(net(parts[0], parts[1][2])[2], net(*parts[:2])[2], **EXACT)  # one level for all


@every
def test_it_is_built_again_from_its_config(awake, name: str) -> None:
    net, parts = awake(made(name)), given(name)
    rebuilt = from_config(to_config(net), "net").double().eval()
    rebuilt.load_state_dict(net.state_dict())
    assert torch.equal(rebuilt(*parts), net(*parts))


@every
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpointing_changes_memory_alone(awake, name: str, dropout: float) -> None:
    gradients = []
    for checkpoint in (False, True):
        net = awake(made(name, checkpoint=checkpoint, dropout=dropout)).train()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net(*given(name)).square().sum().backward()
        gradients.append([p.grad for p in net.parameters()])
    for kept, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, kept, **EXACT)  # sums over blocks may be taken in another order


@pytest.mark.parametrize("name", ["sequence", pytest.param("grid, unet", marks=pytest.mark.slow)])
def test_it_exports_as_one_graph(awake, name: str) -> None:
    net, parts = awake(made(name)), given(name)
    torch.testing.assert_close(torch.export.export(net, parts).module()(*parts), net(*parts), **EXACT)


@every
def test_half_precision_stays_near(awake, name: str) -> None:
    net, parts = awake(made(name)).float(), [p.float() if p.is_floating_point() else p for p in given(name)]
    exact = net(*parts)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = net(*parts).float()
    assert (mixed - exact).norm() < 12 * 2**-8 * exact.norm()  # bfloat16 has 8 bits; about a dozen layers add up


@every
def test_wrong_inputs_get_a_sentence(name: str) -> None:
    x, level, label, _ = given(name)
    with pytest.raises(UserError, match=r"got an input of shape .*, int64"):
        made(name)(x.unsqueeze(-1), level)
    with pytest.raises(UserError, match="float32"):
        made(name)(x.float(), level)
    with pytest.raises(UserError, match="built without classes"):
        NETS[name].make()(x, level.float(), label)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_rotary_attention_sees_distances_alone(qk_norm: bool) -> None:
    """The angle between a query at i and a key at j depends on i − j: all places moved by any number, also one that
    is no whole number, give the same answer; places further apart give another."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        attention, x = SelfAttention(16, 2, qk_norm).double(), torch.randn(2, 9, 16, dtype=torch.float64)
    places = torch.arange(9, dtype=torch.float64)
    here = attention(x, turns(places, 8))
    for shift in (1.0, 500.0, -3.25):
        torch.testing.assert_close(attention(x, turns(places + shift, 8)), here, rtol=1e-10, atol=1e-11)
    assert not torch.isclose(attention(x, turns(2 * places, 8)), here).any()
    assert not torch.isclose(attention(x), here)[:, 1:].any()


def test_a_sequence_knows_the_order_of_its_tokens(awake) -> None:
    net, level = awake(made("sequence")), torch.zeros((), dtype=torch.float64)
    x = torch.tensor([[0, 1, 2, 3, 4, 0, 1]])
    order = torch.tensor([1, 0, 2, 3, 4, 5, 6])
    assert not torch.isclose(net(x[:, order], level)[:, order], net(x, level)).any()
    longer = net(torch.cat((x, torch.full((1, 40), K)), 1), level)  # any length goes
    assert longer.shape == (1, 47, K)
    with pytest.raises(UserError, match=r"L ≤ 5\); got an input of shape \(1, 7\)"):
        TokenTransformer(K, states=K + 1, length=5, **DEEP)(x, level.float())


def test_near_is_a_depthwise_convolution_that_keeps_the_token_itself() -> None:
    """Against torch's own, whose weight is 1 in the middle."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        near, h = Near(4, 2).double(), torch.randn(3, 6, 4, dtype=torch.float64)
    w = torch.cat((near.weight[:2], torch.ones(1, 4), near.weight[2:])).T.unsqueeze(1)
    expected = torch.nn.functional.conv1d(h.transpose(1, 2), w, padding=2, groups=4).transpose(1, 2)
    torch.testing.assert_close(near(h), expected, **EXACT)
    assert near(h[:, :1]).shape == (3, 1, 4)  # shorter than it reaches


def test_tokens_come_out_by_the_table_they_go_in_by(awake) -> None:
    """Two tokens with one row have one logit up to their bias, and the mask has a row but no logit."""
    net = awake(made("sequence"))
    shapes = {key: tuple(p.shape) for key, p in net.named_parameters()}
    assert [key for key, shape in shapes.items() if K in shape or K + 1 in shape] == ["table", "bias"]
    with torch.no_grad():
        net.table[1] = net.table[0]
    y = net(*given("sequence"))
    torch.testing.assert_close(y[..., 1] - y[..., 0], (net.bias[1] - net.bias[0]).expand(4, 7), **EXACT)
    untied = made("sequence, not tied")
    assert sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in net.parameters()) == (
        16 * K + K  # an output layer of K rows …
    ) - (16 * 16 + 16 + K)  # … in place of one of 16 rows and the bias of the tokens


@pytest.mark.parametrize(
    "build, error",
    [
        (lambda: TokenTransformer(1), r"tokens must be at least 2 and states at least tokens; got tokens=1, states=1"),
        (
            lambda: TokenTransformer(4, states=3),
            r"got tokens=4, states=3\. states is tokens \+ 1 where there is a mask",
        ),
        (lambda: TokenTransformer(4, width=18, heads=2), "heads=2 needs a width that is a multiple of 4, got 18"),
        (lambda: TokenGrid(4, body="unit"), "no net is called 'unit'. Did you mean 'unet'"),
        (lambda: TokenGrid(4, in_channels=3), "in_channels follows from features and tokens"),
        (lambda: TokenGrid(4, width=3), "takes no 'width'|body"),
    ],
)
def test_networks_that_cannot_be(build, error: str) -> None:
    with pytest.raises(UserError, match=error):
        build()

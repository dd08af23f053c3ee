"""Every network under the same laws: a new one is one line in the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from scorefield.errors import UserError
from scorefield.nets import EDM2, MLP, DiT, Transformer, UNet
from scorefield.registry import from_config, to_config

CLASSES, NUMBERS = 3, 2
EXACT = {"rtol": 1e-10, "atol": 1e-11}  # float64 through some ten layers


class Case(NamedTuple):
    make: Callable[..., Any]
    shape: tuple[int, ...]  # of one example


UNETS: dict[str, Any] = {"channels": 8, "mult": (1, 2), "blocks": 1, "size": 8, "attention": (8,), "head_channels": 4}
DEEP: dict[str, Any] = {"width": 16, "depth": 2, "heads": 2}
NETS = {
    "unet": Case(lambda **more: UNet(2, **UNETS, **more), (2, 8, 8)),
    "unet of signals": Case(lambda **more: UNet(2, dims=1, **UNETS, **more), (2, 8)),
    "edm2": Case(lambda **more: EDM2(2, **UNETS, **more), (2, 8, 8)),
    "edm2 of signals": Case(lambda **more: EDM2(2, dims=1, **UNETS, **more), (2, 8)),
    "dit": Case(lambda **more: DiT(2, **DEEP, **more), (2, 4, 6)),
    "dit, learned places": Case(lambda **more: DiT(2, **DEEP, positions="learned", size=(4, 4), **more), (2, 4, 4)),
    "dit of signals": Case(lambda **more: DiT(2, dims=1, **DEEP, qk_norm=True, **more), (2, 8)),
    "transformer of columns": Case(lambda **more: Transformer(3, **DEEP, **more), (3,)),
    "transformer of sets": Case(lambda **more: Transformer(3, columns=False, **DEEP, **more), (5, 3)),
    "mlp": Case(lambda **more: MLP(3, width=16, depth=2, **more), (3,)),
    "mlp that sees waves": Case(
        lambda **more: MLP(3, width=16, depth=2, told=8, waves=4, numbers=[0, 2], **more), (3,)
    ),
}
every = pytest.mark.parametrize("name", NETS)


def made(name: str, **more: Any) -> nn.Module:
    """A network that takes classes and numbers, of seeded weights, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return NETS[name].make(classes=CLASSES, condition=NUMBERS, **more).double()


def given(name: str, batch: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, level, label and condition of ``batch`` examples: a class and numbers, a class, numbers in part, neither."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(batch, *NETS[name].shape, generator=generator, dtype=torch.float64)
    level = torch.linspace(-4, 3, batch, dtype=torch.float64)
    condition = torch.tensor([[0.5, -1.2], [torch.nan] * 2, [torch.nan, 0.7], [torch.nan] * 2], dtype=torch.float64)
    return x, level, torch.tensor([0, 2, -1, -1])[:batch], condition[:batch]


@every
def test_it_begins_at_zero_and_every_weight_learns(awake, name: str) -> None:
    net = made(name, dropout=0.1)
    x, level, label, condition = given(name)
    assert torch.equal(net(x, level, label, condition), torch.zeros_like(x))
    awake(net)(x, level, label, condition).square().sum().backward()
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
    torch.testing.assert_close(told[3], null[3], **EXACT)
    assert all(not torch.isclose(told[i], null[i]).any() for i in (0, 1, 2))


@every
def test_a_number_that_is_not_known_is_not_zero(awake, name: str) -> None:
    """0 is the mean of a standardised condition: knowing it is to know something."""
    net = awake(made(name))
    x, level, _, _ = given(name)
    rows = [[torch.nan, 0.7], [0.0, 0.7], [torch.nan] * 2, [0.0, 0.0]]
    x, level = x[:1].expand(4, *x.shape[1:]), level[:1].expand(4)
    y = net(x, level, None, torch.tensor(rows, dtype=torch.float64))
    assert not any(torch.isclose(y[i], y[j]).any() for i in range(4) for j in range(i))


@every
def test_examples_do_not_see_each_other(awake, name: str) -> None:
    net, parts = awake(made(name)), given(name)
    alone = torch.cat([net(*(part[i : i + 1] for part in parts)) for i in range(4)])
    torch.testing.assert_close(net(*parts), alone, **EXACT)
    torch.testing.assert_close(net(parts[0], parts[1][2])[2], net(*parts[:2])[2], **EXACT)  # one level for all


@every
def test_it_is_deterministic_and_built_again_from_its_config(awake, name: str) -> None:
    net, again = made(name), made(name)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))
    parts = given(name)
    assert torch.equal(awake(net)(*parts), net(*parts))
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


@every
def test_forward_mode_agrees_with_reverse_mode(awake, name: str) -> None:
    net = awake(made(name)).requires_grad_(False)
    x, level, label, condition = (part[:1] for part in given(name))

    def output(x: Tensor) -> Tensor:
        return net(x, level, label, condition).sum(tuple(range(2, x.ndim)))

    with sdpa_kernel(SDPBackend.MATH):
        forward, reverse = (jacobian(output)(x) for jacobian in (torch.func.jacfwd, torch.func.jacrev))
        hessian = torch.func.jacrev(lambda x: torch.func.grad(lambda x: output(x).sum())(x).sum())(x)
    torch.testing.assert_close(forward, reverse, rtol=1e-9, atol=1e-11)
    assert hessian.isfinite().all() and hessian.abs().max() > 0


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n[:4] in ("unet", "edm2"))) for n in NETS]
)
def test_it_exports_as_one_graph(awake, name: str) -> None:
    """No control flow that depends on the data: torch.export would refuse it."""
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
def test_wrong_conditions_get_a_sentence(name: str) -> None:
    x, level, label, _ = given(name)
    with pytest.raises(UserError, match=r"condition must hold 2 numbers per example, float of shape \(4, 2\)"):
        made(name)(x, level, label, torch.zeros(4, 3))
    with pytest.raises(UserError, match=r"label 3 is out of range: this network has 3 classes"):
        made(name)(x, level, torch.tensor([0, 1, 2, 3]))
    bare = NETS[name].make()
    with pytest.raises(UserError, match="built without conditions"):
        bare(x.float(), level.float(), None, torch.zeros(4, 2))
    with pytest.raises(UserError, match="built without classes"):
        bare(x.float(), level.float(), label)
    with pytest.raises(UserError, match="got an input of shape"):
        made(name)(x.unsqueeze(-1), level)

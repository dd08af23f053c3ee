"""The U-Net under all its options: shapes, zero start, gradients, laws of its conditioning, derivatives, errors."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from scorefield.errors import UserError
from scorefield.nets import UNet, ddpm
from scorefield.registry import from_config, to_config

SMALL: dict[str, Any] = {"channels": 8, "mult": (1, 2), "blocks": 1}
RESCALED = {"rescale": True, "project": True}
OPTIONS: dict[str, dict[str, Any]] = {
    "adm": {"size": 8, "attention": (8, 4), "head_channels": 4},
    "ddpm": {"updown": "conv", "scale_shift": False, "heads": 1},
    "ddpm fir": {"updown": "conv", "fir": True},
    "ddpm++": {"size": 8, "attention": (8,), "attention_up": "last", "scale_shift": False} | RESCALED,
    "ddpm++ fir": {"fir": True} | RESCALED,
    "classes": {"classes": 3, "out_channels": 4},
    "odd": {"channels": 7, "mult": (2, 1, 1.5), "blocks": 2, "dropout": 0.1},
    "one level": {"mult": (1,)},
    "signals": {"dims": 1, "size": 8, "attention": (4,)},
    "signals ddpm fir": {"dims": 1, "updown": "conv", "fir": True, "classes": 3},
}


def build(name: str) -> UNet:
    return UNet(2, **SMALL | OPTIONS[name])


def inputs(net: UNet, batch: int = 2) -> dict[str, Any]:
    """x, level and, for a network with classes, label, in float64; not square, to catch swapped axes."""
    x = torch.randn(batch, 2, *(8, 12)[: net.dims], dtype=torch.float64)
    label = {"label": torch.arange(batch) % net.told.classes} if net.told.classes else {}
    return {"x": x, "level": torch.linspace(-10, 10, batch, dtype=torch.float64), **label}


@pytest.mark.parametrize("name", OPTIONS)
def test_shape_zero_start_and_a_gradient_for_every_parameter(awake, name: str) -> None:
    net = build(name).double()
    given = inputs(net)
    shape = (2, OPTIONS[name].get("out_channels", 2), *given["x"].shape[2:])
    assert torch.equal(net(**given), torch.zeros(shape, dtype=torch.float64))

    awake(net)(**given).square().sum().backward()
    silent = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not silent


@pytest.mark.parametrize("name", ["adm", "ddpm++ fir", "classes", "signals"])
def test_examples_do_not_see_each_other_and_one_level_serves_a_batch(awake, name: str) -> None:
    net = awake(build(name))
    given = inputs(net, batch=3)
    together = net(**given)
    alone = torch.cat([net(**{key: value[i : i + 1] for key, value in given.items()}) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)
    one = torch.tensor(0.3, dtype=torch.float64)
    torch.testing.assert_close(net(**given | {"level": one}), net(**given | {"level": one.expand(3)}))


def test_label_minus_one_is_no_label_and_classes_and_levels_matter(awake) -> None:
    net = awake(build("classes"))
    x, level = torch.randn(2, 2, 8, 8, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    without = net(x, level)
    assert torch.equal(net(x, level, torch.tensor([-1, -1])), without)
    outputs = [without, net(x, level + 0.1), *(net(x, level, torch.tensor([k, k])) for k in range(3))]
    distances = torch.cdist(*2 * [torch.stack(outputs).flatten(1)])
    assert (distances + torch.eye(5) > 1e-3).all()


@pytest.mark.parametrize("name", ["adm", "ddpm", "ddpm++ fir"])
def test_channels_last_computes_the_same(awake, name: str) -> None:
    net = awake(build(name)).float()
    x, level = torch.randn(2, 2, 8, 8), torch.zeros(2)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        last(x.to(memory_format=torch.channels_last), level), net(x, level), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", ["adm", "ddpm++ fir", "signals"])
def test_forward_mode_and_second_derivatives(awake, name: str) -> None:
    """What likelihoods and moment matching need: jvp against central differences, and a vjp of a vjp against it."""
    net = awake(build(name))
    given = inputs(net)
    x, level = given["x"], given["level"]
    v, w = torch.randn_like(x), torch.randn_like(x)
    with sdpa_kernel(SDPBackend.MATH):
        _, forward = torch.func.jvp(lambda x: net(x, level), (x,), (v,))
        h = 1e-5  # error h²/6 · third derivative + 1e-16 / h
        difference = (net(x + h * v, level) - net(x - h * v, level)) / (2 * h)
        torch.testing.assert_close(forward, difference, rtol=1e-6, atol=1e-6)

        leaf, probe = x.clone().requires_grad_(), w.clone().requires_grad_()
        (back,) = torch.autograd.grad(net(leaf, level), leaf, probe, create_graph=True)  # wᵀ J
        (twice,) = torch.autograd.grad(back, probe, v, create_graph=True)  # J v, by differentiating in w
        torch.testing.assert_close(twice, forward, rtol=1e-10, atol=1e-10)

        (curved,) = torch.autograd.grad((back * v).sum(), leaf)  # second derivatives proper, v ∂²(w · net) v
        h = 1e-4  # error h² · fourth derivative + 1e-16 / h²
        f = [(w * net(x + k * h * v, level)).sum() for k in (-1, 0, 1)]
        torch.testing.assert_close((curved * v).sum(), (f[0] - 2 * f[1] + f[2]) / h**2, rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only(awake) -> None:
    net = awake(UNet(1, **SMALL, dropout=0.5))
    x, level = torch.randn(1, 1, 8, 8, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    assert torch.equal(net(x, level), net(x, level))
    net.train()
    assert not torch.equal(net(x, level), net(x, level))


def test_autocast_and_bfloat16_weights(awake) -> None:
    net = awake(build("adm")).float()
    x, level = torch.randn(4, 2, 8, 8), torch.linspace(-10, 10, 4)
    exact = net(x, level)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = net(x, level).float()
    low = net.bfloat16()(x.bfloat16(), level.bfloat16()).float()
    for y in (mixed, low):  # bfloat16 has 8 bits; about ten layers add up
        assert (y - exact).norm() < 10 * 2**-8 * exact.norm()


def test_a_config_builds_the_same_network() -> None:
    net = build("ddpm++")
    config = to_config(net)
    again = from_config(config, "net")
    assert to_config(again) == config
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}


def test_print_says_how_large_it_is() -> None:
    with torch.device("meta"):
        assert repr(UNet(3, **ddpm(32))) == "UNet(35.7M)"


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"dims": 3}, "dims must be 1 (signals) or 2 (images), got 3."),
        ({"mult": ()}, "channels times mult must be at least 1 channel on at least one level, got []."),
        ({"mult": (1, 0.1)}, "channels times mult must be at least 1 channel on at least one level, got [8, 0]."),
        ({"blocks": 0}, "blocks must be at least 1, got 0."),
        ({"classes": -1}, "classes must be 0 (none) or more, got -1."),
        ({"dropout": 1.0}, "dropout must be at least 0 and less than 1, got 1.0."),
        ({"out_channels": 0}, "in_channels and out_channels must be at least 1, got 2 and 0."),
        ({"heads": 3}, "heads=3 does not divide the 16 channels of an attention layer."),
        ({"heads": 0}, "heads and head_channels must be at least 1; got 0 and 64."),
        ({"updown": "blok"}, "no updown is called 'blok'. Did you mean 'block'?"),
        ({"attention_up": "all"}, "no attention_up is called 'all'. Known: every, last."),
        ({"attention": (4,)}, "attention=[4] lists edge lengths, which need size, the edge length of the inputs."),
        ({"attention": (16,), "size": 8}, "attention=16 has no level: at size 8 the levels have edges 8, 4."),
        (
            {"mult": (1, 2, 2, 2), "size": 30},
            "size 30x30 does not fit this U-Net: its 4 levels halve every edge 3 times, so edges must be "
            "multiples of 8. Use size 24x24 or 32x32, or fewer levels in mult.",
        ),
    ],
)
def test_arguments_that_do_not_fit_get_a_sentence(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        UNet(2, **SMALL | arguments)
    assert str(error.value) == words


@pytest.mark.parametrize(
    "shape, words",
    [
        ((1, 2, 6, 9), "size 6x9 does not fit this U-Net: its 3 levels halve every edge 2 times, so edges must be "
         "multiples of 4. Use size 4x8 or 8x12, or fewer levels in mult."),
        ((1, 2, 3, 8), "size 3x8 does not fit this U-Net: its 3 levels halve every edge 2 times, so edges must be "
         "multiples of 4. Use size 4x8, or fewer levels in mult."),
        ((1, 3, 8, 8), "This U-Net takes (B, 2, H, W); got an input of shape (1, 3, 8, 8)."),
        ((2, 8, 8), "This U-Net takes (B, 2, H, W); got an input of shape (2, 8, 8)."),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_get_a_sentence(shape: tuple[int, ...], words: str) -> None:
    net = UNet(2, **SMALL | {"mult": (1, 1, 1)})
    with pytest.raises(UserError) as error:
        net(torch.zeros(shape), torch.zeros(1))
    assert str(error.value) == words


def test_check_takes_an_edge_or_all_of_them() -> None:
    net = UNet(1, **SMALL)
    net.check(8)
    net.check((8, 6))
    with pytest.raises(UserError, match="Use size 8x6 or 8x8,"):
        net.check((8, 7))
    with pytest.raises(UserError, match=r"size 5 does not fit.*Use size 4 or 6,"):
        UNet(1, **SMALL, dims=1).check(5)


def test_it_learns_to_tell_classes_apart() -> None:
    """Four classes, one 8x8 picture each, nothing in the input but noise: the label alone must bring the picture."""
    net = UNet(1, channels=16, mult=(1, 2), blocks=1, classes=4)
    pictures, label, level = torch.randn(4, 1, 8, 8), torch.arange(4).repeat(4), torch.full((16,), 5.0)
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(60):
        loss = (net(torch.randn(16, 1, 8, 8), level, label) - pictures[label]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.3 * pictures.square().mean()


@pytest.mark.parametrize("name", ["classes", "signals ddpm fir"])
def test_it_exports_as_one_graph(name: str) -> None:
    """No control flow that depends on the data: torch.export would refuse it."""
    net = build(name).eval()
    for parameter in net.parameters():
        parameter.data.add_(0.05)
    example = (torch.randn(2, 2, *(8, 8)[: net.dims]), torch.zeros(2), torch.tensor([0, -1]))
    torch.testing.assert_close(torch.export.export(net, example).module()(*example), net(*example))


def assert_compiles(net: UNet, backend: str) -> None:
    """One graph without breaks, and in it the gradients of eager mode."""
    for parameter in net.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    given = torch.randn(2, 2, *(8, 8)[: net.dims]), torch.zeros(2), torch.tensor([0, -1]) if net.told.classes else None
    compiled = torch.compile(net, backend=backend, fullgraph=True)
    gradients = [
        torch.autograd.grad(model(*given).square().mean(), list(net.parameters())) for model in (net, compiled)
    ]
    for eager, fused in zip(*gradients, strict=True):
        torch.testing.assert_close(fused, eager, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # the compiler's own warnings are not ours to mend
@pytest.mark.slow
def test_it_is_traced_as_one_graph() -> None:
    assert_compiles(build("adm"), "aot_eager")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_compiles(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv(
        "TORCHINDUCTOR_CACHE_DIR", str(tmp_path)
    )  # a killed compiler leaves torn files in the shared one
    assert_compiles(build("classes"), "inductor")

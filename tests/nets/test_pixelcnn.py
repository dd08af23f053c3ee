"""Networks that look back only: nothing of a pixel or behind it is seen, all before it is, and what they remember
changes no result."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from scorefield.errors import UserError
from scorefield.nets import PixelCNN, PixelCNNpp
from scorefield.registry import from_config, to_config

NETS = {
    "gated": lambda **more: PixelCNN(2, out_channels=3, channels=8, depth=3, kernel=5, **more),
    "gated, small windows": lambda **more: PixelCNN(2, out_channels=3, channels=8, depth=6, kernel=3, **more),
    "one scale": lambda **more: PixelCNNpp(2, out_channels=3, channels=8, blocks=2, scales=1, **more),
    "two scales": lambda **more: PixelCNNpp(2, out_channels=3, channels=8, blocks=1, scales=2, **more),
    "three scales": lambda **more: PixelCNNpp(2, out_channels=3, channels=8, blocks=1, scales=3, **more),
}
EDGES = (4, 8)  # rows, columns
PLACES = EDGES[0] * EDGES[1]
every = pytest.mark.parametrize("name", NETS)


@pytest.fixture
def made(awake):
    """A network of that name in float64 with seeded weights, none of them zero."""

    def make(name: str, **more) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(2)
            return awake(NETS[name](**more))

    return make


def image(batch: int = 2) -> Tensor:
    return torch.rand(batch, 2, *EDGES, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 2 - 1


def seen(net: nn.Module, label: Tensor | None = None) -> Tensor:
    """Σ |∂ out(place) / ∂ x(place)| over channels, (places out, places in)."""
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, label).sum(0), image(1))  # (3, H, W, 1, 2, H, W)
    return jacobian.abs().sum((0, 3, 4)).view(PLACES, PLACES)


@every
def test_no_output_sees_its_own_pixel_or_one_behind_it(made, name: str) -> None:
    """Exactly zero, at every pixel and in every channel; the first pixel depends on nothing."""
    found = seen(made(name))
    assert torch.equal(found.triu(), torch.zeros_like(found))
    assert not found[0].any()


@pytest.mark.parametrize("name", ["gated, small windows", "two scales", "three scales"])
def test_there_is_no_blind_spot(made, name: str) -> None:
    """Where windows and layers reach far enough, all pixels before one are seen (van den Oord et al. 2016, fig. 1): in
    particular those above and to the right, which masked convolutions cannot reach."""
    found, (rows, columns) = seen(made(name)).view(*EDGES, *EDGES), EDGES
    near = [  # of each place those up to two rows above and two columns to either side, and the row up to it
        found[r, c, i, j] > 0
        for r in range(rows)
        for c in range(columns)
        for i in range(max(0, r - 2), r + 1)
        for j in range(max(0, c - 2), min(columns, c + 3))
        if (i, j) < (r, c)
    ]
    assert all(near)


@every
def test_what_is_remembered_changes_nothing(made, name: str) -> None:
    """A walk of one pixel at a time, with what is not known yet far off, gives what a look at all gives, to the
    rounding of some ten layers in float64."""
    net, x, label = made(name, classes=3), image(), torch.tensor([1, -1])
    memory, found = {}, []
    with torch.no_grad():
        for place in range(PLACES):
            unknown = x.clone()
            unknown.flatten(2)[..., place:] = 50.0
            found.append(net(unknown, label, place=place, memory=memory)[..., 0, 0])
        whole = net(x, label)
    torch.testing.assert_close(torch.stack(found, -1).view_as(whole), whole, rtol=1e-11, atol=1e-12)


@every
def test_classes_and_numbers_are_told_and_nothing_is_the_null(made, name: str) -> None:
    net, x = made(name, classes=3, condition=2), image()
    null, none = net(x), torch.full((2, 2), torch.nan, dtype=torch.float64)
    torch.testing.assert_close(net(x, torch.tensor([-1, -1]), none), null)
    told = net(x, torch.tensor([2, -1]), torch.tensor([[torch.nan] * 2, [0.5, torch.nan]], dtype=torch.float64))
    assert (told != null).all()
    assert (net(x, torch.tensor([2, 0])) != net(x, torch.tensor([1, 0]))).any(1)[0].all()


@every
def test_it_begins_at_zero_and_every_weight_learns(awake, name: str) -> None:
    net = NETS[name](classes=2, dropout=0.1).double()
    assert torch.equal(net(image()), torch.zeros(2, 3, *EDGES, dtype=torch.float64))
    awake(net)(image(), torch.tensor([0, 1])).square().sum().backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]


@every
def test_it_is_built_again_from_its_config(made, name: str) -> None:
    net = made(name)
    again = from_config(to_config(net), "net").double().eval()
    again.load_state_dict(net.state_dict())
    assert torch.equal(again(image()), net(image()))


def test_weight_norm_keeps_the_size_of_its_gain(made) -> None:
    """g v/‖v‖ does not know how long v is."""
    net = made("one scale")
    before = net(image())
    for module in net.modules():
        if getattr(module, "g", None) is not None:
            module.v.data.mul_(3.0)
    torch.testing.assert_close(net(image()), before, rtol=1e-10, atol=1e-11)


def test_what_cannot_be_is_refused(made) -> None:
    with pytest.raises(UserError, match="multiples of 2"):
        made("two scales")(torch.zeros(1, 2, 4, 7, dtype=torch.float64))
    with pytest.raises(UserError, match="real \\(B, 2, H, W\\)"):
        made("gated")(torch.zeros(1, 3, 4, 8, dtype=torch.float64))
    with pytest.raises(UserError, match="odd kernel"):
        PixelCNN(1, kernel=4)
    with pytest.raises(UserError, match="at least 1"):
        PixelCNNpp(1, blocks=0)

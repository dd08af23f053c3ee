"""An autoregressive model on toys whose images can all be listed: probabilities sum to 1, samples follow them, and what
the network remembers changes no sample."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from scorefield import sample
from scorefield.core import Rng, as_time
from scorefield.denoisers import Autoregressive
from scorefield.errors import UserError
from scorefield.likelihood import Logistics, Softmaxes, elbo
from scorefield.nets import PixelCNN, PixelCNNpp
from scorefield.noise import Raster
from scorefield.objectives import Elbo
from scorefield.sampling import trajectory
from scorefield.solvers import Ancestral, InOrder, Uniform

V = 3
ALARM = 1e-6  # of each test that draws
TOYS = {  # network, law, event shape
    "gated": (lambda **net: PixelCNN(1, channels=8, depth=2, kernel=3, **net), Softmaxes(), (1, 2, 2)),
    "plus plus": (lambda **net: PixelCNNpp(1, channels=4, blocks=1, scales=2, **net), Logistics(2), (1, 2, 2)),
    "gated, two channels": (lambda **net: PixelCNN(2, channels=8, depth=2, kernel=3, **net), Softmaxes(), (2, 1, 2)),
    "plus plus, two channels": (
        lambda **net: PixelCNNpp(2, channels=8, blocks=1, scales=1, **net),
        Logistics(3),
        (2, 1, 2),
    ),
}
every = pytest.mark.parametrize("name", TOYS)


def made(name: str, **more) -> Autoregressive:
    """The toy of that name in float64 with seeded weights that make it far from uniform."""
    make, law, shape = TOYS[name]
    with torch.random.fork_rng():
        torch.manual_seed(6)
        net = make(out_channels=law.outputs(V, shape[0]), **more)
        for p in net.parameters():
            p.data.add_(0.3 * torch.randn_like(p))
    return Autoregressive(net, Raster(V), law).double().eval()


def images(name: str) -> Tensor:
    """All 81 of them."""
    return torch.tensor(list(itertools.product(range(V), repeat=4))).view(81, *TOYS[name][2])


def nats(denoiser: Autoregressive, x: Tensor, **cond) -> Tensor:
    return denoiser(x, as_time(0.0), **cond).error(x)


@every
def test_probabilities_of_all_images_sum_to_one(name: str) -> None:
    with torch.no_grad():
        p = (-nats(made(name), images(name))).exp()
    torch.testing.assert_close(p.sum(), torch.ones_like(p.sum()), rtol=0, atol=1e-12)
    assert p.max() > 2 / 81  # far from uniform


@every
@pytest.mark.parametrize("solver", [InOrder(), Ancestral()])
def test_samples_follow_the_probabilities(name: str, solver) -> None:
    """χ² over the 81 images, remembered or one whole look a pixel; a false alarm in 10⁶."""
    denoiser, shape, n = made(name), TOYS[name][2], 4000
    with torch.no_grad():
        p = (-nats(denoiser, images(name))).exp()
    steps = shape[1] * shape[2]
    x = sample(denoiser, (n, *shape), steps=steps, solver=solver, grid=Uniform(), rng=Rng(3), dtype=torch.float64)
    found = torch.bincount((x.flatten(1).long() * torch.tensor([27, 9, 3, 1])).sum(1), minlength=81).double()
    rare = p * n < 5
    p, found = (torch.cat([part[~rare], part[rare].sum()[None]]) for part in (p, found))
    assert ((found - n * p).square() / (n * p).clamp_min(1e-9)).sum() < chi2.isf(ALARM, len(p) - 1)


@every
def test_samples_are_the_same_with_memory_without_and_on_every_grid(name: str) -> None:
    denoiser, shape = made(name), (64, *TOYS[name][2])
    whole = sample(denoiser, shape, steps=4, solver=InOrder(cached=False), seed=5)
    for steps in (1, 3, 4, 9):
        assert torch.equal(sample(denoiser, shape, steps=steps, seed=5), whole)
    assert torch.equal(sample(denoiser, (8, *shape[1:]), steps=2, seed=5), whole[:8])  # whatever the batch is


@every
def test_the_bound_is_the_truth(name: str) -> None:
    """Every look sees every term: the same figure each time, and the objective is it for each dimension."""
    denoiser, x = made(name), images(name)
    found = elbo(denoiser, x, samples=2)
    with torch.no_grad():
        torch.testing.assert_close(found.nats, nats(denoiser, x), rtol=1e-12, atol=1e-12)
        loss = Elbo(label_dropout=0.0)(denoiser, x, Rng(0))
    assert not found.error.any()
    torch.testing.assert_close(loss, found.nats / 4)


def test_a_class_changes_the_probabilities() -> None:
    denoiser, x = made("gated", classes=2), images("gated")
    each = [nats(denoiser, x, label=torch.full((81,), label)) for label in (0, 1, -1)]
    assert all((a - b).abs().max() > 1e-3 for a, b in itertools.combinations(each, 2))
    for found in each:
        torch.testing.assert_close((-found).exp().sum().item(), 1.0, rtol=0, atol=1e-12)
    drawn = [sample(denoiser, (64, 1, 2, 2), seed=1, label=torch.full((64,), label)) for label in (0, 1)]
    assert not torch.equal(*drawn)


def test_a_walk_can_begin_with_known_pixels() -> None:
    """The network then looks at them first; they stay, and the rest is drawn as if it had drawn them."""
    denoiser = made("gated")
    *_, last = trajectory(denoiser, denoiser.process.prior(torch.empty(16, 1, 2, 2), Rng(0)), [1.0, 0.0], rng=Rng(2))
    known = denoiser.process.corrupt(last.x, as_time(0.5), Rng(0))
    assert (known.flatten(1)[:, 2:] == V).all()
    found = []
    for cached in (True, False):
        *_, again = trajectory(denoiser, known, [0.5, 0.0], solver=InOrder(cached=cached), rng=Rng(7))
        assert torch.equal(again.x.flatten(1)[:, :2], last.x.flatten(1)[:, :2])
        assert (again.x < V).all()
        found.append(again.x)
    assert torch.equal(*found)


def test_steps_that_are_too_long_for_a_solver_of_one_pixel_are_refused() -> None:
    with pytest.raises(UserError, match="next pixel alone"):
        sample(made("gated"), (2, 1, 2, 2), steps=2, solver=Ancestral())
    with pytest.raises(UserError, match="known"):
        InOrder().init(object(), as_time([1.0, 0.0]))


def test_a_network_for_another_law_is_refused() -> None:
    net = PixelCNN(1, out_channels=5, channels=4, depth=2)
    with pytest.raises(UserError, match="out_channels=3"):
        Autoregressive(net, Raster(V), Softmaxes())(images("gated"), as_time(0.0))

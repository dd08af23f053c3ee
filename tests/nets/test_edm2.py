"""EDM2 against its promise: magnitudes stay, weights stay on the sphere. (Its numbers: tests/parity/test_edm2.py.)"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield.errors import UserError
from scorefield.nets import EDM2, edm2, parameters_millions
from scorefield.nets.edm2 import MPBlock
from scorefield.nets.magnitude import EPS, MPConv, MPFourier, mp_cat, mp_silu, mp_sum, normalise


def rms(x: torch.Tensor) -> float:
    return float(x.detach().double().square().mean().sqrt())


@pytest.fixture
def net() -> EDM2:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return EDM2(3, channels=32, mult=(1, 2), blocks=1, size=16, attention=(8,), classes=4, condition=2)


def white(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_every_part_keeps_the_magnitude() -> None:
    """Of independent unit inputs. 2·10⁵ numbers: sampling moves a root mean square by less than 1 % (5 deviations)."""
    a, b = white(1000, 200), white(1000, 200, seed=2)
    for t in (0.1, 0.3, 0.5):
        assert rms(mp_sum(a, b, t)) == pytest.approx(1, abs=0.01)
        assert rms(mp_cat(a, b[:, :50], t)) == pytest.approx(1, abs=0.01)
    assert rms(mp_silu(a)) == pytest.approx(1, abs=0.01)
    assert rms(normalise(7 * a, 1)) == pytest.approx(1, abs=2 * EPS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert rms(MPConv(200, 2000)(a)) == pytest.approx(1, abs=0.01)
        assert rms(MPFourier(4000)(white(100))) == pytest.approx(1, abs=0.01)
        labels = MPConv(50, 4000)
        assert rms(labels.column(torch.arange(50))) == pytest.approx(1, abs=0.01)
    hot = math.sqrt(50) * torch.eye(50)
    torch.testing.assert_close(labels.column(torch.arange(50)), labels(hot), rtol=0, atol=1e-5)


def test_magnitudes_stay_near_one_through_a_new_network(net: EDM2) -> None:
    """Of white noise. Inside, only zero padding takes away: of the nine taps of a convolution at edge n, the share
    ((3n − 2)/3n)² lies within the picture, 0.84 at n = 8; two such convolutions in a branch of share 0.3 bring a block
    to no less than 0.9, and five decoder blocks in a row, none of which normalises, to no less than 0.7. Correlations
    between what is summed can only be small and of either sign: 1.2."""
    seen: dict[str, float] = {}
    for name, module in net.named_modules():
        if type(module) is MPBlock:
            module.register_forward_hook(lambda _, __, y, name=name: seen.__setitem__(name, rms(y)))
    net.out_gain.data.fill_(1.0)
    with torch.no_grad():
        y = net.eval()(white(16, 3, 16, 16), torch.linspace(-4, 3, 16))
    assert len(seen) == 10
    assert all(0.9 < size < 1.1 for name, size in seen.items() if name.startswith("down")), seen
    assert all(0.7 < size < 1.2 for size in seen.values()), seen
    assert 0.6 < rms(y) < 1.2


def test_training_keeps_the_weights_on_the_sphere(net: EDM2) -> None:
    net.out_gain.data.fill_(1.0)
    layers = [module for module in net.modules() if type(module) is MPConv]
    x, level, label, condition = white(4, 3, 16, 16), torch.zeros(4), torch.tensor([0, 1, 2, 3]), white(4, 2)
    optimiser = torch.optim.Adam(net.parameters(), 0.05)
    net.train()(x, level, label, condition).square().sum().backward()
    for layer in layers:  # the direction alone counts: gradients are at right angles to the weights
        w, g = layer.weight.detach().flatten(1), layer.weight.grad.flatten(1)
        cosine = (w * g).sum(1) / (w.norm(dim=1) * g.norm(dim=1)).clamp(min=1e-12)
        assert cosine.abs().max() < 5e-3  # ε and float32 sums; it is 1 for what shrinks or grows
    optimiser.step()
    away = [float((layer.weight.detach().flatten(1).square().mean(1).sqrt() - 1).abs().max()) for layer in layers]
    assert max(away) > 0.001
    before = net.eval()(x, level, label, condition)
    assert [float((la.weight.detach().flatten(1).square().mean(1).sqrt() - 1).abs().max()) for la in layers] == away
    after = net.train()(x, level, label, condition)
    for layer in layers:
        assert (layer.weight.detach().flatten(1).square().mean(1).sqrt() - 1).abs().max() < 2 * EPS
    torch.testing.assert_close(after, before, rtol=0, atol=50 * EPS)  # ε alone tells a long row from a short one


# Karras et al. 2024, tab. 2 (latents of 64×64×4, 1,000 classes; the paper counts 128 weights of its u(σ) too).
@pytest.mark.parametrize(("name", "published"), [("XS", 125), ("S", 280), ("M", 498), ("XXL", 1523)])
def test_parameter_counts(name: str, published: int) -> None:
    with torch.device("meta"):
        net = EDM2(4, classes=1000, **edm2(name))
    assert round(parameters_millions(net)) == published


def test_wrong_arguments_get_a_sentence() -> None:
    with pytest.raises(UserError, match=r"^size 30x30 does not fit this U-Net: its 3 levels halve every edge 2 times"):
        EDM2(1, channels=8, mult=(1, 1, 1), size=30)
    with pytest.raises(UserError, match=r"^dims must be 1 \(signals\) or 2 \(images\), got 3\.$"):
        EDM2(1, dims=3)
    with pytest.raises(UserError, match=r"^blocks and head_channels must be at least 1, got 0 and 64\.$"):
        EDM2(1, blocks=0)
    with pytest.raises(UserError, match=r"^edm2 has no size 'XXXL'"):
        edm2("XXXL")


def test_it_trains_with_forced_weights_and_checkpoints_alike(net: EDM2) -> None:
    """The weights are put back before the blocks run, once: what is computed again sees the same ones."""
    x, level = white(2, 3, 16, 16), torch.zeros(2)
    net.out_gain.data.fill_(1.0)
    gradients = []
    for checkpoint in (False, True):
        net.checkpoint = checkpoint
        nn.Module.zero_grad(net)
        net.train()(x, level).square().sum().backward()
        gradients.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    for kept, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, kept, rtol=1e-3, atol=1e-4)

"""A network that is a density up to its constant: its score is a gradient, and what it learns is log p."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield import Denoising, Gaussian, GaussianMixture, Rng, UserError
from scorefield.core import as_time
from scorefield.denoisers import Energy, Preconditioned
from scorefield.denoisers.energy import FORMS
from scorefield.nets import MLP, UNet
from scorefield.noise import EDM, VP, Flow
from scorefield.objectives import EDMWeight, LogNormal, ScoreMatching
from scorefield.solvers.langevin import Langevin, chain
from scorefield.testing import check_denoiser
from tests.denoisers.test_preconditioned import lambda_net

F = torch.float64
SMOOTH = {"edm": Gaussian(EDM()), "vp": Gaussian(VP())}


def awake(net: nn.Module) -> nn.Module:
    """The network with the layer that starts at zero filled, in float64."""
    torch.manual_seed(1)
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    return net.double()


def antisymmetry(denoiser, x: torch.Tensor, t: torch.Tensor) -> float:
    J = torch.autograd.functional.jacobian(lambda u: denoiser(u[None], t).mean[0], x[0])
    J = J.reshape(x[0].numel(), -1)
    return ((J - J.T).norm() / J.norm()).item()


@pytest.mark.parametrize("process", SMOOTH.values(), ids=SMOOTH)
@pytest.mark.parametrize("form", FORMS)
def test_the_jacobian_is_symmetric_and_the_line_integral_is_the_difference_of_densities(form, process):
    """To rounding in float64, where a plain network of the same kind is far from symmetric."""
    torch.manual_seed(0)
    net = awake(MLP(4, width=16, depth=2))
    denoiser, t = Energy(net, process, form, 0.7), as_time(0.4)
    a, b = Rng(0).normal(torch.empty(1, 4, dtype=F)), Rng(1).normal(torch.empty(1, 4, dtype=F))
    assert antisymmetry(denoiser, a, t) < 1e-12
    assert antisymmetry(Preconditioned(net, process, "edm", 0.7), a, t) > 1e-3
    nodes, weights = torch.tensor([-1, 1], dtype=F) / math.sqrt(3), torch.ones(2, dtype=F)  # Gauss in 400 parts: O(h⁴)
    u = ((torch.arange(400, dtype=F)[:, None] + 0.5 + 0.5 * nodes) / 400).reshape(-1, 1)
    line = a + u * (b - a)
    along = (process.score(line, denoiser(line, t), t) * (b - a)).sum(1)
    found = denoiser.log_density(b, t) - denoiser.log_density(a, t)
    torch.testing.assert_close((along * weights.repeat(400)).sum() / 800, found[0], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_they_are_sound_denoisers_also_on_images(form):
    net = lambda_net(nn.Bilinear(3, 1, 3))
    check_denoiser(Energy(net, Gaussian(VP()), form, 0.7), (4, 3))
    image = Energy(awake(UNet(1, size=8, channels=16, mult=(1, 2), attention=(4,))), Gaussian(EDM()), form, 0.7)
    loss = Denoising(label_dropout=0.0)(image, Rng(0).normal(torch.empty(2, 1, 8, 8, dtype=F)), Rng(1)).mean()
    loss.backward()  # twice through attention
    moved = [p for p in image.parameters() if p.grad is not None]
    assert len(moved) >= len([*image.parameters()]) - 1  # the last bias is a constant of the total
    assert all(p.grad.isfinite().all() for p in moved)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "residual"])
@pytest.mark.parametrize("process", SMOOTH.values(), ids=SMOOTH)
def test_a_network_of_zeros_is_the_gaussian_of_the_data(form, process):
    """The belief of N(0, σ_data²) and its log-density; EDM's loss is then 1 (tested for ``Preconditioned``)."""
    denoiser = Energy(MLP(3, width=8, depth=1).double(), process, form, 0.7)
    law = GaussianMixture.isotropic(torch.zeros(1, 3, dtype=F), 0.7)
    x, t = Rng(0).normal(torch.empty(5, 3, dtype=F)), as_time(0.3)
    torch.testing.assert_close(denoiser(x, t).mean, law.denoiser(process)(x, t).mean)
    alpha, sigma = process.schedule(t)
    want = -0.5 * x.square().sum(1) / (alpha**2 * 0.49 + sigma**2)
    torch.testing.assert_close(denoiser.log_density(x, t), want)


def three(std: float = 0.5) -> GaussianMixture:
    return GaussianMixture.isotropic(torch.tensor([[-1.2, 0.0], [1.0, 0.8], [1.0, -0.8]], dtype=F), std)


@pytest.mark.parametrize("objective", ["explicit", "sliced", "denoising"])
def test_the_gradients_of_its_losses_are_right(objective):
    """Against differences of the loss, for a network with layer norm, of which the trace takes a third derivative."""
    denoiser = Energy(awake(MLP(2, width=8, depth=1)), Gaussian(EDM(10.0)), "dot", 1.2)
    loss_of = Denoising(label_dropout=0.0) if objective == "denoising" else ScoreMatching(objective, 0.5)
    x, weight = three().sample(16, Rng(0)), denoiser.net.stem.weight
    loss_of(denoiser, x, Rng(1)).mean().backward()
    found = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            weight[0, 0] += step
        found.append(loss_of(denoiser, x, Rng(1)).mean().item())
    assert (found[0] - found[1]) / 2e-5 == pytest.approx(weight.grad[0, 0].item(), rel=1e-5)


DENOISING = Denoising(LogNormal(-0.7, 0.5), EDMWeight(1.2), 0.0)
WAYS = {form: (DENOISING, form, 256) for form in FORMS}  # objective, form, batch
WAYS |= {form: (ScoreMatching(form, 0.5), "dot", 512) for form in ("explicit", "sliced")}


def fitted(objective, form: str, batch: int, law: GaussianMixture, process: Gaussian, steps: int = 600) -> Energy:
    torch.manual_seed(0)
    denoiser = Energy(MLP(2, width=32, depth=1), process, form, 1.2)
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        loss = objective(denoiser, law.sample(batch, Rng(2 * step)).float(), Rng(2 * step + 1)).mean()
        optimiser.zero_grad(), loss.backward(), optimiser.step(), schedule.step()
    return denoiser


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_differences_of_the_energy_are_differences_of_the_log_density(way):
    """After fitting three Gaussians by denoising (every form), or at one level of noise by explicit and sliced score
    matching: differences of log p_t between points against the truth, root mean square in nats. The truth spreads
    over 0.78."""
    process, t = Gaussian(EDM(10.0)), as_time(0.05)  # σ = 0.5
    denoiser = fitted(*WAYS[way], three(), process)
    noised = three(std=math.sqrt(0.5**2 + 0.5**2))
    x = noised.sample(500, Rng(10**6))
    off = denoiser.log_density(x.float(), t).double().detach() - noised.log_prob(x)
    assert (off - off.mean()).square().mean().sqrt() < 0.06
    assert noised.log_prob(x).std() > 0.75


def test_metropolis_steps_with_the_energy_need_no_line_integral():
    """A product of two densities, which summed scores of noised densities would miss: N(0, 1)·N(0.6, 0.5²) by MALA. The
    exact law is N(0.48, 0.2); 4,000 chains of 60 steps, 4.5 standard errors."""
    low = 1e-3
    process = Gaussian(EDM(1.0))

    class Both(nn.Module):
        def forward(self, x, level):
            return torch.zeros_like(x)

    one = Energy(Both(), process, "dot", 1.0)

    class Product:
        def __init__(self):
            self.process = process

        def log_density(self, x, t):
            return one.log_density(x, t) - 0.5 * ((x - 0.6) / 0.5).square().flatten(1).sum(1)

        def __call__(self, x, t):
            slope = torch.func.grad(lambda u: self.log_density(u, t).sum())(x)
            belief = one(x, t)
            return belief.with_mean(x + process.schedule(t).sigma ** 2 * slope)

    both = Product()
    corrector = Langevin(0.15, "fixed", metropolis=True, log_prob=both.log_density)
    links = chain(both, torch.zeros(4000, 1, dtype=F), low, corrector, Rng(0))
    x = next(link.x for step, link in enumerate(links) if step == 60)
    assert abs(x.mean() - 0.48) < 4.5 * math.sqrt(0.2 / 4000)
    assert abs(x.var() - 0.2) < 4.5 * 0.2 * math.sqrt(2 / 4000)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("dto",), r"no form of an energy is called 'dto'\. Did you mean 'dot'\?"),
        (("dot", 0.0), "sigma_data must be greater than 0"),
    ],
)
def test_bad_input(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        Energy(nn.Identity(), Gaussian(EDM()), *arguments)


def test_no_signal_is_refused():
    with pytest.raises(UserError, match="divides by α, which is 0 at t = 1"):
        Energy(nn.Identity(), Gaussian(Flow()))

"""A network as a noise-aware classifier, and the objective that trains it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield import Gaussian, GaussianMixture, Rng
from scorefield.denoisers import Classifying
from scorefield.errors import UserError
from scorefield.guidance import Classifier
from scorefield.nets import ClassifierNet
from scorefield.noise import EDM, VP, Flow
from scorefield.objectives import Classification

UNET = {"body": "unet", "in_channels": 2, "channels": 8, "mult": (1, 2), "blocks": 1}
SHAPES = {
    "unet": (UNET, (2, 8, 8)),
    "unet of signals": (UNET | {"dims": 1}, (2, 8)),
    "mlp": ({"body": "mlp", "dim": 3, "width": 16, "depth": 2}, (3,)),
}


class Line(nn.Module):
    """logits 1000·x, whatever the noise is: the worst network there could be."""

    classes = 2

    def forward(self, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return torch.cat((1000 * x, -1000 * x), 1)


@pytest.mark.parametrize("name", SHAPES)
def test_it_begins_with_the_frequencies_and_every_weight_learns(name: str):
    options, shape = SHAPES[name]
    torch.manual_seed(0)
    heard = Classifying(ClassifierNet(3, **options), Gaussian(EDM()), 0.5)
    x, t = torch.randn(4, *shape), torch.linspace(0.2, 0.9, 4).double()
    assert torch.equal(heard(x, t).logits, torch.zeros(4, 3))
    with torch.no_grad():
        for parameter in heard.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    heard(x, t).log_probs.square().sum().backward()
    assert not [key for key, p in heard.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    again = heard.under(Gaussian(VP()))
    assert again.bias is heard.bias and again.net is heard.net


def test_guidance_stays_of_the_size_of_the_data_whatever_the_network_does():
    """|σ²/α ∇ log p| ≤ σ_data · 2·1000 for this network, at every level: ρ c_in σ²/α ≤ σ_data."""
    process = Gaussian(Flow())
    heard = Classifying(Line(), process, 0.5)
    guided = Classifier(GaussianMixture.isotropic(torch.zeros(1, 1), 0.5).denoiser(process), heard)
    x = torch.linspace(-1, 1, 7)[:, None]
    for t in (0.01, 0.5, 0.9, 0.999, 0.999999):
        time = torch.tensor(t).double()
        pushed = guided(x, time, label=torch.zeros(7).long()).mean - guided.inner(x, time).mean
        assert pushed.isfinite().all() and pushed.abs().max() <= 0.5 * 2000 * (1 + 1e-5)


def test_the_objective_is_least_at_the_true_posterior():
    """Two Gaussians at ±1: the loss of the exact log-odds 2αx/(α² s² + σ²) is below that of scaled ones, and the mean
    loss of a coin is log 2."""
    process, s = Gaussian(VP()), 0.5
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(4000) % 2
    x0 = (2.0 * label - 1)[:, None].double() + s * torch.randn(4000, 1, generator=generator, dtype=torch.float64)

    class Odds:
        def __init__(self, factor: float) -> None:
            self.process, self.factor = process, factor

        def __call__(self, x, t):
            from scorefield.belief import Logits

            alpha, sigma = process.scales(t, x)
            odds = self.factor * 2 * alpha * x / (alpha**2 * s**2 + sigma**2)
            return Logits(torch.cat((torch.zeros_like(odds), odds), 1))

    losses = {f: Classification()(Odds(f), x0, Rng(3), label=label).mean() for f in (0.0, 0.5, 1.0, 2.0)}
    assert losses[0.0].item() == pytest.approx(math.log(2), abs=1e-12)
    assert losses[1.0] < min(losses[0.5], losses[2.0]) < losses[0.0]
    some = Classification()(Odds(1.0), x0, Rng(3), label=torch.where(label == 0, -1, label))
    assert (some[label == 0] == 0).all() and (some[label == 1] > 0).all()
    with pytest.raises(UserError, match="a classifier learns from labels"):
        Classification()(Odds(1.0), x0, Rng(3))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: ClassifierNet(1, body="mlp", dim=2), "at least 2 classes"),
        (lambda: ClassifierNet(3, body="mpl", dim=2), r"cannot be made of 'mpl'\. Did you mean 'mlp'"),
        (lambda: ClassifierNet(3, body="mlp", dim=2, condition=2), "condition is not an argument"),
        (lambda: Classifying(Line(), Gaussian(VP()), 0.0), "sigma_data must be greater than 0"),
    ],
)
def test_what_cannot_classify_is_said(made, sentence: str):
    with pytest.raises(UserError, match=sentence):
        made()

"""The loss on numbers and tokens together, with the exact belief: what it must be on average."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from scorefield import Law, Rng, UserError
from scorefield.analytic import MixedLaw
from scorefield.belief import Pair
from scorefield.core import as_time
from scorefield.denoisers import Joint as JointDenoiser
from scorefield.nets import MLP
from scorefield.noise import EDM, Flow, Gaussian, Product, masking
from scorefield.objectives import Denoising, Elbo, Joint, Stratified, Uniform
from scorefield.registry import from_config, to_config

PROCESS = Product(Gaussian(Flow()), masking(3), 2)


def flat(process, t):
    return torch.ones_like(t)


def test_the_mean_is_that_over_columns_of_error_and_entropy():
    """5 standard errors of 40,000 examples. Numbers: E‖x̂₀ − x₀‖²/2 is std²σ²/(α²std² + σ²), over uniform times. Tokens:
    the masked bound is their entropy, exact as the numbers are gone."""
    probs = torch.arange(1, 10, dtype=torch.float64)
    tokens = Law((probs / probs.sum()).view(3, 3))
    law = MixedLaw(tokens, torch.zeros(9, 2, dtype=torch.float64), 0.5)
    objective = Joint(Denoising(Stratified(Uniform(1e-6)), flat), Elbo())
    loss = objective(law.denoiser(PROCESS), law.sample(40_000, Rng(0)), Rng(1))
    t = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    alpha, sigma = PROCESS.numbers.schedule(t)
    numbers = (0.25 * sigma**2 / (alpha**2 * 0.25 + sigma**2)).mean()
    wanted = (numbers + tokens.entropy / 2) / 2  # two columns of each
    assert abs(loss.mean() - wanted) < 5 * loss.std() / 200


def test_labels_are_dropped_once_and_the_config_comes_back():
    seen = []

    class Watched:
        process = PROCESS

        def __call__(self, x, t, label=None):
            seen.append(label)
            return law(x, t)

    truth = MixedLaw(Law(torch.full((3, 3), 1 / 9).double()), torch.zeros(9, 2).double(), 0.5)
    law = truth.denoiser(PROCESS)
    objective = Joint(label_dropout=0.5)
    objective(Watched(), truth.sample(1000, Rng(0)), Rng(1), label=torch.ones(1000, dtype=torch.int64))
    assert len(seen) == 1 and 400 < int((seen[0] == -1).sum()) < 600
    assert from_config(to_config(objective), "objective") == objective


def test_a_share_is_how_often_the_numbers_are_learned():
    """Where the tokens are sure, they cost nothing: what is left is ``share`` of the loss of the numbers."""
    law = MixedLaw(Law(torch.tensor([1.0, 0.0]).double()), torch.zeros(2, 2).double(), 0.5)
    process = Product(Gaussian(Flow()), masking(2), 2)
    parts = Denoising(Stratified(Uniform(1e-6)), flat), Elbo()
    x0 = law.sample(20_000, Rng(0))
    few, all_of_them = (Joint(*parts, share)(law.denoiser(process), x0, Rng(1)) for share in (0.25, 1.0))
    assert torch.equal(few[few > 0], all_of_them[few > 0])
    assert abs((few > 0).double().mean() - 0.25) < 5 * (0.25 * 0.75 / 20_000) ** 0.5  # false alarm 6e-7


@pytest.mark.parametrize("dim", [0, 2])
def test_a_network_believes_in_both(dim: int):
    """Only values that a token can have are possible, what is shown is kept, and while numbers are noise they are not
    looked at; a table of tokens alone trains too."""
    process = Product(Gaussian(EDM()), masking(4), dim)
    torch.manual_seed(0)
    net = MLP(dim, tokens=[2, 4], width=16, depth=1)
    nn.init.normal_(net.head.weight)
    denoiser = JointDenoiser(net, process, [2, 4])
    x = torch.cat([torch.randn(6, dim), torch.tensor([[4.0, 4.0]]).expand(6, 2)], 1)
    belief = denoiser(x, as_time(0.8))
    assert isinstance(belief, Pair) and belief.numbers.mean.shape == (6, dim)
    assert torch.equal(belief.tokens.probs[:, 0, 2:], torch.zeros(6, 2))
    assert (belief.tokens.probs[:, 1] > 0).all() and torch.allclose(belief.tokens.probs[0], belief.tokens.probs[5])
    shown = torch.cat([x[:, :dim], torch.tensor([[1.0, 4.0]]).expand(6, 2)], 1)
    assert torch.equal(denoiser(shown, as_time(0.8)).tokens.probs[:, 0, 1], torch.ones(6))
    x0 = torch.cat([x[:, :dim], torch.tensor([[1.0, 3.0]]).expand(6, 2)], 1)
    loss = Joint()(denoiser, x0, Rng(0)).mean()
    loss.backward()
    assert loss.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    torch.testing.assert_close(belief.lerp(belief, 2.0).tokens.probs, belief.tokens.probs)
    assert (belief.error(x0) > 0).all()


def test_what_does_not_fit_is_refused():
    process = Product(Gaussian(EDM()), masking(4), 2)
    with pytest.raises(UserError, match="sizes"):
        JointDenoiser(MLP(2, tokens=[2, 3], width=8, depth=1), process, [2, 3])
    with pytest.raises(UserError, match="answers"):
        JointDenoiser(MLP(2, tokens=[2, 3], width=8, depth=1), process, [2, 4])(torch.zeros(1, 4), as_time(0.5))
    with pytest.raises(UserError, match="share"):
        Joint(share=1.5)
    with pytest.raises(UserError, match="values each column"):
        MLP(2, tokens=[0], width=8, depth=1)

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield import Elbo, Law, Logits, Rng, UserError
from scorefield.analytic import MarkovText
from scorefield.denoisers import Categorical
from scorefield.noise import keep, mask_and_replace, masking, uniform
from scorefield.objectives import Denoising, Importance, Stratified, Uniform, Unrolled
from scorefield.registry import from_config, to_config
from scorefield.training.draws import Draws


@pytest.fixture(scope="module")
def law() -> Law:
    weights = torch.arange(1, 28, dtype=torch.float64).sin().square() ** 3
    return Law((weights / weights.sum()).view(3, 3, 3))


TIMES = [None, Stratified(Uniform(1e-7)), Stratified(Importance(1e-7)), Importance(1e-7)]


@pytest.mark.parametrize("times", TIMES, ids=repr)
@pytest.mark.parametrize("process", [masking(3, keep.Cosine()), uniform(3), mask_and_replace(3)], ids=repr)
def test_whatever_law_draws_the_times_the_bound_is_the_entropy(law, process, times):
    """10,000 examples, the exact belief: within 5 standard errors (false alarm 6e-7 each) of −log p."""
    x0 = law.sample(10_000, Rng(0))
    loss = 3 * Elbo(times=times)(law.denoiser(process), x0, Rng(1)) + law.log_prob(x0)
    assert abs(loss.mean().item()) < 5 * loss.std().item() / 100


def test_the_terms_of_steps_are_drawn_without_bias(law):
    """Two laws of times, one bound: their means differ by less than 5 standard errors."""
    process, x0 = uniform(3, keep.Cosine()), law.sample(10_000, Rng(0))
    losses = [Elbo(4, times)(law.denoiser(process), x0, Rng(1)) for times in (None, Importance(1e-7))]
    spread = math.hypot(*(loss.std().item() / 100 for loss in losses))
    assert abs(losses[0].mean() - losses[1].mean()) < 5 * spread


def test_the_hybrid_adds_cross_entropy_and_denoising_is_the_masked_bound(law):
    """Same draws: λ CE is what ``ce`` adds; and the process's own weight makes ``Denoising`` MDLM's bound, exactly."""
    process, x0 = masking(3), law.sample(64, Rng(0))
    denoiser, times = law.denoiser(process), Stratified(Uniform())
    plain, hybrid = (Elbo(times=times, ce=ce)(denoiser, x0, Rng(1)) for ce in (0.0, 0.3))
    error = Denoising(times, lambda process, t: torch.ones_like(t))(denoiser, x0, Rng(1))
    torch.testing.assert_close(hybrid - plain, 0.3 * error, rtol=0, atol=1e-12)
    torch.testing.assert_close(Denoising(times)(denoiser, x0, Rng(1)), plain, rtol=1e-12, atol=0)


def test_the_adaptive_weight_looks_harder_where_little_is_destroyed(law):
    """Same draws: what VQ-Diffusion's weight adds is λ (1 + (1 − t)) times the cross-entropy, at every example."""
    process, x0 = mask_and_replace(3), law.sample(64, Rng(0))
    denoiser, times = law.denoiser(process), Stratified(Uniform())
    plain, adaptive = (Elbo(times=times, ce=ce, adaptive=ce > 0)(denoiser, x0, Rng(1)) for ce in (0.0, 5e-4))
    error = Denoising(times, lambda process, t: 1 + (1 - t))(denoiser, x0, Rng(1))
    torch.testing.assert_close(adaptive - plain, 5e-4 * error, rtol=0, atol=1e-12)


class Bigram(nn.Module):
    """Logits from a token and its left neighbour."""

    def __init__(self, states: int, classes: int) -> None:
        super().__init__()
        self.own, self.left = nn.Embedding(states, classes), nn.Embedding(states, classes)

    def forward(self, x, level, label=None, condition=None):
        return self.own(x) + self.left(x.roll(1, 1))


def test_unrolling_trains_on_its_own_samples_without_a_gradient_through_them():
    process, x0 = uniform(5), torch.randint(5, (8, 6), generator=torch.Generator().manual_seed(0))
    denoiser = Categorical(Bigram(5, 5), process, timed=False)
    loss = Unrolled(unroll=2)(denoiser, x0, Rng(3))
    rng = Rng(3)
    t = (torch.arange(8) + rng.uniform(torch.empty(8, dtype=torch.float64))) / 8
    x = process.corrupt(x0, t, rng)
    first = denoiser(x, t)
    second = denoiser(rng.categorical(first.logits.detach()), t)
    by_hand = (first.error(x0) + second.error(x0)) / 12
    torch.testing.assert_close(loss, by_hand)
    loss.sum().backward()
    got = denoiser.net.own.weight.grad.clone()
    denoiser.zero_grad()
    by_hand.sum().backward()
    torch.testing.assert_close(got, denoiser.net.own.weight.grad)


@pytest.mark.parametrize("objective", [Elbo(), Elbo(8, ce=0.01), Unrolled()], ids=repr)
def test_micro_batches_see_the_draws_of_the_whole(objective):
    """The training generators: two halves of a batch give the losses of the whole."""
    process, x0 = masking(5), torch.randint(5, (8, 6), generator=torch.Generator().manual_seed(0))
    denoiser = Categorical(Bigram(6, 5), process)
    whole, halves = (Draws(0, 3, 8, (6,), torch.device("cpu")) for _ in range(2))
    want = objective(denoiser, x0, whole.part(0, 8))
    got = torch.cat([objective(denoiser, x0[i : i + 4], halves.part(i, 4)) for i in (0, 4)])
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("process", [masking(4), uniform(4)], ids=repr)
def test_a_network_learns_a_markov_text(process):
    """A bigram network of 40 numbers, 150 steps: the bound falls by a third of the way from ln 4 to the entropy rate at
    least, and stays above what it bounds."""
    rows = torch.full((4, 4), 0.04, dtype=torch.float64) + 0.84 * torch.eye(4, dtype=torch.float64).roll(1, 1)
    text = MarkovText(rows, 8)
    torch.manual_seed(0)
    denoiser, objective = Categorical(Bigram(process.states, 4), process), Elbo(ce=0.01)
    optimiser = torch.optim.Adam(denoiser.parameters(), 0.05)
    for i in range(150):
        optimiser.zero_grad()
        objective(denoiser, text.sample(64, Rng(i)), Rng(1000 + i)).mean().backward()
        optimiser.step()
    x0 = text.sample(2000, Rng(1))
    with torch.no_grad():
        loss = Elbo()(denoiser, x0, Rng(2))
    floor = text.entropy / 8
    assert floor - 5 * loss.std().item() / 45 < loss.mean().item() < math.log(4) - (math.log(4) - floor) / 3


def test_configs_give_objectives_back():
    for objective in (Elbo(100, Stratified(Uniform()), 0.01, "product"), Unrolled(3, 0.8)):
        assert from_config(to_config(objective), "objective") == objective


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Elbo(0), "at least 1, got 0"),
        (lambda: Elbo(ce=-1), "cross-entropy, must be at least 0"),
        (lambda: Unrolled(0), "unroll must be at least 1"),
        (lambda: Unrolled(temperature=0), "temperature must be greater than 0"),
        (lambda: Elbo(label_dropout=2), "label_dropout must be between 0 and 1"),
    ],
)
def test_impossible_objectives_say_so(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_logits_are_a_belief_like_any_other(law):
    assert isinstance(law.denoiser(masking(3))(torch.full((1, 3), 3), torch.tensor(1.0).double()), Logits)

from __future__ import annotations

import pytest
import torch
from torch import nn

from scorefield import Denoising, Gaussian, Preconditioned, Rng, UserError
from scorefield.core import as_time
from scorefield.denoisers import PREDICTIONS
from scorefield.denoisers.predictions import NEEDS_SIGNAL
from scorefield.noise import EDM, VP, BetaTable, Cosine, Flow
from scorefield.objectives import EDMWeight, FlowWeight, LogNormal, Simple, Uniform
from scorefield.testing import check_denoiser
from tests.components import CONTINUOUS, SCHEDULES


class Told(nn.Module):
    """Answers with a given tensor, and keeps what it was shown."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.seen = answer, None

    def forward(self, x, level, label=None):
        self.seen = (x, level)
        return self.answer


def targets(x0, noise, alpha, sigma, data):
    """What each prediction should answer, from its paper."""
    x = alpha * x0 + sigma * noise
    n = (alpha**2 + sigma**2) ** 0.5
    edm = (x0 - alpha * data**2 / (alpha**2 * data**2 + sigma**2) * x) / (
        sigma * data / (alpha**2 * data**2 + sigma**2) ** 0.5
    )
    return {
        "eps": noise,
        "x0": x0,
        "v": (alpha * noise - sigma * x0) / n,
        "score": -noise,
        "ncsn": -noise,
        "flow": noise - x0,
        "edm": edm,
    }


@pytest.mark.parametrize("predict", PREDICTIONS)
@pytest.mark.parametrize("schedule", CONTINUOUS, ids=repr)
def test_the_right_answer_gives_the_data_back(predict, schedule):
    if predict in NEEDS_SIGNAL and schedule(as_time(1.0)).alpha == 0:
        pytest.skip("refused: divides by α = 0")
    x0, noise = Rng(0).normal(torch.empty(5, 3).double()), Rng(1).normal(torch.empty(5, 3).double())
    t = as_time([0.05, 0.2, 0.5, 0.8, 0.95])
    alpha, sigma = (c[:, None] for c in schedule(t))
    answer = targets(x0, noise, alpha, sigma, 0.7)[predict]
    net = Told(answer)
    belief = Preconditioned(net, Gaussian(schedule), predict, 0.7)(alpha * x0 + sigma * noise, t)
    torch.testing.assert_close(belief.mean, x0, rtol=0, atol=1e-9)
    told = 0.0 if predict == "ncsn" else 1.0
    torch.testing.assert_close(net.seen[1], told * (sigma / alpha).log().flatten().clamp(-10, 10))


@pytest.mark.parametrize("predict", PREDICTIONS)
def test_a_network_trained_under_one_schedule_samples_under_another(predict):
    """At the same σ/α, x₀'s belief depends on x only through x/α: exact, whatever the schedules."""
    torch.manual_seed(0)
    net = nn.Bilinear(3, 1, 3).double()
    denoiser = Preconditioned(lambda_net(net), Gaussian(VP()), predict, 0.7)
    x = Rng(0).normal(torch.empty(4, 3).double())
    for schedule in (s for s in SCHEDULES if s(as_time(1.0)).alpha > 0 or predict not in NEEDS_SIGNAL):
        other = denoiser.under(Gaussian(schedule))
        t = as_time(0.3)
        u = other.process.time(denoiser.process.log_ratio(t))
        ratio = schedule(u).alpha / denoiser.process.schedule(t).alpha
        # bound: time() is exact to ~1e-12 in λ, and the belief is Lipschitz in it
        torch.testing.assert_close(other(ratio * x, u).mean, denoiser(x, t).mean, rtol=1e-8, atol=1e-8)


def lambda_net(bilinear):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = bilinear

        def forward(self, x, level, label=None):
            return self.inner(x, level[:, None])

    return Net()


def test_every_prediction_is_a_sound_denoiser():
    torch.manual_seed(0)
    for predict in PREDICTIONS:
        check_denoiser(Preconditioned(lambda_net(nn.Bilinear(3, 1, 3)), Gaussian(VP()), predict, 0.7), (4, 3))
    check_denoiser(Preconditioned(lambda_net(nn.Bilinear(3, 1, 3)), Gaussian(Cosine()), "v"), (4, 3))


@pytest.mark.parametrize("schedule", [EDM(), VP(), Flow(), Cosine()], ids=repr)
def test_the_loss_of_a_zero_network_is_the_textbook_constant(schedule):
    """With a zero network, EDM's loss is 1 for data of RMS σ_data; ε-MSE is 1; flow's is 1 + E x₀² (card numbers).

    20,000 examples of 16 dimensions: the loss of one has sd < 1.5 of its mean, so 5 sd is 5.3 %; false alarm 6e-7."""
    rng, data = Rng(0), 0.7
    x0 = data * rng.normal(torch.empty(20_000, 16).double())
    zero = Told(torch.zeros_like(x0))
    edm = Preconditioned(zero, Gaussian(schedule), "edm", data)
    loss = Denoising(LogNormal(), EDMWeight(data), 0.0)(edm, x0, rng).mean().item()
    assert loss == pytest.approx(1.0, rel=0.053)
    flow = Preconditioned(zero, Gaussian(schedule), "flow", data)
    loss = Denoising(LogNormal(), FlowWeight(), 0.0)(flow, x0, rng).mean().item()
    assert loss == pytest.approx(1 + data**2, rel=0.053)
    if schedule(as_time(1.0)).alpha > 0:
        eps = Preconditioned(zero, Gaussian(schedule), "eps", data)
        assert Denoising(Uniform(), Simple(), 0.0)(eps, x0, rng).mean().item() == pytest.approx(1.0, rel=0.053)


def test_a_network_that_is_not_told_the_noise_has_a_score_that_falls_as_1_over_it():
    """Technique 3 of NCSNv2: σ s(x, σ) = F(x), whatever σ is; and the network sees x_t/α as it is."""
    net = lambda_net(nn.Bilinear(3, 1, 3).double())
    process = Gaussian(VP())
    denoiser, u = Preconditioned(net, process, "ncsn"), Rng(0).normal(torch.empty(4, 3).double())
    for t in (as_time(0.1), as_time(0.9)):
        alpha, sigma = process.schedule(t)
        score = process.score(alpha * u, denoiser(alpha * u, t), t)
        torch.testing.assert_close(sigma * score, net(u, torch.zeros(4).double()))


def test_a_float32_network_serves_a_float64_state():
    net = lambda_net(nn.Bilinear(3, 1, 3))
    assert Preconditioned(net, Gaussian(VP()))(torch.zeros(2, 3).double(), as_time(0.5)).mean.dtype == torch.float64


@pytest.mark.parametrize("schedule", [Flow(), Cosine(), BetaTable(zero_terminal=True)], ids=repr)
@pytest.mark.parametrize("predict", sorted(NEEDS_SIGNAL))
def test_dividing_by_a_zero_signal_is_refused(schedule, predict):
    with pytest.raises(UserError, match=f"predict='{predict}' divides by α, which is 0 at t = 1"):
        Preconditioned(nn.Identity(), Gaussian(schedule), predict)


def test_unknown_prediction_and_scale():
    with pytest.raises(UserError, match=r"no prediction is called 'epsilon'\. Did you mean 'eps'\?|Known: "):
        Preconditioned(nn.Identity(), Gaussian(VP()), "epsilon")
    with pytest.raises(UserError, match="sigma_data must be greater than 0, got 0"):
        Preconditioned(nn.Identity(), Gaussian(VP()), "v", 0.0)

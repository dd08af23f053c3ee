"""On Gaussian data every loss is known, and so is its minimum: the score −C⁻¹(x − m)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield import Gaussian, GaussianMixture, Rng, UserError
from scorefield.noise import EDM, VP
from scorefield.objectives import ScoreMatching
from scorefield.objectives import score_matching as sm

F = torch.float64
COV = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=F)
MEAN = torch.tensor([0.7, -0.2], dtype=F)
LAW = GaussianMixture(torch.ones(1, dtype=F), MEAN[None], COV[None])


def exact_moments(n: int) -> torch.Tensor:
    """Points whose mean and covariance are those of the law to the last digit: then quadratic losses are exact."""
    z = Rng(0).normal(torch.empty(n, 2, dtype=F))
    z = z - z.mean(0)
    z = z @ torch.linalg.inv(torch.linalg.cholesky(z.T @ z / n)).T
    return MEAN + z @ torch.linalg.cholesky(COV).T


class Linear(nn.Module):
    """s = −Λ(x − m), a plain network."""

    def __init__(self, matrix, mean):
        super().__init__()
        self.matrix, self.mean = nn.Parameter(matrix.clone()), nn.Parameter(mean.clone())

    def forward(self, x):
        return -(x - self.mean) @ self.matrix.T


class Quadratic(Linear):
    """E = ½ (x − m)ᵀ Λ (x − m): an energy network."""

    def forward(self, x):
        return 0.5 * ((x - self.mean) @ self.matrix.T * (x - self.mean)).sum(1, keepdim=True)


LOSSES = {
    "explicit": lambda s, x: sm.explicit(s, x),
    "sliced": lambda s, x: sm.sliced(s, x, Rng(1), 2),
    "sliced, gaussian": lambda s, x: sm.sliced(s, x, Rng(1), 2, law="gaussian"),
    "sliced, not reduced": lambda s, x: sm.sliced(s, x, Rng(1), 2, reduced=False, law="gaussian"),
    "finite differences": lambda s, x: sm.finite_difference(s, x, Rng(1), slices=2),
    "denoising": lambda s, x: sm.denoising(s, x, Rng(1), 0.5),
}
ENOUGH = {"explicit": 2_000, "finite differences": 20_000, "sliced": 20_000}


@pytest.mark.parametrize("energy", [False, True], ids=["network", "energy"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_score_of_a_gaussian_is_recovered(name, energy):
    """From Λ = 1, m = 0 by L-BFGS on a fixed sample: every coefficient within 2 % of the largest of C⁻¹ (with noise, of
    (C + σ²)⁻¹). The errors of chance are below 1 %: 60,000 points for the losses that have some, σ = 0.5."""
    noise = 0.25 if name == "denoising" else 0.0
    want = torch.linalg.inv(COV + noise * torch.eye(2))
    model = (Quadratic if energy else Linear)(torch.eye(2, dtype=F), torch.zeros(2, dtype=F))
    score = sm.energy_score(model) if energy else model
    x = exact_moments(ENOUGH.get(name, 60_000))
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=30, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = LOSSES[name](score, x).mean()
        value.backward()
        return value

    optimiser.step(loss)
    found = 0.5 * (model.matrix + model.matrix.T) if energy else model.matrix
    assert (found - want).abs().max() < 0.02 * want.abs().max()
    assert (model.mean - MEAN).abs().max() < 0.02


def test_losses_differ_by_the_known_constants():
    """On N(m, C), s = −Λ(x − m): explicit ½ tr ΛCΛ − tr Λ, which is ½E‖s − ∇log p‖² − ½ tr C⁻¹; denoising adds
    ½ Σ [1/σ² − 1/(C_i + σ²)] to that of the noised law. Chance: 4.5 standard errors of the mean."""
    matrix = torch.tensor([[1.2, 0.1], [-0.2, 0.8]], dtype=F)
    model, x = Linear(matrix, MEAN), exact_moments(4000)
    value = 0.5 * torch.trace(matrix @ COV @ matrix.T) - torch.trace(matrix)
    found = sm.explicit(model, x).mean()
    torch.testing.assert_close(found, value)
    fisher = 0.5 * (model(x) - LAW.score(x)).square().sum(1).mean()
    torch.testing.assert_close(found, fisher - 0.5 * torch.trace(torch.linalg.inv(COV)))
    for way in ("sliced", "sliced, gaussian", "sliced, not reduced"):  # explicit in expectation, whatever the slices
        losses = LOSSES[way](model, x.repeat(10, 1)).detach()
        assert abs(losses.mean() - value) < 4.5 * losses.std() / len(losses) ** 0.5, way
    std = 0.5
    noised = COV + std**2 * torch.eye(2)
    constant = 0.5 * (2 / std**2 - torch.trace(torch.linalg.inv(noised)))
    off = matrix - torch.linalg.inv(noised)
    want = 0.5 * torch.trace(off @ noised @ off.T) + constant
    losses = sm.denoising(model, x.repeat(10, 1), Rng(2), std).detach()
    assert abs(losses.mean() - want) < 4.5 * losses.std() / len(losses) ** 0.5


def test_traces_have_the_variances_of_theory():
    """vᵀAv for symmetric A: Rademacher 2(‖A‖² − Σ a_ii²), Gaussian 2‖A‖²; and reduced variance is less. 20,000 draws at
    one point, within 12 %: at least 4 standard errors (kurtosis at most 15)."""
    A = torch.tensor([[1.2, 0.4], [0.4, 0.8]], dtype=F)
    model, x = Linear(A, MEAN), (MEAN + torch.tensor([0.5, 0.3])).expand(20_000, 2)
    norm2 = A.square().sum()
    for law, want in (("rademacher", 2 * (norm2 - A.diagonal().square().sum())), ("gaussian", 2 * norm2)):
        assert sm.sliced(model, x, Rng(3), law=law).var().item() == pytest.approx(want.item(), rel=0.12)
    plain = sm.sliced(model, x, Rng(3), reduced=False, law="gaussian")
    reduced = sm.sliced(model, x, Rng(3), law="gaussian")
    assert plain.mean().item() == pytest.approx(reduced.mean().item(), abs=4.5 * (plain - reduced).std().item() / 141)


@pytest.mark.parametrize("form", sm.FORMS)
@pytest.mark.parametrize("schedule", [EDM(), VP()], ids=repr)
def test_on_a_denoiser_at_one_level(form, schedule):
    """With the exact belief on N(m, C): σ² times −½ tr (C + σ²)⁻¹ over D, σ = 0.3 in units of data, whatever the
    schedule's α. 4.5 standard errors."""
    losses = ScoreMatching(form, 0.3, 2)(LAW.denoiser(Gaussian(schedule)), exact_moments(4000), Rng(4)).detach()
    want = -0.5 * 0.09 * torch.trace(torch.linalg.inv(COV + 0.09 * torch.eye(2))) / 2
    assert abs(losses.mean() - want) < 4.5 * losses.std() / 4000**0.5


def test_an_energy_has_a_symmetric_jacobian_and_the_log_density():
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    score, x = sm.energy_score(model), torch.tensor([[0.3, -0.8]], dtype=F)
    J = torch.autograd.functional.jacobian(lambda u: score(u[None])[0], x[0])
    torch.testing.assert_close(J, J.T)
    line = torch.linspace(0, 1, 2001, dtype=F)[:, None] * torch.ones(2, dtype=F)
    along = torch.trapezoid(score(line).sum(1), line[:, 0])
    torch.testing.assert_close(along, (model(line[:1]) - model(line[-1:])).squeeze(), rtol=1e-5, atol=1e-7)


def test_losses_work_without_gradients_and_on_images():
    net = nn.Conv2d(1, 1, 3, padding=1).double()
    x = Rng(0).normal(torch.empty(3, 1, 4, 4, dtype=F))
    with torch.no_grad():
        found = [sm.explicit(net, x), sm.sliced(net, x, Rng(0)), sm.finite_difference(net, x, Rng(0))]
    trace = 16 * net.weight[0, 0, 1, 1]
    half = 0.5 * net(x).flatten(1).square().sum(1)
    torch.testing.assert_close(found[0], half + trace)
    torch.testing.assert_close(found[1], found[2], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s, x: sm.sliced(s, x, Rng(0), 0), "at least 1 slice, got 0"),
        (lambda s, x: sm.sliced(s, x, Rng(0), law="sphere"), "no law of slices is called 'sphere'"),
        (lambda s, x: sm.finite_difference(s, x, Rng(0), 0.0), "must be above 0, got 0.0"),
        (lambda s, x: sm.denoising(s, x, Rng(0), -1.0), "must be above 0, got -1.0"),
        (lambda s, x: ScoreMatching("implicit"), "no form of score matching is called 'implicit'"),
        (lambda s, x: ScoreMatching(level=math.inf), "must be above 0, got inf"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(Linear(COV, MEAN), exact_moments(10))

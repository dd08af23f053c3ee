from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorefield import Categorical, Logits, UserError
from scorefield.core import as_time
from scorefield.noise import Markov, Neighbours, keep, mask_and_replace, masking, uniform


class Told(nn.Module):
    """Answers the level it is told, times its one weight, at class 0."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes, self.weight = classes, nn.Parameter(torch.ones(()))

    def forward(self, x, level, label=None, condition=None):
        logits = torch.zeros(*x.shape, self.classes)
        logits[..., 0] = self.weight * level[:, None]
        return logits


def test_what_is_not_masked_is_known_and_gradients_stay_finite():
    denoiser = Categorical(Told(3), masking(3))
    x = torch.tensor([[3, 2, 0], [1, 3, 3]])
    t = as_time([0.3, 0.9])
    belief = denoiser(x, t)
    assert belief.probs[0, 1].tolist() == [0, 0, 1] and belief.probs[1, 0].tolist() == [0, 1, 0]
    level = math.log(0.3 / 0.7)
    want = torch.tensor([level, 0.0, 0.0]).softmax(-1)
    torch.testing.assert_close(belief.probs[0, 0], want)
    belief.error(torch.tensor([[1, 2, 0], [1, 0, 2]])).sum().backward()
    assert denoiser.net.weight.grad.isfinite() and denoiser.net.weight.grad != 0
    assert belief.error(torch.tensor([[0, 2, 0], [1, 0, 0]])).isfinite().all()


NOISES = [uniform(3), uniform(3, law=[0.5, 0.3, 0.2]), mask_and_replace(3), Markov(Neighbours(3)), masking(3)]


@pytest.mark.parametrize("process", NOISES, ids=repr)
def test_what_x_t_says_of_its_own_site_is_bayes(process):
    """A network that knows the law of independent sites, and nothing else, is the exact belief at every time."""
    law = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    x, logits = torch.arange(process.states)[:, None], law.log().expand(process.states, 1, 3)
    for t in (1e-3, 0.5, 0.999):
        want = law * process.log_likelihood(x, as_time(t)).exp()
        got = Logits(process.informed(logits, x, as_time(t))).probs
        torch.testing.assert_close(got, want / want.sum(-1, keepdim=True), rtol=0, atol=1e-12)
    assert Logits(process.informed(logits, x, as_time(0.0))).probs.isfinite().all()


def test_without_time_the_logits_of_uniform_noise_stand_alone():
    x, t = torch.tensor([[2, 2]]), as_time(0.5)
    assert Categorical(Told(3), uniform(3), timed=False)(x, t).probs.max() < 0.34
    assert Categorical(Told(3), uniform(3))(x, t).probs[0, 0, 2] > 0.6


def test_the_level_is_the_log_odds_of_the_schedule_and_may_be_withheld():
    told, blind = (Categorical(Told(3), uniform(3, keep.Cosine()), timed) for timed in (True, False))
    for t in (0.0, 0.4, 1.0):
        alpha = keep.Cosine()(as_time(t))
        odds = ((1 - alpha) / alpha).log().clamp(-10, 10)
        torch.testing.assert_close(told.level(as_time(t)), odds)
        assert blind.level(as_time(t)) == 0
    moved = told.under(uniform(3))
    torch.testing.assert_close(moved.level(moved.process.time(-odds)), odds, atol=1e-9, rtol=0)
    assert "keep=Cosine" in repr(told) and "timed=False" in repr(blind)


def test_a_network_of_other_classes_is_refused():
    with pytest.raises(UserError, match=r"answers \(1, 2, 4\) to tokens \(1, 2\); a process of 3 classes needs"):
        Categorical(Told(4), masking(3))(torch.tensor([[3, 3]]), as_time(1.0))

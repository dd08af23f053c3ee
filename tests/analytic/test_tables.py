from __future__ import annotations

import math

import pytest
import torch

from scorefield import Law, Rng, UserError
from scorefield.analytic import MarkovText, heartbeat
from scorefield.core import as_time
from scorefield.noise import Markov, Neighbours, mask_and_replace, masking, uniform


def chain(classes: int = 3, length: int = 4) -> MarkovText:
    rows = torch.arange(1, classes**2 + 1, dtype=torch.float64).view(classes, classes).sin().square() + 0.05
    rows[0, 1] = 0  # something that never follows
    return MarkovText(rows / rows.sum(1, keepdim=True), length)


def table(text: MarkovText) -> Law:
    """The same law as a table of all sequences."""
    x = torch.cartesian_prod(*[torch.arange(text.size)] * text.length)
    return Law(text.log_prob(x).exp().view((text.size,) * text.length))


def test_a_markov_text_is_its_table():
    """Entropy, and the belief by forward-backward against Bayes over all 81 sequences, for every kind of noise."""
    text = chain()
    law = table(text)
    assert abs(law.entropy - text.entropy) < 1e-12
    torch.testing.assert_close(text.start @ text.transitions, text.start, rtol=0, atol=1e-12)
    for process in (uniform(3), masking(3), mask_and_replace(3), Markov(Neighbours(3))):
        x = process.corrupt(text.sample(64, Rng(0)), as_time(0.6), Rng(1))
        t = torch.linspace(0.55, 0.65, 64, dtype=torch.float64)
        got, want = text.denoiser(process)(x, t).probs, law.denoiser(process)(x, t).probs
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


def test_samples_of_both_follow_the_law():
    """χ² of 20,000 samples over the sequences that can be: above its 1 − 1e-7 quantile with probability 1e-7 each."""
    stats = pytest.importorskip("scipy.stats")
    text = chain(3, 3)
    law = table(text)
    probs = law.support[1]
    likely = probs > 0
    for x in (text.sample(20_000, Rng(3)), law.sample(20_000, Rng(4)), law.sample(20_000, Rng.each(4, range(20_000)))):
        counts = ((x * torch.tensor([9, 3, 1])).sum(1)).bincount(minlength=27)
        assert counts[~likely].sum() == 0
        wanted = 20_000 * probs[likely]
        chi2 = ((counts[likely] - wanted).square() / wanted).sum().item()
        assert chi2 < stats.chi2.ppf(1 - 1e-7, int(likely.sum()) - 1)
        torch.testing.assert_close(law.log_prob(x), text.log_prob(x), rtol=0, atol=1e-12)


def test_a_heartbeat_has_log2_of_its_period_bits_of_entropy():
    law = heartbeat()
    assert law.entropy == pytest.approx(math.log(5)) and law.support[0].shape == (5, 20)
    assert (law.support[0].sum(1) == 4).all()
    # drawn all at once, every bit is an independent coin of 1/5
    assert (law.total_correlation + law.entropy) / math.log(2) == pytest.approx(14.4386, abs=1e-4)
    off = torch.zeros(1, 20, dtype=torch.int64)
    assert law.log_prob(torch.cat([law.support[0][2:3], off])).tolist() == [pytest.approx(-math.log(5)), -math.inf]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Law(torch.tensor([0.5, 0.6])), "sum to 1, they sum to 1.1"),
        (lambda: Law(torch.full((2, 3), 1 / 6)), "K entries along each axis"),
        (lambda: Law(torch.tensor([1.0]), torch.zeros(2, 3).long()), r"points \(N, L\)"),
        (lambda: MarkovText(torch.ones(2, 2), 3), "rows are ≥ 0 and sum to 1"),
        (lambda: heartbeat(20, 3), "period 3 and length 20"),
    ],
)
def test_what_is_no_law_says_so(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()

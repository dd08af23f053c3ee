"""One call for every method: the same example whatever the batch, the right method by itself, and one sentence for
what does not fit."""

from __future__ import annotations

import pytest
import torch

from scorefield import Gaussian, UserError
from scorefield.analytic.inverse import b_gmm, mode_error
from scorefield.belief import Moments
from scorefield.noise import VP
from scorefield.operators import Function, GaussianNoise, Mask, Matrix, Measurement, PoissonNoise
from scorefield.posterior.draw import chosen, draw
from scorefield.posterior.names import LABELS, METHODS

VPSDE = Gaussian(VP())


class Smooth:
    """Stands for a network on vectors and pictures, which tells what it was asked."""

    process = VPSDE

    def __init__(self):
        self.asked = []

    def __call__(self, x, t, label=None):
        assert label is None or len(label) == len(x)
        self.asked.append(len(x))
        shift = 0.0 if label is None else 0.1 * label.reshape(-1, *[1] * (x.ndim - 1)).to(x)
        return Moments(torch.tanh(x + 0.1 * x.flip(-1)) + shift, torch.full_like(x, 0.1))


def known_half(rows=1, std=0.2):
    """The left half of four by four pixels; a mask, which suits every method."""
    y = torch.linspace(-0.5, 0.5, 8 * rows).view(rows, 8)
    return Measurement(Mask.half((1, 4, 4)), y, GaussianNoise(std))


WALKS = [name for name, method in METHODS.items() if method.twist is None]


@pytest.mark.parametrize("name", WALKS)
def test_an_example_does_not_depend_on_the_batch(name):
    """All rows of the table, with a row of y and a condition for each example."""
    network, label = Smooth(), torch.arange(5)
    how = {"method": name, "steps": 3, "seed": 7, "label": label}
    whole = draw(network, known_half(5), 5, **how)
    assert whole.x.shape == (5, 1, 4, 4) and whole.x.isfinite().all() and whole.label in LABELS
    assert whole.nfe >= 3 and whole.ess is whole.log_weights is whole.log_evidence is None
    parts = draw(network, known_half(5), 5, batch=2, **how)
    assert torch.allclose(whole.x, parts.x, atol=2e-5) and parts.nfe == whole.nfe


def test_particles_are_drawn_from_populations_and_come_with_their_evidence():
    network, seen = Smooth(), []
    got = draw(
        network, known_half(), 9, method="tds", steps=4, particles=8, batch=10, label=torch.ones(1),
        progress=lambda done, steps: seen.append((done, steps)),
    )  # fmt: skip
    assert got.x.shape == (9, 1, 4, 4) and got.particles.x.shape == (3, 8, 1, 4, 4)
    assert got.ess.shape == (4, 3) and got.log_weights.exp().sum() == pytest.approx(1) and got.nfe == 4
    assert max(network.asked) == 10 and seen[-1] == (4, 4) and isinstance(got.log_evidence, float)
    again = draw(network, known_half(), 9, method="tds", steps=4, particles=8, label=torch.ones(1))
    assert torch.allclose(got.x, again.x, atol=1e-4)


def test_progress_counts_the_steps_of_all_batches():
    seen = []
    draw(Smooth(), known_half(), 3, method="ddnm", steps=4, batch=2, progress=lambda *at: seen.append(at))
    assert seen[-1] == (8, 8) and [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_auto_is_exact_on_six_modes():
    """128 draws from a population of 256; nearly all mass is in one mode here."""
    bench = b_gmm(1)
    got = draw(bench.prior.denoiser(VPSDE), bench.measurement, 128, particles=256)
    assert got.method == "tds" and got.label == "exact in the limit"
    assert mode_error(got.x, bench.posterior) <= 0.03


def test_auto_takes_the_first_method_that_the_measurement_suits():
    assert chosen(known_half()) == "tds"
    large = Measurement(Mask.half((3, 16, 16)), torch.zeros(1, 384), GaussianNoise(0.1))
    assert chosen(large) == "mmps"
    assert chosen(Measurement(Matrix(torch.eye(4)), torch.zeros(1, 4), PoissonNoise(3.0))) == "tds-likelihood"
    step = Function(lambda x: x.round(), (4,), linear=False, differentiable=False)
    with pytest.raises(UserError, match="no method suits"):
        chosen(Measurement(step, torch.zeros(1, 4), GaussianNoise(0.1)))


def test_the_table_says_what_each_method_is():
    for name, method in METHODS.items():
        assert method.label in LABELS and method.says and (method.walk is None) != (method.twist is None), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "ddmr"}, "Did you mean 'ddrm'"),
        ({"n": 0}, "at least 1"),
        ({"method": "ddrm", "particles": 8}, "no particles"),
        ({"method": "repaint", "operator": Matrix(torch.eye(4)), "y": torch.zeros(1, 4)}, "a Mask"),
        ({"method": "ddnm", "y": torch.zeros(3, 8)}, "3 rows for n=2"),
        ({"method": "tds", "y": torch.zeros(2, 8)}, "2 rows"),
        ({"method": "tds", "std": 0.0}, "std 0"),
        ({"method": "ddnm", "label": torch.zeros(3)}, "label has 3 rows"),
    ],
)
def test_bad_input_is_one_sentence_before_any_evaluation(change, words):
    change, network = dict(change), Smooth()
    operator = change.pop("operator", Mask.half((1, 4, 4)))
    measurement = Measurement(operator, change.pop("y", torch.zeros(1, 8)), GaussianNoise(change.pop("std", 0.2)))
    with pytest.raises(UserError, match=words):
        draw(network, measurement, change.pop("n", 2), **change)
    assert not network.asked

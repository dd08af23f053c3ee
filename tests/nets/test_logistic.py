"""The head of ordered categories: D3PM's truncated discretised logistic law."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scorefield.errors import UserError
from scorefield.nets import TokenGrid
from scorefield.nets.categories import logistic


@pytest.mark.parametrize("tokens", [2, 5, 256])
def test_logits_are_those_of_a_logistic_law_cut_off_at_the_ends(tokens: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs the extra [test]")
    generator = torch.Generator().manual_seed(0)
    out = torch.randn(50, 3, 2, generator=generator, dtype=torch.float64)
    x = torch.randint(tokens + 1, (50, 3), generator=generator)  # the mask among them
    got = logistic(out, x, tokens).softmax(-1).numpy()
    place = np.where(x < tokens, 2 * x.numpy() / (tokens - 1) - 1, 0.0)
    mean, scale = np.tanh(out[..., 0].numpy() + place), np.exp(out[..., 1].numpy() - 2)
    edges = np.linspace(-1, 1, tokens + 1) * tokens / (tokens - 1)  # cells around −1, …, 1
    mass = np.diff(stats.logistic.cdf(edges, mean[..., None], scale[..., None]), axis=-1)
    np.testing.assert_allclose(got, mass / mass.sum(-1, keepdims=True), rtol=1e-9, atol=1e-12)  # what differences keep


def test_logits_are_finite_where_a_difference_of_sigmoids_is_not() -> None:
    """In float32, a scale of e⁻¹² puts 255 of 256 cells where both sigmoids round to 0 or to 1."""
    out = torch.tensor([[[5.0, -10.0]]], requires_grad=True)
    logits = logistic(out, torch.tensor([[255]]), 256)
    assert logits.isfinite().all() and (logits.diff() > 0).all()
    (gradient,) = torch.autograd.grad(logits.log_softmax(-1)[0, 0, 3], out)
    assert gradient.isfinite().all() and (gradient != 0).any()


def test_a_grid_of_categories_can_have_it() -> None:
    torch.manual_seed(0)
    body = {"patch": 1, "width": 16, "depth": 1, "heads": 2}
    net = TokenGrid(8, states=9, body="dit", head="logistic", **body)
    x = torch.tensor([[[0, 3], [7, 8]]])
    logits = net(x, torch.zeros(1))
    assert logits.shape == (1, 2, 2, 8)
    torch.testing.assert_close(logits, logistic(torch.zeros(1, 2, 2, 2), x, 8))  # zero at initialisation
    assert torch.equal(logits.argmax(-1).flatten()[:3], torch.tensor([1, 3, 6]))  # near what is seen: tanh(±1) is ±0.76
    with pytest.raises(UserError, match=r"no head is called 'logistics'\. Did you mean 'logistic'"):
        TokenGrid(8, body="dit", head="logistics", **body)

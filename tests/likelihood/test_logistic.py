"""Laws of a pixel: probabilities that sum to 1, gradients that are numbers, draws that follow the law."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from scorefield.errors import UserError
from scorefield.likelihood import Logistics, Softmaxes
from scorefield.likelihood.logistic import level_log_prob

LAWS = {"softmax": Softmaxes(), "logistic": Logistics(3), "one logistic": Logistics(1)}
CHANNELS, LEVELS = 3, 3
ALARM = 1e-6  # of each test that draws


def pixels(channels: int, levels: int) -> Tensor:
    """Every pixel there is, (levels^channels, channels, 1, 1)."""
    return torch.tensor(list(itertools.product(range(levels), repeat=channels)))[..., None, None]


def numbers(law, levels: int, channels: int, count: int = 4) -> Tensor:
    """What a network might give for ``count`` pixels, (count, P, 1, 1)."""
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.randn(count, law.outputs(levels, channels), 1, 1, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
def test_a_logistic_law_of_levels_sums_to_one(levels: int) -> None:
    """Whatever mean and scale are, also where all is in one open end or within a tenth of a level."""
    mean, scale = torch.meshgrid(
        torch.tensor([-30.0, -1.0, -0.3, 0.001, 0.99, 30.0], dtype=torch.float64),
        torch.tensor([-7.0, -4.0, -1.0, 0.0, 3.0], dtype=torch.float64),
        indexing="ij",
    )
    found = level_log_prob(torch.arange(levels)[:, None, None], mean, scale, levels)
    torch.testing.assert_close(found.exp().sum(0), torch.ones_like(mean), rtol=0, atol=1e-12)


def test_it_is_the_difference_of_two_distribution_functions() -> None:
    """Salimans et al. 2017, eq. 2, where that difference can be taken."""
    x, mean, scale = torch.arange(1, 16), torch.tensor(0.2, dtype=torch.float64), torch.tensor(-1.0).double()
    centre, half = x.double() / 8 - 1, 1 / 16
    plain = torch.sigmoid((centre + half - mean) / scale.exp()) - torch.sigmoid((centre - half - mean) / scale.exp())
    torch.testing.assert_close(level_log_prob(x, mean, scale, 17).exp(), plain, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_numbers_where_probabilities_are_none(dtype: torch.dtype) -> None:
    """A level 10⁵ scales away: log p is about −distance/scale, its slope in the mean ±1/scale and not NaN."""
    mean = torch.tensor([50.0, -50.0, 0.0], dtype=dtype, requires_grad=True)
    scale = torch.full((3,), -7.0, dtype=dtype, requires_grad=True)
    found = level_log_prob(torch.tensor([[0], [100], [255]]), mean, scale, 256)
    found.sum().backward()
    assert mean.grad.isfinite().all() and scale.grad.isfinite().all() and found.isfinite().all()


@pytest.mark.parametrize("name", LAWS)
def test_a_pixel_of_several_channels_sums_to_one(name: str) -> None:
    law, every = LAWS[name], pixels(CHANNELS, LEVELS)
    for out in numbers(law, LEVELS, CHANNELS):
        total = law.log_prob(out.expand(len(every), *out.shape), every, LEVELS).exp().sum()
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("levels", [17, 256])
def test_a_grey_pixel_sums_to_one(name: str, levels: int) -> None:
    law, every = LAWS[name], pixels(1, levels)
    for out in numbers(law, levels, 1):
        total = law.log_prob(out.expand(levels, *out.shape), every, levels).exp().sum()
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_draws_follow_the_law(name: str) -> None:
    """χ² over the 27 pixels there are, one law after the other; a false alarm in 10⁶ for each."""
    law, every, n = LAWS[name], pixels(CHANNELS, LEVELS), 20_000
    for i, out in enumerate(numbers(law, LEVELS, CHANNELS)):
        u = torch.rand(n, 1 + CHANNELS, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
        drawn = law.draw(out[:, 0, 0].expand(n, -1), u, LEVELS)
        p = law.log_prob(out.expand(len(every), *out.shape), every, LEVELS).exp()[:, 0, 0]
        found = torch.bincount((drawn * torch.tensor([9, 3, 1])).sum(1), minlength=27).double()
        rare = p * n < 5  # these count as one
        p = torch.cat([p[~rare], p[rare].sum()[None]])
        found = torch.cat([found[~rare], found[rare].sum()[None]])
        p, found = p[p * n > 1], found[p * n > 1]
        assert ((found - n * p).square() / (n * p)).sum() < chi2.isf(ALARM, max(1, len(p) - 1))


@pytest.mark.parametrize("name", LAWS)
def test_no_channel_sees_itself_or_a_later_one(name: str) -> None:
    """log p(red), log p(green | red) … as differences of sums over the later ones: the first does not move with what
    green and blue are given, nor the second with what blue is."""
    law, every = LAWS[name], pixels(CHANNELS, LEVELS)
    out = numbers(law, LEVELS, CHANNELS)[:1]
    table = law.log_prob(out.expand(len(every), *out.shape[1:]), every, LEVELS).exp().view(LEVELS, LEVELS, LEVELS)
    red = law.log_prob(_of(law, out, 1), pixels(1, LEVELS), LEVELS).exp().flatten()
    torch.testing.assert_close(table.sum((1, 2)), red, rtol=0, atol=1e-12)
    both = law.log_prob(_of(law, out, 2), pixels(2, LEVELS), LEVELS).exp().view(LEVELS, LEVELS)
    torch.testing.assert_close(table.sum(2), both, rtol=0, atol=1e-12)


def _of(law, out: Tensor, channels: int) -> Tensor:
    """The numbers of the first channels alone, as often as there are pixels of them."""
    free = channels * (channels - 1) // 2
    if law == LAWS["softmax"]:
        own = out.view(CHANNELS + 3, LEVELS)
        kept = torch.cat([own[:channels], own[CHANNELS : CHANNELS + free]])
    else:
        own = out.view(law.mixtures, -1)
        kept = torch.cat([own[:, : 1 + channels], own[:, 4 : 4 + channels], own[:, 7 : 7 + free]], 1)
    return kept.reshape(1, -1, 1, 1).expand(LEVELS**channels, -1, -1, -1)


def test_the_mixtures_do_not_begin_alike() -> None:
    """Zeros from the network are even means: equal laws would have equal gradients for ever."""
    law = Logistics(4)
    out = torch.zeros(1, law.outputs(17, 1), 1, 1, dtype=torch.float64, requires_grad=True)
    law.log_prob(out, torch.full((1, 1, 1, 1), 3), 17).sum().backward()
    assert len(out.grad.view(4, -1)[:, 1].unique()) == 4


def test_a_mixture_of_none_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1"):
        Logistics(0)

"""Laws of a pixel from the numbers that a network gives for it: levels by a softmax, or by a mixture of logistics.

A pixel has C channels of V levels 0 … V − 1; x̃ = 2x/(V − 1) − 1 is the level on [−1, 1]. A law takes out (B, P, H, W),
the numbers of every pixel, and knows no weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core import quantile
from ..errors import UserError
from ..registry import register

LEAST = -7.0  # of ln s (Salimans et al. 2017, code)


def scaled(x: Tensor, levels: int, dtype: torch.dtype) -> Tensor:
    """Levels 0 … V − 1, of any shape, on [−1, 1]."""
    return x.to(dtype) * (2 / (levels - 1)) - 1


def pairs(channels: int) -> Iterator[tuple[int, int]]:
    """(c, earlier channel) for each channel and those before it: red; green, red; blue, red; blue, green."""
    return ((later, before) for later in range(channels) for before in range(later))


@register("softmax", "law")
@dataclass(frozen=True)
class Softmaxes:
    """Each channel by a softmax over its levels, given those before it in the pixel: logits b_c + Σ_{e<c} x̃_e a_ce, in
    which b and a are the network's. Logits that are linear in x̃ hold every Gaussian dependence between channels."""

    def outputs(self, levels: int, channels: int) -> int:
        """P, how many numbers the network gives for each pixel."""
        return levels * (channels + math.comb(channels, 2))

    def logits(self, out: Tensor, x: Tensor, levels: int) -> Tensor:
        """Logits (B, C, H, W, V) of every channel given the channels before it in x (B, C, H, W)."""
        free, slopes = self._parts(out, levels, x.shape[1])
        seen = scaled(x, levels, out.dtype)[..., None]
        laws = list(free.unbind(1))
        for (later, before), slope in zip(pairs(x.shape[1]), slopes.unbind(1), strict=True):
            laws[later] = laws[later] + seen[:, before] * slope
        return torch.stack(laws, 1)

    def log_prob(self, out: Tensor, x: Tensor, levels: int) -> Tensor:
        """log p of each pixel of x int64 (B, C, H, W) in nats, (B, H, W)."""
        return self.logits(out, x, levels).log_softmax(-1).gather(-1, x[..., None])[..., 0].sum(1)

    def draw(self, out: Tensor, u: Tensor, levels: int) -> Tensor:
        """A pixel from its numbers out (B, P) and uniform ones u (B, 1 + C) float64: levels (B, C) int64."""
        x = torch.zeros(len(u), u.shape[1] - 1, 1, 1, dtype=torch.int64, device=out.device)
        for channel in range(x.shape[1]):
            logits = self.logits(out[..., None, None], x, levels)[:, channel, 0, 0]
            x[:, channel, 0, 0] = quantile(logits, u[:, 1 + channel])
        return x[..., 0, 0]

    def _parts(self, out: Tensor, levels: int, channels: int) -> tuple[Tensor, Tensor]:
        whole = out.unflatten(1, (-1, levels)).movedim(2, -1)  # (B, C + pairs, H, W, V)
        return whole[:, :channels], whole[:, channels:]


class Mixture(NamedTuple):
    """The numbers of a mixture of K: log weights (B, K, H, W), means and ln s (B, K, C, H, W), and how the mean of a
    channel depends on those before it (B, K, pairs, H, W)."""

    weights: Tensor
    means: Tensor
    scales: Tensor
    slopes: Tensor


@register("logistic", "law")
@dataclass(frozen=True)
class Logistics:
    """A mixture of K logistic laws over whole pixels, each rounded to the nearest level, with open ends:
    P(x) = σ((x̃ + h − μ)/s) − σ((x̃ − h − μ)/s), h = 1/(V − 1) half a level (Salimans et al. 2017, section 2.1), and
    μ_c + Σ_{e<c} tanh(a_ce) x̃_e for μ_c, linear in the channels before (section 2.2).

    The difference is taken as log σ(b) + log σ(−a) + log(1 − e^{−2h/s}), an identity: no two near numbers are
    subtracted, so there is no branch for small probabilities, whose gradient would be NaN where it is not taken, and
    the probabilities sum to 1 to rounding. ln s ≥ −7. Zeros from the network are K even means on [−1, 1]. Raises
    UserError for K < 1.
    """

    mixtures: int = 10

    def __post_init__(self) -> None:
        if self.mixtures < 1:
            raise UserError(f"a mixture needs at least 1 logistic law, got mixtures={self.mixtures}.")

    def outputs(self, levels: int, channels: int) -> int:
        """P, how many numbers the network gives for each pixel."""
        return self.mixtures * (1 + 2 * channels + math.comb(channels, 2))

    def log_prob(self, out: Tensor, x: Tensor, levels: int) -> Tensor:
        """log p of each pixel of x int64 (B, C, H, W) in nats, (B, H, W)."""
        mixture = self.mixture(out, x.shape[1])
        means = self._means(mixture, scaled(x, levels, out.dtype))
        each = level_log_prob(x[:, None], means, mixture.scales, levels).sum(2)
        return (mixture.weights + each).logsumexp(1)

    def draw(self, out: Tensor, u: Tensor, levels: int) -> Tensor:
        """A pixel from its numbers out (B, P) and uniform ones u (B, 1 + C) float64: levels (B, C) int64. A logistic
        number that is rounded to the nearest level has the very law of ``log_prob``; later channels see it rounded."""
        channels = u.shape[1] - 1
        mixture = self.mixture(out.double()[..., None, None], channels)
        chosen = quantile(mixture.weights[..., 0, 0], u[:, 0])
        rows = torch.arange(len(u), device=u.device)
        one = Mixture(*(part[rows, chosen][:, None] for part in mixture))
        x = torch.zeros(len(u), channels, 1, 1, dtype=torch.int64, device=out.device)
        for channel in range(channels):
            mean = self._means(one, scaled(x, levels, torch.float64))[:, 0, channel, 0, 0]
            free = mean + one.scales[:, 0, channel, 0, 0].exp() * u[:, 1 + channel].logit()
            x[:, channel, 0, 0] = ((free + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1).long()
        return x[..., 0, 0]

    def mixture(self, out: Tensor, channels: int) -> Mixture:
        """What the numbers out (B, P, H, W) say."""
        whole = out.unflatten(1, (self.mixtures, -1))
        weights, means, scales, slopes = whole.split([1, channels, channels, math.comb(channels, 2)], 2)
        even = torch.linspace(-1, 1, self.mixtures, dtype=out.dtype, device=out.device)
        means = means + (even if self.mixtures > 1 else 0 * even)[:, None, None, None]
        scales = (scales - math.log(self.mixtures)).clamp_min(LEAST)
        return Mixture(weights[:, :, 0].log_softmax(1), means, scales, slopes.tanh())

    def _means(self, mixture: Mixture, seen: Tensor) -> Tensor:
        """μ of every channel given those before it in seen (B, C, H, W) on [−1, 1], (B, K, C, H, W)."""
        means = list(mixture.means.unbind(2))
        for (later, before), slope in zip(pairs(len(means)), mixture.slopes.unbind(2), strict=True):
            means[later] = means[later] + slope * seen[:, None, before]
        return torch.stack(means, 2)


def level_log_prob(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """log P(x) of one logistic law rounded to V levels, with open ends: x int64 0 … V − 1, all shapes broadcast
    (Salimans et al. 2017, eq. 2)."""
    half, precise = 1 / (levels - 1), (-log_scale).exp()
    away = scaled(x, levels, mean.dtype) - mean
    below, above = F.logsigmoid((away + half) * precise), F.logsigmoid((half - away) * precise)
    inner = below + above + torch.log(-torch.expm1(-2 * half * precise))
    return torch.where(x == 0, below, torch.where(x == levels - 1, above, inner))

"""Argmax flows: categories as regions of ℝᴷ, so that any model of real numbers is one of categories."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scorefield.core import Codec, Rng
from scorefield.errors import UserError, suggest
from scorefield.registry import register

EULER = 0.5772156649015329  # the mean of a standard Gumbel number; its deviation is π/√6


@register("argmax", "codec")
class Argmax:
    """Category x ↔ a point v of ℝᴷ whose largest coordinate is number x (Hoogeboom et al. 2021, "Argmax flows").

    ``inner`` is the codec that says what the categories are, with its number of them, K = ``inner.classes``. A point is
    drawn from q(v | x), which has all its mass where argmax v = x. So for every density p on ℝᴷ,
    log P(x) ≥ E_q[log p(v) − log q(v | x)] (ibid., eq. 4). ``form``:

    - "gumbel": v_x ~ Gumbel(log K), the others Gumbel numbers truncated at v_x (ibid., alg. 3). Were all categories
      equally likely, v would be K independent Gumbel numbers, and with these as p the bound is exactly log 1/K. They
      are moved to mean 0 and deviation 1.
    - "threshold": normal numbers u, all but u_x brought below it, v_i = u_x − softplus(u_x − u_i) (ibid., alg. 2).

    ``first`` puts the coordinates before the places, (B, K, *D), as networks of images and signals want them.
    Raises UserError for another form and an inner codec that knows no number of categories.
    """

    draws = True  # ``encode`` takes a generator, and training gives it a fresh one for each example of each step

    def __init__(self, inner: Codec, form: str = "gumbel", first: bool = False) -> None:
        if form not in FORMS:
            raise UserError(f"form={form} is not known.{suggest(form, FORMS)}")
        count = getattr(inner, "classes", None)
        if count is None:
            raise UserError(
                f"{inner!r} has no number of categories. Give characters, bytes, tokens or palette as inner."
            )
        self.inner: Any = inner
        self.classes: int = count
        self.form = form
        self.first = first

    def __repr__(self) -> str:
        return f"Argmax({self.inner!r}, {self.form})"

    def encode(self, raw: Tensor, rng: Rng | None = None) -> Tensor:
        """Data as stored (B, *D) → a draw of q, (B, *D, K) float32; without ``rng`` the point of the medians, which is
        the same each time."""
        v = self.draw(self.inner.encode(raw), rng).float()
        return v.movedim(-1, 1) if self.first else v

    def decode(self, z: Tensor) -> Tensor:
        """(B, *D, K) real → data as stored (B, *D): those whose region it is in."""
        return self.inner.decode(self.tokens(z))

    def tokens(self, z: Tensor) -> Tensor:
        """(B, *D, K) real → the categories (B, *D) int64 in whose regions it is."""
        return z.argmax(1 if self.first else -1)

    def text(self, z: Tensor) -> list[str]:
        """(B, L, K) as they read, where the inner codec is one of text."""
        return self.inner.text(self.tokens(z))

    def draw(self, x: Tensor, rng: Rng | None = None) -> Tensor:
        """Categories (B, *D) int64 → v ~ q(v | x), (B, *D, K) float64; without ``rng`` at the medians."""
        like = torch.zeros(*x.shape, self.classes, dtype=torch.float64, device=x.device)
        uniform = like + 0.5 if rng is None else rng.uniform(like)
        # A float64 uniform is a multiple of 2⁻⁵³; half a step more keeps it inside (0, 1).
        return FORMS[self.form].draw(uniform + 2.0**-54 if rng is not None else uniform, x)

    def log_q(self, v: Tensor, x: Tensor) -> Tensor:
        """log q(v | x) in nats, summed over the event, (B, *D, K) and (B, *D) → (B,); −∞ outside the region of x."""
        inside = (v.argmax(-1) == x) & (_others(v, x) < _at(v, x)).all(-1)
        density = FORMS[self.form].log_density(v, x)
        return torch.where(inside, density, -math.inf).flatten(1).sum(1)


@dataclass(frozen=True)
class Form:
    """A law on the region of x: ``draw(uniform (…, K), x (…))`` → (…, K), and its log-density there → (…)."""

    draw: Callable[[Tensor, Tensor], Tensor]
    log_density: Callable[[Tensor, Tensor], Tensor]


def _at(v: Tensor, x: Tensor) -> Tensor:
    """v_x, (…, 1)."""
    return v.gather(-1, x[..., None])


def _others(v: Tensor, x: Tensor) -> Tensor:
    """The coordinates that are not v_x, in any order, (…, K − 1)."""
    k = v.shape[-1]
    rest = (x[..., None] + 1 + torch.arange(k - 1, device=x.device)) % k
    return v.gather(-1, rest)


def _joined(top: Tensor, below: Tensor, x: Tensor) -> Tensor:
    """The inverse of ``_at`` and ``_others``; rounding never lifts a coordinate to the top."""
    below = torch.minimum(below, torch.nextafter(top, torch.full_like(top, -math.inf)))
    k = below.shape[-1] + 1
    place = (torch.arange(k, device=x.device) - x[..., None]) % k  # 0 for x itself
    return torch.cat((top, below), -1).gather(-1, place)


def _draw_threshold(uniform: Tensor, x: Tensor) -> Tensor:
    u = math.sqrt(2) * torch.erfinv(2 * uniform - 1)
    top = _at(u, x)
    return _joined(top, top - F.softplus(top - _others(u, x)), x)


def _log_threshold(v: Tensor, x: Tensor) -> Tensor:
    """Σ log N(u_i) − Σ_{i≠x} log σ(T − u_i), with T − u_i = log(e^d − 1), σ(T − u_i) = 1 − e^−d and d = T − v_i."""
    top = _at(v, x)
    d = (top - _others(v, x)).clamp_min(torch.finfo(v.dtype).tiny)
    log_slope = torch.log(-torch.expm1(-d))  # log du/dv is −this
    u = torch.cat((top, top - (d + log_slope)), -1)
    normal = -0.5 * (u.square() + math.log(2 * math.pi))
    return normal.sum(-1) - log_slope.sum(-1)


def _draw_gumbel(uniform: Tensor, x: Tensor) -> Tensor:
    u = -uniform.log()
    top = math.log(uniform.shape[-1]) - _at(u, x).log()
    below = -(torch.exp(-top) + _others(u, x)).log()
    return (_joined(top, below, x) - EULER) * (math.sqrt(6) / math.pi)


def _log_gumbel(v: Tensor, x: Tensor) -> Tensor:
    """log f(T; log K) + Σ_{i≠x} [log f(v_i) − log F(T)], f and F of Gumbel numbers, and the logarithm of the scale for
    each coordinate."""
    k, scale = v.shape[-1], math.pi / math.sqrt(6)
    g = v * scale + EULER
    top, below = _at(g, x), _others(g, x)
    highest = (math.log(k) - top - torch.exp(math.log(k) - top)).squeeze(-1)
    return highest + (-below - torch.exp(-below) + torch.exp(-top)).sum(-1) + k * math.log(scale)


FORMS = {
    "gumbel": Form(_draw_gumbel, _log_gumbel),
    "threshold": Form(_draw_threshold, _log_threshold),
}

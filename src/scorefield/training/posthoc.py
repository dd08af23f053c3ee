"""Averages of any length after the fact: the mixture of stored averages whose profile is nearest to the wanted one.

Karras et al. 2024 (EDM2), section 3.2 and appendix C. What is averaged is linear in the weights of the past, so a
mixture of stored averages is an average too, and its profile is the mixture of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

from .ema import gamma_of

SAME = 5e-4  # widths nearer than this are one: they are written with three decimals
DOUBTFUL, USELESS = 0.1, 1 / 3  # profile errors from which a rebuilt average comes with a word, and is refused


class Profile(NamedTuple):
    """p(t) = (γ + 1) t^γ / end^(γ + 1) on [0, end], with the γ of ``width`` = σ_rel; ``end`` in examples seen."""

    width: float
    end: float


class Fit(NamedTuple):
    """How to mix stored averages, and what comes of it.

    ``weights`` (n,) sum to 1. ``error`` is ‖p̂ − p‖ / ‖p‖ in L², p̂ being the profile of the mixture: on weights that
    are noise about a mean, the deviation of the rebuilt average in units of the noise that the true one has left.
    ``amplified`` is Σ|weight|: by that much at most the rounding of what is stored is multiplied.
    """

    weights: tuple[float, ...]
    error: float
    amplified: float


def products(rows: Sequence[Profile], columns: Sequence[Profile]) -> np.ndarray:
    """∫ p_i q_j dt in closed form, (n,), (m,) → (n, m) float64.

    Both profiles are powers up to the earlier of the two ends T, so the integral is
    (γ_i + 1)(γ_j + 1)/(γ_i + γ_j + 1) · T^(γ_i + γ_j + 1) / (T_i^(γ_i + 1) T_j^(γ_j + 1)); in logarithms, because the
    powers go beyond float64."""
    g, end = (a[:, None] for a in _numbers(rows))
    h, last = _numbers(columns)
    logs = (g + h + 1) * np.log(np.minimum(end, last)) - (g + 1) * np.log(end) - (h + 1) * np.log(last)
    return (g + 1) * (h + 1) / (g + h + 1) * np.exp(logs)


def fit_profile(stored: Sequence[Profile], wanted: Profile) -> Fit:
    """The mixture of ``stored`` with weights that sum to 1 whose profile is nearest to ``wanted`` in L².

    A profile that is stored is taken as it is: its weight is 1 and the error 0. For weights θ(t) of training the
    rebuilt average is off by at most ‖p̂ − p‖ · (∫‖θ(t) − c‖² dt)^½, whatever the constant c (Cauchy and Schwarz)."""
    for i, profile in enumerate(stored):
        if abs(profile.width - wanted.width) < SAME and profile.end == wanted.end:
            return Fit(tuple(float(i == j) for j in range(len(stored))), 0.0, 1.0)
    own = products([wanted], [wanted]).item()
    scale = np.sqrt(np.diag(products(stored, stored)))  # unit profiles, for a well-conditioned system
    within = products(stored, stored) / np.outer(scale, scale)
    across = products(stored, [wanted])[:, 0] / scale
    ones = 1 / scale
    top = np.abs(ones).max()
    system = np.block([[within, ones[:, None] / top], [ones[None] / top, np.zeros((1, 1))]])
    solved = np.linalg.lstsq(system, np.append(across, 1 / top), rcond=None)[0][:-1] / scale
    weights = solved / solved.sum()
    scaled = weights * scale
    missed = scaled @ within @ scaled - 2 * scaled @ across + own
    return Fit(tuple(weights.tolist()), sqrt(max(missed, 0.0) / own), float(np.abs(weights).sum()))


def _numbers(profiles: Sequence[Profile]) -> tuple[np.ndarray, np.ndarray]:
    """(γ, end), each (n,)."""
    return np.array([gamma_of(p.width) for p in profiles]), np.array([float(p.end) for p in profiles])

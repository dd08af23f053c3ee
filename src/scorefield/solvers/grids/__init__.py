"""At which times to evaluate: ``grid(process, steps)`` → (steps + 1,) float64, falling to exactly 0.

One convention for all: ``steps`` = n gives n noise levels and then clean data, so a solver with one evaluation a step
makes n evaluations (k-diffusion's ``get_sigmas_*(n)``, which also return n + 1 numbers; EDM's ``num_steps``). All grids
begin at exactly t = 1, except ``Leading``, ``Listed`` and ``Sigmas``, which may begin at a t₀ < 1; pure noise
there is x = σ(t₀) ε, the prior with the deviation of that time.
"""

from .base import Grid
from .continuous import Karras, LogSNR, PolyExponential, Quadratic, Rectified, Shifted, Uniform
from .discrete import Leading, Linspace, Trailing
from .lists import Knots, Listed, Sigmas
from .optimised import Optimised
from .quantile import BetaQuantile

__all__ = [
    "BetaQuantile",
    "Grid",
    "Karras",
    "Knots",
    "Leading",
    "Linspace",
    "Listed",
    "LogSNR",
    "Optimised",
    "PolyExponential",
    "Quadratic",
    "Rectified",
    "Shifted",
    "Sigmas",
    "Trailing",
    "Uniform",
]

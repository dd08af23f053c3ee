"""How to walk back toward the belief, and on which grid of times."""

from .ancestral import Ancestral
from .exponential import Exponential
from .grids import Karras, LogSNR, Quadratic, Trailing, Uniform
from .names import NAMES, named
from .runge_kutta import RungeKutta

__all__ = [
    "NAMES",
    "Ancestral",
    "Exponential",
    "Karras",
    "LogSNR",
    "Quadratic",
    "RungeKutta",
    "Trailing",
    "Uniform",
    "named",
]

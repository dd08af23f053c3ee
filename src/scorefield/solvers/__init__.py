"""How to walk back toward the belief, and on which grid of times."""

from .adaptive import Adaptive
from .ancestral import Ancestral
from .annealed import AnnealedLangevin, Consistent
from .churn import Churn, Restart
from .er_sde import ERSDE
from .exponential import Exponential
from .gotta_go_fast import GottaGoFast
from .grids import (
    BetaQuantile,
    Grid,
    Karras,
    Knots,
    Leading,
    Linspace,
    Listed,
    LogSNR,
    Optimised,
    PolyExponential,
    Quadratic,
    Rectified,
    Shifted,
    Sigmas,
    Trailing,
    Uniform,
)
from .langevin import Langevin, PredictorCorrector, chain
from .names import NAMES, named
from .runge_kutta import RungeKutta
from .sde import EulerMaruyama, ReverseDiffusion
from .singlestep import SingleStep
from .table import Row, Table
from .tabulate import tabulate

__all__ = [
    "ERSDE",
    "NAMES",
    "Adaptive",
    "Ancestral",
    "AnnealedLangevin",
    "BetaQuantile",
    "Churn",
    "Consistent",
    "EulerMaruyama",
    "Exponential",
    "GottaGoFast",
    "Grid",
    "Karras",
    "Knots",
    "Langevin",
    "Leading",
    "Linspace",
    "Listed",
    "LogSNR",
    "Optimised",
    "PolyExponential",
    "PredictorCorrector",
    "Quadratic",
    "Rectified",
    "Restart",
    "ReverseDiffusion",
    "Row",
    "RungeKutta",
    "Shifted",
    "Sigmas",
    "SingleStep",
    "Table",
    "Trailing",
    "Uniform",
    "chain",
    "named",
    "tabulate",
]

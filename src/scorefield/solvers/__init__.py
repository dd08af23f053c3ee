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
from .in_order import InOrder
from .in_turn import AfterTokens, InTurn
from .langevin import Langevin, PredictorCorrector, chain
from .names import NAMES, TOKENS, named
from .runge_kutta import RungeKutta
from .sde import EulerMaruyama, ReverseDiffusion
from .singlestep import SingleStep
from .table import Row, Table
from .tabulate import tabulate
from .tokens import Analytic, DiscreteFlow, TauLeaping
from .tokens_corrected import Corrected, Gibbs, UpDown
from .tokens_masked import FirstHitting, MaskGIT, Remasking
from .tokens_unrolled import Cached, Sundae

__all__ = [
    "ERSDE",
    "NAMES",
    "TOKENS",
    "Adaptive",
    "AfterTokens",
    "Analytic",
    "Ancestral",
    "AnnealedLangevin",
    "BetaQuantile",
    "Cached",
    "Churn",
    "Consistent",
    "Corrected",
    "DiscreteFlow",
    "EulerMaruyama",
    "Exponential",
    "FirstHitting",
    "Gibbs",
    "GottaGoFast",
    "Grid",
    "InOrder",
    "InTurn",
    "Karras",
    "Knots",
    "Langevin",
    "Leading",
    "Linspace",
    "Listed",
    "LogSNR",
    "MaskGIT",
    "Optimised",
    "PolyExponential",
    "PredictorCorrector",
    "Quadratic",
    "Rectified",
    "Remasking",
    "Restart",
    "ReverseDiffusion",
    "Row",
    "RungeKutta",
    "Shifted",
    "Sigmas",
    "SingleStep",
    "Sundae",
    "Table",
    "TauLeaping",
    "Trailing",
    "Uniform",
    "UpDown",
    "chain",
    "named",
    "tabulate",
]

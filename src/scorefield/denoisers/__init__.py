"""How a network becomes a belief."""

from .categorical import Categorical
from .classifying import Classifying
from .joint import Joint
from .preconditioned import Preconditioned
from .predictions import PREDICTIONS, Coefficients
from .variance import AnalyticVariance, LearnedVariance

__all__ = [
    "PREDICTIONS",
    "AnalyticVariance",
    "Categorical",
    "Classifying",
    "Coefficients",
    "Joint",
    "LearnedVariance",
    "Preconditioned",
]

"""How a network becomes a belief."""

from .autoregressive import Autoregressive, Law, Next
from .categorical import Categorical
from .classifying import Classifying
from .dequantised import Dequantised
from .diagonal import Diagonal
from .energy import Energy
from .joint import Joint
from .preconditioned import Preconditioned
from .predictions import PREDICTIONS, Coefficients
from .variance import AnalyticVariance, LearnedVariance

__all__ = [
    "PREDICTIONS",
    "AnalyticVariance",
    "Autoregressive",
    "Categorical",
    "Classifying",
    "Coefficients",
    "Dequantised",
    "Diagonal",
    "Energy",
    "Joint",
    "Law",
    "LearnedVariance",
    "Next",
    "Preconditioned",
]

"""How a network becomes a belief."""

from .preconditioned import Preconditioned
from .predictions import PREDICTIONS, Coefficients

__all__ = ["PREDICTIONS", "Coefficients", "Preconditioned"]

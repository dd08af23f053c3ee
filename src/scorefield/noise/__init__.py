"""How data are destroyed: schedules (t ↦ α, σ) and the processes that use them."""

from .gaussian import Gaussian
from .schedules import EDM, VE, VP, Cosine, Flow, Scales, SubVP
from .tables import BetaTable

__all__ = ["EDM", "VE", "VP", "BetaTable", "Cosine", "Flow", "Gaussian", "Scales", "SubVP"]

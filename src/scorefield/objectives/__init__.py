"""What to minimise: an objective is a law of times, a weight, and an error."""

from .classification import Classification
from .denoising import Denoising
from .discrete import Elbo, Unrolled
from .history import ByHistory
from .hybrid import Hybrid
from .joint import Joint
from .quantising import Quantising
from .score_matching import ScoreMatching, energy_score
from .times import Importance, LogitNormal, LogNormal, Stratified, Uniform
from .weights import P2, EDMWeight, FlowWeight, Likelihood, MinSNR, Sigmoid, Simple

__all__ = [
    "P2",
    "ByHistory",
    "Classification",
    "Denoising",
    "EDMWeight",
    "Elbo",
    "FlowWeight",
    "Hybrid",
    "Importance",
    "Joint",
    "Likelihood",
    "LogNormal",
    "LogitNormal",
    "MinSNR",
    "Quantising",
    "ScoreMatching",
    "Sigmoid",
    "Simple",
    "Stratified",
    "Uniform",
    "Unrolled",
    "energy_score",
]

"""What to minimise: an objective is a law of times, a weight, and an error."""

from .chain import ChainBound
from .classification import Classification
from .denoising import Denoising
from .dequantised import Dequantised
from .discrete import Elbo, Unrolled
from .history import ByHistory
from .hybrid import Hybrid
from .joint import Joint
from .levels import NoiseLevels
from .quantising import Quantising
from .score_matching import ScoreMatching, energy_score
from .times import Importance, LogitNormal, LogNormal, Stratified, Uniform
from .vdm import VDM
from .vlb import Vlb
from .weights import P2, EDMWeight, FlowWeight, Likelihood, MinSNR, Sigmoid, Simple

__all__ = [
    "P2",
    "VDM",
    "ByHistory",
    "ChainBound",
    "Classification",
    "Denoising",
    "Dequantised",
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
    "NoiseLevels",
    "Quantising",
    "ScoreMatching",
    "Sigmoid",
    "Simple",
    "Stratified",
    "Uniform",
    "Unrolled",
    "Vlb",
    "energy_score",
]

"""What to minimise: an objective is a law of times, a weight, and an error."""

from .denoising import Denoising
from .discrete import Elbo, Unrolled
from .quantising import Quantising
from .times import Importance, LogitNormal, LogNormal, Stratified, Uniform
from .weights import P2, EDMWeight, FlowWeight, Likelihood, MinSNR, Sigmoid, Simple

__all__ = [
    "P2",
    "Denoising",
    "EDMWeight",
    "Elbo",
    "FlowWeight",
    "Importance",
    "Likelihood",
    "LogNormal",
    "LogitNormal",
    "MinSNR",
    "Quantising",
    "Sigmoid",
    "Simple",
    "Stratified",
    "Uniform",
    "Unrolled",
]

"""How data are destroyed: schedules (t ↦ α, σ) and the processes that use them."""

from .betas import LearnedBetas
from .discrete import Discrete, binomial, mask_and_replace, masking, uniform
from .gaussian import Gaussian
from .jumps import Band, GaussianJumps, GivenJumps, Neighbours
from .keep import Cosine as CosineKeep
from .keep import Ending, Geometric, Linear, Polynomial, Sine, Steps
from .learned import Learned
from .levels import largest_distance, levels_between, overlap, spacing
from .markov import Markov
from .product import Product
from .raster import Raster
from .schedules import EDM, VE, VP, Cosine, Flow, Scales, SubVP
from .stepped import GaussianSteps
from .tables import BetaTable

__all__ = [
    "EDM",
    "VE",
    "VP",
    "Band",
    "BetaTable",
    "Cosine",
    "CosineKeep",
    "Discrete",
    "Ending",
    "Flow",
    "Gaussian",
    "GaussianJumps",
    "GaussianSteps",
    "Geometric",
    "GivenJumps",
    "Learned",
    "LearnedBetas",
    "Linear",
    "Markov",
    "Neighbours",
    "Polynomial",
    "Product",
    "Raster",
    "Scales",
    "Sine",
    "Steps",
    "SubVP",
    "binomial",
    "largest_distance",
    "levels_between",
    "mask_and_replace",
    "masking",
    "overlap",
    "spacing",
    "uniform",
]

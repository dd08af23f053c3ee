"""Sample what was measured: p(x₀ | y) of any model and measurement, without training.

Each method says how far to trust it: **exact in the limit**, **exact for Gaussian priors**, or **heuristic**.
docs/posterior.md has how far each is from posteriors that are known.
"""

from .draw import Posterior, draw
from .gaussian import MMPS, TMPD, OptimalCovariance, PiGDM
from .gibbs import DAPS, PnPDM
from .heuristic import Convolved, ScoreALD, Steered
from .likelihood import DPS, SDA
from .mcgdiff import MCGDiff
from .names import METHODS, Method, Walk
from .particles import Particles
from .product import ProductSteps
from .proximal import DiffPIR, RedDiff
from .repaint import ILVR, Jumping, Repaint
from .replacing import CoPaint, Song22
from .shifted import MCG, GradPaint, Published, PublishedPiGDM
from .smc import TWISTS, smc
from .smc_solver import SMC
from .spectral import DDNM, DDRM, SNIPS
from .spread import Spread, spread_of
from .twist import Kernel, Look, Twist, Twisted
from .twists import LikelihoodTwist, MMPSTwist, PiGDMTwist, ProximalTwist

__all__ = [
    "DAPS",
    "DDNM",
    "DDRM",
    "DPS",
    "ILVR",
    "MCG",
    "METHODS",
    "MMPS",
    "SDA",
    "SMC",
    "SNIPS",
    "TMPD",
    "TWISTS",
    "CoPaint",
    "Convolved",
    "DiffPIR",
    "GradPaint",
    "Jumping",
    "Kernel",
    "LikelihoodTwist",
    "Look",
    "MCGDiff",
    "MMPSTwist",
    "Method",
    "OptimalCovariance",
    "Particles",
    "PiGDM",
    "PiGDMTwist",
    "PnPDM",
    "Posterior",
    "ProductSteps",
    "ProximalTwist",
    "Published",
    "PublishedPiGDM",
    "RedDiff",
    "Repaint",
    "ScoreALD",
    "Song22",
    "Spread",
    "Steered",
    "Twist",
    "Twisted",
    "Walk",
    "draw",
    "smc",
    "spread_of",
]

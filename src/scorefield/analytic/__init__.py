"""The truth: laws whose every diffusion quantity is known in closed form."""

from .mixed import MixedLaw
from .mixture import ExactDenoiser, GaussianMixture
from .tables import ExactChain, ExactTokens, Law, MarkovText, heartbeat

__all__ = [
    "ExactChain",
    "ExactDenoiser",
    "ExactTokens",
    "GaussianMixture",
    "Law",
    "MarkovText",
    "MixedLaw",
    "heartbeat",
]

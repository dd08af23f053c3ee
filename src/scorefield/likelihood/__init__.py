"""How probable data are under a model."""

from .decoders import Levels, Real, Softmax
from .elbo import Bound, bits, elbo
from .gaussian import gaussian_elbo
from .ode import LogProb, decode, encode, interpolate, log_prob
from .terms import Terms

__all__ = [
    "Bound",
    "Levels",
    "LogProb",
    "Real",
    "Softmax",
    "Terms",
    "bits",
    "decode",
    "elbo",
    "encode",
    "gaussian_elbo",
    "interpolate",
    "log_prob",
]

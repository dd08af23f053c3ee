"""How probable data are under a model."""

from .adams import Adams
from .decoders import Levels, Real, Softmax
from .elbo import Bound, bits, elbo
from .gaussian import gaussian_elbo
from .geometry import Geodesic, LocalDimension, ScoreMetric, jacobian, jvp, local_dimension, score_of, vjp
from .logistic import Logistics, Softmaxes
from .ode import LogProb, decode, encode, interpolate, log_prob
from .terms import Terms

__all__ = [
    "Adams",
    "Bound",
    "Geodesic",
    "Levels",
    "LocalDimension",
    "LogProb",
    "Logistics",
    "Real",
    "ScoreMetric",
    "Softmax",
    "Softmaxes",
    "Terms",
    "bits",
    "decode",
    "elbo",
    "encode",
    "gaussian_elbo",
    "interpolate",
    "jacobian",
    "jvp",
    "local_dimension",
    "log_prob",
    "score_of",
    "vjp",
]

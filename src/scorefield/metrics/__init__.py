"""How good are the samples? Each number comes with its standard error and its floor, the value real data reach."""

from .classifier import class_accuracy
from .energy import energy_distance
from .evaluate import evaluate
from .features import FEATURES, Features, make_features
from .frechet import frechet_distance
from .neighbours import copies, two_sample
from .resample import Estimate
from .score import Evaluation, Score
from .sliced import sliced_wasserstein
from .table import METRICS

__all__ = [
    "FEATURES",
    "METRICS",
    "Estimate",
    "Evaluation",
    "Features",
    "Score",
    "class_accuracy",
    "copies",
    "energy_distance",
    "evaluate",
    "frechet_distance",
    "make_features",
    "sliced_wasserstein",
    "two_sample",
]

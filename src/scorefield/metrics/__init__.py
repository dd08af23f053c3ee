"""How good are the samples? Each number comes with its standard error and its floor, the value real data reach."""

from .calibration import Calibration, calibration
from .classifier import class_accuracy
from .discriminator import classifier_two_sample
from .energy import energy_distance
from .evaluate import against_statistics, evaluate, rehearse
from .features import FEATURES, Features, make_features
from .frechet import frechet_distance, frechet_to_moments
from .kernel import kernel_distance
from .manifold import manifold
from .neighbours import copies, two_sample
from .resample import Estimate
from .score import Evaluation, Score
from .series import autocorrelation, power_spectra
from .sliced import sliced_wasserstein
from .statistics import Statistics
from .table import METRICS

__all__ = [
    "FEATURES",
    "METRICS",
    "Calibration",
    "Estimate",
    "Evaluation",
    "Features",
    "Score",
    "Statistics",
    "against_statistics",
    "autocorrelation",
    "calibration",
    "class_accuracy",
    "classifier_two_sample",
    "copies",
    "energy_distance",
    "evaluate",
    "frechet_distance",
    "frechet_to_moments",
    "kernel_distance",
    "make_features",
    "manifold",
    "power_spectra",
    "rehearse",
    "sliced_wasserstein",
    "two_sample",
]

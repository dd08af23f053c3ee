"""The public names of ``scorefield.runs``, in one place that may load torch."""

from scorefield.runs.bits_table import Bits, bits
from scorefield.runs.display import Display, DisplayFactory, Silent
from scorefield.runs.folder import RunFolder, find
from scorefield.runs.launching import train
from scorefield.runs.loading import Run, load
from scorefield.runs.plan import Plan
from scorefield.runs.samples import Samples
from scorefield.runs.sets import evaluate_samples

__all__ = [
    "Bits",
    "Display",
    "DisplayFactory",
    "Plan",
    "Run",
    "RunFolder",
    "Samples",
    "Silent",
    "bits",
    "evaluate_samples",
    "find",
    "load",
    "train",
]

"""Edit the belief: a denoiser in, a denoiser out. They nest, and every solver walks with them.

Clip last: ``DynamicThreshold(ClassifierFree(model, 7.5))``. All norms and quantiles are of one example, so examples
never see each other.
"""

from .autoguidance import Autoguidance
from .classifier import Classifier
from .classifier_free import ClassifierFree
from .combine import OptimisedScale, Projected, Rescaled, straight
from .infill import Infilled, blanks, extended, prompt
from .plus_plus import PlusPlus
from .thresholding import Clipped, DynamicThreshold
from .tilted import Tilted
from .truncation import Temperature, TopK, TopP
from .windows import Windowed

__all__ = [
    "Autoguidance",
    "Classifier",
    "ClassifierFree",
    "Clipped",
    "DynamicThreshold",
    "Infilled",
    "OptimisedScale",
    "PlusPlus",
    "Projected",
    "Rescaled",
    "Temperature",
    "Tilted",
    "TopK",
    "TopP",
    "Windowed",
    "blanks",
    "extended",
    "prompt",
    "straight",
]

"""Edit the belief: a denoiser in, a denoiser out. They nest, and every solver walks with them.

Clip last: ``DynamicThreshold(ClassifierFree(model, 7.5))``. All norms and quantiles are of one example, so examples
never see each other.
"""

from .autoguidance import Autoguidance
from .classifier_free import ClassifierFree
from .combine import OptimisedScale, Projected, Rescaled, straight
from .infill import Infilled, blanks, extended, prompt
from .plus_plus import PlusPlus
from .thresholding import Clipped, DynamicThreshold
from .truncation import Temperature, TopK, TopP

__all__ = [
    "Autoguidance",
    "ClassifierFree",
    "Clipped",
    "DynamicThreshold",
    "Infilled",
    "OptimisedScale",
    "PlusPlus",
    "Projected",
    "Rescaled",
    "Temperature",
    "TopK",
    "TopP",
    "blanks",
    "extended",
    "prompt",
    "straight",
]

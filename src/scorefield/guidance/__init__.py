"""Edit the belief: a denoiser in, a denoiser out. They nest, and every solver walks with them.

Clip last: ``DynamicThreshold(ClassifierFree(model, 7.5))``. All norms and quantiles are of one example, so examples
never see each other.
"""

from .autoguidance import Autoguidance
from .classifier_free import ClassifierFree
from .combine import OptimisedScale, Projected, Rescaled, straight
from .plus_plus import PlusPlus
from .thresholding import Clipped, DynamicThreshold

__all__ = [
    "Autoguidance",
    "ClassifierFree",
    "Clipped",
    "DynamicThreshold",
    "OptimisedScale",
    "PlusPlus",
    "Projected",
    "Rescaled",
    "straight",
]

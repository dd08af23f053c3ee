"""What was measured: operators y = A(x), their noise, and the linear algebra that posterior sampling asks of them.

``A @ B`` is A after B. Every linear operator has an ``adjoint``, and a ``spectrum`` where its SVD is known.
"""

from .compose import Composed
from .compressed import Compressed
from .dense import Function, Matrix
from .frequencies import Blur, Fourier
from .linear_algebra import cg, check_linear, dense_spectrum, matrix, pinv, spectrum_of
from .mask import Mask
from .measurement import GaussianNoise, LaplaceNoise, Measurement, Noise, PoissonNoise
from .nonlinear import HighDynamicRange, Jpeg, PhaseRetrieval, Quantise
from .protocol import Linear, Operator, Spectrum
from .radon import Radon
from .separable import Downsample, Grey, Separable

__all__ = [
    "Blur",
    "Composed",
    "Compressed",
    "Downsample",
    "Fourier",
    "Function",
    "GaussianNoise",
    "Grey",
    "HighDynamicRange",
    "Jpeg",
    "LaplaceNoise",
    "Linear",
    "Mask",
    "Matrix",
    "Measurement",
    "Noise",
    "Operator",
    "PhaseRetrieval",
    "PoissonNoise",
    "Quantise",
    "Radon",
    "Separable",
    "Spectrum",
    "cg",
    "check_linear",
    "dense_spectrum",
    "matrix",
    "pinv",
    "spectrum_of",
]

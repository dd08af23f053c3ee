"""The truth: laws whose every diffusion quantity is known in closed form."""

from .mixture import ExactDenoiser, GaussianMixture

__all__ = ["ExactDenoiser", "GaussianMixture"]

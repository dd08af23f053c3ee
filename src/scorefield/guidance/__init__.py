"""Edit the belief: a denoiser in, a denoiser out."""

from .classifier_free import ClassifierFree

__all__ = ["ClassifierFree"]

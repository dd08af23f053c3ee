"""How probable data are under a model."""

from .elbo import Bound, bits, elbo

__all__ = ["Bound", "bits", "elbo"]

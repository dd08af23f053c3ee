"""scorefield: diffusion and score-based generative models, each part checked against closed-form truth.

This page is the table of contents: every name is imported when first used, so ``import scorefield`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .analytic import GaussianMixture as GaussianMixture
    from .analytic import Law as Law
    from .belief import Logits as Logits
    from .belief import Moments as Moments
    from .core import Rng as Rng
    from .data import Dataset as Dataset
    from .data import open_data as open_data
    from .denoisers import Categorical as Categorical
    from .denoisers import Preconditioned as Preconditioned
    from .errors import UserError as UserError
    from .guidance import ClassifierFree as ClassifierFree
    from .likelihood import elbo as elbo
    from .likelihood import log_prob as log_prob
    from .metrics import evaluate as evaluate
    from .nets import MLP as MLP
    from .nets import UNet as UNet
    from .noise import Discrete as Discrete
    from .noise import Gaussian as Gaussian
    from .noise import masking as masking
    from .noise import uniform as uniform
    from .objectives import Denoising as Denoising
    from .objectives import Elbo as Elbo
    from .operators import Measurement as Measurement
    from .posterior import draw as draw
    from .runs import Run as Run
    from .runs import load as load
    from .runs import train as train
    from .sampling import sample as sample
    from .sampling import trajectory as trajectory
    from .solvers import Table as Table
    from .solvers import named as solver  # noqa: F401  (another name on purpose)
    from .solvers import tabulate as tabulate
    from .training import fit as fit
    from .training import training_steps as training_steps
    from .tuning import tune as tune

_CONTENTS = {  # public name: (module, name in it)
    "train": ("runs", "train"),  # data in, a run folder out
    "load": ("runs", "load"),
    "Run": ("runs", "Run"),
    "open_data": ("data", "open_data"),
    "Dataset": ("data", "Dataset"),
    "fit": ("training", "fit"),  # the loop alone
    "training_steps": ("training", "training_steps"),
    "Denoising": ("objectives", "Denoising"),
    "Elbo": ("objectives", "Elbo"),  # on categories
    "Gaussian": ("noise", "Gaussian"),
    "Discrete": ("noise", "Discrete"),
    "masking": ("noise", "masking"),
    "uniform": ("noise", "uniform"),
    "Preconditioned": ("denoisers", "Preconditioned"),
    "Categorical": ("denoisers", "Categorical"),
    "Moments": ("belief", "Moments"),
    "Logits": ("belief", "Logits"),
    "UNet": ("nets", "UNet"),
    "MLP": ("nets", "MLP"),
    "sample": ("sampling", "sample"),
    "trajectory": ("sampling", "trajectory"),
    "solver": ("solvers", "named"),
    "Table": ("solvers", "Table"),  # a sampler as data
    "tabulate": ("solvers", "tabulate"),
    "tune": ("tuning", "tune"),
    "ClassifierFree": ("guidance", "ClassifierFree"),
    "Measurement": ("operators", "Measurement"),
    "draw": ("posterior", "draw"),  # what was measured: p(x₀ | y)
    "GaussianMixture": ("analytic", "GaussianMixture"),
    "Law": ("analytic", "Law"),  # on categories
    "elbo": ("likelihood", "elbo"),
    "log_prob": ("likelihood", "log_prob"),
    "evaluate": ("metrics", "evaluate"),
    "Rng": ("core", "Rng"),
    "UserError": ("errors", "UserError"),
}
__all__ = ["__version__", *_CONTENTS]  # pyright: ignore


def __getattr__(name: str) -> Any:
    if name not in _CONTENTS:
        raise AttributeError(f"module 'scorefield' has no attribute {name!r}")
    module, attribute = _CONTENTS[name]
    value = getattr(import_module(f".{module}", __name__), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

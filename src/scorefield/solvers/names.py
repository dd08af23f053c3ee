"""Samplers by the names users know; each is one composition of the parts beside this file."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..core import Solver
from ..errors import UserError, suggest
from .adaptive import Adaptive
from .ancestral import Ancestral
from .annealed import AnnealedLangevin, Consistent
from .churn import Churn, Restart
from .er_sde import ERSDE
from .exponential import Exponential
from .gotta_go_fast import GottaGoFast
from .in_order import InOrder
from .langevin import PredictorCorrector
from .runge_kutta import RungeKutta
from .sde import EulerMaruyama, ReverseDiffusion
from .singlestep import SingleStep
from .tokens import Analytic, DiscreteFlow, TauLeaping
from .tokens_corrected import Corrected, Gibbs
from .tokens_masked import FirstHitting, MaskGIT, Remasking
from .tokens_unrolled import Sundae


class Named(NamedTuple):
    """A composition; the order that it claims, of its endpoint on the probability flow or, where it is ``noisy``, of
    the mean and the variance that it makes of Gaussian data (weak order; 0: more steps do not make it exact, or it
    chooses its own steps); and whether it takes eta."""

    build: Callable[..., Solver]
    order: int
    noisy: bool = False
    eta: bool = False


NAMES: dict[str, Named] = {
    "ancestral": Named(lambda: Ancestral(), 1, noisy=True),
    "ddpm": Named(lambda: Ancestral("small"), 1, noisy=True),
    "ddpm-large": Named(lambda: Ancestral("large"), 1, noisy=True),
    "ddim": Named(lambda eta=0.0: Exponential(1, eta), 1, eta=True),
    "euler": Named(lambda: RungeKutta("euler"), 1),
    "heun": Named(lambda: RungeKutta("heun"), 2),
    "midpoint": Named(lambda: RungeKutta("midpoint"), 2),
    "rk4": Named(lambda: RungeKutta("rk4"), 4),
    "edm-heun": Named(lambda: RungeKutta("heun", clock="sigma"), 2),
    "edm": Named(lambda: Churn(), 2, noisy=True),
    "dpm1": Named(lambda: SingleStep(1, "eps"), 1),
    "dpm2": Named(lambda: SingleStep(2, "eps", "bh2"), 2),
    "dpm3": Named(lambda: SingleStep(3, "eps"), 3),
    "dpmpp1": Named(lambda: SingleStep(1), 1),
    "dpmpp2s": Named(lambda: SingleStep(2, weights="bh2"), 2),
    "dpmpp3s": Named(lambda: SingleStep(3), 3),
    "dpmpp2m": Named(lambda eta=0.0: Exponential(2, eta), 2, eta=True),
    "dpmpp3m": Named(lambda eta=0.0: Exponential(3, eta), 3, eta=True),
    "dpmpp4m": Named(lambda eta=0.0: Exponential(4, eta), 4, eta=True),
    "dpmpp2m-published": Named(lambda: Exponential(2, weights="published"), 2),
    "dpmpp3m-published": Named(lambda: Exponential(3, weights="published"), 2),
    "sde-dpmpp1": Named(lambda: Exponential(1, 1.0), 1, noisy=True),
    "sde-dpmpp2m": Named(lambda: Exponential(2, 1.0), 2, noisy=True),
    "sde-dpmpp3m": Named(lambda: Exponential(3, 1.0), 2, noisy=True),
    "sde-dpmpp2m-published": Named(lambda: Exponential(2, 1.0, weights="published"), 2, noisy=True),
    "sde-dpmpp3m-published": Named(lambda: Exponential(3, 1.0, weights="k-diffusion"), 2, noisy=True),
    "dpm2m": Named(lambda: Exponential(2, space="eps"), 2),
    "dpm3m": Named(lambda: Exponential(3, space="eps"), 3),
    "lms2": Named(lambda: Exponential(2, space="eps", clock="sigma"), 2),
    "lms3": Named(lambda: Exponential(3, space="eps", clock="sigma"), 3),
    "lms4": Named(lambda: Exponential(4, space="eps", clock="sigma"), 4),
    "flow2m": Named(lambda: Exponential(2, space="flow", clock="flow"), 2),
    "flow3m": Named(lambda: Exponential(3, space="flow", clock="flow"), 3),
    "flow4m": Named(lambda: Exponential(4, space="flow", clock="flow"), 4),
    "flow2pc": Named(lambda: Exponential(2, corrector=3, space="flow", clock="flow"), 3),
    "flow3pc": Named(lambda: Exponential(3, corrector=4, space="flow", clock="flow"), 4),
    "deis2": Named(lambda: Exponential(2, space="eps", clock="t"), 2),
    "deis3": Named(lambda: Exponential(3, space="eps", clock="t"), 3),
    "unipc1": Named(lambda: Exponential(1, corrector=2, weights="bh2"), 2),
    "unipc2": Named(lambda: Exponential(2, corrector=3, weights="bh2"), 3),
    "unipc3": Named(lambda: Exponential(3, corrector=4, weights="bh2"), 4),
    "unipc1-bh1": Named(lambda: Exponential(1, corrector=2, weights="bh1"), 2),
    "unipc2-bh1": Named(lambda: Exponential(2, corrector=3, weights="bh1"), 3),
    "unipc3-bh1": Named(lambda: Exponential(3, corrector=4, weights="bh1"), 4),
    "sa-solver": Named(lambda: Exponential(3, corrector=4, tau=1.0), 2, noisy=True),
    "er-sde": Named(lambda: ERSDE(3), 2, noisy=True),
    "euler-maruyama": Named(lambda: EulerMaruyama(), 1, noisy=True),
    "reverse-diffusion": Named(lambda: ReverseDiffusion(), 1, noisy=True),
    "pc": Named(lambda: PredictorCorrector(), 0, noisy=True),
    "pc-ancestral": Named(lambda: PredictorCorrector(Ancestral("large")), 0, noisy=True),
    "annealed-langevin": Named(lambda: AnnealedLangevin(), 0, noisy=True),
    "consistent-annealed": Named(lambda: Consistent(), 0, noisy=True),
    "adaptive": Named(lambda: Adaptive(), 0),
    "gotta-go-fast": Named(lambda: GottaGoFast(), 0, noisy=True),
    "restart": Named(lambda: Restart(), 2, noisy=True),
}


class Tokens(NamedTuple):
    """A solver of discrete noise, in a few words; whether it needs noise that only masks, or one that never does;
    whether an exact belief gives exact samples in finitely many steps (else more steps come nearer, or it says that
    they do not); and whether it takes eta."""

    build: Callable[..., Solver]
    what: str
    noise: str = "any"  # "any", "masking", "uniform"
    exact: bool = False
    eta: bool = False


TOKENS: dict[str, Tokens] = {
    "ancestral": Tokens(lambda: Ancestral(), "each site from its own law at the next time"),
    "analytic": Tokens(lambda: Analytic(), "Tweedie's step of SEDD; the same law as ancestral"),
    "analytic-product": Tokens(lambda: Analytic("product"), "for networks of D3PM's parametrisation"),
    "tau-leaping": Tokens(lambda: TauLeaping(), "reverse jump rates held for a step"),
    "discrete-flow": Tokens(lambda eta=0.0: DiscreteFlow(eta), "fewest jumps, and fresh noise at a rate eta", eta=True),
    "first-hitting": Tokens(lambda: FirstHitting(), "one site at a time at its exact time", "masking", exact=True),
    "maskgit": Tokens(lambda: MaskGIT(), "the surest tokens first; favours likely ones", "masking"),
    "maskgit-margin": Tokens(
        lambda: MaskGIT("margin"), "the clearest sites first; exact at one site a step", "masking", exact=True
    ),
    "remasking": Tokens(
        lambda eta=2.0: Remasking(eta, "rate"), "ancestral that masks tokens again at a rate eta", "masking", eta=True
    ),
    "remasking-conf": Tokens(
        lambda eta=1.0: Remasking(eta, "rescale", confident=True),
        "ReMDM-conf: the least sure tokens again",
        "masking",
        eta=True,
    ),
    "remasking-cap": Tokens(
        lambda eta=0.02: Remasking(eta), "ReMDM-cap: eta of the tokens a step", "masking", eta=True
    ),
    "corrected": Tokens(lambda: Corrected(), "ancestral, and before each step one site drawn again given the rest"),
    "corrected-many": Tokens(lambda: Corrected(corrector=Gibbs(8)), "the same with eight sites at once"),
    "sundae": Tokens(lambda: Sundae(), "redraws a third of the sites until nothing changes", "uniform"),
}


ORDERED = {"in-order": Tokens(lambda: InOrder(), "pixel after pixel, each given those before it", "raster", exact=True)}


def named(name: str, eta: float | None = None) -> Solver:
    """The solver called ``name``, of Gaussian noise (``NAMES``) or of tokens (``TOKENS``); ``eta``, in [0, 1] for
    Gaussian noise, is how much fresh noise a step draws, for those that can.

    Raises UserError for an unknown name, or an eta that the solver has no use for.
    """
    known: dict[str, Named | Tokens] = TOKENS | NAMES | ORDERED
    if name not in known:
        raise UserError(f"no solver is called {name!r}.{suggest(name, known)}")
    if eta is None:
        return known[name].build()
    if not known[name].eta:
        table = NAMES if name in NAMES else TOKENS
        those = ", ".join(sorted(other for other, entry in table.items() if entry.eta))
        raise UserError(f"solver {name!r} takes no eta. Those that do: {those}.")
    return known[name].build(eta)

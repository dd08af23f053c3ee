"""Posterior samplers by name: what each one is, what it needs, and how it walks when nothing else is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core import Denoiser, Solver
from ..errors import UserError, suggest
from ..operators import Measurement
from ..solvers import Ancestral, Exponential, Grid, Karras, LogSNR, Rectified, Uniform
from .gaussian import MMPS, TMPD, OptimalCovariance, PiGDM
from .gibbs import DAPS, PnPDM
from .heuristic import Convolved, ScoreALD, Steered
from .likelihood import DPS, SDA
from .proximal import DiffPIR, RedDiff
from .repaint import ILVR, Repaint
from .replacing import CoPaint, Song22
from .requirements import require
from .shifted import MCG, GradPaint, Published, PublishedPiGDM
from .smc import TWISTS
from .spectral import DDNM, DDRM, SNIPS

LIMIT = "exact in the limit"
GAUSSIAN = "exact for Gaussian priors"
HEURISTIC = "heuristic"
LABELS = (LIMIT, GAUSSIAN, HEURISTIC)

SDE = Exponential(2, eta=1.0)  # walks guided beliefs: second order, and fresh noise forgives errors of guidance


class Walk(NamedTuple):
    """What is walked: a denoiser, guided or not, and a solver."""

    denoiser: Denoiser
    solver: Solver = SDE


@dataclass(frozen=True)
class Method:
    """One row of ``METHODS``: its label (one of ``LABELS``), what it says of itself, what it needs of a measurement
    (``requirements.NEEDS``), how many steps of which grid it takes, and either ``walk`` (denoiser, measurement) ↦
    ``Walk`` or the name of a ``twist`` for particles: then a population has ``particles``, and gives at most one draw
    for ``each`` of them, so that few draws share an ancestor; they are resampled below a share ``ess`` of them."""

    label: str
    says: str
    needs: tuple[str, ...]
    walk: Callable[[Denoiser, Measurement], Walk] | None = None
    twist: str | None = None
    steps: int = 100
    grid: Grid = LogSNR()
    particles: int = 512
    each: int = 2
    ess: float = 0.5

    def check(self, name: str, measurement: Measurement) -> None:
        """Raise UserError, in one sentence, where the measurement lacks something."""
        require(measurement, name, *self.needs)


def stepping(build: Callable[[Measurement], Any]) -> Callable[[Denoiser, Measurement], Walk]:
    """The walk of a solver that knows the measurement itself."""
    return lambda denoiser, measurement: Walk(denoiser, build(measurement))


def guiding(
    build: Callable[[Denoiser, Measurement], Denoiser], solver: Solver = SDE
) -> Callable[[Denoiser, Measurement], Walk]:
    """The walk of a guided denoiser."""
    return lambda denoiser, measurement: Walk(build(denoiser, measurement), solver)


def _particles(twist: str, says: str, particles: int = 512, each: int = 2, ess: float = 0.5) -> Method:
    return Method(LIMIT, says, TWISTS[twist].needs, twist=twist, particles=particles, each=each, ess=ess)


SPECTRAL = ("spectrum", "gaussian noise")
LINEAR = ("linear", "gaussian noise")
SMOOTH = ("differentiable", "gaussian noise")
METHODS: dict[str, Method] = {
    "tds": _particles("mmps", "particles guided by the model's own covariance, reweighted: the best there is"),
    "tds-pigdm": _particles(
        "pigdm", "particles guided as if the prior were round, reweighted: one backward pass", 1024, 4
    ),
    "tds-likelihood": _particles(
        "likelihood", "particles guided by any likelihood, reweighted: Poisson, non-linear", 1024, 4
    ),
    "mcgdiff": _particles(
        "mcgdiff", "particles led along a noised path of y, reweighted: no gradients, so many of them", 2048, 16, 0.7
    ),
    "mmps": Method(GAUSSIAN, "the model's own covariance decides how far to trust y", SMOOTH, guiding(MMPS)),
    "mmps-1": Method(
        HEURISTIC,
        "mmps with one direction of y, as published: one backward pass",
        SMOOTH,
        guiding(lambda d, m: MMPS(d, m, 1)),
    ),
    "tmpd": Method(HEURISTIC, "row sums of the model's covariance", SMOOTH, guiding(TMPD)),
    "pigdm": Method(HEURISTIC, "as if the prior were round, of variance 1", LINEAR, guiding(PiGDM)),
    "pigdm-published": Method(
        HEURISTIC, "pigdm with the larger weight of its authors", LINEAR, stepping(PublishedPiGDM), grid=Uniform()
    ),
    "optimal-covariance": Method(
        HEURISTIC, "pigdm with the variance that the model believes in", LINEAR, guiding(OptimalCovariance)
    ),
    "dps": Method(
        HEURISTIC,
        "follows the likelihood of x̂₀: any noise, any operator",
        ("differentiable", "noise > 0"),
        guiding(DPS),
    ),
    "dps-published": Method(
        HEURISTIC,
        "dps with steps of a given length: needs many",
        ("differentiable",),
        stepping(Published),
        steps=300,
        grid=Uniform(),
    ),
    "sda": Method(HEURISTIC, "dps with some spread of x₀", SMOOTH, guiding(SDA)),
    "convolved": Method(
        HEURISTIC,
        "compares y with x_t itself: no gradients",
        LINEAR,
        guiding(Convolved, Ancestral("small")),
        steps=300,
        grid=Uniform(),
    ),
    "score-ald": Method(
        HEURISTIC,
        "convolved for operators without singular values",
        SMOOTH,
        guiding(ScoreALD, Ancestral("small")),
        steps=300,
        grid=Uniform(),
    ),
    "steered": Method(HEURISTIC, "moves each belief onto y", ("linear",), guiding(Steered)),
    "song22": Method(
        HEURISTIC, "replaces what y sees before each step", ("linear",), stepping(Song22), steps=300, grid=Uniform()
    ),
    "mcg": Method(HEURISTIC, "dps as published, then onto y", ("linear",), stepping(MCG), steps=300, grid=Uniform()),
    "gradpaint": Method(
        HEURISTIC,
        "a normalised gradient that also smooths seams",
        ("mask",),
        stepping(GradPaint),
        steps=300,
        grid=Uniform(),
    ),
    "copaint": Method(
        HEURISTIC, "optimises x_t before each step", ("differentiable",), stepping(CoPaint), steps=250, grid=Uniform()
    ),
    "repaint": Method(
        HEURISTIC,
        "shows what is known and walks stretches again",
        ("mask",),
        stepping(Repaint),
        steps=250,
        grid=Uniform(),
    ),
    "ilvr": Method(HEURISTIC, "replaces what y sees after each step", ("linear",), stepping(ILVR), grid=Uniform()),
    "ddnm": Method(HEURISTIC, "takes the measured part of each belief from y", SPECTRAL, stepping(DDNM)),
    "ddrm": Method(
        HEURISTIC,
        "restores each singular direction by its own rule: few steps",
        SPECTRAL,
        stepping(lambda m: DDRM(m, eta=1.0)),  # the paper's 0.85 gets more modes wrong on every grid that was tried
        steps=50,
        grid=Rectified(),
    ),
    "snips": Method(
        HEURISTIC,
        "Langevin dynamics in singular directions: slow",
        SPECTRAL,
        stepping(SNIPS),
        steps=60,
        grid=LogSNR(0.01),
    ),
    "diffpir": Method(HEURISTIC, "brings each belief near y and walks on", SPECTRAL, stepping(DiffPIR)),
    "daps": Method(
        HEURISTIC,
        "guesses x₀, draws it near y, adds noise of the next level",
        SPECTRAL,
        stepping(DAPS),
        grid=Karras(0.1, 100.0),
    ),
    "daps-langevin": Method(
        HEURISTIC,
        "daps by Langevin moves, for any likelihood",
        ("differentiable", "noise > 0"),
        stepping(lambda m: DAPS(m, draw="langevin")),
        grid=Karras(0.1, 100.0),
    ),
    "pnpdm": Method(
        HEURISTIC,
        "alternates between the model and y: sharp, but stuck in one mode",
        SPECTRAL,
        stepping(PnPDM),
        steps=50,
        grid=LogSNR(0.05, 10.0),
    ),
    "reddiff": Method(
        HEURISTIC,
        "optimises one picture: its spread means nothing",
        ("differentiable",),
        stepping(RedDiff),
        steps=500,
        grid=Uniform(),
    ),
}


def method(name: str) -> Method:
    """The row called ``name``. Raises UserError with the nearest known name."""
    if name not in METHODS:
        raise UserError(f"no method is called {name!r}.{suggest(name, METHODS)}")
    return METHODS[name]

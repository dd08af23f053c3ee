"""The parts under test: a new one is one line here and inherits every law of the conformance kit."""

from __future__ import annotations

from scorefield.noise import (
    EDM,
    VE,
    VP,
    Band,
    BetaTable,
    Cosine,
    Flow,
    Gaussian,
    GaussianJumps,
    GivenJumps,
    Markov,
    Neighbours,
    SubVP,
    binomial,
    keep,
    mask_and_replace,
    masking,
    uniform,
)
from scorefield.noise.tables import TABLES
from scorefield.solvers import NAMES, Exponential, Karras, LogSNR, Quadratic, Rectified, Trailing, Uniform, named

CONTINUOUS = [VP(), SubVP(), VE(), EDM(), Flow(), Cosine()]
SCHEDULES = CONTINUOUS + [BetaTable(betas, 1000, zero) for betas in TABLES for zero in (False, True)]
PROCESSES = [Gaussian(schedule) for schedule in SCHEDULES]
KEEPS = [keep.Linear(), keep.Cosine(), keep.Cosine(2.0, 0.0), keep.Sine(), keep.Polynomial(), keep.Polynomial(0.5)]
KEEPS += [keep.Geometric(), keep.Ending(keep.Linear(), 0.1), keep.Steps([0.02, 0.3, 0.5, 1.0])]
DISCRETE = [
    uniform(4),
    uniform(3, keep.Geometric()),
    uniform(3, keep.Sine(), law=[0.2, 0.3, 0.5]),
    masking(3),
    binomial(),
]
DISCRETE += [masking(4, keep.Cosine()), mask_and_replace(3), mask_and_replace(3, 0.5, 0.3, keep.Cosine())]
DISCRETE += [Markov(Neighbours(5)), Markov(Band(5), keep.Cosine()), Markov(GaussianJumps(6, 1.5))]
DISCRETE += [Markov(GivenJumps([[0, 2, 1], [1, 0, 1], [0.5, 1, 0]]))]  # reversible, not symmetric: π ∝ (1, 2, 2)
ORDERS = {name: entry.order for name, entry in NAMES.items() if entry.order and not entry.noisy}
SOLVERS = {name: named(name) for name in NAMES} | {
    "ddim, eta=0.5": named("ddim", 0.5),
    "dpmpp2m, eta=0.5": named("dpmpp2m", 0.5),
    "dpmpp3m, eta=1": named("dpmpp3m", 1.0),
    "exponential, order 4": Exponential(4),
    "dpm2m": Exponential(2, space="eps"),
    "deis in sigma": Exponential(3, space="eps", clock="sigma"),
    "sa-solver, spanned": Exponential(2, corrector=2, tau=0.7, tau_span=(0.05, 1.0), lower_final=True),
}
GRIDS = [Uniform(), Rectified(), Quadratic(), Karras(), LogSNR(), Trailing(1000)]

"""The parts under test: a new one is one line here and inherits every law of the conformance kit."""

from __future__ import annotations

from scorefield.noise import EDM, VE, VP, BetaTable, Cosine, Flow, Gaussian, SubVP
from scorefield.noise.tables import TABLES
from scorefield.solvers import NAMES, Exponential, Karras, LogSNR, Quadratic, Rectified, Trailing, Uniform, named

CONTINUOUS = [VP(), SubVP(), VE(), EDM(), Flow(), Cosine()]
SCHEDULES = CONTINUOUS + [BetaTable(betas, 1000, zero) for betas in TABLES for zero in (False, True)]
PROCESSES = [Gaussian(schedule) for schedule in SCHEDULES]
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

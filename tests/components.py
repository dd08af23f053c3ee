"""The parts under test: a new one is one line here and inherits every law of the conformance kit."""

from __future__ import annotations

from scorefield.noise import EDM, VE, VP, BetaTable, Cosine, Flow, Gaussian, SubVP
from scorefield.noise.tables import TABLES
from scorefield.solvers import Karras, LogSNR, Quadratic, Trailing, Uniform, named

CONTINUOUS = [VP(), SubVP(), VE(), EDM(), Flow(), Cosine()]
SCHEDULES = CONTINUOUS + [BetaTable(betas, 1000, zero) for betas in TABLES for zero in (False, True)]
PROCESSES = [Gaussian(schedule) for schedule in SCHEDULES]
ORDERS = {  # solver name: the order it claims, None where it draws noise
    "ddpm": None,
    "ddim": 1,
    "exponential2": 2,
    "exponential3": 3,
    "euler": 1,
    "heun": 2,
    "midpoint": 2,
    "rk4": 4,
}
SOLVERS = {name: named(name) for name in ORDERS} | {
    "ddim, eta=0.5": named("ddim", 0.5),
    "exponential2, eta=1": named("exponential2", 1.0),
    "exponential3, eta=1": named("exponential3", 1.0),
}
GRIDS = [Uniform(), Quadratic(), Karras(), LogSNR(), Trailing(1000)]

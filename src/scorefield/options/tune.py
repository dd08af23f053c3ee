"""The options of `scorefield tune`, and that of the commands which use what it stores."""

from __future__ import annotations

from .ema import AVERAGE
from .shared import RUN_HELP, WALK, WHERE, Command
from .values import Option

_SHARED = {option.name: option for option in WALK}

TABLE = Option(
    "table",
    "path",
    None,
    "Tuned sampler to walk: a file, or `no`; otherwise that of the run, where it fits and no solver is given.",
)

TUNE = Command(
    "tune",
    "RUN",
    RUN_HELP,
    "Fit a sampler of few steps to this very model; `sample` with as many steps then uses it.",
    (
        ("a sampler of six evaluations", "scorefield tune last steps=6"),
        ("several, one after the other", "scorefield tune last steps=4,6,8"),
        ("for guided samples, with more examples", "scorefield tune last steps=8 guidance=2 examples=1000"),
    ),
    (
        (
            "tuning",
            (
                Option("steps", "ints", [6], "Steps of each sampler, separated by commas.", low=2, common=True),
                _SHARED["guidance"]._replace(help="Strength of guidance to tune for; otherwise that of the run."),
                Option("examples", "int", None, "How many examples are fitted.", low=1, common=True),
                Option("held_out", "int", None, "How many others decide which iteration is kept.", low=1, common=True),
                Option(
                    "iterations",
                    "int",
                    None,
                    "Most iterations; it ends sooner when nothing improves.",
                    low=1,
                    common=True,
                ),
                Option(
                    "seed",
                    "int",
                    0,
                    "Seed of the noise; the same one and the same batch give the same table.",
                    low=0,
                    common=True,
                ),
                AVERAGE._replace(help="Width σ_rel of the averaged weights to tune on."),
            ),
        ),
        ("where", WHERE),
    ),
)

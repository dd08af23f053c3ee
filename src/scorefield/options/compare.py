"""The options of `scorefield compare`."""

from __future__ import annotations

from .shared import GRIDS, RUN_HELP, SPREAD, WALK, WHERE, Command
from .values import Option

COMPARED = ("ddim", "heun", "dpmpp2m", "unipc3", "flow2pc")  # deterministic, of orders 1 to 4
STEPS = (5, 10, 20)
_SHARED = {option.name: option for option in WALK}

COMPARE = Command(
    "compare",
    "RUN",
    RUN_HELP,
    "Which solver is most exact for its cost on this very model: error against network evaluations.",
    (
        ("the usual solvers at 5, 10 and 20 steps", "scorefield compare last"),
        ("your own choice", "scorefield compare last solvers=euler,heun,dpmpp2m steps=4,8,16,32"),
        ("under guidance, as numbers", "scorefield compare last class=3 guidance=2 out=numbers.csv"),
    ),
    (
        (
            "comparison",
            (
                Option(
                    "solvers",
                    "words",
                    list(COMPARED),
                    "Solvers to compare, separated by commas. With those that draw noise, distributions are compared.",
                    common=True,
                ),
                Option(
                    "steps",
                    "ints",
                    list(STEPS),
                    "Numbers of steps of each solver, separated by commas.",
                    low=1,
                    common=True,
                ),
                Option("n", "int", 64, "How many samples each figure is taken over.", low=2, common=True),
                Option(
                    "class",
                    "words",
                    None,
                    "Classes to sample, by number or name, taken in turn; otherwise all of them.",
                    common=True,
                ),
                _SHARED["guidance"],
                Option("grid", "choice", "auto", "Spacing of the solvers' steps in time.", choices=("auto", *GRIDS)),
                _SHARED["seed"],
            ),
        ),
        (
            "output",
            (
                Option(
                    "out",
                    "path",
                    None,
                    "File to write: .png, .csv or .json; otherwise a picture and a table in the run folder.",
                    common=True,
                ),
            ),
        ),
        ("where", (*WHERE, SPREAD)),
    ),
)

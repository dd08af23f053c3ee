"""The options of `scorefield calibrate`."""

from __future__ import annotations

from .ema import AVERAGE
from .measurement import MEASUREMENT, POSTERIOR
from .shared import RUN_HELP, WALK, WHERE, Command
from .values import Option

_SHARED = {option.name: option._replace(common=option.name == "steps") for option in WALK}
SOURCES = ("model", "data")

CALIBRATE = Command(
    "calibrate",
    "RUN",
    RUN_HELP,
    "Test whether draws given a measurement are as sure as they may be, on simulated measurements.",
    (
        ("super-resolution of the newest run", "scorefield calibrate last super=4 noise=0.05"),
        ("half of the picture hidden, another method", "scorefield calibrate last operator=half=right method=dps"),
        ("truths from held-out data: the model is tested, too", "scorefield calibrate last super=4 truth=data"),
    ),
    (
        ("what is measured", MEASUREMENT),
        (
            "simulations",
            (
                *POSTERIOR,
                Option(
                    "truth",
                    "choice",
                    "model",
                    "Where the true pictures come from: model tests the method, data the model as well.",
                    choices=SOURCES,
                    common=True,
                ),
                Option("n", "int", 64, "How many simulated measurements.", low=16, common=True),
                Option("draws", "int", 15, "Draws for each.", low=3, common=True),
                *(_SHARED[name] for name in ("steps", "guidance", "seed")),
                Option("class", "words", None, "The class to ask for, where the run knows some; otherwise left open."),
                AVERAGE,
            ),
        ),
        (
            "output",
            (
                Option(
                    "out", "path", None, "Page (.html) or numbers (.json) to write; otherwise a page in the run folder."
                ),
            ),
        ),
        ("where", WHERE),
    ),
)

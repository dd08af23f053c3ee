"""The options of `scorefield ema`, and that of the commands which use an average of any width."""

from __future__ import annotations

from .shared import RUN_HELP, WALK, WHERE, Command
from .values import Option

WIDTHS = (0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.12, 0.15, 0.20)
METRICS = ("loss", "energy", "frechet")
_SHARED = {option.name: option for option in WALK}

AVERAGE = Option(
    "ema",
    "float",
    None,
    "Width σ_rel of the averaged weights: one that the run kept, or any other, rebuilt from its snapshots.",
    above=0,
    high=0.28,
)

EMA = Command(
    "ema",
    "RUN",
    RUN_HELP,
    "Which width of the averaged weights is best: each is rebuilt from the run's snapshots and measured.",
    (
        ("by the loss on held-out data, in seconds", "scorefield ema last"),
        ("by samples, under guidance", "scorefield ema last metric=energy n=1000 guidance=1.5"),
        ("your own widths", "scorefield ema last widths=0.02,0.05,0.1,0.25"),
    ),
    (
        (
            "sweep",
            (
                Option(
                    "widths",
                    "floats",
                    list(WIDTHS),
                    "Widths σ_rel to compare, separated by commas; the last weights are always among them.",
                    above=0,
                    high=0.28,
                    common=True,
                ),
                Option(
                    "metric",
                    "choice",
                    "loss",
                    "What is measured: denoising loss on held-out data, or the distance of samples from them.",
                    choices=METRICS,
                    common=True,
                ),
                Option(
                    "n",
                    "int",
                    None,
                    "Noised examples of the loss, or samples of each width; otherwise what takes about a minute.",
                    low=20,
                    common=True,
                ),
                _SHARED["steps"],
                _SHARED["solver"],
                _SHARED["guidance"],
                _SHARED["seed"]._replace(help="Seed of the noise, which is the same for every width."),
            ),
        ),
        ("where", WHERE),
    ),
)

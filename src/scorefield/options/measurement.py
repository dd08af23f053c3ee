"""The options that say what was measured and how the posterior is drawn: `edit` and `calibrate` share them."""

from __future__ import annotations

from .values import Option

MEASUREMENT = (
    Option(
        "mask",
        "str",
        None,
        "What is hidden: a picture of the run's size, white where it is to be painted.",
        common=True,
    ),
    Option("super", "int", None, "The picture is so many times smaller: super-resolution.", low=2, common=True),
    Option(
        "blur",
        "str",
        None,
        "It is blurred: deviation of a Gaussian in pixels, or a picture of the kernel.",
        common=True,
    ),
    Option("grey", "bool", False, "Its colours are lost: colourise.", common=True),
    Option(
        "operator",
        "str",
        None,
        "Any other measurement: FILE.py:NAME, a function of yours, or a word such as half=left, radon=30, jpeg=10.",
        common=True,
    ),
    Option(
        "noise",
        "str",
        None,
        "Deviation of the noise on what was measured, black to white being 2; 0 for none; poisson:30, laplace:0.1.",
        common=True,
    ),
)
POSTERIOR = (
    Option("method", "str", None, "How the posterior is drawn, see docs/posterior.md.", common=True),
    Option("particles", "int", None, "tds, fps and the like: particles of each population.", low=2),
)

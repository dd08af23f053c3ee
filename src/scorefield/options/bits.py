"""The options of `scorefield bits`."""

from __future__ import annotations

from .shared import DATA_HELP, DEVICES, READING, Command
from .values import Option

_READING = {option.name: option._replace(common=False) for option in READING}

BITS = Command(
    "bits",
    "DATA",
    DATA_HELP,
    "Bits per dimension of systems made for likelihood, each trained on DATA (images), in one table.",
    (
        ("the usual five on the digits", "scorefield bits digits"),
        ("two of them, on your own images", "scorefield bits photos/ systems=vdm,pixelcnn++ size=16 minutes=5"),
        ("a quick look", "scorefield bits digits steps=200 n=32"),
    ),
    (
        (
            "table",
            (
                Option(
                    "systems",
                    "words",
                    None,
                    "Systems, separated by commas: ddpm, iddpm, iddpm-vlb, vdm, scoreflow, pixelcnn, pixelcnn++; "
                    "otherwise ddpm, iddpm, vdm, scoreflow, pixelcnn++.",
                    common=True,
                ),
                Option(
                    "steps", "int", None, "Optimiser steps of each; otherwise 1,200, or none where minutes are given.",
                    low=1, common=True,
                ),
                Option(
                    "minutes", "float", None, "Stop the training of each after this much time.", "minutes", above=0,
                    common=True,
                ),
                Option("n", "int", 128, "Held-out examples, the same for all, and as many training examples.", low=2,
                       common=True),
                Option("seed", "int", 0, "Seed of everything random.", low=0, common=True),
            ),
        ),
        ("data", (_READING["size"], _READING["color"], _READING["holdout"])),
        (
            "where",
            (
                Option("name", "str", None, "The runs are called NAME-SYSTEM; otherwise by the data."),
                Option("runs", "path", "runs", "Folder that holds the run folders and the table."),
                Option("device", "choice", "auto", "Where to compute; otherwise the best one found.", choices=DEVICES),
            ),
        ),
    ),
)  # fmt: skip

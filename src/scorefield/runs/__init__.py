"""A run folder and what one does with it. Importing this is free of torch; the verbs load it when they are called.

``train``    plan, write the folder, train in it, finish it       (``launching``, ``plan``, ``worker``, ``finish``)
``load``     a trained run, with ``.sample`` and ``.evaluate``    (``loading``, ``sample``, ``evaluate``, ``report``)
``evaluate_samples``  samples that anybody made               (``sets``)
``bits``     systems for likelihood side by side                  (``bits_table``)
``find``     runs on the disk                                     (``folder``, ``listing``, ``lock``)
``recipes``  every number that a plan chooses, in tables
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorefield.runs.api import (
        Bits,
        Display,
        DisplayFactory,
        Plan,
        Run,
        RunFolder,
        Samples,
        Silent,
        bits,
        evaluate_samples,
        find,
        load,
        train,
    )

__all__ = [
    "Bits",
    "Display",
    "DisplayFactory",
    "Plan",
    "Run",
    "RunFolder",
    "Samples",
    "Silent",
    "bits",
    "evaluate_samples",
    "find",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    """The public names, imported when the first of them is used."""
    if name not in __all__:
        raise AttributeError(f"module 'scorefield.runs' has no attribute {name!r}")
    from scorefield.runs import api

    return getattr(api, name)

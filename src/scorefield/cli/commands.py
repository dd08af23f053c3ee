"""The commands, each in a module of its own that is imported when it is asked for: help and errors stay fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from scorefield.cli.console import Console
from scorefield.cli.words import Request


class Outcome(NamedTuple):
    """What a command hands back: the object of ``--json``, the Python that does the same, what to try next."""

    result: dict[str, Any]
    python: Sequence[str] = ()
    following: Sequence[str] = ()
    code: int = 0


def _train(request: Request, console: Console) -> Outcome:
    from scorefield.cli import train

    return train.run(request, console)


def _sample(request: Request, console: Console) -> Outcome:
    from scorefield.cli import sample

    return sample.run(request, console)


def _edit(request: Request, console: Console) -> Outcome:
    from scorefield.cli import edit

    return edit.run(request, console)


def _encode(request: Request, console: Console) -> Outcome:
    from scorefield.cli import latents

    return latents.encode(request, console)


def _decode(request: Request, console: Console) -> Outcome:
    from scorefield.cli import latents

    return latents.decode(request, console)


def _interpolate(request: Request, console: Console) -> Outcome:
    from scorefield.cli import latents

    return latents.interpolate(request, console)


def _calibrate(request: Request, console: Console) -> Outcome:
    from scorefield.cli import calibrate

    return calibrate.run(request, console)


def _evaluate(request: Request, console: Console) -> Outcome:
    from scorefield.cli import evaluate

    return evaluate.run(request, console)


def _bits(request: Request, console: Console) -> Outcome:
    from scorefield.cli import bits

    return bits.run(request, console)


def _compare(request: Request, console: Console) -> Outcome:
    from scorefield.cli import compare

    return compare.run(request, console)


def _tune(request: Request, console: Console) -> Outcome:
    from scorefield.cli import tune

    return tune.run(request, console)


def _ema(request: Request, console: Console) -> Outcome:
    from scorefield.cli import ema

    return ema.run(request, console)


def _export(request: Request, console: Console) -> Outcome:
    from scorefield.cli import export

    return export.run(request, console)


def _data(request: Request, console: Console) -> Outcome:
    from scorefield.cli import data

    return data.run(request, console)


def _info(request: Request, console: Console) -> Outcome:
    from scorefield.cli import info

    return info.run(request, console)


def _report(request: Request, console: Console) -> Outcome:
    from scorefield.cli import report

    return report.run(request, console)


def _list(request: Request, console: Console) -> Outcome:
    from scorefield.cli import list

    return list.run(request, console)


def _recipes(request: Request, console: Console) -> Outcome:
    from scorefield.cli import recipes

    return recipes.run(request, console)


def _config(request: Request, console: Console) -> Outcome:
    from scorefield.cli import config

    return config.run(request, console)


def _doctor(request: Request, console: Console) -> Outcome:
    from scorefield.cli import doctor

    return doctor.run(request, console)


RUNNERS: dict[str, Callable[[Request, Console], Outcome]] = {
    "train": _train,
    "sample": _sample,
    "edit": _edit,
    "encode": _encode,
    "decode": _decode,
    "interpolate": _interpolate,
    "calibrate": _calibrate,
    "evaluate": _evaluate,
    "bits": _bits,
    "compare": _compare,
    "tune": _tune,
    "ema": _ema,
    "export": _export,
    "data": _data,
    "info": _info,
    "report": _report,
    "list": _list,
    "recipes": _recipes,
    "config": _config,
    "doctor": _doctor,
}

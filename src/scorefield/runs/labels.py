"""What a user writes for a class, as the numbers the network knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.errors import UserError, suggest

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

GOLDEN = (5**0.5 - 1) / 2  # of a circle: steps of this length fill it most evenly, however many there are
NO_CLASS = -1  # the null label of classifier-free guidance


def asked_labels(asked: Any, classes: Sequence[str], n: int) -> Tensor | None:
    """(n,) int64 labels: those asked for, taken in turn; all classes in turn when nobody asked; None without classes.

    ``asked`` is a class name, its number, ``none`` (unconditional, as an empty sequence is: the command line's
    ``class=none``), or a sequence of these; a tensor of n numbers too.
    Raises UserError for a class that the run did not learn."""
    if not classes:
        if asked is not None:
            raise UserError(f"class={_shown(asked)} was asked for, but this run learned no classes. Leave class out.")
        return None
    words = list(range(len(classes))) if asked is None else _sequence(asked)
    numbers = torch.tensor([_number(word, classes) for word in words] or [NO_CLASS], dtype=torch.int64)
    return numbers.repeat(-(-n // len(numbers)))[:n]


def _sequence(asked: Any) -> list[Any]:
    if torch.is_tensor(asked):
        return asked.reshape(-1).tolist()
    return [asked] if isinstance(asked, str | int) else list(asked)


def _number(word: Any, classes: Sequence[str]) -> int:
    text = str(word)
    if isinstance(word, str) and text in classes:  # a name comes before a number
        return list(classes).index(text)
    if text == "none":
        return NO_CLASS
    if text.lstrip("-").isdecimal() and NO_CLASS <= int(text) < len(classes):
        return int(text)
    if text.lstrip("-").isdecimal():
        raise UserError(f"class={text}, but this run has classes {_range(classes)}.")
    raise UserError(f"class {text!r} is not known.{suggest(text, classes)}")


def _range(classes: Sequence[str]) -> str:
    numbers = f"0…{len(classes) - 1}"
    named = list(classes) != [str(i) for i in range(len(classes))]
    return f"{numbers} ({', '.join(classes[:6])}{', …' if len(classes) > 6 else ''})" if named else numbers


def _shown(asked: Any) -> str:
    return ",".join(map(str, _sequence(asked)))


def in_proportion(run: Run, n: int) -> list[int] | None:
    """For a table, classes as often as the data have them, since its column of classes is a column like any other;
    None for other data. Class i depends on i alone: the shares are met by the golden ratio's steps round a circle."""
    shares = next((column.shares for column in run.schema if column.label), ()) if run.classes else ()
    if not shares:
        return None
    edges = torch.tensor(shares, dtype=torch.float64).cumsum(0)
    steps = (torch.arange(n, dtype=torch.float64) * GOLDEN + 0.5) % 1
    return torch.searchsorted(edges / edges[-1], steps, right=True).clamp(max=len(shares) - 1).tolist()


def forgets(config: dict[str, Any]) -> bool:
    """Whether a run learned to do without classes and conditions: some of its examples lost them."""
    objective = config["objective"]
    return bool(objective.get("label_dropout") or objective.get("inner", {}).get("label_dropout"))

"""Conditioning without retraining: what each kind of run can be given, as rows of one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scorefield.errors import UserError
from scorefield.options.edit import OF_PICTURES, OF_TEXT
from scorefield.runs.recipes_coded import VIEWS

if TYPE_CHECKING:
    from scorefield.runs.loading import Run


class Editing(NamedTuple):
    """How runs of a kind are edited: ``work`` (run, given, n, **options), and the options that mean something to it."""

    work: Callable[..., Any]
    options: tuple[str, ...]
    what: str  # it is given


def edit(run: Run, given: str | Path | None = None, n: int = 1, **options: Any) -> Any:
    """``n`` ways to keep what is given and make up the rest.

    Of a run on text ``given`` is a text with blanks, and the answer are ``Samples``: see ``runs.infilling.fill``. Of a
    run on images it is a picture of which something is known (``mask=``, ``super=``, ``blur=``, ``operator=`` …), and
    the answer is ``Restored``, draws from the posterior: see ``runs.restoring.restore``. Raises UserError for other
    runs, and for an option of the other kind."""
    if run.config["codec"]["type"] in VIEWS:
        raise UserError(
            f"edit keeps what is given as it stands, which {run.name} cannot: it diffuses "
            f"{', '.join(VIEWS[run.config['codec']['type']])} through the codec {run.config['codec']['type']}."
        )
    if run.kind not in EDITED:
        kinds = " and ".join(EDITED)
        raise UserError(
            f"edit fills in {kinds}, but {run.name} makes {run.kind}. In Python, posterior.draw takes any numbers."
        )
    if n < 1:
        raise UserError(f"n must be at least 1, got {n}. It is how many ways to fill it in are drawn.")
    row = EDITED[run.kind]
    _check(run, row, options)
    return row.work(run, given, n, **options)


def _check(run: Run, row: Editing, options: Mapping[str, Any]) -> None:
    elsewhere = {name for other in EDITED.values() for name in other.options} - set(row.options)
    for name, value in options.items():
        if name in elsewhere and value is not None:
            raise UserError(f"{name} does not go with {row.what}, which {run.name} is given. Leave {name} out.")


def _text(run: Run, given: Any, n: int, **options: Any) -> Any:
    from scorefield.runs.infilling import fill

    return fill(run, given, n, **options)


def _picture(run: Run, given: Any, n: int, **options: Any) -> Any:
    from scorefield.runs.restoring import restore

    return restore(run, given, n, **options)


EDITED: dict[str, Editing] = {
    "text": Editing(_text, OF_TEXT, "a text"),
    "images": Editing(_picture, OF_PICTURES, "a picture"),
}

"""The tuned tables that a run keeps, and whether one of them fits what is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scorefield.errors import UserError
from scorefield.runs.draft import settled
from scorefield.solvers import Table

if TYPE_CHECKING:
    from scorefield.runs.loading import Run


class Choice(NamedTuple):
    """The table to walk, None for none; where it lies, "" for nowhere; and what the user should know about it."""

    table: Table | None = None
    path: str = ""
    note: str = ""


def choose(
    run: Run, process: Any, asked: Any, *, steps: int | None, guidance: float, free: bool, usual: bool
) -> Choice:
    """The table that a sampling in ``steps`` walks.

    ``asked`` is None (a fitting one of the run, if any), yes (insist on it), no, a file or a ``Table``; ``free`` says
    that nobody named a solver, grid or eta; ``usual`` that the schedule is that of training. Raises UserError for a
    file that is no table, a table of another schedule or number of steps, and where a table is insisted on and none
    fits.
    """
    asked = settled(asked)
    if asked is False or (asked is None and not (free and usual)):
        return Choice()
    if not free:
        raise UserError("a table brings its own solver and times: leave out solver, grid and eta, or write table=no.")
    if asked is None or asked is True:
        found = _own(run, process, run.config["sample"]["steps"] if steps is None else steps, guidance)
        if asked is True and found.table is None:
            raise UserError(found.note or f"this run has no table of that many steps.{_again(run, steps, guidance)}")
        return found
    path = fspath(asked) if isinstance(asked, str | PathLike) else ""
    table = _read(Path(path), process) if path else asked
    table.check(process)
    if steps not in (None, table.nfe):
        raise UserError(f"{path or 'the table'} has {table.nfe} steps, got steps={steps}. Leave steps out.")
    return Choice(table, path, f"walks the table {path or 'given'}")


def kept(run: Run, guidance: float) -> Iterator[Choice]:
    """Every table of the run folder by steps: those that do not fit the weights, ``guidance`` or schedule as a note
    alone. Raises UserError for a file that is no table."""
    for steps, path in run.folder.tables() if run.folder else ():
        table = Table.load(path)
        try:
            table.check(run.process)
        except UserError as error:
            yield Choice(note=f"{path}: {error}")
            continue
        yield _judged(run, table, path, steps, guidance)


def _own(run: Run, process: Any, steps: int, guidance: float) -> Choice:
    if run.folder is None or not (path := run.folder.table_file(steps)).is_file():
        return Choice()
    table = _read(path, process)
    if table.nfe != steps:
        raise UserError(
            f"{path} has {table.nfe} steps, not {steps}: somebody renamed it. Sample with table=no, or tune."
        )
    return _judged(run, table, path, steps, guidance)


def _read(path: Path, process: Any) -> Table:
    table = Table.load(path)
    try:
        table.check(process)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return table


def _judged(run: Run, table: Table, path: Path, steps: int, guidance: float) -> Choice:
    made = table.made
    for name, own in identity(run, guidance).items():
        if made.get(name) != own:
            there, here = _valued(name, made.get(name)), _valued(name, own)
            return Choice(note=f"{path} is not used: it is for {there}, this is {here}.{_again(run, steps, guidance)}")
    return Choice(table, str(path), f"walks the tuned table {path}; table=no walks the usual solver")


def _valued(name: str, value: Any) -> str:
    return f"{name} {value:,.10g}" if isinstance(value, int | float) else f"no {name}"


def identity(run: Run, guidance: float) -> dict[str, float | None]:
    """What a table must have been tuned for to be used: the step of the weights, their average, the guidance."""
    return {"step": run.step, "ema": run.ema, "guidance": float(guidance)}


def _again(run: Run, steps: int | None, guidance: float) -> str:
    """How to make the table that is missing."""
    if run.folder is None:
        return ""
    usual = run.config["sample"]
    words = [f"steps={usual['steps'] if steps is None else steps}"]
    words += [f"guidance={guidance:g}"] * (guidance != usual["guidance"])
    first = next(iter(run.config["train"].get("ema") or ()), None)
    words += [f"ema={run.ema:g}"] * (run.ema is not None and run.ema != first)
    return f" To tune one: scorefield tune {run.folder.path} {' '.join(words)}"

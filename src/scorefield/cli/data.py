"""`scorefield data DATA`: what would be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns
from scorefield.cli.outputs import new_file
from scorefield.cli.pictures import show
from scorefield.cli.progress import counting
from scorefield.cli.python import call, command_line
from scorefield.cli.words import Request

if TYPE_CHECKING:
    from scorefield.data import Dataset

MOST_LISTED = 10  # classes, broken files
MOST_CATEGORIES = 4  # of a column


def run(request: Request, console: Console) -> Outcome:
    """Print the account of DATA and show some of it; without DATA, list the embedded sets."""
    if request.target is None:
        return _embedded(console)
    from scorefield.data import describe
    from scorefield.runs.source import open_source, source_of

    options = request.options
    out = new_file(options["out"], (".png",))
    with counting(console, "reading") as progress:
        dataset = open_source(source_of(request.target), dict(options), progress)
    _picture(dataset, options["n"], out, console)
    account = describe(dataset)
    rows = _rows(account) + ([("picture", str(out))] if out else [])
    for line in columns(rows):
        console.result(line)
    python = call("scorefield.open_data", request.target, request.given, without=("n", "out"))
    given = {k: v for k, v in request.given.items() if k not in ("n", "out")}
    return Outcome(
        account | {"picture": str(out) if out else None},
        [f"data = {python}", "scorefield.data.describe(data)"],
        [command_line("train", request.target, given)],
    )


def _embedded(console: Console) -> Outcome:
    from scorefield.data import EMBEDDED

    console.result("embedded sets: " + ", ".join(EMBEDDED))
    return Outcome({"embedded": list(EMBEDDED)}, ['scorefield.open_data("digits")'], ["scorefield data digits"])


def _picture(dataset: Dataset, count: int, out: Path | None, console: Console) -> None:
    """Draw examples spread evenly over the data on the terminal and, where asked, into a file."""
    import torch

    from scorefield.show.grid import picture

    rows = dataset.batch(torch.linspace(0, len(dataset) - 1, min(count, len(dataset))).long())
    if dataset.coded is not None:
        _coded(dataset, rows, out, console)
        return
    show(rows["x"] if dataset.kind == "images" else dataset.x, dataset.kind, console, dataset.schema)
    if out is not None:
        named: dict[str, Any] = {"classes": dataset.classes, "columns": dataset.columns, "labels": rows.get("label")}
        shown = dataset.x if dataset.schema else rows["x"]  # the picture of a table is its columns, not its rows
        named |= {"schema": dataset.schema, "labels": None if dataset.schema else named["labels"]}
        picture(shown, dataset.kind, max_items=count, title=dataset.name, **named).save(out)


def _coded(dataset: Dataset, rows: dict[str, Any], out: Path | None, console: Console) -> None:
    """Text, or images of categories in their colours."""
    from scorefield.data import codec_for
    from scorefield.runs.samples import seen
    from scorefield.show.grid import picture

    x, kind = seen(codec_for(dataset), rows["x"], dataset.kind)
    if kind != "text":
        show(x, kind, console)
    if out is not None:
        picture(x, kind, labels=rows.get("label"), classes=dataset.classes, title=dataset.name).save(out)


def _rows(account: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (
            "data",
            f"{account['name']}, {account['count']:,} {_kind(account['kind'])} to train on, "
            f"{account['held_out']:,} held out",
        ),
        ("shape", f"{'×'.join(map(str, account['shape']))} {account['dtype']}{_lasting(account)}"),
        *_numbers(account),
        ("classes", _classes(account)),
        ("duplicates", _duplicates(account)),
        ("mirroring", "yes: left and right mean the same" if account["flip_ok"] else "no"),
    ]
    rows += [(f"condition {name}", _condition(numbers)) for name, numbers in account["conditions"].items()]
    rows += [("captions", "; ".join(repr(c) for c in account["captions"]))] if account["captions"] else []
    rows += [("broken", line) for line in _broken(account["broken"])]
    return rows + [("note", note) for note in account["notes"]]


def _kind(kind: str) -> str:
    from scorefield.runs.story import PLURALS

    return PLURALS.get(kind, kind)


def _numbers(account: dict[str, Any]) -> list[tuple[str, str]]:
    """What the numbers are: of a table column by column, of text and categories how often each occurs."""
    if account["categories"]:
        found = account["categories"]
        common = ", ".join(f"{name} {share:.1%}" for name, share in found["common"].items())
        told = f"{found['codec']}, {found['count']:,} to choose from, {found['occurring']:,} occur: {common}"
        rows = [("made of", told), ("entropy", f"{found['entropy']:.3f} bits, were each one drawn by itself")]
        return rows + [("begins", repr(text)) for text in found["shown"][:1]]
    if account["table"]:
        return [("columns", f"{column['name']}: {_holds(column)}") for column in account["table"]]
    low, high = account["range"]
    return [("range", f"{low:g} to {high:g}"), ("mean ± std", _moments(account))]


def _holds(column: dict[str, Any]) -> str:
    """``int, 17 to 90, mean 38.6 ± 13.6``, ``text, 9 categories: Private (22,696), …``."""
    parts = [column["dtype"]]
    if "categories" in column:
        counts = list(column["categories"].items())
        shown = ", ".join(f"{name} ({count:,})" for name, count in counts[:MOST_CATEGORIES])
        more = ", …" if len(counts) > MOST_CATEGORIES else ""
        parts.append(f"{len(counts)} categories: {shown}{more}" if len(counts) != 1 else f"always {counts[0][0]}")
    if "low" in column:
        parts.append(f"{column['low']} to {column['high']}")
    if "mean" in column:
        parts.append(f"mean {column['mean']:.4g} ± {column['std']:.3g}")
    return ", ".join(parts + ([f"{column['missing']:,} missing"] if column["missing"] else []))


def _lasting(account: dict[str, Any]) -> str:
    """Of sounds the rate and the length in seconds."""
    rate = account["rate"]
    return f", {rate:,} Hz, {account['shape'][-1] / rate:.3g} s" if rate else ""


def _moments(account: dict[str, Any]) -> str:
    names = account["columns"] or [f"channel {i}" for i in range(len(account["mean"]))]
    several = len(account["mean"]) > 1
    parts = [
        f"{name + ' ' if several else ''}{mean:.4g} ± {std:.3g}"
        for name, mean, std in zip(names, account["mean"], account["std"], strict=False)
    ]
    return ", ".join(parts[:MOST_LISTED]) + (
        f" … and {len(parts) - MOST_LISTED} more" if len(parts) > MOST_LISTED else ""
    )


def _classes(account: dict[str, Any]) -> str:
    counts = account["classes"]
    if not counts:
        return "none"
    parts = [f"{name} ({count:,})" for name, count in list(counts.items())[: 2 * MOST_LISTED]]
    more = f" … and {len(counts) - len(parts)} more" if len(counts) > len(parts) else ""
    unlabelled = f"; {account['unlabelled']:,} without a class" if account["unlabelled"] else ""
    return f"{len(counts)}: {', '.join(parts)}{more}{unlabelled}"


def _condition(numbers: dict[str, float]) -> str:
    missing = f", not known for {numbers['unknown']:,}" if numbers["unknown"] else ""
    return f"{numbers['low']:g} to {numbers['high']:g}, mean {numbers['mean']:.4g} ± {numbers['std']:.3g}{missing}"


def _duplicates(account: dict[str, Any]) -> str:
    shared = account["shared_with_held_out"]
    aside = f"; {shared:,} held-out examples also occur in training" if shared else ""
    return f"{account['duplicates']:,}{aside}"


def _broken(files: list[dict[str, str]]) -> list[str]:
    lines = [f"{file['path']} {file['reason']}" for file in files[:MOST_LISTED]]
    more = len(files) - MOST_LISTED
    return [*lines, f"… and {more} more (strict=yes makes the first one an error)"] if more > 0 else lines

"""`scorefield bits DATA`: systems for likelihood side by side, as a table."""

from __future__ import annotations

from scorefield.cli import display
from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns, table
from scorefield.cli.python import call
from scorefield.cli.words import Request

ASKED = ("systems", "steps", "minutes", "n", "name", "runs", "seed", "device", "size", "color", "holdout")


def run(request: Request, console: Console) -> Outcome:
    """Train what is not trained yet, measure, print the table and where it lies."""
    word, options = request.word, request.options
    from scorefield.runs import bits

    opener = display.Opener(console.quiet)
    asked = {name: options[name] for name in ASKED if options[name] is not None}
    try:
        found = bits(word, display=opener, **asked)
    finally:
        opener.close()
    for line in table(found.cells):
        console.result(line)
    for line in columns([("note", note) for note in found.notes]):
        console.say(console.dim(line))
    for file in found.files:
        console.say(f"written to {file}")
    python = [f"found = {call('scorefield.runs.bits', word, request.given)}", "print(found.markdown())"]
    following = [f"scorefield report {row.run}" for row in found.rows[:1]]
    result = found.to_json() | {"files": [str(file) for file in found.files]}
    return Outcome(result, python, following)

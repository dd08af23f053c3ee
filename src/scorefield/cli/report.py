"""`scorefield report RUN`: write report.html again."""

from __future__ import annotations

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.outputs import new_file
from scorefield.cli.python import call
from scorefield.cli.words import Request


def run(request: Request, console: Console) -> Outcome:
    """Write the report; stdout is its path."""
    word, options = request.word, request.options
    out = new_file(options["out"], (".html",))
    from scorefield.runs import load

    path = load(word, runs=options["runs"]).report(out)
    console.result(str(path))
    console.say("Open it in a browser: it needs no network.")
    given = {k: v for k, v in request.given.items() if k == "runs"}
    python = [f"{call('scorefield.load', word, given)}.{call('report', options['out'], {})}"]
    return Outcome({"report": str(path)}, python, [f"scorefield info {word}"])

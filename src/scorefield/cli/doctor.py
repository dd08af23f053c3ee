"""`scorefield doctor [RUN]`: what is wrong with this machine or a run folder, and how to mend it."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console, is_plain
from scorefield.cli.python import call
from scorefield.cli.words import Request

if TYPE_CHECKING:
    from scorefield.runs.doctor import Finding

WIDTH = 100
COLORS = {"ok": "32", "note": "33", "problem": "1;31"}
BROKEN = 1  # the exit code where something is


def run(request: Request, console: Console) -> Outcome:
    """Print a line for each finding; the exit code is 1 when one of them is a problem."""
    found = _machine(request) if request.target is None else _run(request)
    indent = max(len(finding.name) for finding in found) + 2
    for finding in found:
        for line in _lines(finding, indent):
            console.result(line)
    count, notes = (sum(finding.level == level for finding in found) for level in ("problem", "note"))
    console.say(f"{count} problem{'s' * (count != 1)}, {notes} note{'s' * (notes != 1)}")
    given = {name: value for name, value in request.given.items() if name == "runs"}
    name = "doctor" if request.target is None else "checkup"
    python = [f"from scorefield.runs.{name} import {name}", call(name, request.target, given)]
    following = ["scorefield doctor last"] if request.target is None else [f"scorefield info {request.target}"]
    result = {"broken": bool(count), "findings": [finding._asdict() for finding in found]}
    return Outcome(result, python, following, BROKEN if count else 0)


def _machine(request: Request) -> list[Finding]:
    from scorefield.runs.doctor import doctor

    return doctor(request.options["runs"])


def _run(request: Request) -> list[Finding]:
    from scorefield.runs.checkup import checkup

    return checkup(request.word, request.options["runs"])


def _lines(finding: Finding, indent: int) -> list[str]:
    """Level, name and sentence, wrapped; what to do about it below."""
    level = f"{finding.level:<9}"
    colored = level if is_plain(sys.stdout) else f"\x1b[{COLORS[finding.level]}m{level}\x1b[0m"
    space = " " * (9 + indent)
    room = WIDTH - len(space)
    first, *rest = textwrap.wrap(finding.text or "-", room, break_long_words=False, break_on_hyphens=False)
    mend = textwrap.wrap(f"→ {finding.mend}", room, subsequent_indent="  ", break_on_hyphens=False)
    told = [*rest, *(mend if finding.mend else [])]
    return [f"{colored}{finding.name:<{indent}}{first}", *(space + line for line in told)]

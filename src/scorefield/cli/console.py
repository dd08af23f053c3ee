"""Where words go: results to stdout, progress to stderr. Colour only where a person watches a terminal that has it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType


def is_plain(stream: TextIO) -> bool:
    """True where escapes would be noise: a pipe or a file, NO_COLOR, a dumb terminal."""
    return not stream.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"


class Console:
    """The two streams of one command. ``quiet`` keeps stderr silent, ``json`` keeps prose off stdout. Of several
    processes that a launcher started only the first, ``rank`` 0, speaks; the others say what went wrong with them."""

    def __init__(self, quiet: bool = False, json: bool = False, rank: int = 0, size: int = 1) -> None:
        self.quiet, self.json, self.rank = quiet or rank > 0, json, rank
        self.size = size
        self.plain = is_plain(sys.stderr)

    def devices(self, asked: int | None) -> int | None:
        """How many processes share the work: as asked, else as many as a launcher started."""
        return asked or (self.size if self.size > 1 else None)

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 where it does not say."""
        return shutil.get_terminal_size((80, 24)).columns

    def say(self, text: str = "") -> None:
        """One line of progress to stderr. A reader who went away is not told, and nothing stops for it."""
        if not self.quiet:
            _write(sys.stderr, text + "\n")

    def overwrite(self, text: str) -> None:
        """Replace the last line of a terminal; the next ``say`` begins there."""
        if not self.quiet:
            _write(sys.stderr, f"\r\x1b[2K{text}")

    def result(self, text: str) -> None:
        """One line of result to stdout. Raises BrokenPipeError when nobody reads."""
        if not self.json and self.rank == 0:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def picture(self, drawing: RenderableType | None) -> None:
        """A coloured drawing on the terminal; nothing where it could not be seen."""
        if drawing is not None and not self.quiet and not self.plain:
            self.rich().print(drawing)

    def rich(self) -> RichConsole:
        """A rich console on stderr (imported here: help and errors do without)."""
        from rich.console import Console as RichConsole

        return RichConsole(file=sys.stderr, no_color=self.plain, highlight=False, soft_wrap=False)

    def emit_json(self, value: Any) -> None:
        """The one JSON object of ``--json``, to stdout."""
        if self.rank > 0:
            return
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n")
        sys.stdout.flush()

    def closing(self, python: Sequence[str], following: Sequence[str]) -> None:
        """The end of every command: the Python that does the same, and what to try next."""
        if python:
            self.say()
            self.say(self.dim("in Python"))
            for line in ("import scorefield", *python):
                self.say(f"  {line}")
        if following:
            self.say(self.dim("next"))
            for line in following:
                self.say(f"  {line}")

    def error(self, message: str) -> None:
        """``error: …`` to stderr, even when quiet."""
        word = "error" if self.plain else "\x1b[1;31merror\x1b[0m"
        who = f"process {self.rank}: " if self.rank else ""
        _write(sys.stderr, f"{word}: {who}{message}\n")

    def dim(self, text: str) -> str:
        """Text that steps back, on a terminal that can."""
        return text if self.plain else f"\x1b[2m{text}\x1b[0m"


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        silence(stream)


def silence(stream: TextIO) -> None:
    """Point a stream whose reader went away at nothing, so that neither we nor Python's exit complain."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)

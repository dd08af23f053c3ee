"""`scorefield COMMAND ...`: find the command, run it, and turn whatever goes wrong into a sentence and an exit code.

0 done · 1 failed · 2 the input cannot be used · 130 interrupted and saved. SCOREFIELD_DEBUG=1 shows tracebacks.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Sequence
from itertools import takewhile

from scorefield import __version__
from scorefield.cli import help as helping
from scorefield.cli.commands import RUNNERS, Outcome
from scorefield.cli.console import Console, silence
from scorefield.cli.words import Request, command_named, parse
from scorefield.errors import Reported, UserError

_ROOT = {"--help": helping.root, "-h": helping.root, "--version": lambda: f"scorefield {__version__}"}
TOGETHER = ("train", "sample", "evaluate", "compare")  # what several processes do; the first does the rest alone
ALIKE = 10.0  # seconds: what also befell the first process it has said by then, and its launcher has ended this one
_ANYWHERE = ("--json", "--quiet", "-q")  # flags that may also stand before the command

_MEMORY = (
    "out of memory. Use a smaller batch=..., a smaller size=..., or for training accumulate=2: "
    "half the memory, the same result. What was saved before stands."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name) and return its exit code. Nothing is raised."""
    words = list(sys.argv[1:] if argv is None else argv)
    console = Console("--quiet" in words or "-q" in words, "--json" in words, *place())
    try:
        return _run(words, console)
    except BrokenPipeError:
        silence(sys.stdout)
        return 0
    except KeyboardInterrupt:
        console.error("interrupted. What was saved stands: give the same command again.")
        return 130
    except Reported:
        return 2
    except UserError as error:
        return _failed(console, str(error), 2)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        where = f" ({error.filename})" if error.filename else ""
        message = f"the disk is full{where}. Free some space and give the same command again."
        return _failed(console, message, 2) if full else _unexpected(console, error)
    except Exception as error:  # the last line of defence: a person gets a sentence, a debugger the traceback
        exhausted = type(error).__name__ in ("MemoryError", "OutOfMemoryError")  # the second is torch's, not imported
        return _failed(console, _MEMORY, 1) if exhausted else _unexpected(console, error)


def _run(words: list[str], console: Console) -> int:
    ahead = list(takewhile(_ANYWHERE.__contains__, words))
    words = words[len(ahead) :]
    if not words or words == ["help"]:
        words = ["--help"]
    if words[0] in _ROOT:
        sys.stdout.write(_ROOT[words[0]]() + "\n")
        return 0
    if words[0] == "help":
        words = [*words[1:], "--help"]
    request = parse(command_named(words[0]), [*ahead, *words[1:]])
    if console.rank and (request.help or request.command.name not in TOGETHER):
        return 0
    if request.help:
        sys.stdout.write(helping.command(request.command, request.help == "all") + "\n")
        return 0
    return _finish(RUNNERS[request.command.name](request, console), request, console)


def place() -> tuple[int, int]:
    """The number of this process among those that torchrun or another launcher started, and how many those are."""
    number, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    return (int(number), int(size)) if number.isdigit() and size.isdigit() else (0, 1)


def _finish(outcome: Outcome, request: Request, console: Console) -> int:
    if request.json:
        console.emit_json(outcome.result)
    console.closing(outcome.python, outcome.following)
    return outcome.code


def _failed(console: Console, message: str, code: int) -> int:
    """The sentence; with SCOREFIELD_DEBUG=1 the traceback first."""
    if _debug():
        import traceback

        traceback.print_exc(file=sys.stderr)
    if console.rank:
        time.sleep(ALIKE)
    console.error(message)
    return code


def _unexpected(console: Console, error: BaseException) -> int:
    first = str(error).strip().splitlines()[:1]
    told = f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
    hint = "" if _debug() else " SCOREFIELD_DEBUG=1 before the same command shows where; please report it."
    return _failed(console, f"{told.rstrip('.')}. scorefield did not expect this.{hint}", 1)


def _debug() -> bool:
    return os.environ.get("SCOREFIELD_DEBUG", "") not in ("", "0")

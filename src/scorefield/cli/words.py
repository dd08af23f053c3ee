"""What was typed → a Request. `key=value`, `--key=value`, `--key value` and, of one letter, `-k value` mean the same;
flags are few."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from scorefield.errors import UserError, suggest
from scorefield.options import COMMANDS, Command, canonical, resolve
from scorefield.options.values import NO, YES

_SETTING = re.compile(r"^[A-Za-z][\w-]*(\.[A-Za-z_][\w-]*)*=")  # key=value, not ./a=b or /data/a=b
_FLAGS = {"--help": "help", "-h": "help", "--json": "json", "--quiet": "quiet", "-q": "quiet", "--version": "version"}


class Request(NamedTuple):
    """One command as typed: what it works on, its options, and how the answer is wanted."""

    command: Command
    target: str | None = None
    targets: tuple[str, ...] = ()  # all words that are no options; more than one for commands that say so
    given: Mapping[str, Any] = MappingProxyType({})  # what was typed, typed: the keys are the ones the user chose
    options: Mapping[str, Any] = MappingProxyType({})  # every option, defaults filled in
    json: bool = False
    quiet: bool = False
    help: str = ""  # "", "common" or "all"

    @property
    def word(self) -> str:
        """The DATA or RUN. Raises UserError where it was left out."""
        if self.target is None:
            it = self.command
            raise UserError(f"{it.name} needs {it.argument}: {it.argument_help}. For example: {it.examples[0][1]}")
        return self.target


class _Skeleton(ArgumentParser):
    """The flags; argparse's own messages become UserErrors."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (all: scorefield --help)")


def parse(command: Command, words: Sequence[str]) -> Request:
    """The words after the command → a Request.

    Raises UserError for an unknown flag or option, a value that cannot be used, a second argument."""
    skeleton = _Skeleton(prog=f"scorefield {command.name}", add_help=False, allow_abbrev=False)
    for flag, meaning in _FLAGS.items():
        skeleton.add_argument(flag, dest=meaning, action="store_true")
    skeleton.add_argument("words", nargs="*")
    settings, rest = _split(command, words)
    seen = skeleton.parse_intermixed_args(rest)
    if seen.help:
        return Request(command, help="all" if "all" in seen.words else "common")
    positional = [settings.pop(own) for own in _own(command) & settings.keys()] + seen.words
    options = resolve(command.name, settings)
    given = {name: options[name] for name in (canonical(command, key) for key in settings)}
    targets = _targets(command, positional)
    first = targets[0] if targets else None
    return Request(command, first, targets, given, options, seen.json, seen.quiet)


def _own(command: Command) -> set[str]:
    """The positional argument may be named: `scorefield train data=photos/`."""
    return {command.argument.lower()} - {"", *command.options}


def _split(command: Command, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """(options, everything else): the spellings of an option become one."""
    settings: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(reversed(words))
    while waiting:
        word = waiting.pop()
        letter = len(word) == 2 and word[0] == "-" and word[1] in command.options
        bare = word[1] if letter else word.removeprefix("--")
        if word in _FLAGS:
            rest.append(word)
        elif _SETTING.match(bare):
            key, _, value = bare.partition("=")
            settings[key.replace("-", "_")] = value
        elif bare and bare != word:
            settings[bare.replace("-", "_")] = _value(command, bare, waiting)
        else:
            rest.append(word)
    return settings, rest


def _value(command: Command, key: str, waiting: list[str]) -> str:
    """The word after ``--key``, taken off ``waiting``; a yes/no option may stand alone."""
    own = key in _own(command)
    option = None if own else command.options.get(canonical(command, key))
    following = waiting[-1].lower() if waiting else ""
    if option is not None and option.is_switch and following not in (*YES, *NO, "auto"):
        return "yes"
    if not waiting:
        raise UserError(f"{key} needs a value: {key}=... (all: scorefield {command.name} --help)")
    return waiting.pop()


def _targets(command: Command, words: list[str]) -> tuple[str, ...]:
    most = command.most if command.argument else 0
    if len(words) > most:
        extra = words[most]
        what = f"{'one' if most == 1 else f'at most {most} words:'} {command.argument}" if most else "no argument"
        hint = f" Options are written {extra}=5." if extra in command.options else " Options are written key=value."
        raise UserError(f"{command.name} takes {what}; {extra!r} is one more.{hint}")
    return tuple(words)


def command_named(word: str) -> Command:
    """The command called ``word``. Raises UserError with the nearest one."""
    if word in COMMANDS:
        return COMMANDS[word]
    kind = "flag" if word.startswith("-") else "command"
    raise UserError(f"unknown {kind} {word!r}.{suggest(word, COMMANDS)} (all: scorefield --help)")

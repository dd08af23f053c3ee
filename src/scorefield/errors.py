"""The one exception that a user's input can raise, and the hint that goes with an unknown word."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Something the user gave cannot be used. The message is one or two full sentences: what was given, what is
    needed, what to write instead. The command line prints it without a traceback and exits with code 2."""


class Reported(UserError):
    """A fault that the first of several processes reports: the others end with it and say nothing."""


def suggest(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'heun'?`` where a known word is close, else `` Known: ddim, euler, heun.``"""
    words = sorted(known)
    close = get_close_matches(word, words, 1)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(words)}."

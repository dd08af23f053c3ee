"""Texts on a terminal: what was filled in stands out, and a film shows it being written."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from scorefield.cli.console import Console, is_plain

if TYPE_CHECKING:
    from scorefield.runs.samples import Samples

SECONDS = 4.0  # of a film
STAGES = 5  # of a film where nothing can be drawn over
LINES = 12  # of a text that is shown beside files
FILLED = "\x1b[1;36m"
OPENING = 8  # characters of a text that is suggested to be gone on with


def marked(text: str, given: str, blank: str) -> str:
    """The text, with what was filled in standing out on a terminal that can; as it is where a token is more than one
    character, so that places do not agree."""
    kept = given.lower().endswith(".txt") or any(a not in (blank, b) for a, b in zip(given, text, strict=False))
    if kept or is_plain(sys.stdout) or len(text) < len(given):
        return text
    signs = (f"{FILLED}{b}\x1b[0m" if a == blank else b for a, b in zip(given, text, strict=False))
    rest = text[len(given) :]
    return "".join(signs) + (f"{FILLED}{rest}\x1b[0m" if rest else "")


def show_texts(samples: Samples, console: Console, most: int = 2) -> None:
    """The first texts, a few lines of each."""
    for i, text in enumerate(samples.texts[:most]):
        lines = text.split("\n")
        cut = [*lines[:LINES], "…"] if len(lines) > LINES else lines
        console.say(console.dim(f"── {i + 1} of {len(samples)}"))
        console.say("\n".join(cut))


def opening(samples: Samples) -> str:
    """A few characters that the run's alphabet has and that a shell leaves alone, from the first text."""
    plain = "".join(sign for sign in samples.texts[0] if sign.isalnum() or sign == " ")
    return plain.strip()[:OPENING]


def play(samples: Samples, console: Console) -> None:
    """The first text being written: over itself on a terminal, a few stages elsewhere."""
    if console.quiet or not samples.written:
        return
    frames = [(texts[0], caption) for texts, caption in zip(samples.written, samples.captions, strict=True)]
    if console.plain:
        from scorefield.show.embed import evenly

        for text, caption in evenly(frames, STAGES)[:-1]:
            console.say(f"{caption}\n{text}\n")
        return
    _over_itself(frames, console)


def _over_itself(frames: list[tuple[str, str]], console: Console) -> None:
    from rich.live import Live
    from rich.panel import Panel
    from rich.text import Text

    rich = console.rich()
    with Live(console=rich, refresh_per_second=20, transient=True) as live:
        for text, caption in frames:
            shown = "\n".join(text.split("\n")[: max(4, rich.height - 4)])
            live.update(Panel(Text(shown), title=caption, border_style="bright_black"), refresh=True)
            time.sleep(SECONDS / len(frames))

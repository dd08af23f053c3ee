"""What one sees while a model trains: live on a terminal, a line now and then elsewhere, nothing when quiet.

Made by a factory inside the process that trains (the first rank), from that process's own stderr.
"""

from __future__ import annotations

import math
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scorefield.cli.console import Console
from scorefield.cli.figures import bar, clock, compact, memory
from scorefield.runs.display import Display, Silent

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.console import RenderableType

    from scorefield.runs.plan import Plan
    from scorefield.training import Logged, Saved, Stopped

EVERY = 10.0  # seconds between plain lines
LABEL = 8  # width of the words at the left
LINES = 4  # of a text, in a pipe


class Opener:
    """Makes the display that suits the stderr of the process it is called in; travels to worker processes."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live: list[LiveDisplay] = []  # made in this process: a fault must not leave one running

    def __call__(self) -> Display:
        """A new display."""
        console = Console()
        if self._quiet or console.plain:
            return Silent() if self._quiet else PlainDisplay(console)
        made = LiveDisplay(console)
        self._live.append(made)
        return made

    def __reduce__(self) -> tuple[type[Opener], tuple[bool]]:
        """What was made here stays here."""
        return Opener, (self._quiet,)

    def close(self) -> None:
        """Leave the terminal as it was found, whatever happened."""
        for made in self._live:
            made.close()


class PlainDisplay:
    """One line every ten seconds: for pipes, files, dumb terminals and NO_COLOR."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spoke = -math.inf
        self._total: int | None = None
        self._last: Logged | None = None
        self._shown: Logged | None = None

    def started(self, plan: Plan) -> None:
        self._total, self._last = plan.config["train"].get("steps"), None
        for label, sentence in plan.rows:
            self._console.say(f"{label:<{LABEL}}{sentence}")
        for note in plan.notes:
            self._console.say(f"{'note':<{LABEL}}{note}")
        if plan.step:
            self._console.say(f"{'resume':<{LABEL}}goes on from step {plan.step:,}")

    def logged(self, event: Logged) -> None:
        self._last = event
        if time.monotonic() - self._spoke >= EVERY:
            self._tell(event)

    def preview(self, image: Image | str, path: Path) -> None:
        self._console.say(f"{'samples':<{LABEL}}{path}")
        if isinstance(image, str):
            self._console.say(textwrap.indent("\n".join(image.split("\n")[:LINES]), " " * LABEL))

    def saved(self, event: Saved) -> None:
        pass

    def stopped(self, event: Stopped) -> None:
        if self._last is not None and self._last is not self._shown:
            self._tell(self._last)
        if event.message:
            self._console.say(f"{'stopped':<{LABEL}}{event.message}")

    def note(self, sentence: str) -> None:
        self._console.say(f"{'note':<{LABEL}}{sentence}")

    def _tell(self, event: Logged) -> None:
        self._spoke, self._shown = time.monotonic(), event
        self._console.say(f"{'step':<{LABEL}}{position(event, self._total)}  {figures(event)}")


class LiveDisplay:
    """The newest samples above a progress bar with loss, speed and memory, redrawn four times a second."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._rich = console.rich()
        self._total: int | None = None
        self._losses: list[float] = []
        self._last: Logged | None = None
        self._heard = time.monotonic()
        self._picture: RenderableType | None = None
        self._live = Live(console=self._rich, get_renderable=self._draw, refresh_per_second=4, redirect_stdout=False)

    def started(self, plan: Plan) -> None:
        from rich.table import Table
        from rich.text import Text

        self._total = plan.config["train"].get("steps")
        self._losses, self._last, self._picture = [], None, None  # of an earlier stage
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold cyan", no_wrap=True, width=LABEL - 2)
        table.add_column(overflow="fold")
        for label, sentence in plan.rows:
            table.add_row(label, _dimmed(sentence))
        for note in plan.notes:
            table.add_row("note", Text(note))
        if plan.step:
            table.add_row("resume", Text(f"goes on from step {plan.step:,}"))
        self._rich.print(table)
        self._live.start()

    def logged(self, event: Logged) -> None:
        self._losses.append(event.loss)
        self._last, self._heard = event, time.monotonic()

    def preview(self, image: Image | str, path: Path) -> None:
        from rich.panel import Panel
        from rich.text import Text

        from scorefield.show.terminal import Blocks

        title = f"samples at step {int(path.stem.rpartition('-')[2]):,}"
        if isinstance(image, str):
            lines = "\n".join(image.split("\n")[: max(4, self._rich.height - 8)])
            self._picture = Panel(Text(lines), title=title, subtitle=_short(path), border_style="bright_black")
            return
        rows = max(4, self._rich.height - 8)  # the bar stays in sight below
        width = min(self._rich.width - 4, image.width, image.width * 2 * rows // image.height)
        self._picture = Panel.fit(Blocks(image, width), title=title, subtitle=_short(path), border_style="bright_black")

    def saved(self, event: Saved) -> None:
        pass

    def stopped(self, event: Stopped) -> None:
        self.close()
        if event.message:
            self.note(event.message)

    def note(self, sentence: str) -> None:
        from rich.text import Text

        self._rich.print(Text.assemble((f"{'note':<{LABEL}}", "bold cyan"), sentence))

    def close(self) -> None:
        """Leave the last picture standing and give the cursor back."""
        self._live.stop()
        self._rich.show_cursor(True)

    def _draw(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from scorefield.show.terminal import sparkline

        label = (f"{'step':<{LABEL}}", "bold cyan")
        if self._last is None:
            return Group(*self._pictures(), Text.assemble(label, "the first steps ..."))
        done, rest = bar(self._last.progress, max(10, min(40, self._rich.width - 56)))
        where = position(self._last, self._total, time.monotonic() - self._heard)
        trend = sparkline([math.log(loss) for loss in self._losses if 0 < loss < math.inf], 24)
        told = figures(self._last, trend)
        lines = [
            Text.assemble(label, (done, "green"), (rest, "bright_black"), f"  {where}"),
            Text(f"{'':<{LABEL}}{told}", no_wrap=True, overflow="ellipsis"),
        ]
        return Group(*self._pictures(), *lines)

    def _pictures(self) -> list[RenderableType]:
        return [self._picture] if self._picture is not None else []


def position(event: Logged, total: int | None, since: float = 0.0) -> str:
    """``6,120/10,000  61%  4:12 < 2:40``: steps, share, time spent, time left."""
    steps = f"{event.step:,}/{total:,}" if total else f"{event.step:,}"
    spent = event.seconds + since
    left = event.seconds * (1 - event.progress) / event.progress if event.progress > 0 else math.inf
    return f"{steps}  {min(event.progress, 1):.0%}  {clock(spent)} < {clock(max(0.0, left - since))}"


def figures(event: Logged, trend: str = "") -> str:
    """``loss 0.0312 █▇▅▃▁  grad 0.41  lr 2.0e-04  3,110 examples/s  0.9 GB``."""
    loss = f"loss {event.loss:.4g}" + (f" {trend}" if trend else "")
    rate = f"{compact(event.examples_per_second)} examples/s"
    return f"{loss}  grad {event.grad_norm:.2g}  lr {event.lr:.1e}  {rate}  {memory(event.memory)}"


def _dimmed(sentence: str) -> RenderableType:
    """The reasons after the dash step back."""
    from rich.text import Text

    fact, dash, why = sentence.partition(" — ")
    return Text.assemble(fact, (f"{dash}{why}", "dim"))


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 60 else f"…/{path.parent.name}/{path.name}"

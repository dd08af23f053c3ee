"""What a training run tells whoever watches it. The command line draws it; the library runs silently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

    from scorefield.runs.plan import Plan
    from scorefield.training import Logged, Saved, Stopped


class Display(Protocol):
    """Callbacks of one process (the first rank). None of them may change the run: no randomness, no model calls.

    A display is made by a factory, because the process that trains may not be the one that was called: the factory
    must be importable (a module-level function, or a ``functools.partial`` of one)."""

    def started(self, plan: Plan) -> None:
        """Before the first step; ``plan.rows`` tells the story, ``plan.step`` is where it goes on from."""

    def logged(self, event: Logged) -> None:
        """Loss, rates and how far the run is, every so many steps."""

    def preview(self, image: Image | str, path: Path) -> None:
        """Samples of the averaged denoiser: a picture small enough for a terminal, or a text; ``path`` is the large PNG
        just written."""

    def saved(self, event: Saved) -> None:
        """A checkpoint is on the disk."""

    def stopped(self, event: Stopped) -> None:
        """After the last step, whatever the reason."""

    def note(self, sentence: str) -> None:
        """One sentence outside the rhythm above: a name chosen, a run resumed, the evaluation begun."""


DisplayFactory = Callable[[], Display]


class Silent:
    """The display of the library: says nothing."""

    def started(self, plan: Plan) -> None:
        pass

    def logged(self, event: Logged) -> None:
        pass

    def preview(self, image: Image | str, path: Path) -> None:
        pass

    def saved(self, event: Saved) -> None:
        pass

    def stopped(self, event: Stopped) -> None:
        pass

    def note(self, sentence: str) -> None:
        pass

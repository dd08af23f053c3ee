"""Filling in what is left open of a text and keeping the rest: its blanks, and what follows its beginning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.data.alphabet import BLANK
from scorefield.data.text import ENDINGS
from scorefield.errors import UserError
from scorefield.guidance.infill import Infilled
from scorefield.runs.conditions import asked as asked_of
from scorefield.runs.draft import settled
from scorefield.runs.measuring import unit_of
from scorefield.runs.sample import Progress, course_of, unseen, walked
from scorefield.runs.samples import Samples
from scorefield.runs.tokens import left, sharpened

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

WINDOW = 13  # folded with the seed for the windows after the first


def fill(
    run: Run,
    given: str | Path | None,
    n: int = 1,
    *,
    blank: str = BLANK,
    length: int | None = None,
    steps: int | None = None,
    solver: str | None = None,
    guidance: float | None = None,
    label: Any = None,
    seed: int = 0,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    batch: int | None = None,
    trajectory: bool = False,
    progress: Progress | None = None,
) -> Samples:
    """``n`` ways to fill in what is open of ``given`` and keep the rest.

    ``given`` is a text, or a .txt file that holds it; every ``blank`` in it is a token to fill in, and with ``length``
    it goes on until it has so many tokens. A text that is longer than a window of the run is written in
    windows, each of which sees half of the one before. The other options are those of ``sample``. Raises UserError for
    nothing to fill in, and for signs that the run does not know.
    """
    if given is None:
        raise UserError('edit needs a text after the run. For example: scorefield edit last "To be, ____"')
    known, where, shown = _text(run, given, blank, length)
    asked = asked_of(run, label, None, n)
    course, choice = course_of(run, steps, settled(solver), None, None, guidance, seed, None, "no", True)
    base = sharpened(course.denoiser, {"temperature": temperature, "top_k": top_k, "top_p": top_p})
    state = _State(known.expand(n, -1).clone(), where.expand(n, -1).clone())
    parts, tell, size = windows(state.where, run.shape[0]), progress or unseen, len(course.times) - 1
    frames: list[Tensor] = []
    samples: Samples | None = None
    for k, part in enumerate(parts):
        view = state.window(part, run.shape[0])
        own = replace(course, denoiser=base, seed=seed if k == 0 else Rng.fold(seed, WINDOW, k))
        samples = walked(
            run,
            own,
            choice,
            asked,
            n,
            batch,
            trajectory,
            None,
            lambda done, total, before=k * size: tell(before + round(done * size / max(total, 1)), len(parts) * size),
            around=lambda denoiser, rows, view=view: Infilled(denoiser, view.known[rows], view.where[rows]),
        )
        ends = run.codec.encode(samples.x)
        frames += [state.with_window(part, frame, run.codec.classes)[:, :shown] for frame in samples.frames]
        state.fill(part, ends)
    assert samples is not None  # there is a window at least
    frames += [state.known[:, :shown]] if frames else []
    times = samples.times * len(parts) + (0.0,) * bool(frames)
    captions = tuple(left(run.process, t) for t in times) if frames else ()
    return replace(
        samples,
        x=run.codec.decode(state.known[:, :shown]),
        nfe=samples.nfe * len(parts),
        seed=seed,
        times=times,
        frames=tuple(frames),
        captions=captions,
    )


@dataclass
class _State:
    """What is known so far: tokens (n, T) where ``where`` (n, T) holds."""

    known: Tensor
    where: Tensor

    def window(self, part: range, width: int) -> _State:
        """The part, filled up with open places to the width of a window."""
        rows, missing = slice(part.start, part.stop), width - len(part)
        pad = torch.nn.functional.pad
        return _State(pad(self.known[:, rows], (0, missing)), pad(self.where[:, rows], (0, missing)))

    def with_window(self, part: range, state: Tensor, mask: int) -> Tensor:
        """The whole text while the part is written: ``mask`` where nothing is known yet."""
        whole = self.known.masked_fill(~self.where, mask)
        whole[:, part.start : part.stop] = state[:, : len(part)]
        return whole

    def fill(self, part: range, tokens: Tensor) -> None:
        """Take the part as written."""
        rows = slice(part.start, part.stop)
        self.known[:, rows] = torch.where(self.where[:, rows], self.known[:, rows], tokens[:, : len(part)])
        self.where[:, rows] = True


def windows(where: Tensor, width: int) -> list[range]:
    """The parts of a text, ``where`` (n, T) of which is known, in which it is written: each begins half a window after
    the one before, and those in which nothing is open are left out."""
    total, step = where.shape[1], max(1, width // 2)
    starts = range(0, max(total - width, 0) + step, step)
    parts = [range(min(start, max(total - width, 0)), min(start + width, total)) for start in starts]
    return [part for part in dict.fromkeys(parts) if not where[:, part.start : part.stop].all()]


def _text(run: Run, given: str | Path, blank: str, length: int | None) -> tuple[Tensor, Tensor, int]:
    """(tokens (1, T), which of them are known, how many of them to show)."""
    text, unit, codec = _read(given), unit_of(run), run.codec
    if len(blank) != 1:
        raise UserError(f"blank={blank} should be one sign, such as blank=_ or blank=?.")
    tokens = codec.of_text(text, blank)
    if length is not None and length < len(tokens):
        raise UserError(f"length={length} is less than the {len(tokens)} {unit}s given. Write a larger length.")
    shown = len(tokens) if length is None else length
    if shown == len(tokens) and not (tokens == codec.classes).any():
        raise UserError(
            f"Nothing is left open in {text[:40]!r}. Write {blank} where a {unit} is to be filled in (blank= another "
            f"sign), or length={len(tokens) + 100} to go on."
        )
    if not codec.end:
        shown_tokens = torch.nn.functional.pad(tokens, (0, shown - len(tokens)), value=codec.classes)
        return (*_open(shown_tokens, codec.classes), shown)
    if shown > run.shape[0]:
        raise UserError(f"{shown} {unit}s are more than the {run.shape[0]} that a line of this run has. Write fewer.")
    opened = torch.nn.functional.pad(tokens, (0, shown - len(tokens)), value=codec.classes)
    ended = torch.nn.functional.pad(opened, (0, run.shape[0] - shown), value=codec.classes - 1)
    return (*_open(ended, codec.classes), shown)


def _open(tokens: Tensor, mask: int) -> tuple[Tensor, Tensor]:
    where = tokens != mask
    return tokens.masked_fill(~where, 0)[None], where[None]


def _read(given: str | Path) -> str:
    path = Path(given) if len(str(given)) < 1000 else None
    if path is None or not str(given).lower().endswith(ENDINGS[0]):
        return str(given)
    if not path.expanduser().is_file():
        raise UserError(f"{path} does not exist. Give a text in quotes, or a .txt file that holds it.")
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}).") from error

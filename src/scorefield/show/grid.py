"""A picture of samples or data, whatever they are: images, vectors, signals, tables or texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from scorefield.errors import UserError, suggest

from .canvas import readable
from .numbers import array
from .plots import Drawing, Limits, histogram, lines, pairs, scatter, spans
from .tables import Column, draw_table
from .tiles import Layout, arrange, draw_tiles
from .writing import draw_texts

_DIMENSIONS = {"images": 4, "vectors": 2, "signals": 3, "table": 2, "text": 1}
_SHAPES = {"images": "(N, C, H, W)", "vectors": "(N, D)", "signals": "(N, C, L)", "table": "(N, C)", "text": "(N,)"}


def picture(
    x: object,
    kind: str,
    *,
    labels: object | None = None,
    classes: Sequence[str] = (),
    columns: Sequence[str] = (),
    schema: Sequence[Column] = (),
    reference: object | None = None,
    limits: Limits | None = None,
    across: int | None = None,
    max_items: int = 64,
    title: str | None = None,
) -> Image.Image:
    """Show what was sampled (or what would be trained on), so that one look says whether it is right.

    x          tensor or array. kind "images": uint8 (N, C, H, W), C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA (of more
               channels the first three); "vectors": (N, D), a histogram for D = 1, a scatter with equal axes for D = 2,
               else a pair plot of the first four columns; "signals": (N, C, L), one line plot each; "table": (N, C),
               NaN where a value is missing, a histogram or the shares of categories for each column of ``schema``;
               "text": (N,) strings, the first lines of each.
    labels     (N,) class numbers, -1 for none: a caption under images and signals, the colour of points.
    classes    names of the classes; columns: names of the columns of vectors or of the channels of signals.
    reference  real data of the same kind (any number), shown in grey below vectors and signals; images ignore it.
    limits     (lowest, highest) per column of vectors, or one for signals; without it from x and the reference. Give
               the same to every frame of a film (see ``limits_of``).
    across     images in a row; without it a slightly wide rectangle.
    max_items  at most this many images or signals, the first ones. Points are all
               shown, evenly thinned to 20,000 (5,000 in a pair plot).

    Returns an RGB picture on white: images enlarged by a whole factor to at least 480 pixels, plots 960 or 1,056 wide.
    Raises UserError on an unknown kind, a shape or type that does not fit it, or nothing to show.
    """
    values = _checked(array(x), kind)
    real = None if reference is None else _checked(array(reference), kind)
    numbers = None if labels is None else array(labels).reshape(-1).astype(np.int64)
    if numbers is not None and len(numbers) != len(values):
        raise UserError(f"{len(values)} {kind} came with {len(numbers)} labels. Give one label for each.")
    if kind not in ("vectors", "table"):
        values, numbers = values[:max_items], None if numbers is None else numbers[:max_items]
    named = tuple(classes), tuple(columns)
    return _DRAW[kind](_Asked(values, numbers, *named, real, limits, across, title, tuple(schema)))


def limits_of(x: object, reference: object | None = None) -> list[tuple[float, float]]:
    """The axes ``picture`` would choose: (lowest, highest) per column of vectors (N, D), or one pair for signals
    (N, C, L). Take them from the final samples and give them to every frame of a film."""
    values = array(x)
    real = None if reference is None else array(reference)
    if values.ndim == 3:
        values = values.reshape(-1, 1)
        real = None if real is None else real.reshape(-1, 1)
    return spans(values, real)


def layout_of(x: object, **options: object) -> Layout:
    """Where ``picture`` puts image i: ``layout_of(x).corner(i)``. Options: across, title, captions."""
    count, _, height, width = array(x).shape
    return arrange(count, height, width, **options)  # type: ignore[arg-type]


def thumbnail(x: object, kind: str, *, width: int = 80, rows: int = 4, schema: Sequence[Column] = ()) -> Image.Image:
    """The same for a terminal, at most ``width`` pixels wide and without words: images at their own size (or shrunk
    so that four fit in a row) with one pixel between them, at most ``rows`` rows; other kinds a small ``picture``."""
    values = _checked(array(x), kind)
    if kind != "images":
        return _bare(values, kind, width, schema)
    height, wide = values.shape[2:]
    shrink = max(1, -(-(wide + 1) * 4 // (width + 1)))
    layout = Layout(1, height, wide, 1, 1, shrink, gap=1, margin=0)
    across = max(1, min(len(values), (width + 1) // (layout.tile[1] + 1)))
    count = min(len(values), across * rows)
    return draw_tiles(values[:count], Layout(count, height, wide, across, 1, shrink, gap=1, margin=0))


def _bare(values: np.ndarray, kind: str, width: int, schema: Sequence[Column]) -> Image.Image:
    drawn = picture(values, kind, max_items=6, schema=schema)
    return drawn.resize((width, max(2, round(drawn.height * width / drawn.width))), Image.Resampling.BOX)


def _checked(values: np.ndarray, kind: str) -> np.ndarray:
    if kind not in _DIMENSIONS:
        raise UserError(f"Cannot draw {kind!r}.{suggest(kind, _DIMENSIONS)}")
    if values.ndim != _DIMENSIONS[kind] or values.size == 0:
        raise UserError(f"Cannot draw {kind} of shape {values.shape}: {_SHAPES[kind]} with no empty side is needed.")
    if kind == "images" and values.dtype != np.uint8:
        raise UserError(f"Images to draw must be uint8 from 0 to 255, not {values.dtype}: decode them with the codec.")
    return values


@dataclass(frozen=True)
class _Asked:
    """The arguments of ``picture``, checked."""

    x: np.ndarray
    numbers: np.ndarray | None
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    reference: np.ndarray | None
    limits: Limits | None
    across: int | None
    title: str | None
    schema: tuple[Column, ...] = ()

    def captions(self) -> tuple[str, ...]:
        """The class of each example by name, by number where it has no name in the font, nothing for no class."""
        numbers = () if self.numbers is None else self.numbers
        named = (self.classes[n] if 0 <= n < len(self.classes) else str(n) for n in numbers)
        plain = ("" if n < 0 else readable(name) for n, name in zip(numbers, named, strict=True))
        return tuple(
            str(n) if 2 * name.count("?") > len(name) else name for n, name in zip(numbers, plain, strict=True)
        )

    def groups(self) -> np.ndarray:
        """The colour of each example, (N,)."""
        return np.zeros(len(self.x), np.int64) if self.numbers is None else np.maximum(self.numbers, 0)


def _images(asked: _Asked) -> Image.Image:
    captions = asked.captions()
    layout = arrange(
        len(asked.x), *asked.x.shape[2:], across=asked.across, title=bool(asked.title), captions=bool(captions)
    )
    return draw_tiles(asked.x, layout, captions, asked.title)


def _vectors(asked: _Asked) -> Image.Image:
    draw: Callable[[Drawing], Image.Image] = {1: histogram, 2: scatter}.get(asked.x.shape[1], pairs)
    limits = asked.limits or spans(asked.x, asked.reference)
    names = asked.classes if asked.numbers is not None else ()
    return draw(Drawing(asked.x, asked.reference, asked.groups(), names, asked.columns, limits, asked.title))


def _signals(asked: _Asked) -> Image.Image:
    limits = asked.limits or limits_of(asked.x, asked.reference)
    drawing = Drawing(asked.x, asked.reference, asked.groups(), (), asked.columns, limits, asked.title)
    return lines(replace(drawing, captions=asked.captions()))


def _table(asked: _Asked) -> Image.Image:
    return draw_table(asked.x, asked.reference, asked.schema, asked.title) if asked.schema else _vectors(asked)


def _text(asked: _Asked) -> Image.Image:
    return draw_texts([str(text) for text in asked.x], asked.captions(), asked.title)


_DRAW: dict[str, Callable[[_Asked], Image.Image]] = {
    "images": _images,
    "vectors": _vectors,
    "signals": _signals,
    "table": _table,
    "text": _text,
}

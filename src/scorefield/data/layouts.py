"""What the axes of an array mean, decided by rules that can be read here and are said in the notes.

uint8, bool, uint16   (N, H, W)                        grey images
float                 (N, S, S), S >= 8, within ±1     grey images
any                   (N, C, H, W) or (N, H, W, C)     images of C = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA
other numbers         (N, C, L) or (N, L, C)           signals; the shorter axis is C
any numbers           (N, D) or (N,)                   vectors
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from scorefield.data.pixels import as_planes, centre_square
from scorefield.data.words import count, shape_of
from scorefield.errors import UserError

SMALLEST_IMAGE = 8
CHUNK = 1024
LUMA = np.array([19595, 38470, 7471], np.uint32).reshape(3, 1, 1)  # Rec. 601 in 1/65536, rounded as Pillow does


Step = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Layout:
    """Canonical values, uint8 (N, C, H, W) or float32, the sentences that say how they came about, and the same as
    functions: what was decided on some rows of a large array is done ``again`` to the others."""

    kind: str
    x: np.ndarray
    notes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    def then(self, step: Step, note: str | None = None) -> Layout:
        """After one more step."""
        notes = self.notes if note is None else (*self.notes, note)
        return Layout(self.kind, step(self.x), notes, (*self.steps, step))

    def again(self, rows: np.ndarray) -> np.ndarray:
        """Other rows of the same array, (B, ...) as stored, in the canonical form."""
        for step in self.steps:
            rows = step(rows)
        return rows


def read_layout(x: np.ndarray, where: str) -> Layout:
    """Numbers of any layout above to a ``Layout``; ``where`` names the array in errors.

    Raises ``UserError`` for no examples, other than real numbers, other than 1 to 4 axes, nan and infinity (naming
    the first), and images whose values fit none of [0, 1], [−1, 1] and 0 … 255.
    """
    if x.dtype.kind not in "buif":
        raise UserError(f"{where} holds {x.dtype} values. Save plain real numbers instead.")
    if not x.size:
        raise UserError(f"{where} has shape {shape_of(x.shape)}: there is nothing in it to train on.")
    readers = {1: _vectors, 2: _vectors, 3: _signals_or_grey, 4: _images}
    if x.ndim not in readers:
        raise UserError(
            f"{where} has shape {shape_of(x.shape)}. "
            "Usable are images (N, C, H, W), signals (N, C, L) and vectors (N, D)."
        )
    return readers[x.ndim](x, where)


def _vectors(x: np.ndarray, where: str) -> Layout:
    return Layout("vectors", x).then(lambda rows: finite(rows.reshape(len(rows), -1), where))


def _signals_or_grey(x: np.ndarray, where: str) -> Layout:
    if x.dtype in (bool, np.uint8, np.uint16):
        return _as_bytes(Layout("images", x).then(_with_channel), where)
    signals = Layout("signals", x).then(lambda rows: finite(rows, where))
    square = x.shape[1] == x.shape[2] >= SMALLEST_IMAGE
    if square and x.dtype.kind == "f" and np.abs(signals.x).max() <= 1:
        return _as_bytes(Layout("images", x).then(_with_channel), where)
    order = "(N, C, L)"
    if x.shape[2] < x.shape[1]:
        signals, order = signals.then(lambda rows: np.ascontiguousarray(rows.transpose(0, 2, 1))), "(N, L, C)"
    channels, length = signals.x.shape[1:]
    note = f"Signals were read as {order}: {count(channels, 'channel')} of length {length}."
    return Layout("signals", signals.x, (note,), signals.steps)


def _with_channel(rows: np.ndarray) -> np.ndarray:
    return rows[:, None]


def _images(x: np.ndarray, where: str) -> Layout:
    first, last = x.shape[1] in range(1, 5), x.shape[3] in range(1, 5)
    if not (first or last):
        raise UserError(
            f"{where} has shape {shape_of(x.shape)}. Images are (N, C, H, W) or (N, H, W, C) with 1 to 4 channels."
        )
    images = Layout("images", x)
    if last and (not first or x.shape[1] == x.shape[2] != x.shape[3]):
        images = images.then(lambda rows: rows.transpose(0, 3, 1, 2))
    return _as_bytes(images, where)


def _as_bytes(images: Layout, where: str) -> Layout:
    """(N, C, H, W) of any real dtype to uint8, transparency on white."""
    images = images if images.x.dtype == np.uint8 else _scaled(images, where)
    return images.then(_on_white, "Transparency was laid on white.") if images.x.shape[1] in (2, 4) else images


def _on_white(rows: np.ndarray) -> np.ndarray:
    alpha = rows[:, -1:].astype(np.uint32)
    over = rows[:, :-1] * alpha + 255 * (255 - alpha)
    return ((2 * over + 255) // 510).astype(np.uint8)


def _scaled(images: Layout, where: str) -> Layout:
    x = images.x
    values = finite(x, where)
    low, high = float(values.min()), float(values.max())
    whole = x.dtype.kind != "f" or bool((values == np.rint(values)).all())
    fraction = x.dtype.kind == "f" and high <= 1
    if x.dtype == bool:
        scale, shift, what = 255.0, 0.0, "True and False became 255 and 0."
    elif fraction and low >= 0:
        scale, shift, what = 255.0, 0.0, "Values in [0, 1] became 0 … 255."
    elif fraction and low >= -1:
        scale, shift, what = 127.5, 1.0, "Values in [−1, 1] became 0 … 255."
    elif whole and low >= 0 and high <= 255:
        scale, shift, what = 1.0, 0.0, f"Whole numbers 0 … 255 were stored as {x.dtype}; they are kept as bytes."
    elif x.dtype == np.uint16:
        scale, shift, what = 1 / 257, 0.0, "Values of 16 bits were scaled to 8 bits."
    else:
        raise UserError(
            f"{where} looks like images, {shape_of(x.shape)}, but its values run from {low:g} to {high:g}. "
            "Scale them to [0, 1], [−1, 1] or whole numbers 0 to 255; or reshape to (N, D) to train on vectors."
        )
    return images.then(lambda rows: _bytes(finite(rows, where), scale, shift, where), what)


def _bytes(values: np.ndarray, scale: float, shift: float, where: str) -> np.ndarray:
    """round((v + shift) · scale). Raises ``UserError`` for rows outside the range that it was chosen for."""
    levels = np.rint((values + shift) * scale)
    if levels.size and not 0 <= levels.min() <= levels.max() <= 255:
        raise UserError(
            f"{where} holds values from {values.min():g} to {values.max():g} in some rows, which do not fit the range "
            "of the others. Scale all of them to [0, 1], [−1, 1] or whole numbers 0 to 255."
        )
    return levels.astype(np.uint8)


def finite(x: np.ndarray, where: str) -> np.ndarray:
    """Numbers as float32 in an array of their own. Raises ``UserError`` naming the first index that is not finite."""
    with np.errstate(over="ignore"):
        values = np.array(x, np.float32)
    good = np.isfinite(values)
    if good.all():
        return values
    index = np.unravel_index(int(np.argmin(good)), x.shape)
    place = ", ".join(str(int(i)) for i in index)
    raise UserError(
        f"{where} holds {x[index]:g} at [{place}], the first of {count(int((~good).sum()), 'value')} that float32 "
        "cannot hold. Only finite numbers can be learned: repair or remove them."
    )


def adjust(layout: Layout, size: int | None, color: str) -> Layout:
    """Images brought to the wanted ``color`` ("auto" takes grey only if all are) and, if given, square ``size``."""
    x = layout.x
    coloured = x.shape[1] == 3
    if coloured and (color == "gray" or (color == "auto" and _all_gray(x))):
        layout = layout.then(_gray, "Three channels were reduced to one of grey.")
    if color == "rgb" and not coloured:
        layout = layout.then(lambda rows: np.repeat(rows, 3, axis=1))
    if size is not None and x.shape[2:] != (size, size):
        note = f"Images ({x.shape[3]}×{x.shape[2]}) are centre-cropped and resized to {size}×{size}."
        layout = layout.then(lambda rows: np.stack([_resized(image, size) for image in rows]), note)
    return layout


def _gray(x: np.ndarray) -> np.ndarray:
    return np.concatenate([_luma(x[i : i + CHUNK]) for i in range(0, len(x), CHUNK)])


def _all_gray(x: np.ndarray) -> bool:
    chunks = (x[i : i + CHUNK] for i in range(0, len(x), CHUNK))
    return all(bool((chunk == chunk[:, :1]).all()) for chunk in chunks)


def _luma(x: np.ndarray) -> np.ndarray:
    return ((x * LUMA).sum(1, keepdims=True) + 32768 >> 16).astype(np.uint8)


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    planes = np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    return as_planes(centre_square(Image.fromarray(planes), size), "gray" if len(image) == 1 else "rgb")

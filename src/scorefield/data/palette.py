"""Images of categories: class masks, pixel art, anything whose pixels are numbers of a palette. Their codec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from scorefield.data.alphabet import UNKNOWN, Lookup
from scorefield.data.dataset import Dataset
from scorefield.errors import UserError, suggest
from scorefield.registry import register, to_config

PALETTE, BINARY = "palette", "binary"  # what codec= may say of numbers that are categories
MASKED = (128, 128, 128)  # the colour of a pixel that is not known yet


@register("palette", "codec")
class Palette:
    """Each number of a palette that occurs is a category, in the order of the palette.

    ``colors`` are K triples of 0 … 255, ``values`` the K numbers that stand in the files, rising (None: 0 … K − 1).
    Raises UserError for lists that do not fit together and for fewer than two categories.
    """

    def __init__(self, colors: list[list[int]], values: list[int] | None = None) -> None:
        self.values = list(range(len(colors))) if values is None else list(values)
        if len(colors) < 2 or len(colors) != len(self.values) or sorted(set(self.values)) != self.values:
            raise UserError(
                f"A palette has two colours or more, and a rising number for each; got {len(colors)} colors and "
                f"{len(self.values)} values."
            )
        if any(len(color) != 3 or not all(0 <= part <= 255 for part in color) for color in colors):
            raise UserError("Each of colors must be three numbers from 0 to 255: red, green, blue.")
        self.colors, self.lookup = torch.tensor(colors, dtype=torch.uint8), Lookup(self.values)
        self.classes = self.lookup.count

    def __repr__(self) -> str:
        return f"Palette({self.classes})"

    def name(self, z: int) -> str:
        """What a category is called in lists: its number and its colour."""
        red, green, blue = self.colors[z].tolist()
        return f"{self.values[z]} #{red:02x}{green:02x}{blue:02x}"

    def encode(self, raw: Tensor) -> Tensor:
        """Numbers of the palette (B, *D) → int64 in 0 … K − 1. Raises UserError for a number that is none of them."""
        return self.lookup.index(raw, self._lacking)

    def decode(self, z: Tensor) -> Tensor:
        """Categories (B, *D) → uint8 numbers of the palette; a mask, which has none, becomes the first."""
        raw = self.lookup.back(z)
        return raw.masked_fill(raw == UNKNOWN, self.values[0]).to(torch.uint8)

    def pictures(self, z: Tensor) -> Tensor:
        """Categories (B, H, W), masks among them, in their colours: uint8 (B, 3, H, W), masks in grey."""
        colors = torch.cat((self.colors, torch.tensor([MASKED], dtype=torch.uint8))).to(z.device)
        return colors[z.long().clamp(max=self.classes)].movedim(-1, 1)

    def bytes(self) -> list[int]:
        """The palette as image files hold it: red, green and blue of each number from 0 on."""
        flat = [0] * (3 * (self.values[-1] + 1))
        for value, color in zip(self.values, self.colors.tolist(), strict=True):
            flat[3 * value : 3 * value + 3] = color
        return flat

    def _lacking(self, value: int, place: tuple[int, ...]) -> str:
        return (
            f"The palette of this data has no number {value} (example {place[0] + 1}). It has {self.classes}: "
            f"{', '.join(map(str, self.values[:8]))}{' …' if self.classes > 8 else ''}."
        )


def codec_of(values: Sequence[int], palette: Sequence[Sequence[int]] | None, where: str) -> Palette:
    """The codec of the rising numbers that occur, in the colours of the palette or in greys from black to white."""
    if len(values) < 2:
        raise UserError(f"Every pixel of {where} has the number {values[0]}. There is nothing to learn from it.")
    most = 255 if palette is None else len(palette) - 1
    if values[0] < 0 or values[-1] > most:
        raise UserError(f"{where} holds numbers from {values[0]} to {values[-1]}; its categories are 0 to {most}.")
    greys = [[round(255 * i / (len(values) - 1))] * 3 for i in range(len(values))]
    colors = greys if palette is None else [list(palette[value]) for value in values]
    return Palette(colors, None if list(values) == list(range(len(values))) else list(values))


def as_categories(dataset: Dataset, codec: str, palette: Sequence[Sequence[int]] | None = None) -> Dataset:
    """Grey images, or other whole numbers from 0 to 255, read as categories: ``codec`` "palette" takes every number
    that occurs for one, "binary" splits at the middle, 127.5.

    Raises ``UserError`` for colours, for other numbers and for data that do not fit into memory."""
    if codec not in SPLITS:
        raise UserError(f"codec={codec} does not apply to {dataset.kind}.{suggest(codec, SPLITS)}")
    where = f"'{dataset.source}'"
    parts = [dataset] if dataset.held_out is None else [dataset, dataset.held_out]
    numbers = [SPLITS[codec](_whole(part, where)) for part in parts]
    values = np.unique(np.concatenate([np.unique(x) for x in numbers])).tolist()
    made = codec_of(values, palette, where)
    note = f"Read as {made.classes} categories (codec={codec})."
    changed = [
        replace(part, x=torch.from_numpy(x), kind="categories", coded=to_config(made), columns=(), rate=None, key=None,
                flip_ok=False)
        for part, x in zip(parts, numbers, strict=True)
    ]  # fmt: skip
    return replace(changed[0], notes=(*dataset.notes, note), held_out=changed[1] if len(changed) > 1 else None)


def _whole(dataset: Dataset, where: str) -> np.ndarray:
    if not torch.is_tensor(dataset.x):
        raise UserError(f"{where} does not fit into memory, which categories must. Give a part of it.")
    x = dataset.x.numpy()
    if dataset.kind == "images":
        if x.shape[1] != 1:
            raise UserError(f"{where} has colours. Add color=gray, or give images with a palette.")
        return x[:, 0]
    whole = x.astype(np.uint8)
    if not (whole == x).all():
        raise UserError(f"{where} does not hold whole numbers from 0 to 255 alone, as categories are.")
    return whole


def palette_in(path: Path) -> list[list[int]] | None:
    """The colours that an ``.npz`` brings along as its array "palette", (K, 3) uint8; None where it has none."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            stored = archive["palette"] if "palette" in archive.files else None
    except (OSError, ValueError, EOFError, BadZipFile):
        return None  # told when the array itself is read
    fits = stored is not None and stored.ndim == 2 and stored.shape[1] == 3 and stored.dtype == np.uint8
    return stored.tolist() if fits and stored is not None else None


SPLITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    PALETTE: lambda x: x,
    BINARY: lambda x: (x > 127).astype(np.uint8),
}

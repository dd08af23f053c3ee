"""Data sets that need no file: handwriting shipped with the package, glyphs drawn on the fly, and 2-D laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

import numpy as np
import torch

from scorefield.data.dataset import Dataset
from scorefield.data.glyphs import SIZE, glyphs
from scorefield.data.toys import TOYS, toy


@dataclass(frozen=True)
class Embedded:
    """How to make a set from (seed, size wanted or None), and the fraction it holds out of itself."""

    build: Callable[[int, int | None], Dataset]
    holdout: float | None = None


def digits() -> Dataset:
    """1,797 handwritten digits, uint8 (N, 1, 8, 8), classes 0 … 9: real data that fits in a minute of CPU.

    Optical recognition of handwritten digits, test part (Alpaydin and Kaynak, UCI, 1998; CC BY 4.0). The original
    counts 0 … 16 of inked pixels per 4 × 4 block become round(255 · i / 16).
    """
    with (files("scorefield.data") / "assets" / "digits.npz").open("rb") as file, np.load(file) as stored:
        inked, labels = stored["inked"], stored["labels"]
    table = np.rint(np.arange(17) * 255 / 16).astype(np.uint8)
    return Dataset(
        name="digits",
        kind="images",
        x=torch.from_numpy(table[inked][:, None]),
        labels=torch.from_numpy(labels.astype(np.int64)),
        classes=tuple("0123456789"),
        source="digits",
    )


def _toy(name: str, seed: int, size: int | None) -> Dataset:
    return toy(name, seed)


EMBEDDED: dict[str, Embedded] = {
    "digits": Embedded(lambda seed, size: digits(), holdout=0.5),
    "glyphs": Embedded(lambda seed, size: glyphs(size=size or SIZE, seed=seed)),
    **{name: Embedded(partial(_toy, name)) for name in TOYS},
}

"""Sampled texts and images of categories as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scorefield.errors import UserError
from scorefield.show.files import write_aside
from scorefield.show.film import save_picture
from scorefield.show.writing import write_film

if TYPE_CHECKING:
    from scorefield.runs.samples import Samples

RULE = f"\n{'─' * 24}\n"  # between texts


def text(samples: Samples, path: Path) -> None:
    """Texts in one file, with a rule between them. Raises UserError for other samples."""
    if samples.kind != "text":
        raise UserError(f"{path.name}: a .txt holds text, but these samples are {samples.kind}. Use .npz.")
    write_aside(path, RULE.join(samples.texts) + "\n")


def texts(samples: Samples, path: Path, names: list[str]) -> None:
    """A folder with a .txt for each sample."""
    for i, one in enumerate(samples.texts):
        write_aside(_below(path, names, i) / f"{i:06d}.txt", one)


def palettes(samples: Samples, path: Path, names: list[str]) -> None:
    """A folder with a .png for each sample that holds the very numbers, with the palette of the data."""
    from PIL import Image

    for i, numbers in enumerate(samples.x.numpy()):
        image = Image.fromarray(numbers)
        image.putpalette(samples.codec.bytes())
        save_picture(_below(path, names, i) / f"{i:06d}.png", image)


def page(samples: Samples, path: Path) -> None:
    """The film of texts as a page of its own. Raises UserError for other samples, and without every step."""
    if not samples.written:
        raise UserError(
            f"{path.name} is the film of a text, which needs text and every step: sample with film=yes "
            "(trajectory=True), or end the name in .webp for pictures."
        )
    frames = [(RULE.join(few), words) for few, words in zip(samples.written, samples.captions, strict=True)]
    write_film(path, path.stem, frames)


def _below(path: Path, names: list[str], i: int) -> Path:
    """The folder of sample i: that of its class, where there are classes."""
    below = path / names[i] if names else path
    below.mkdir(parents=True, exist_ok=True)
    return below

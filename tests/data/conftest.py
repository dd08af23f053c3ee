"""Pictures on disk, and a cache that belongs to one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test alone."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SCOREFIELD_CACHE", str(folder))
    return folder


@pytest.fixture
def noise() -> Callable[..., Image.Image]:
    """A random RGB picture of the given width, height and seed."""

    def draw(width: int = 40, height: int = 40, seed: int = 0) -> Image.Image:
        return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))

    return draw


@pytest.fixture
def photos(tmp_path: Path, noise: Callable[..., Image.Image]) -> Path:
    """A folder of two classes with three 40 × 40 pictures each."""
    folder = tmp_path / "photos"
    for i, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for j in range(3):
            noise(seed=10 * i + j).save(folder / name / f"{j}.png")
    return folder

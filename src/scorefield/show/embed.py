"""Pictures as text inside a page, within a budget of bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

_SMALLEST = 120  # pixels; below this the budget is exceeded rather than the picture lost


def data_uri(image: Image.Image, budget: int) -> str:
    """``data:image/webp;base64,…`` of the picture in at most ``budget`` bytes before base64: lossless where that
    fits, else as good as it can be, at last smaller. Pixel art and plots stay exact, noise becomes lossy."""
    return "data:image/webp;base64," + b64encode(_webp(image, budget)).decode("ascii")


def _webp(image: Image.Image, budget: int) -> bytes:
    image = image.convert("RGBA" if image.mode in ("RGBA", "LA", "PA") else "RGB")
    quick = _encoded(image, lossless=True, quality=0, method=0)
    if len(quick) <= 2 * budget:  # otherwise the thorough search, ten times slower, would not help either
        exact = _encoded(image, lossless=True, quality=60, method=2)
        if len(exact) <= budget:
            return exact
    while True:
        found = _encoded(image, quality=75, method=2)
        if len(found) <= budget:
            finer = _encoded(image, quality=92, method=2)
            return finer if len(finer) <= budget else found
        coarser = _encoded(image, quality=55, method=2) if len(found) <= 1.3 * budget else found
        if len(coarser) <= budget:
            return coarser
        shrink = min(0.9, 0.97 * (budget / len(found)) ** 0.5)  # bytes go with the area
        if min(image.size) * shrink < _SMALLEST:
            return _encoded(image, quality=40, method=4)
        size = (round(image.width * shrink), round(image.height * shrink))
        image = image.resize(size, Image.Resampling.LANCZOS)


def _encoded(image: Image.Image, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()


def evenly(items: Sequence, most: int) -> list:
    """At most ``most`` of the items, the first and the last among them, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]

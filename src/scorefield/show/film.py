"""Pictures on disk, standing or moving."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from scorefield.errors import UserError, suggest

from .files import write_aside

_STANDING: dict[str, tuple[str, dict[str, object]]] = {
    ".png": ("PNG", {"optimize": True}),
    ".webp": ("WEBP", {"lossless": True, "method": 4}),
    ".jpg": ("JPEG", {"quality": 92}),
    ".jpeg": ("JPEG", {"quality": 92}),
    ".gif": ("GIF", {}),
}
# allow_mixed lets WebP choose lossless for flat frames and lossy for noise; disposal 2 keeps GIF frames independent
_MOVING: dict[str, tuple[str, dict[str, object]]] = {
    ".webp": ("WEBP", {"quality": 88, "method": 3, "allow_mixed": True}),
    ".gif": ("GIF", {"disposal": 2, "optimize": False}),
    ".png": ("PNG", {}),
    ".apng": ("PNG", {}),
}


def save_picture(path: str | Path, image: Image.Image) -> Path:
    """Write one picture; the suffix says how: .png, .webp (lossless), .jpg or .gif. Replaces what is at ``path``.

    Raises UserError on another suffix or a disk that cannot be written.
    """
    name, options = _format(path, _STANDING)
    return write_aside(path, _encoded([image], name, options))


def save_film(
    path: str | Path, frames: Sequence[Image.Image], *, seconds: float = 4.0, hold: float = 1.5, loop: bool = True
) -> Path:
    """Write frames as a moving picture, so that one can watch noise become data.

    The suffix says how: .webp (small), .gif (256 colours, plays everywhere) or .png (animated PNG, lossless). The
    frames, all of one size, share ``seconds`` evenly; the last one stays ``hold`` seconds longer; then it starts again
    unless ``loop`` is off. Equal neighbours may be stored as one longer frame. Replaces what is at ``path``.

    Raises UserError on another suffix, no frames, frames of different sizes, or a disk that cannot be written.
    """
    name, options = _format(path, _MOVING)
    if not frames or len({frame.size for frame in frames}) > 1:
        sizes = sorted({frame.size for frame in frames})
        raise UserError(f"A film needs at least one frame and all of one size, not {sizes or 'none'}.")
    if seconds <= 0 or hold < 0:
        raise UserError(f"A film of {seconds} seconds that holds {hold} cannot be played: give seconds > 0, hold >= 0.")
    each = max(20, round(1000 * seconds / len(frames)))  # viewers treat less than 20 ms as 100 ms
    last = each + round(1000 * hold)
    timing = {
        "duration": [each] * (len(frames) - 1) + [last] if len(frames) > 1 else last,
        **({"loop": 0} if loop else _ONCE[name]),
    }
    return write_aside(path, _encoded(frames, name, {**options, **timing}))


_ONCE: dict[str, dict[str, object]] = {"WEBP": {"loop": 1}, "PNG": {"loop": 1}, "GIF": {}}


def _format(path: str | Path, table: dict[str, tuple[str, dict[str, object]]]) -> tuple[str, dict[str, object]]:
    suffix = Path(path).suffix.lower()
    if suffix not in table:
        raise UserError(f"Cannot write a picture as {suffix or 'a file without suffix'!r}.{suggest(suffix, table)}")
    return table[suffix]


def _encoded(frames: Sequence[Image.Image], name: str, options: dict[str, object]) -> bytes:
    first, *rest = (_prepared(frame, name) for frame in frames)
    buffer = BytesIO()
    more = {"save_all": True, "append_images": rest} if rest else {}
    first.save(buffer, name, **more, **options)
    return buffer.getvalue()


def _prepared(image: Image.Image, name: str) -> Image.Image:
    """RGB for JPEG; for GIF 256 colours of each frame's own, without dithering, which would shimmer."""
    if name == "GIF":
        return image.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    return image.convert("RGB") if name == "JPEG" else image

"""One image file becomes a square of bytes, and every conversion on the way is named rather than silent."""

from __future__ import annotations

import struct
import zlib
from io import SEEK_END
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from scorefield.data.decoding import Decoded
from scorefield.data.files import DAMAGE as ARCHIVE_DAMAGE
from scorefield.data.files import Opener
from scorefield.data.words import count

ORIENTATION = 0x0112
WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")

# What each mode becomes, and what that conversion is called; modes not named here are other colour spaces.
PLAIN: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("L", "LA", "La"), ("L", ())),
    **dict.fromkeys(("RGB", "RGBA", "RGBa", "RGBX"), ("RGB", ())),
    **dict.fromkeys(("P", "PA"), ("RGB", ("palette",))),
    "CMYK": ("RGB", ("cmyk",)),
    "1": ("L", ("other",)),
}
DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
MOVING = ("GIF", "WEBP", "PNG", "AVIF")

# What Pillow and its many format readers raise on damaged files; whoever reads turns the bomb warning into an error.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, RuntimeError,
    struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip

SENTENCES = {
    "palette": "Palette colours were written out in {}.",
    "alpha": "Transparency was laid on white in {}.",
    "deep": "Values of more than 8 bits were brought to 8 bits in {}.",
    "cmyk": "CMYK was converted to RGB in {}.",
    "other": "Another colour space (YCbCr, HSV or 1-bit) was converted in {}.",
    "upright": "EXIF orientation was applied to {}.",
    "moving": "Only the first frame was taken of {} that hold an animation.",
    "enlarged": "Bicubic enlargement was needed for {} below the chosen size.",
}


def read_image(opener: Opener, size: int, color: str) -> Decoded:
    """One file to uint8 (1, S, S) for ``color="gray"`` or (3, S, S) for ``"rgb"``; never raises for what it holds.

    ``gray`` of the result says whether the picture itself has no colour, whatever mode it was stored in.
    """
    try:
        with opener() as file:
            try:
                with Image.open(file) as image:
                    return _decode(image, size, color)
            except DAMAGE as error:
                return Decoded(None, reason=reason_for(file, error))
    except ARCHIVE_DAMAGE as error:
        return Decoded(None, reason=reason_for(None, error))


def size_of(opener: Opener) -> tuple[int, int] | None:
    """(width, height) as stored, from the head of the file alone; None where it is no image."""
    try:
        with opener() as file, Image.open(file) as image:
            return image.size
    except (*DAMAGE, *ARCHIVE_DAMAGE):
        return None


def _decode(image: Image.Image, size: int, color: str) -> Decoded:
    steps = ["moving"] if image.format in MOVING and getattr(image, "n_frames", 1) > 1 else []
    # A JPEG can leave out detail while it decodes; twice the wanted edge keeps what the resize below needs.
    image.draft(None, (2 * size, 2 * size))
    if image.getexif().get(ORIENTATION, 1) not in (0, 1):
        steps.append("upright")
    flat, more = flatten(ImageOps.exif_transpose(image))
    if min(flat.size) < size:
        more += ("enlarged",)
    square = centre_square(flat, size)
    gray = square.mode == "L" or is_gray(np.asarray(square))
    return Decoded(as_planes(square, color), gray, (*steps, *more))


def flatten(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Any Pillow mode to ``L`` or ``RGB``, with the names of the conversions made.

    Transparency is composited on white; 16-bit values v become round(v/257); float images must lie in [0, 1] or
    [0, 255]. Raises ``ValueError`` for numbers outside those ranges and for modes that Pillow cannot convert.
    """
    if image.mode in DEEP:
        return _eight_bits(image), ("deep",)
    plain, steps = PLAIN.get(image.mode, ("RGB", ("other",)))
    if image.mode not in WITH_ALPHA and "transparency" not in image.info:
        return image.convert(plain), steps
    colours = image.convert("RGBA")
    if colours.getchannel("A").getextrema() == (255, 255):
        return colours.convert(plain), steps
    flat = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
    return flat.convert(plain), (*steps, "alpha")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 65535:
        raise ValueError(f"its numbers run from {low:g} to {high:g}; 0 to 65535 can be scaled")
    if image.mode == "F":
        if high > 255:
            raise ValueError(f"its decimal numbers run up to {high:g}; 0 to 1 or 0 to 255 can be scaled")
        values *= 255 if high <= 1 else 1
    elif image.mode != "I" or high > 255:
        values /= 257
    return Image.fromarray(np.rint(values).astype(np.uint8))


def centre_square(image: Image.Image, size: int) -> Image.Image:
    """The largest centred square, brought to ``size`` × ``size``.

    Whole-number factors are exact area averages; what remains (below a factor of 2) is Pillow's anti-aliased bicubic.
    """
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    # Cropped before resizing, so that Pillow's whole-number reduction is aligned with the square.
    square = image.crop((left, top, left + edge, top + edge))
    return square.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=1.0)


def as_planes(image: Image.Image, color: str) -> np.ndarray:
    """An ``L`` or ``RGB`` image to (1, H, W) for ``"gray"`` (Rec. 601 luma) or (3, H, W) for ``"rgb"``."""
    values = np.asarray(image.convert({"gray": "L", "rgb": "RGB"}[color]))
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def is_gray(pixels: np.ndarray) -> bool:
    """Whether (H, W, 3) has three equal channels."""
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())


def reason_for(file: BinaryIO | None, error: BaseException) -> str:
    """Why a file cannot be used, in words that complete "'cat.png' ..."."""
    if type(error) in (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return f"has more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels, as decompression bombs do"
    if type(error) is FileNotFoundError:
        return "does not exist"
    if type(error) is PermissionError:
        return "may not be read (permission denied)"
    if file is not None and not file.seek(0, SEEK_END):
        return "is empty (0 bytes)"
    if type(error) is UnidentifiedImageError:
        return "is not an image that Pillow can read"
    if "truncated" in str(error).lower():
        return "is cut short"
    return f"cannot be decoded ({error or type(error).__name__})"


def notes_of(steps: dict[str, int]) -> tuple[str, ...]:
    """Counts of conversions as sentences, in a fixed order."""
    return tuple(text.format(count(steps[name], "image")) for name, text in SENTENCES.items() if steps.get(name))

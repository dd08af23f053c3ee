"""Black-and-white pictures that say where: brush masks and blur kernels from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError


def grey(picture: Any) -> Tensor:
    """A path or a PIL image as float64 (H, W) in [0, 1]; transparent is black. Raises UserError for what is no
    picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(picture) if isinstance(picture, str | Path) else picture
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            black = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(black, image)
        values = np.asarray(image.convert("L"), dtype=np.float64)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError(f"'{picture}' is not a picture that can be read: {error}") from error
    return torch.from_numpy(values / 255)


def white(picture: Any, event: tuple[int, ...]) -> Tensor:
    """Where a picture is white (≥ 50 %), bool (H, W). Raises UserError unless it has the size of an event (C, H, W)."""
    values = grey(picture)
    if len(event) != 3 or tuple(values.shape) != tuple(event[1:]):
        h, w = values.shape
        raise UserError(
            f"the mask has {h}x{w} pixels, but an example has shape {tuple(event)}. "
            "Save it with the height and width of the model's pictures."
        )
    return values >= 0.5

"""Two small sets, two images and weights that anybody can make again: what official.json holds the figures of."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from scorefield.metrics.inception import InceptionV3


def noise(*shape: int, start: int = 0) -> np.ndarray:
    """Numbers in [0, 1) without visible order, the same in every version of every library."""
    count = int(np.prod(shape))
    return (np.sin(np.arange(start, start + count) * 12.9898) * 43758.5453 % 1).reshape(shape)


ROWS = {"fake": (noise(60, 5) - noise(60, 5, start=300)) * 1.5 + 1, "real": noise(60, 5, start=600) * 2}
IMAGES = torch.from_numpy((noise(2, 3, 32, 48) * 256).astype(np.uint8))
PLACES = torch.arange(0, 2048, 128)


def weights(counts: bool = False) -> dict[str, Tensor]:
    """Weights for the FID network under which features differ between images; ``counts`` adds what only torch needs."""
    found: dict[str, Tensor] = {}
    start = 0
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in InceptionV3().state_dict().items()}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            found |= {name: torch.tensor(0)} if counts else {}
            continue
        values = torch.from_numpy(noise(*shape, start=start)).float()
        start += values.numel()
        scale = (24 / values[0].numel()) ** 0.5 if values.ndim > 1 else 1.0
        found[name] = (values - 0.5) * scale if values.ndim > 1 or name.endswith(("bias", "mean")) else values + 0.5
    return found

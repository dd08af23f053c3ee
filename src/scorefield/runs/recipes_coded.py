"""What the network sees where a codec makes something else of the data, and the recipes of codecs that are trained."""

from __future__ import annotations

from typing import Any, NamedTuple


class Coder(NamedTuple):
    """A quantiser of images and how it is trained before the diffusion."""

    codec: dict[str, Any]  # arguments of nets.Quantised
    batch: int
    lr: float
    steps: int  # unless codec_steps or minutes are given


def _vq(codes: int, factor: int, dim: int, channels: int, patch: int) -> dict[str, Any]:
    return {"codes": codes, "factor": factor, "dim": dim, "channels": channels, "patch": patch}


# By edge length, as the images of ``recipes``.
CODERS: dict[str, dict[int, Coder]] = {
    "cpu": {
        16: Coder(_vq(64, 2, 8, 32, 1), batch=64, lr=2e-3, steps=1500),
        32: Coder(_vq(256, 4, 16, 48, 2), batch=32, lr=2e-3, steps=2000),
        64: Coder(_vq(256, 4, 16, 48, 2), batch=16, lr=1e-3, steps=3000),
        128: Coder(_vq(512, 8, 16, 48, 4), batch=16, lr=1e-3, steps=4000),
    },
    "gpu": {
        16: Coder(_vq(256, 2, 16, 64, 1), batch=256, lr=2e-3, steps=4000),
        32: Coder(_vq(512, 4, 32, 128, 1), batch=256, lr=1e-3, steps=10000),
        64: Coder(_vq(1024, 4, 32, 128, 1), batch=128, lr=5e-4, steps=20000),
        128: Coder(_vq(1024, 8, 32, 128, 2), batch=128, lr=5e-4, steps=30000),
    },
}
SHARE = 0.3  # of the minutes of a run are the codec's
PREVIEWS = 3  # pictures of what the codec gives back
SHOWN = 8  # images in each

# codec → kind of data → what the network sees of it
VIEWS: dict[str, dict[str, str]] = {
    "vq": {"images": "categories"},
    "mixed": {"table": "rows"},
    "argmax": {"text": "regions", "categories": "images"},
    "levels": {"images": "levels"},
}


def view(kind: str, codec: str) -> str:
    """The kind of data that a network is told of: that of the data, unless the codec makes another of it."""
    return VIEWS.get(codec, {}).get(kind, kind)


def coder(edge: int, device: str) -> Coder:
    """The recipe for images of this edge."""
    table = CODERS["cpu" if device == "cpu" else "gpu"]
    return next((row for limit, row in table.items() if edge <= limit), list(table.values())[-1])

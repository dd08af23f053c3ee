"""The recipes of networks that are not the usual one for their data: for those who ask for them."""

from __future__ import annotations

from typing import Any

from scorefield.runs.recipes import Recipe


def _levels(channels: int, mult: tuple[int, ...], blocks: int, attention: tuple[int, ...]) -> dict[str, Any]:
    return {"channels": channels, "mult": list(mult), "blocks": blocks, "attention": list(attention)}


def _deep(width: int, depth: int, heads: int, **more: Any) -> dict[str, Any]:
    return {"width": width, "depth": depth, "heads": heads} | more


_DIT_IMAGES: dict[str, dict[int, Recipe]] = {
    "cpu": {
        8: Recipe(_deep(96, 4, 3, patch=2), batch=64, lr=1e-3, steps=6000, level=-1.7),
        16: Recipe(_deep(128, 4, 4, patch=2), batch=64, lr=1e-3, steps=8000),
        32: Recipe(_deep(192, 6, 3, patch=4), batch=32, lr=5e-4, steps=16000),
        64: Recipe(_deep(192, 6, 3, patch=4), batch=16, lr=5e-4, steps=16000),
        128: Recipe(_deep(192, 6, 3, patch=8), batch=16, lr=5e-4, steps=20000),
    },
    "gpu": {
        8: Recipe(_deep(256, 6, 4, patch=1), batch=256, lr=1e-3, steps=10000, dropout=0.1, level=-1.7),
        16: Recipe(_deep(384, 8, 6, patch=2), batch=256, lr=5e-4, steps=40000, dropout=0.1),
        32: Recipe(_deep(384, 12, 6, patch=2), batch=256, lr=3e-4, steps=100000, dropout=0.1),
        64: Recipe(_deep(512, 12, 8, patch=4), batch=256, lr=2e-4, steps=150000),
        128: Recipe(_deep(768, 12, 12, patch=8), batch=256, lr=1e-4, steps=200000),
    },
}
_DIT_SIGNALS: dict[str, dict[int, Recipe]] = {
    "cpu": {
        64: Recipe(_deep(96, 4, 3, patch=2), batch=64, lr=1e-3, steps=8000),
        512: Recipe(_deep(128, 4, 4, patch=8), batch=32, lr=1e-3, steps=10000),
        4096: Recipe(_deep(128, 4, 4, patch=32), batch=16, lr=5e-4, steps=12000),
    },
    "gpu": {
        64: Recipe(_deep(256, 8, 4, patch=1), batch=256, lr=5e-4, steps=30000),
        512: Recipe(_deep(384, 8, 6, patch=4), batch=256, lr=3e-4, steps=40000),
        4096: Recipe(_deep(384, 12, 6, patch=16), batch=128, lr=2e-4, steps=60000),
    },
}
# Argmax flows: a token for each character, by the length of the text.
_DIT_REGIONS: dict[str, dict[int, Recipe]] = {
    "cpu": {
        32: Recipe(_deep(128, 4, 4, patch=1), batch=64, lr=1e-3, steps=6000),
        512: Recipe(_deep(192, 4, 4, patch=1), batch=32, lr=1e-3, steps=10000),
    },
    "gpu": {
        64: Recipe(_deep(384, 6, 6, patch=1), batch=512, lr=6e-4, steps=20000),
        1024: Recipe(_deep(384, 8, 6, patch=1), batch=256, lr=4e-4, steps=30000),
    },
}
# EDM2's learning rate is an angle: near 0.01 whatever the width.
_EDM2_IMAGES: dict[str, dict[int, Recipe]] = {
    "cpu": {
        8: Recipe(_levels(32, (1, 2), 1, (4,)), batch=64, lr=1e-2, steps=2000, dropout=0.1, level=-1.7),
        16: Recipe(_levels(32, (1, 2, 2), 1, (4,)), batch=64, lr=1e-2, steps=4000),
        32: Recipe(_levels(32, (1, 2, 2), 1, (8,)), batch=32, lr=1e-2, steps=8000),
        64: Recipe(_levels(32, (1, 2, 3, 3), 1, (8,)), batch=16, lr=1e-2, steps=8000),
        128: Recipe(_levels(32, (1, 1, 2, 2, 3), 1, (8,)), batch=8, lr=7e-3, steps=20000),
    },
    "gpu": {
        8: Recipe(_levels(64, (1, 2), 2, (4,)), batch=256, lr=1e-2, steps=5000, dropout=0.1, level=-1.7),
        16: Recipe(_levels(96, (1, 2, 2), 2, (8,)), batch=256, lr=1e-2, steps=20000, dropout=0.1),
        32: Recipe(_levels(128, (1, 2, 2), 3, (16,)), batch=256, lr=1e-2, steps=50000, dropout=0.1),
        64: Recipe(_levels(128, (1, 2, 3, 4), 3, (16, 8)), batch=256, lr=1e-2, steps=80000, dropout=0.1),
        128: Recipe(_levels(128, (1, 1, 2, 3, 4), 2, (16, 8)), batch=64, lr=7e-3, steps=150000),
    },
}
_EDM2_SIGNALS: dict[str, dict[int, Recipe]] = {
    "cpu": {
        64: Recipe(_levels(32, (1, 2, 2), 1, (16,)), batch=64, lr=1e-2, steps=6000),
        512: Recipe(_levels(32, (1, 2, 2, 2), 1, ()), batch=32, lr=1e-2, steps=8000),
        4096: Recipe(_levels(24, (1, 2, 2, 2, 2), 1, ()), batch=16, lr=7e-3, steps=10000),
    },
    "gpu": {
        64: Recipe(_levels(64, (1, 2, 2), 2, (16,)), batch=256, lr=1e-2, steps=20000),
        512: Recipe(_levels(96, (1, 2, 2, 2), 2, (64,)), batch=256, lr=1e-2, steps=30000),
        4096: Recipe(_levels(64, (1, 2, 2, 2, 2, 2), 2, (128,)), batch=64, lr=7e-3, steps=40000),
    },
}
# One token a column: attention costs the square of the columns.
_TRANSFORMER: dict[str, dict[int, Recipe]] = {
    "cpu": {
        4: Recipe(_deep(64, 3, 4), batch=256, lr=2e-3, steps=4000),
        32: Recipe(_deep(64, 3, 4), batch=128, lr=1e-3, steps=8000),
        512: Recipe(_deep(64, 3, 4), batch=32, lr=1e-3, steps=10000),
    },
    "gpu": {
        4: Recipe(_deep(128, 4, 4), batch=2048, lr=1e-3, steps=10000),
        32: Recipe(_deep(192, 6, 6), batch=1024, lr=5e-4, steps=30000),
        512: Recipe(_deep(256, 6, 8), batch=256, lr=3e-4, steps=40000),
    },
}
OTHERS = {
    "dit": {
        "images": _DIT_IMAGES, "signals": _DIT_SIGNALS, "categories": _DIT_IMAGES, "regions": _DIT_REGIONS,
    },
    "edm2": {
        "images": _EDM2_IMAGES, "signals": _EDM2_SIGNALS, "categories": _EDM2_IMAGES, "regions": _EDM2_SIGNALS,
    },
    "transformer": {"vectors": _TRANSFORMER, "table": _TRANSFORMER},
}  # fmt: skip

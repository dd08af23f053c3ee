"""The U-Nets of the papers, as keyword arguments: ``UNet(3, classes=10, **ddpm(32))``.

The level embedding is ours throughout (see ``layers.level_features``; it has no parameters). Optimiser, schedule and
prediction of a paper are not the network's business and are named elsewhere.
"""

from __future__ import annotations

from typing import Any

from ..errors import UserError

_DDPM = {
    32: {"mult": (1, 2, 2, 2), "attention": (16,), "dropout": 0.1},
    256: {"mult": (1, 1, 2, 2, 4, 4), "attention": (16,)},
}
_DDPMPP = {
    32: {"mult": (2, 2, 2), "attention": (16,), "dropout": 0.13},
    64: {"mult": (1, 2, 2, 2), "attention": (16,), "dropout": 0.05},
}
_ADM = {
    64: {"channels": 192, "mult": (1, 2, 3, 4), "blocks": 3, "dropout": 0.1},
    128: {"mult": (1, 1, 2, 3, 4), "heads": 4},
    256: {"mult": (1, 1, 2, 2, 4, 4)},
    512: {"mult": (0.5, 1, 1, 2, 2, 4, 4)},
}


def ddpm(size: int = 32) -> dict[str, Any]:
    """Ho et al. 2020, app. B: CIFAR-10 at 32 (35.7 M), CelebA-HQ and LSUN at 256 (114 M).

    Raises UserError for a size the paper has no network for.
    """
    fixed = {"channels": 128, "blocks": 2, "heads": 1, "scale_shift": False, "updown": "conv"}
    return {"size": size} | fixed | _of_size("ddpm", _DDPM, size)


def ddpmpp(size: int = 32) -> dict[str, Any]:
    """DDPM++ of Song et al. 2021 as trained by Karras et al. 2022, tab. 7: CIFAR-10 at 32 (55.7 M), FFHQ and AFHQv2
    at 64 (61.8 M). Raises UserError for a size the paper has no network for.
    """
    fixed = {"channels": 128, "blocks": 4, "heads": 1, "attention_up": "last", "scale_shift": False}
    residual = {"updown": "block", "rescale": True, "project": True}
    return {"size": size} | fixed | residual | _of_size("ddpmpp", _DDPMPP, size)


def adm(size: int = 64) -> dict[str, Any]:
    """Dhariwal & Nichol 2021, app. I: ImageNet at 64 (296 M), 128 (422 M), 256 (554 M) and 512 (559 M), those counts
    with 1,000 classes and twice the output channels. Raises UserError for a size the paper has no network for.
    """
    fixed = {"channels": 256, "blocks": 2, "attention": (32, 16, 8), "head_channels": 64}
    return {"size": size} | fixed | {"scale_shift": True, "updown": "block"} | _of_size("adm", _ADM, size)


def _of_size(name: str, table: dict[int, dict[str, Any]], size: int) -> dict[str, Any]:
    if size not in table:
        raise UserError(f"{name} has no published network for size {size}. Known: {', '.join(map(str, table))}.")
    return table[size]

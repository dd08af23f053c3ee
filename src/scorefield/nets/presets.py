"""The networks of the papers, as keyword arguments: ``UNet(3, classes=10, **ddpm(32))``, ``DiT(4, **dit("XL"))``.

The level embedding is ours throughout (see ``layers.level_features``; it has no parameters). Optimiser, schedule and
prediction of a paper are not the network's business and are named elsewhere.
"""

from __future__ import annotations

from typing import Any

from ..errors import UserError, suggest

_DDPM = {
    32: {"mult": (1, 2, 2, 2), "attention": (16,), "dropout": 0.1},
    256: {"mult": (1, 1, 2, 2, 4, 4), "attention": (16,)},
}
_DDPMPP = {
    32: {"mult": (2, 2, 2), "attention": (16,), "dropout": 0.13},
    64: {"mult": (1, 2, 2, 2), "attention": (16,), "dropout": 0.05},
}
_DIT = {
    "T": {"width": 192, "depth": 6, "heads": 3},  # ours: small enough for a processor
    "S": {"width": 384, "depth": 12, "heads": 6},
    "B": {"width": 768, "depth": 12, "heads": 12},
    "L": {"width": 1024, "depth": 24, "heads": 16},
    "XL": {"width": 1152, "depth": 28, "heads": 16},
}
_EDM2 = {"XS": 128, "S": 192, "M": 256, "L": 320, "XL": 384, "XXL": 448}
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
    fixed = {"channels": 128, "blocks": 2, "heads": 1, "scale_shift": False, "updown": "conv", "group": 4}
    return {"size": size} | fixed | _of_size("ddpm", _DDPM, size)


def ddpmpp(size: int = 32) -> dict[str, Any]:
    """DDPM++ of Song et al. 2021 as trained by Karras et al. 2022, tab. 7: CIFAR-10 at 32 (55.7 M), FFHQ and AFHQv2
    at 64 (61.8 M). Raises UserError for a size the paper has no network for.
    """
    fixed = {"channels": 128, "blocks": 4, "heads": 1, "attention_up": "last", "scale_shift": False}
    residual = {"updown": "block", "rescale": True, "project": True, "group": 4}
    return {"size": size} | fixed | residual | _of_size("ddpmpp", _DDPMPP, size)


def adm(size: int = 64) -> dict[str, Any]:
    """Dhariwal & Nichol 2021, app. I: ImageNet at 64 (296 M), 128 (422 M), 256 (554 M) and 512 (559 M), those counts
    with 1,000 classes and twice the output channels. Raises UserError for a size the paper has no network for.
    """
    fixed = {"channels": 256, "blocks": 2, "attention": (32, 16, 8), "head_channels": 64}
    return {"size": size} | fixed | {"scale_shift": True, "updown": "block", "group": 4} | _of_size("adm", _ADM, size)


def dit(name: str = "S", patch: int = 2) -> dict[str, Any]:
    """Peebles & Xie 2023, tab. 1: DiT-S, B, L and XL, of 33 M, 130 M, 458 M and 675 M on latents of 32×32×4 with patch
    2; "T" is our own small one. Raises UserError for another name.
    """
    return {"patch": patch} | _named("dit", _DIT, name)


def edm2(name: str = "S", size: int = 64) -> dict[str, Any]:
    """Karras et al. 2024, tab. 2: EDM2-XS to XXL, of 125 M to 1.5 G on latents of 64×64×4, attention at 16 and 8.

    ``size`` must be at least 64, or the levels with attention would not exist. Dropout is 0.1 from M on. Raises
    UserError for another name.
    """
    channels = _named("edm2", {known: {"channels": width} for known, width in _EDM2.items()}, name)
    dropout = 0.0 if name in ("XS", "S") else 0.1
    return {"size": size, "mult": (1, 2, 3, 4), "blocks": 3, "attention": (16, 8), "dropout": dropout} | channels


def _named(preset: str, table: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in table:
        raise UserError(f"{preset} has no size {name!r}.{suggest(name, table)}")
    return table[name]


def _of_size(name: str, table: dict[int, dict[str, Any]], size: int) -> dict[str, Any]:
    if size not in table:
        raise UserError(f"{name} has no published network for size {size}. Known: {', '.join(map(str, table))}.")
    return table[size]

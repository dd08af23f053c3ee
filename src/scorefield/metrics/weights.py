"""Features of a network whose weights the user has: how images come to the size and range that it was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from .inception import SIDE, InceptionV3

_CONVERT = (
    "It is a Python pickle, which can run code. Where you trust it, write it anew: import torch, safetensors.torch; "
    'safetensors.torch.save_file(torch.load("{name}", weights_only=True), "{stem}.safetensors")'
)
_OPTIONAL = {"fc.weight", "fc.bias"}  # FID does not use the logits
_FOREIGN = {"AuxLogits.fc.weight"}  # torchvision's own network has a second head
_BATCH = 64


def resize_tensorflow(x: Tensor) -> Tensor:
    """TensorFlow 1's bilinear resize to 299 × 299: pixel i of the result is taken at i · side/299, without antialias.

    This is what FID was defined with, and what ADM's and EDM's files of statistics are made with. x (B, C, H, W)."""
    across, down = (_sources(x.shape[-axis], x) for axis in (1, 2))
    low, high, share = across
    rows = torch.lerp(x[..., low], x[..., high], share)
    low, high, share = down
    return torch.lerp(rows[..., low, :], rows[..., high, :], share[:, None])


def _sources(side: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each of 299 pixels the two it lies between, and how far from the first."""
    place = torch.arange(SIDE, dtype=torch.float32, device=like.device) * (side / SIDE)
    low = place.long().clamp_max(side - 1)
    return low, (low + 1).clamp_max(side - 1), (place - low).to(like)


def resize_pytorch(x: Tensor) -> Tensor:
    """pytorch-fid's resize: bilinear between the centres of pixels, without antialias. x (B, C, H, W)."""
    return F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


def resize_clean(x: Tensor) -> Tensor:
    """clean-fid's resize, which does not alias (Parmar et al. 2022): bicubic, as Pillow does it. x (B, C, H, W)."""
    return F.interpolate(x, size=(SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True).clamp(0, 255)


# name → (resize of [0, 255], what maps [0, 255] to the network's range as its reference does)
RESIZED: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "inception": (resize_tensorflow, lambda x: (x - 128) / 128),
    "inception-pytorch": (resize_pytorch, lambda x: x / 127.5 - 1),
    "inception-clean": (resize_clean, lambda x: (x - 128) / 128),
}


def inception_features(name: str, path: str, reference: Tensor, device: str) -> tuple[str, Callable[[Tensor], Tensor]]:
    """(name with a fingerprint of the weights, images (B, C, H, W) uint8 → (B, 2048)) for a name of ``RESIZED``.

    One channel is repeated to three. ``reference`` is an example of the data. Raises UserError where there are no
    weights, a pickle, another network's weights, or data that are no grey or RGB images."""
    if not path:
        raise UserError(
            f"features={name} needs the weights: features={name}:PATH.safetensors. docs/evaluate.md says how."
        )
    if reference.dtype != torch.uint8 or reference.ndim != 4 or reference.shape[1] not in (1, 3):
        raise UserError(
            f"features={name} compares grey or RGB images of bytes, but the data are {reference.dtype} of shape "
            f"{tuple(reference.shape[1:])}. Use features=auto."
        )
    file = Path(path).expanduser()
    net = load_inception(file).to(device)
    resize, scale = RESIZED[name]

    def rows(x: Tensor) -> Tensor:
        parts = [net(scale(resize(part.to(device).float().expand(-1, 3, -1, -1)))).cpu() for part in x.split(_BATCH)]
        return torch.cat(parts)

    return f"{name}:{_fingerprint(file)}", rows


def load_inception(path: Path) -> InceptionV3:
    """The FID network with the weights of a .safetensors file. Raises UserError for any other file."""
    if path.suffix.lower() != ".safetensors":
        suffix = "is not a .safetensors file. " + _CONVERT.format(name=path.name, stem=path.stem)
        raise UserError(f"{path} {suffix}")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        given = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Give the FID weights as a .safetensors file.") from None
    except (SafetensorError, OSError) as problem:
        raise UserError(
            f"{path} is damaged or no safetensors file ({problem}). Convert the weights again."
        ) from problem
    with torch.device("meta"):
        net = InceptionV3()
    _check(path, {name: tuple(t.shape) for name, t in given.items()}, {n: tuple(t.shape) for n, t in _needed(net)})
    floats = {name: tensor.float() for name, tensor in given.items() if not name.endswith("num_batches_tracked")}
    kept = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)} | floats
    net.load_state_dict(kept | {n: torch.tensor(0) for n in net.state_dict() if n not in kept}, assign=True)
    return net.eval().requires_grad_(False)


def _needed(net: InceptionV3) -> list[tuple[str, Tensor]]:
    return [(name, t) for name, t in net.state_dict().items() if not name.endswith("num_batches_tracked")]


def _check(path: Path, given: dict[str, tuple[int, ...]], needed: dict[str, tuple[int, ...]]) -> None:
    what = "the InceptionV3 of FID (pt_inception-2015-12-05)"
    if _FOREIGN & given.keys() or given.get("fc.weight", (1008,))[0] == 1000:
        raise UserError(f"{path} holds torchvision's InceptionV3, which gives other features. Needed is {what}.")
    missing = sorted(needed.keys() - given.keys() - _OPTIONAL)
    if missing:
        raise UserError(f"{path} lacks {len(missing)} tensors of {what}, such as {missing[0]}.")
    wrong = [name for name, shape in needed.items() if name in given and given[name] != shape]
    strange = sorted(n for n in given.keys() - needed.keys() if not n.endswith("num_batches_tracked"))
    if wrong:
        raise UserError(f"{path}: {wrong[0]} has shape {given[wrong[0]]}; {what} has {needed[wrong[0]]}.")
    if strange:
        raise UserError(f"{path} holds {strange[0]}, which {what} has not. Give that network's weights alone.")


def _fingerprint(path: Path) -> str:
    """8 hex digits of the file: features of other weights are other features."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]

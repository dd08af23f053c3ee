"""The peers' U-Nets at the size of ours: same channels, levels, blocks and attention where the peer has them, else the
widths that bring parameters and multiplications closest. ``sizes`` names them, ``build`` makes them.

diffusers' UNet2DModel is the same network, but for 300 numbers. lucidrains' Unet has blocks of another order and
linear attention on every level, azula's UNet no attention; their widths below bring parameters within 3 % of ours and,
that given, FLOPs as close as their form allows.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Size of the images: our network, the widths of lucidrains' (dim, init_dim, dim_mults) and azula's (channels, blocks).
SIZES: dict[str, dict[str, Any]] = {
    "28x28x1": {
        "ours": {
            "in_channels": 1,
            "size": 28,
            "channels": 32,
            "mult": (1, 2, 2),
            "blocks": 1,
            "attention": (7,),
            "updown": "conv",
        },
        "lucidrains": {"dim": 8, "init_dim": 24, "dim_mults": (3, 8, 9), "attn_dim_head": 16},
        "azula": {"hid_channels": (40, 88, 88), "hid_blocks": (1, 1, 1)},
    },
    "32x32x3": {
        "ours": {
            "in_channels": 3,
            "size": 32,
            "channels": 64,
            "mult": (1, 2, 2),
            "blocks": 2,
            "attention": (16,),
            "updown": "conv",
        },
        "lucidrains": {"dim": 16, "init_dim": 64, "dim_mults": (4, 10, 11)},
        "azula": {"hid_channels": (88, 112, 112), "hid_blocks": (3, 3, 3)},
    },
}
PEERS = {"diffusers": "diffusers", "lucidrains": "denoising-diffusion-pytorch", "azula": "azula"}  # its distribution


class Adapter(nn.Module):
    """A peer's network as ``net(x, level)``, level (B,) = log σ/α; ``embed`` makes what the peer wants of the level."""

    def __init__(self, net: nn.Module, call: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.call = net, call

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.call(self.net, x, level)


class Modulated(nn.Module):
    """azula's UNet and the embedding of the level that its users put before it."""

    def __init__(self, net: nn.Module, features: int) -> None:
        super().__init__()
        self.net, self.features = net, features
        self.embed = nn.Sequential(
            nn.Linear(features // 4, features), nn.SiLU(), nn.Linear(features, features), nn.SiLU()
        )

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        from azula.nn.layers import sine_encoding

        return self.net(x, self.embed(sine_encoding(level, features=self.features // 4)))


def build(peer: str, size: str) -> nn.Module:
    """The network of "diffusers", "lucidrains", "azula" or, our own, "scorefield"; weights from torch's seed."""
    return BUILDERS[peer](SIZES[size])


def _ours(sizes: dict[str, Any]) -> nn.Module:
    from scorefield.nets import UNet

    return UNet(**sizes["ours"])


def _diffusers(sizes: dict[str, Any]) -> nn.Module:
    stub()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers import UNet2DModel

    own = sizes["ours"]
    widths = [own["channels"] * m for m in own["mult"]]
    attends = [own["size"] // 2**level in own["attention"] for level in range(len(widths))]
    net = UNet2DModel(
        sample_size=own["size"],
        in_channels=own["in_channels"],
        out_channels=own["in_channels"],
        layers_per_block=own["blocks"],
        block_out_channels=widths,
        down_block_types=["AttnDownBlock2D" if a else "DownBlock2D" for a in attends],
        up_block_types=["AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)],
        norm_num_groups=min(32, widths[0] // 4),
        attention_head_dim=64,
        resnet_time_scale_shift="scale_shift",
    )
    return Adapter(net, lambda net, x, level: net(x, level, return_dict=False)[0])


def _lucidrains(sizes: dict[str, Any]) -> nn.Module:
    stub()
    from denoising_diffusion_pytorch.denoising_diffusion_pytorch import Unet

    return Adapter(
        Unet(channels=sizes["ours"]["in_channels"], **sizes["lucidrains"]), lambda net, x, level: net(x, level)
    )


def _azula(sizes: dict[str, Any]) -> nn.Module:
    stub()
    from azula.nn.unet import UNet

    own, told = sizes["ours"], 4 * sizes["ours"]["channels"]
    return Modulated(UNet(own["in_channels"], own["in_channels"], mod_features=told, **sizes["azula"]), told)


BUILDERS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "scorefield": _ours,
    "diffusers": _diffusers,
    "lucidrains": _lucidrains,
    "azula": _azula,
}


def installed(peer: str) -> bool:
    """Whether a peer can be built here."""
    module = PEERS.get(peer, "scorefield").replace("-", "_")
    return importlib.util.find_spec(module) is not None


def cost(net: nn.Module, size: str, device: str = "meta") -> tuple[int, int]:
    """(parameters, FLOPs of one forward pass of one image, counted by torch.utils.flop_counter); ``net`` is moved.

    On "meta" those of the plain form; on "cpu" what is executed there, which for ours is less (``nets.fast``).
    """
    from torch.utils.flop_counter import FlopCounterMode

    own, net = SIZES[size]["ours"], net.to(device)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device(device):
        net(torch.zeros(1, own["in_channels"], own["size"], own["size"]), torch.zeros(1))
    return sum(p.numel() for p in net.parameters()), counter.get_total_flops()


# torchvision, of which the peers want a few functions on PIL images, in their place.


class Chain:
    """torchvision.transforms.Compose."""

    def __init__(self, parts: list[Callable[[Any], Any]]) -> None:
        self.parts = parts

    def __call__(self, image: Any) -> Any:
        for part in self.parts:
            image = part(image)
        return image


class Same:
    """A transform that these images do not need: they have the size already. A crop or a resize of torchvision's
    returns such an image as it is too."""

    def __init__(self, *given: object) -> None:
        self.given = given

    def __call__(self, image: Any) -> Any:
        return image


class Call:
    """torchvision.transforms.Lambda."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, image: Any) -> Any:
        return self.function(image)


class ToTensor:
    """torchvision.transforms.ToTensor for images of bytes, in its own words."""

    def __call__(self, image: Any) -> Tensor:
        pixels = torch.from_numpy(np.array(image, np.uint8, copy=True))
        pixels = pixels.view(image.size[1], image.size[0], len(image.getbands()))
        return pixels.permute((2, 0, 1)).contiguous().to(torch.float32).div(255)


def save_image(images: Tensor, path: str, nrow: int) -> None:
    """torchvision.utils.save_image, without its border: (B, C, H, W) in [0, 1] as a PNG of ``nrow`` columns."""
    from PIL import Image

    rows = torch.cat([torch.cat(list(row), 2) for row in images.split(nrow)], 1)
    Image.fromarray(rows.mul(255).round().byte().permute(1, 2, 0).expand(-1, -1, 3).numpy()).save(path)


def stub() -> None:
    """Put a small module in the place of torchvision, which this package never installs: diffusers only looks whether
    it is there, lucidrains' data set needs five transforms. Nothing happens the second time."""
    if getattr(sys.modules.get("torchvision"), "stands_for", None):
        return
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.utils")
    made = {name: ModuleType(name) for name in names}
    for name, module in made.items():
        module.__spec__, module.__path__ = ModuleSpec(name, None, is_package=True), []
        parent, _, last = name.rpartition(".")
        if parent:
            vars(made[parent])[last] = module
    vars(made["torchvision"])["stands_for"] = "torchvision"
    transforms = {"Compose": Chain, "Lambda": Call, "ToTensor": ToTensor, "InterpolationMode": Same}
    transforms |= {name: Same for name in ("Resize", "CenterCrop", "RandomHorizontalFlip")}
    vars(made["torchvision.transforms"]).update(transforms)
    vars(made["torchvision.utils"])["save_image"] = save_image
    sys.modules |= made

"""Networks that say of which class something is, however noisy it is: the first half of a U-Net, or an MLP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError, suggest
from ..registry import from_config, register
from .fast import modulated
from .layers import group_norm, parameters_millions, run, zero


@register("classifier", "net")
class ClassifierNet(nn.Module):
    """The way down of a U-Net (Dhariwal & Nichol 2021, sec. 4.3), averaged over all places; or the blocks of an MLP.

    forward(x, level): x (B, *D) as the network called ``body`` ("unet" or "mlp") takes it, level (B,) or () = log σ/α
    in [-10, 10] → logits (B, classes), zero at initialisation. ``options`` are the arguments of ``body`` (channels,
    mult, size, dims … or dim, width, depth …) without its classes and conditions.
    Weights are drawn by torch's global generator: seed it before. Raises UserError for fewer than two classes, other
    networks and arguments, and at forward for an input that ``body`` cannot take.
    """

    def __init__(self, classes: int, *, body: str = "unet", **options: Any) -> None:
        super().__init__()
        if classes < 2:
            raise UserError(f"a classifier needs at least 2 classes to tell apart, got {classes}.")
        if body not in BODIES:
            raise UserError(f"a classifier cannot be made of {body!r}.{suggest(body, BODIES)}")
        if taken := sorted({"classes", "condition", "out_channels"} & set(options)):
            raise UserError(f"{taken[0]} is not an argument of a classifier's body. Leave it out.")
        self.classes, self.kind = classes, body
        self.body = from_config({"type": body} | options, "net", "body")
        width = BODIES[body].halved(self.body)
        self.norm = BODIES[body].norm(width)
        self.head = zero(nn.Linear(width, classes))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.head(BODIES[self.kind].features(self, x, level))

    def __repr__(self) -> str:
        return f"ClassifierNet({parameters_millions(self):.1f}M)"


class _Body(NamedTuple):
    """``halved`` takes away what makes an output of a network's shape and returns the width that is left; ``features``
    are what the head sees, (B, width)."""

    halved: Callable[[Any], int]
    norm: Callable[[int], nn.Module]
    features: Callable[[Any, Tensor, Tensor], Tensor]


def _half_unet(body: Any) -> int:
    width = body.middle[-1].block.conv_out.out_channels
    del body.up, body.norm, body.head
    return width


def _of_places(net: Any, x: Tensor, level: Tensor) -> Tensor:
    body = net.body
    body._check_input(x)
    told = body.told(level, None, x.shape[0])
    h = body.stem(x.unsqueeze(2) if body.dims == 1 else x)  # a signal is an image of height 1, see layers
    for module in (*body.down, *body.middle):
        h = run(module, h, told, checkpoint=body.checkpoint)
    return modulated(net.norm, h).flatten(2).mean(2)


def _half_mlp(body: Any) -> int:
    width = body.norm.normalized_shape[0]
    del body.norm, body.head
    return width


def _of_rows(net: Any, x: Tensor, level: Tensor) -> Tensor:
    return F.silu(net.norm(net.body.hidden(x, level)))


BODIES = {
    "unet": _Body(_half_unet, group_norm, _of_places),
    "mlp": _Body(_half_mlp, nn.LayerNorm, _of_rows),
}

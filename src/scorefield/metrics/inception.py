"""The InceptionV3 that FID is defined by, with weights that the user has: the port of TensorFlow's 2015-12-05 graph.

It differs from torchvision's: averages that do not count the padding, a maximum in the last block's pooling, and 1,008
logits (Szegedy et al. 2015; Heusel et al. 2017). Names of the parameters are those of the usual ports, so that their
weights fit once they are saved as safetensors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 299  # pixels
SIZE = 2048  # features

_average = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
_maximum = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
_shrink = partial(F.max_pool2d, kernel_size=3, stride=2)


class _Conv(nn.Module):
    """Convolution, batch norm with the statistics of training, rectifier; ``width`` may differ along the axes."""

    def __init__(self, inputs: int, outputs: int, width: int | tuple[int, int], stride: int = 1, pad: bool = True):
        super().__init__()
        high, wide = (width, width) if isinstance(width, int) else width
        padding = (high // 2, wide // 2) if pad else 0
        self.conv = nn.Conv2d(inputs, outputs, (high, wide), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Block(nn.Module):
    """Branches side by side. A branch is a chain of names; a tuple of names at its end splits it once more."""

    def __init__(self, pool: Callable[[Tensor], Tensor], *chains: tuple[str | tuple[str, ...], ...], **convs: _Conv):
        super().__init__()
        self.pool, self.chains = pool, chains
        for name, conv in convs.items():
            self.add_module(name, conv)

    def forward(self, x: Tensor) -> Tensor:
        found = [out for chain in self.chains for out in self._through(chain, x)]
        pooled = self.pool(x)
        return torch.cat([*found, self.get_submodule("branch_pool")(pooled) if self._projects else pooled], 1)

    @property
    def _projects(self) -> bool:
        return "branch_pool" in self._modules

    def _through(self, chain: tuple[str | tuple[str, ...], ...], x: Tensor) -> list[Tensor]:
        for step in chain:
            if not isinstance(step, str):
                return [self.get_submodule(name)(x) for name in step]
            x = self.get_submodule(step)(x)
        return [x]


def _block_a(inputs: int, pooled: int) -> _Block:
    """35 × 35: 1×1, 5×5, two 3×3, average."""
    return _Block(
        _average,
        ("branch1x1",),
        _chain("branch5x5", 2),
        _chain("branch3x3dbl", 3),
        branch1x1=_Conv(inputs, 64, 1),
        branch5x5_1=_Conv(inputs, 48, 1),
        branch5x5_2=_Conv(48, 64, 5),
        branch3x3dbl_1=_Conv(inputs, 64, 1),
        branch3x3dbl_2=_Conv(64, 96, 3),
        branch3x3dbl_3=_Conv(96, 96, 3),
        branch_pool=_Conv(inputs, pooled, 1),
    )


def _block_b(inputs: int) -> _Block:
    """35 × 35 → 17 × 17."""
    return _Block(
        _shrink,
        ("branch3x3",),
        _chain("branch3x3dbl", 3),
        branch3x3=_Conv(inputs, 384, 3, 2, pad=False),
        branch3x3dbl_1=_Conv(inputs, 64, 1),
        branch3x3dbl_2=_Conv(64, 96, 3),
        branch3x3dbl_3=_Conv(96, 96, 3, 2, pad=False),
    )


def _block_c(width: int) -> _Block:
    """17 × 17: 7×7 as 1×7 and 7×1, once and twice."""
    wide, high, inputs = (1, 7), (7, 1), 768
    return _Block(
        _average,
        ("branch1x1",),
        _chain("branch7x7", 3),
        _chain("branch7x7dbl", 5),
        branch1x1=_Conv(inputs, 192, 1),
        branch7x7_1=_Conv(inputs, width, 1),
        branch7x7_2=_Conv(width, width, wide),
        branch7x7_3=_Conv(width, 192, high),
        branch7x7dbl_1=_Conv(inputs, width, 1),
        branch7x7dbl_2=_Conv(width, width, high),
        branch7x7dbl_3=_Conv(width, width, wide),
        branch7x7dbl_4=_Conv(width, width, high),
        branch7x7dbl_5=_Conv(width, 192, wide),
        branch_pool=_Conv(inputs, 192, 1),
    )


def _block_d(inputs: int) -> _Block:
    """17 × 17 → 8 × 8."""
    return _Block(
        _shrink,
        _chain("branch3x3", 2),
        _chain("branch7x7x3", 4),
        branch3x3_1=_Conv(inputs, 192, 1),
        branch3x3_2=_Conv(192, 320, 3, 2, pad=False),
        branch7x7x3_1=_Conv(inputs, 192, 1),
        branch7x7x3_2=_Conv(192, 192, (1, 7)),
        branch7x7x3_3=_Conv(192, 192, (7, 1)),
        branch7x7x3_4=_Conv(192, 192, 3, 2, pad=False),
    )


def _block_e(inputs: int, pool: Callable[[Tensor], Tensor]) -> _Block:
    """8 × 8: 3×3 spread over 1×3 and 3×1 side by side."""
    return _Block(
        pool,
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
        branch1x1=_Conv(inputs, 320, 1),
        branch3x3_1=_Conv(inputs, 384, 1),
        branch3x3_2a=_Conv(384, 384, (1, 3)),
        branch3x3_2b=_Conv(384, 384, (3, 1)),
        branch3x3dbl_1=_Conv(inputs, 448, 1),
        branch3x3dbl_2=_Conv(448, 384, 3),
        branch3x3dbl_3a=_Conv(384, 384, (1, 3)),
        branch3x3dbl_3b=_Conv(384, 384, (3, 1)),
        branch_pool=_Conv(inputs, 192, 1),
    )


def _chain(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}_{i + 1}" for i in range(count))


class InceptionV3(nn.Module):
    """Images → the 2,048 averages before the last layer.

    forward: (B, 3, 299, 299) in [−1, 1] → (B, 2048). 23.9 M parameters with the logits ``fc``, which FID does not use
    and files may lack. Always in eval mode: the batch norms keep the statistics of their training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, 2, pad=False)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3, pad=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _block_a(192, 32), _block_a(256, 64), _block_a(288, 64)
        self.Mixed_6a = _block_b(288)
        self.Mixed_6b, self.Mixed_6c = _block_c(128), _block_c(160)
        self.Mixed_6d, self.Mixed_6e = _block_c(160), _block_c(192)
        self.Mixed_7a = _block_d(768)
        self.Mixed_7b, self.Mixed_7c = _block_e(1280, _average), _block_e(2048, _maximum)
        self.fc = nn.Linear(SIZE, 1008)
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = _shrink(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = _shrink(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        for name, module in self.named_children():
            x = module(x) if name.startswith("Mixed") else x
        return x.mean((2, 3))

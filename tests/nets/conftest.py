"""What the tests of the networks share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture
def awake() -> Callable[[nn.Module], nn.Module]:
    """A network as if training had begun, in float64: seeded noise on every parameter, so that no branch is zero."""

    def perturb(net: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(1)
        for parameter in net.double().parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.data.add_(0.1 * noise)
        return net.eval()

    return perturb

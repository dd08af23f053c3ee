"""EDM2's own network (Karras et al. 2024, config G): outputs recorded from its code by ``record_edm2.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from scorefield.nets import EDM2
from tests.parity.record_edm2 import BLOCKS, CHANNELS, HEAD, IMAGE, MULT, NOISE, drawn

RECORDED = json.loads(Path(__file__).with_name("edm2.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: str(case["options"]))
def test_the_numbers_of_their_code(case: dict[str, Any]) -> None:
    """The same weights in the same order give the same pictures. Both work in float32, of about 25 layers: 1e-5."""
    net = EDM2(IMAGE, channels=CHANNELS, mult=MULT, blocks=BLOCKS, head_channels=HEAD, **case["options"]).eval()
    assert [list(weight.shape) for weight in net.parameters()] == case["shapes"]
    with torch.no_grad():
        for k, weight in enumerate([*net.parameters(), *net.buffers()]):
            weight.copy_(drawn(weight.shape, k))
        x = drawn((len(NOISE), IMAGE, case["options"]["size"], case["options"]["size"]), 99)
        label = torch.tensor([2, 0, -1]) if case["options"]["classes"] else None
        y = net(x, 4 * torch.tensor(NOISE), label)  # their network is told ln σ / 4
    expected = torch.tensor(case["output"]).view_as(y)
    assert expected.std() > 0.5
    torch.testing.assert_close(y, expected, rtol=0, atol=2e-5)

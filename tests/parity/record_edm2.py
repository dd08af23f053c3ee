"""Record the output of EDM2's own network: python tests/parity/record_edm2.py PATH/training/networks_edm2.py

PATH is a checkout of github.com/NVlabs/edm2, whose licence forbids copies here: only its numbers are kept, in
edm2.json. The network's own functions and classes alone are compiled from the file, without its other imports. Weights
and inputs follow from formulas, so none is stored.
"""

from __future__ import annotations

import ast
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

CASES: list[dict[str, Any]] = [
    {"classes": 3, "attention": [4], "size": 8},
    {"classes": 0, "attention": [8, 4], "size": 8},
]
CHANNELS, MULT, BLOCKS, HEAD, IMAGE = 8, [1, 2], 1, 4, 2
NOISE = [-1.0, 0.6, 0.1]  # c_noise of three examples; their classes are 2, 0 and none


def drawn(shape: Any, number: int) -> Tensor:
    """Numbers of mean 0 and variance 1 that no generator has to remember: the fraction of a large multiple of a sine,
    told by ``number``."""
    count = int(np.prod(shape, dtype=int))
    wave = (torch.arange(1, count + 1, dtype=torch.float64) * 12.9898 + 78.233 * (number + 1)).sin() * 43758.5453
    return ((wave - wave.floor() - 0.5) * 12**0.5).reshape(tuple(shape)).float()


def network(path: str) -> Any:
    """Their class ``UNet``, compiled from the file."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    plain = types.SimpleNamespace(persistent_class=lambda cls: cls)
    constant = types.SimpleNamespace(const_like=lambda x, f: torch.as_tensor(f, dtype=x.dtype, device=x.device))
    names = {"torch": torch, "np": np, "persistence": plain, "misc": constant}
    exec(compile(tree, path, "exec"), names)
    return names["UNet"]


def main(path: str) -> None:
    """Write edm2.json."""
    recorded = []
    for case in CASES:
        net = network(path)(
            case["size"], IMAGE, case["classes"], model_channels=CHANNELS, channel_mult=MULT, num_blocks=BLOCKS,
            attn_resolutions=case["attention"], channels_per_head=HEAD,
        ).eval()  # fmt: skip
        with torch.no_grad():
            for k, weight in enumerate([*net.parameters(), *net.buffers()]):
                weight.copy_(drawn(weight.shape, k))
            x = drawn((len(NOISE), IMAGE, case["size"], case["size"]), 99)
            rows = torch.eye(3)[[2, 0, 0]] * torch.tensor([[1.0], [1.0], [0.0]])
            labels = rows if case["classes"] else None
            y = net(x, torch.tensor(NOISE), labels)
        shapes = [list(weight.shape) for weight in net.parameters()]
        numbers = [round(number, 6) for number in y.flatten().tolist()]
        recorded.append({"options": case, "shapes": shapes, "output": numbers})
    written = {"source": "github.com/NVlabs/edm2 training/networks_edm2.py UNet", "cases": recorded}
    Path(__file__).with_name("edm2.json").write_text(json.dumps(written) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

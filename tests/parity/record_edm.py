"""Record the endpoints of EDM's own sampler on an exact denoiser: python tests/parity/record_edm.py PATH/generate.py

PATH is a checkout of github.com/NVlabs/edm, whose licence forbids copies here: only its numbers are kept, in edm.json.
The function ``edm_sampler`` alone is compiled from the file, so neither its other imports nor its networks are needed.
"""

from __future__ import annotations

import ast
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

CASES: list[dict[str, Any]] = [
    {"num_steps": 18},
    {"num_steps": 5, "sigma_min": 0.01, "sigma_max": 50.0, "rho": 5.0},
    {"num_steps": 18, "S_churn": 40.0, "S_min": 0.05, "S_max": 50.0, "S_noise": 1.003},
    {"num_steps": 10, "S_churn": 2.0, "S_min": 0.0, "S_max": 1000.0, "S_noise": 1.0},
]
LAW = {"weights": [0.5, 0.3, 0.2], "means": [[-1.0, 0.3], [0.8, 0.6], [0.2, -1.1]], "stds": [0.2, 0.35, 0.5]}


class Exact:
    """E[x₀ | x₀ + σ ε] of a mixture of round Gaussians, in the interface of their networks."""

    sigma_min, sigma_max = 0.0, math.inf

    def __call__(self, x: Tensor, sigma: Tensor, labels: None) -> Tensor:
        weights, means, stds = (torch.tensor(LAW[key], dtype=torch.float64) for key in LAW)
        var = stds**2 + sigma**2
        offset = x[:, None] - means
        log_parts = weights.log() - offset.square().sum(-1) / (2 * var) - var.log()
        pulled = means + (stds**2 / var)[:, None] * offset
        return (log_parts.softmax(-1)[..., None] * pulled).sum(1)

    def round_sigma(self, sigma: Tensor) -> Tensor:
        return torch.as_tensor(sigma)


def sampler(path: str) -> Any:
    """Their function ``edm_sampler``, compiled from the file."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "edm_sampler"]
    names = {"torch": torch, "np": np}
    exec(compile(tree, path, "exec"), names)
    return names["edm_sampler"]


def main(path: str) -> None:
    """Write edm.json."""
    generator = torch.Generator().manual_seed(0)
    run, recorded = sampler(path), []
    latents = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    for case in CASES:
        draws: list[list] = []

        def drawn(like: Tensor, draws: list = draws) -> Tensor:
            draws.append(torch.randn(like.shape, generator=generator, dtype=torch.float64).tolist())
            return torch.tensor(draws[-1], dtype=torch.float64)

        x = run(Exact(), latents, randn_like=drawn, **case)
        recorded.append({"options": case, "draws": draws if case.get("S_churn") else [], "endpoint": x.tolist()})
    written = {"source": "github.com/NVlabs/edm generate.py edm_sampler", "law": LAW}
    written |= {"latents": latents.tolist(), "cases": recorded}
    Path(__file__).with_name("edm.json").write_text(json.dumps(written) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

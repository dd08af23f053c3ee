"""Whether two processes learn what one does, from the same batches: the largest difference of their loss curves.

python benchmarks/scaling.py            prints the table and writes benchmarks/results/scaling.md
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import scorefield as sf
from scorefield.data import Dataset, open_data
from scorefield.nets import UNet
from scorefield.noise import EDM
from scorefield.objectives import Denoising
from scorefield.training import Logged, Settings, launch, training_steps

RESULT = Path(__file__).parent / "results" / "scaling.md"
STEPS, BATCH = 30, 32


class Wide:
    """Digits between −1 and 1, in the precision that is asked for."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def encode(self, raw: Tensor) -> Tensor:
        return raw.to(self.dtype) / 127.5 - 1

    def decode(self, z: Tensor) -> Tensor:
        return ((z + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def curve(dtype: torch.dtype, dropout: float, shard: bool, accumulate: int) -> list[float]:
    """The loss of each step, on however many processes call this."""
    data: Dataset = open_data("digits")
    torch.manual_seed(0)
    net = UNet(1, size=8, channels=16, mult=(1, 2), blocks=1, attention=(4,), classes=10, dropout=dropout)
    denoiser = sf.Preconditioned(net, sf.Gaussian(EDM()), sigma_data=0.8).to(dtype)
    settings = Settings(
        steps=STEPS,
        batch=BATCH,
        accumulate=accumulate,
        lr=1e-3,
        log_every=1,
        save_every=0,
        precision="fp32",
        shard=shard,
    )
    events = training_steps(denoiser, data, Wide(dtype), Denoising(), settings, device="cpu")
    return [event.loss for event in events if type(event) is Logged]


def curves(*cases: tuple[Any, ...]) -> list[list[float]]:
    """Several curves in one start of the processes."""
    torch.set_num_threads(1)
    return [curve(*case) for case in cases]


def main() -> None:
    double, single = torch.float64, torch.float32
    cases = {  # what differs from one process with one micro-batch: (dtype, dropout, shard, accumulate)
        "float64": (double, 0.0, False, 1),
        "float64, sharded": (double, 0.0, True, 1),
        "float64, 4 micro-batches": (double, 0.0, False, 4),
        "float32": (single, 0.0, False, 1),
        "float32, dropout 0.1 (its masks are drawn for each micro-batch)": (single, 0.1, False, 1),
    }
    alone = curves(*[(dtype, dropout, False, 1) for dtype, dropout, _, _ in cases.values()])
    together = launch(curves, tuple(cases.values()), 2, "cpu")
    lines = [
        "# Two processes against one",
        "",
        f"The loss of digits at each of {STEPS} steps of batch {BATCH}, a small U-Net, AdamW, gloo on CPU. Both see",
        "the same examples, times and noise in each step, so what differs is the order of sums (docs/machines.md).",
        f"torch {torch.__version__}, {platform.machine()}, one thread a process. `python benchmarks/scaling.py`",
        "",
        "| two processes | last loss of one | largest difference at any step |",
        "|---|---|---|",
    ]
    for name, one, two in zip(cases, alone, together, strict=True):
        difference = max(abs(a - b) for a, b in zip(one, two, strict=True))
        lines.append(f"| {name} | {one[-1]:.4f} | {difference:.1e} |")
    text = "\n".join(lines) + "\n"
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()

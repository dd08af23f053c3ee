"""Does reading the data slow a training step down? JPEGs of 500 pixels at size 64, after they were decoded once,
against examples made in memory: the same network, the same steps, in turn.

python benchmarks/pipeline.py             20,000 files: several minutes on one core, mostly to make and decode them
python benchmarks/pipeline.py --quick     2,000 files
Both write benchmarks/results/pipeline.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from PIL import Image

import scorefield as sf
from scorefield.data import Dataset, codec_for, open_data
from scorefield.noise import EDM
from scorefield.training import Settings, current_world
from scorefield.training.feed import Feed

RESULT = Path(__file__).parent / "results" / "pipeline.md"
SIZE, EDGE, BATCH = 64, 500, 16
PAIRS = {"full": 60, "quick": 20}
FILES = {"full": 20_000, "quick": 2_000}
CLASSES = 4
WARM = 3  # steps of each that are not counted


def make(folder: Path, count: int) -> None:
    """``count`` JPEGs of smooth colour with some grain, in a folder for each class."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 8, (EDGE + 256, EDGE + 256, 3)).astype(np.float32)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize(
            (EDGE, EDGE), Image.Resampling.BICUBIC
        )
        dx, dy = rng.integers(0, 256, 2)
        pixels = np.clip(np.asarray(coarse) + grain[dx : dx + EDGE, dy : dy + EDGE], 0, 255).astype(np.uint8)
        below = folder / str(i % CLASSES)
        below.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(below / f"{i:06d}.jpg", quality=85)


def synthetic(like: Dataset) -> Dataset:
    """As many examples of the same shape, drawn in memory."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (len(like), *like.shape), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (len(like),), generator=generator)
    return Dataset("synthetic", "images", x, labels=labels, classes=like.classes, flip_ok=True)


class Stepper:
    """Training steps on one data set, with the feed of the training loop."""

    def __init__(self, data: Dataset) -> None:
        torch.manual_seed(0)
        net = sf.UNet(3, channels=32, mult=(1, 2, 3, 3), blocks=1, attention=(8,), size=SIZE, classes=CLASSES)
        self.denoiser = sf.Preconditioned(net, sf.Gaussian(EDM()), predict="edm")
        self.objective = sf.Denoising()
        self.optimiser = torch.optim.AdamW(self.denoiser.parameters(), lr=1e-4)
        settings = Settings(steps=1, batch=BATCH, flip=True)
        self.feed = Feed(data, codec_for(data), settings, current_world("cpu"))
        self.position = 0

    def __call__(self) -> tuple[float, float]:
        """CPU seconds of one step, and of its reading alone."""
        start = time.thread_time()
        parts = list(self.feed.step(self.position))
        read = time.thread_time() - start
        for _, x0, cond in parts:
            self.objective(self.denoiser, x0, sf.Rng(self.position), **cond).mean().backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.position += BATCH
        return time.thread_time() - start, read


def measure(files: Dataset, pairs: int) -> dict[str, float]:
    """Steps on files and on synthetic data in turn, so that whatever else the machine does meets both."""
    steppers = {"files": Stepper(files), "synthetic": Stepper(synthetic(files))}
    steps: dict[str, list[tuple[float, float]]] = {name: [] for name in steppers}
    for i in range(pairs + WARM):
        for name in sorted(steppers, reverse=bool(i % 2)):
            steps[name].append(steppers[name]())
    taken = {name: steps[name][WARM:] for name in steps}
    ratios = [b[0] / a[0] for a, b in zip(taken["files"], taken["synthetic"], strict=True)]
    resampled = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(resampled, axis=1), (0.025, 0.975))
    return {
        "step": statistics.median(t for t, _ in taken["files"]),
        "read": statistics.median(r for _, r in taken["files"]),
        "synthetic": statistics.median(t for t, _ in taken["synthetic"]),
        "synthetic read": statistics.median(r for _, r in taken["synthetic"]),
        "kept": statistics.median(ratios),
        "low": float(low),
        "high": float(high),
    }


def page(mode: str, count: int, decoded: dict[str, float], found: dict[str, float]) -> str:
    """The table."""
    command = "python benchmarks/pipeline.py" + (" --quick" if mode == "quick" else "")
    processor = platform.processor() or platform.machine()
    return f"""# The input pipeline

Printed by `{command}`: {count:,} JPEGs of {EDGE} pixels, size={SIZE}, batches of {BATCH} with mirroring, a U-Net of 32
channels on one thread of {processor}, torch {torch.__version__.partition("+")[0]}. CPU time of the training thread,
median of {PAIRS[mode]} steps on files and on synthetic examples in memory, taken in turn.

| | files | synthetic |
|---|---|---|
| training step | {1e3 * found["step"]:.0f} ms | {1e3 * found["synthetic"]:.0f} ms |
| of it reading and encoding | {1e3 * found["read"]:.2f} ms | {1e3 * found["synthetic read"]:.2f} ms |

Speed kept after the first epoch: {found["kept"]:.1%} (median of the pairs; 95 % interval {found["low"]:.1%} to
{found["high"]:.1%}).

The first opening decodes every file, once: {decoded["first"]:.1f} s of CPU time over all threads,
{1e3 * decoded["first"] / count:.1f} ms a file. Every later opening reads the cache: {decoded["later"]:.2f} s.
"""


def main() -> None:
    """Make the files, open them twice, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    mode = "quick" if parser.parse_args().quick else "full"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SCOREFIELD_CACHE"] = f"{folder}/cache"
        photos = Path(folder) / "photos"
        photos.mkdir()
        make(photos, FILES[mode])
        decoded: dict[str, float] = {}
        data: Any = None
        for name in ("first", "later"):
            start = time.process_time()
            data = open_data(photos, size=SIZE)
            decoded[name] = time.process_time() - start
        text = page(mode, FILES[mode], decoded, measure(data, PAIRS[mode]))
    RESULT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

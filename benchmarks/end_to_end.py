"""From nothing to 64 samples: start Python, train N steps on a folder of images, sample; ours and lucidrains' Trainer.

python benchmarks/end_to_end.py             prints the table and writes benchmarks/results/end_to_end.md
python benchmarks/end_to_end.py steps=500 rounds=2

Each is a script that a user would write, in a process of its own, over the same PNG files: imports, reading, training
with all that the library does beside (averages, checkpoints, pictures, reports), sampling 64 images with the same
number of evaluations, writing a picture. lucidrains' Trainer has its usual arguments but for the same batch and number
of evaluations; its worker processes are counted.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peers.networks import SIZES, build, cost
from benchmarks.training import versions

ROOT = Path(__file__).parents[1]
GIVEN = {"steps": "300", "rounds": "2", "threads": "2", "batch": "32"}
SIZE, IMAGES, EVALUATIONS = "28x28x1", 2000, 18
RESULT = Path(__file__).parent / "results" / "end_to_end.md"

TITLE = """# Start, train, sample

Made by `{words}` ({versions}; x86-64 CPU, {threads} threads). A folder of {images} PNG files of {size}; {steps} steps
of batch {batch} on a network of equal size (`benchmarks/peers/networks.py`), then 64 samples of {evaluations}
evaluations, without dropout; medians of {rounds} rounds in turn. CPU seconds are those of the process and its children:
they depend less on what else the machine does.

| library | parameters, M | GFLOP forward | wall s | CPU s | wall, × lucidrains' | CPU, × lucidrains' |
|---|---|---|---|---|---|---|
"""
OURS = """
import sys, torch
torch.set_num_threads(int(sys.argv[4]))
import scorefield as sf
from benchmarks.peers.networks import SIZES
own = dict(SIZES["{size}"]["ours"])
del own["in_channels"], own["size"]
run = sf.train(sys.argv[1], name="run", steps=int(sys.argv[2]), batch=int(sys.argv[3]), dropout=0,
               **{{f"net.{{key}}": value for key, value in own.items()}})
run.sample(64, steps={evaluations}).save("samples.png")
"""
THEIRS = """
import sys, torch
torch.set_num_threads(int(sys.argv[4]))
from benchmarks.peers.networks import build, stub
stub()
from denoising_diffusion_pytorch import GaussianDiffusion, Trainer
net = build("lucidrains", "{size}").net
diffusion = GaussianDiffusion(net, image_size={edge}, sampling_timesteps={evaluations})
steps = int(sys.argv[2])
Trainer(diffusion, sys.argv[1], train_batch_size=int(sys.argv[3]), train_num_steps=steps, save_and_sample_every=steps,
        num_samples=64, results_folder="results", calculate_fid=False).train()
"""


def pictures(folder: Path) -> None:
    """Drawn glyphs of the size, as PNG files."""
    from PIL import Image

    import scorefield as sf

    data = sf.open_data("glyphs", size=SIZES[SIZE]["ours"]["size"])
    for i in range(IMAGES):
        pixels = data.x[i % len(data)].permute(1, 2, 0).numpy()
        Image.fromarray(pixels).convert("L").save(folder / f"{i:05d}.png")


def spent(code: str, data: Path, given: dict[str, str]) -> tuple[float, float]:
    """(wall, CPU) seconds of a script and its children, in an empty folder of its own."""
    words = [str(data), given["steps"], given["batch"], given["threads"]]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": given["threads"]}
    with tempfile.TemporaryDirectory() as folder:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=folder, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table and write it."""
    given = GIVEN | dict(word.split("=", 1) for word in sys.argv[1:])
    edge = SIZES[SIZE]["ours"]["size"]
    scripts = {
        name: code.format(size=SIZE, edge=edge, evaluations=EVALUATIONS)
        for name, code in (("scorefield", OURS), ("lucidrains", THEIRS))
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in scripts}
    with tempfile.TemporaryDirectory() as data:
        pictures(Path(data))
        for _ in range(int(given["rounds"])):  # in turn, so that a busy moment hits both
            for name, code in scripts.items():
                taken[name].append(spent(code, Path(data), given))
    rows = []
    for name, times in taken.items():
        parameters, flops = cost(build(name, SIZE), SIZE)
        ratios = [
            statistics.median(mine[i] / base[i] for mine, base in zip(times, taken["lucidrains"], strict=True))
            for i in (0, 1)
        ]
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append(
            f"| {name} | {parameters / 1e6:.3f} | {flops / 1e9:.3f} | {wall:.0f} | {cpu:.0f} "
            f"| {ratios[0]:.2f} | {ratios[1]:.2f} |"
        )
    text = TITLE.format(
        words=" ".join(["python benchmarks/end_to_end.py", *sys.argv[1:]]),
        versions=versions(),
        images=IMAGES,
        size=SIZE,
        evaluations=EVALUATIONS,
        **given,
    )
    text += "\n".join(rows) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

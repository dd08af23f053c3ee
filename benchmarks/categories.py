"""Categories of every sort, a few minutes of one core each: discrete diffusion beside what else gives probabilities.

python benchmarks/categories.py --data FOLDER [--only NAMES] [--share F]

measures every set, keeps the figures in benchmarks/results/categories.json, so that --only takes some of them anew, and
writes benchmarks/results/categories.md, a table each. FOLDER holds text/, jsb_chorales/, mnist/ and emoji/ (otherwise
SCOREFIELD_TEST_DATA names it). --share 0.1 trains for a tenth of the time.

Every network of a set is trained by the loop of scorefield for the same CPU time, with the same batches and learning
rate. All models read held-out examples one by one: none knows what stands before a window.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from categories_baselines import Autoregressive, counted, next_one
from torch import Tensor, nn

import scorefield as sf
from scorefield.data import Dataset, codec_for
from scorefield.data.alphabet import ENDED
from scorefield.denoisers import Categorical
from scorefield.likelihood import elbo
from scorefield.nets import TokenGrid, TokenTransformer
from scorefield.noise import masking, uniform
from scorefield.objectives import Elbo
from scorefield.training import Settings, training_steps
from scorefield.training.events import Stopped

RESULTS = Path(__file__).parent / "results"
NOISES = {"masked": masking, "uniform": uniform}
NEAR = 3  # of transformers: letters on each side that enter with one; twice as many before it where none behind may
PART = 64  # examples that are read at once
HEADS = ("model", "", "±", "parameters", "CPU minutes of training", "steps")
Offsets = list[tuple[int, ...]]


@dataclass(frozen=True)
class Task:
    """A set of data cut into examples, and what learns it."""

    title: str
    about: str  # what the examples are
    unit: str  # of the figures
    data: Dataset  # (N, *D)
    codec: Any
    test: Tensor  # (M, *D) int64, below the codec's classes
    counts: Tensor  # what counting learns from, of the same rank
    offsets: Offsets  # neighbours that come before, the nearest first
    edges: bool  # whether examples end where the data do
    network: Callable[[Any], nn.Module]  # of the noise
    shape: str  # of the network, in words
    minutes: float
    rival: Callable[[], nn.Module] | None = None  # an autoregressive network of its size
    noises: tuple[str, ...] = ("masked",)
    batch: int = 16
    rate: float = 3e-3
    looks: int = 4  # of the bound at each example
    sizes: Tensor | None = None  # units in each example of ``test`` (M,); None: its places
    nats: float = math.log(2)  # in one unit of the figures


@dataclass(frozen=True)
class Figure:
    """What a model needs, the standard error over examples, and what it cost."""

    model: str
    value: float
    error: float
    parameters: int = 0
    minutes: float = 0.0  # CPU
    steps: int = 0


LINES = (
    " The end of a line counts as a character; after it a row is filled up with ends, which cost nothing but the "
    "counts alone."
)
RIVAL = f" Near in the autoregressive network are the {2 * NEAR} places before."


class AsItIs:
    """Data that are numbers of categories already."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def encode(self, raw: Tensor) -> Tensor:
        """The numbers themselves."""
        return raw.long()


class InRows(nn.Module):
    """A grid (B, H, W) read row by row by a transformer of sequences, every column in tokens of its own."""

    def __init__(self, tokens: int, states: int, long: int, **sizes: Any) -> None:
        super().__init__()
        self.columns = states * torch.arange(long)
        self.net = TokenTransformer(tokens, states=states * long, **sizes)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Logits (B, H, W, tokens)."""
        return self.net((x + self.columns).flatten(1), level).unflatten(1, x.shape[1:])


def text(title: str, file: str, minutes: float, **reading: Any) -> Callable[[Path], Task]:
    """Windows of a document, or its lines."""

    def made(folder: Path) -> Task:
        data = sf.open_data(folder / "text" / file, **reading)
        codec = codec_for(data)
        lines, length = reading.get("lines", False), data.shape[0]
        raw = data.held_out.batch(range(len(data.held_out)))["x"]
        counts = codec.encode(data.batch(range(0, len(data) - 1, 1 if lines else length))["x"])
        net = {"width": 96, "depth": 3, "heads": 4}
        return Task(
            title,
            " ".join(data.notes) + LINES * lines,
            "bits a character",
            data,
            codec,
            codec.encode(raw),
            counts if lines else counts.reshape(1, -1),
            [(-n,) for n in range(1, 9)],
            lines,
            lambda process: TokenTransformer(codec.classes, states=process.states, near=NEAR, **net),
            "3 blocks of 96, 4 heads, near=3",
            minutes,
            lambda: Autoregressive(codec.classes, **net, near=2 * NEAR),
            ("masked", "uniform"),
            sizes=(raw != ENDED).sum(1) + (raw == ENDED).any(1) if lines else None,
        )

    return made


def chorales(folder: Path) -> Task:
    """Windows of 32 sixteenths × 4 voices."""
    long, every = 32, 4
    with np.load(folder / "jsb_chorales" / "jsb_chorales_16th.npz") as file:
        parts = {name: np.split(file[f"{name}_pitches"], np.cumsum(file[f"{name}_lengths"])[:-1])
                 for name in ("train", "test")}  # fmt: skip
    known = np.unique(np.concatenate(parts["train"]))
    pitches = {name: [np.searchsorted(known, one) for one in of] for name, of in parts.items()}
    assert all(np.isin(one, known).all() for one in parts["test"])
    x = [one[i : i + long] for one in pitches["train"] for i in range(0, len(one) - long + 1, every)]
    test = [one[i : i + long] for one in pitches["test"] for i in range(0, len(one) - long + 1, long)]
    left = 1 - sum(map(len, test)) / sum(map(len, pitches["test"]))
    train, classes = torch.from_numpy(np.stack(x)), len(known)
    return Task(
        "JSB chorales",
        "229 chorales to learn from and 77 to be tested with, as 4 voices on a grid of sixteenths: a place is one of "
        f"{classes} categories, {classes - 1} pitches and silence; a note that goes on is its pitch again. Windows of "
        f"{long} sixteenths that begin on a quarter; of the test part side by side, what is left over at the ends of "
        f"chorales ({left:.0%}) not counted. Published figures for piano rolls of quarters are of other data: 88 keys "
        "each on or off, without voices, a quarter of the time steps, and each step given all that came before.",
        "nats a sixteenth, all four voices",
        Dataset("chorales", "categories", train),
        AsItIs(classes),
        torch.from_numpy(np.stack(test)),
        train[:: long // every],
        [(-1, 0), (0, -1), (0, -2), (-2, 0), (0, -3), (-1, 1), (-4, 0), (-3, 0), (-1, 2), (-8, 0)],
        True,
        lambda process: InRows(classes, process.states, long=4, width=96, depth=3, heads=4, near=4, tied=False),
        "3 blocks of 96, 4 heads, near=4, over the places in reading order",
        0.75,
        lambda: Autoregressive(classes, 96, 3, 4, 2 * NEAR, places=long * 4),
        ("masked", "uniform"),
        sizes=torch.full((len(test),), long),
        nats=1.0,
    )


def mnist(folder: Path) -> Task:
    """Black and white by the middle."""
    with np.load(folder / "mnist" / "mnist.npz") as file:
        train, test = (torch.from_numpy((file[f"{name}_images"] > 127).astype(np.int64)) for name in ("train", "test"))
    return Task(
        "MNIST in black and white",
        "28×28 pixels, white above 127: a fixed threshold, and not the draws of Salakhutdinov and Murray (2008) that "
        "most published figures are for. Tested with the first 500 test images; counts are of the first 4,000 of "
        "the others.",
        "nats an image",
        Dataset("mnist", "categories", train),
        AsItIs(2),
        test[:500],
        train[:4000],
        template(16),
        True,
        lambda process: TokenGrid(
            2, states=process.states, body="unet", features=16, channels=32, mult=(1, 2, 2), blocks=1, attention=(7,),
            size=28, updown="conv",
        ),
        "a U-Net of 32, 64 and 64 channels",
        1.25,
        batch=32,
        rate=2e-3,
        sizes=torch.ones(500),
        nats=1.0,
    )  # fmt: skip


def emoji(folder: Path) -> Task:
    """Sixteen colours."""
    with np.load(folder / "emoji" / "emoji_palette16_32.npz") as file:
        index = torch.from_numpy(file["index"].astype(np.int64))
    aside = torch.arange(len(index)) % 10 == 9
    return Task(
        "Emoji in 16 colours",
        "1,440 pictures of 32×32 pixels in one palette; every tenth is held out.",
        "bits a pixel",
        Dataset("emoji", "categories", index[~aside]),
        AsItIs(16),
        index[aside],
        index[~aside],
        template(12),
        True,
        lambda process: TokenGrid(
            16, states=process.states, body="unet", channels=32, mult=(1, 2, 2), blocks=1, attention=(8,), size=32,
            updown="conv",
        ),
        "a U-Net of 32, 64 and 64 channels",
        1.25,
        batch=32,
        rate=2e-3,
        looks=8,
    )  # fmt: skip


def template(count: int) -> Offsets:
    """The nearest pixels that were read before one, left to right and top to bottom."""
    before = [(y, x) for y in range(-3, 1) for x in range(-3, 4) if y < 0 or x < 0]
    return sorted(before, key=lambda at: (at[0] ** 2 + at[1] ** 2, -at[0], at[1]))[:count]


TASKS: dict[str, Callable[[Path], Task]] = {
    "shakespeare": text("Tiny Shakespeare", "tinyshakespeare.txt.gz", 2.0, length=64),
    "wikitext": text("WikiText-2, the validation part", "wikitext2_valid.txt.gz", 0.75, length=64),
    "names": text("First names", "names.txt.gz", 0.5, lines=True),
    "chorales": chorales,
    "mnist": mnist,
    "emoji": emoji,
}


def measured(task: Task, share: float) -> list[Figure]:
    """Every line of a table, printed as it comes."""
    found = [_said(one) for one in by_counting(task)]
    if task.rival is not None:
        torch.manual_seed(0)  # weights are drawn by torch's global generator
        model, cost = trained(task.rival(), task, next_one, share)
        with torch.no_grad():
            nats = torch.cat([model(part).sum(1) for part in task.test.split(PART)])
        found.append(_said(figure(task, "autoregressive transformer", nats, *cost)))
    for noise in task.noises:
        torch.manual_seed(0)
        process, rng = NOISES[noise](task.codec.classes), sf.Rng(1)
        model, cost = trained(Categorical(task.network(process), process), task, OBJECTIVES[noise], share)
        nats = torch.cat([elbo(model, part, rng=rng, samples=task.looks).nats for part in task.test.split(PART)])
        found.append(_said(figure(task, f"scorefield, {noise} (bound)", nats, *cost)))
    return found


OBJECTIVES = {"masked": Elbo(label_dropout=0.0), "uniform": Elbo(label_dropout=0.0)}


def trained(model: nn.Module, task: Task, objective: Any, share: float) -> tuple[nn.Module, tuple[int, float, int]]:
    """(the averaged network, (its parameters, CPU minutes, steps))."""
    settings = Settings(
        minutes=task.minutes * share, batch=task.batch, lr=task.rate, ema=(0.10,), log_every=0, save_every=0,
        save_minutes=0, seed=0,
    )  # fmt: skip
    start, size = time.process_time(), sum(p.numel() for p in model.parameters())
    events = training_steps(model, task.data, task.codec, objective, settings, device="cpu", clock=time.process_time)
    *_, last = (event for event in events if isinstance(event, Stopped))
    return last.denoiser.eval(), (size, (time.process_time() - start) / 60, last.step)


def by_counting(task: Task) -> list[Figure]:
    """What stands near, counted: no neighbour, and the number of them that is best for the held-out examples."""
    start = time.process_time()
    rows = task.counts.numpy(), task.test.numpy()
    nats = torch.from_numpy(counted(*rows, task.codec.classes, task.offsets, task.edges))
    minutes = (time.process_time() - start) / 60
    every = [figure(task, f"counts given {n} neighbours", of.flatten(1).sum(1)) for n, of in enumerate(nats)]
    best = min(range(len(every)), key=lambda n: every[n].value)
    name = f"counts given {best} that stand before (Witten-Bell)"
    return [figure(task, "counts alone", nats[0].flatten(1).sum(1)),
            figure(task, name, nats[best].flatten(1).sum(1), 0, minutes)]  # fmt: skip


def figure(task: Task, name: str, nats: Tensor, *cost: Any) -> Figure:
    """Of the −log p of every held-out example (M,): the mean a unit, and its error over examples."""
    sizes = torch.full((len(nats),), math.prod(task.test.shape[1:])) if task.sizes is None else task.sizes
    nats, sizes = nats.double() / task.nats, sizes.double()
    mean = (nats.sum() / sizes.sum()).item()
    spread = ((nats - mean * sizes).square().sum().sqrt() / sizes.sum()).item()
    return Figure(name, mean, spread * math.sqrt(len(nats) / (len(nats) - 1)), *cost)


def _said(one: Figure) -> Figure:
    print(f"  {one.model}: {one.value:.4f} ± {one.error:.4f}, {one.minutes:.2f} CPU minutes, {one.steps}", flush=True)
    return one


def record(task: Task, found: list[Figure]) -> dict[str, Any]:
    """What is kept of a set."""
    how = (
        f"Network: {task.shape}; batches of {task.batch}, AdamW {task.rate:g}, cosine, the average of the weights. "
        f"Bounds are from {task.looks} looks at each of {len(task.test):,} held-out examples."
        f"{RIVAL if task.rival else ''}"
    )
    return {"title": task.title, "about": task.about, "unit": task.unit, "how": how,
            "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
            "figures": [asdict(one) for one in found]}  # fmt: skip


def page(kept: dict[str, Any]) -> str:
    """The file of results."""
    lines = [
        "# Discrete diffusion on categories of every sort",
        "",
        "Made by `python benchmarks/categories.py --data FOLDER`, some sets by runs of their own (--only), each on one "
        "thread of a busy 2-core CPU. Lower is better. Those of diffusion are upper bounds on −log p; ± is a standard "
        "error over held-out examples, which contains that of the looks at them. Every model reads these one by one, "
        "without what stands before them. The networks of a set were trained for the same CPU time; those of diffusion "
        "have more parameters because they are told of the noise level, at next to no arithmetic. Counts are smoothed "
        "by Witten and Bell's method; how many neighbours they look at is "
        "chosen on the held-out examples, in their favour.",
    ]
    for one in (kept[name] for name in TASKS if name in kept):
        lines += ["", f"## {one['title']}", "", one["about"], "", f"{one['how']} ({one['versions']}.)", ""]
        lines += [
            f"| model | {one['unit']} | ± | parameters | CPU minutes of training | steps |",
            "|---|---|---|---|---|---|",
        ]
        for it in sorted((Figure(**raw) for raw in one["figures"]), key=lambda it: it.value):
            digits = max(0, 1 - math.floor(math.log10(it.error)))
            cells = [it.model, f"{it.value:.{digits}f}", f"{it.error:.{digits}f}"]
            cells += (
                [f"{it.parameters:,}", f"{it.minutes:.2f}", f"{it.steps:,}"]
                if it.steps
                else ["", f"{it.minutes:.2f}", ""]
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, print, keep and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=os.environ.get("SCOREFIELD_TEST_DATA"))
    parser.add_argument("--only", default=",".join(TASKS), help="sets, separated by commas")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    names = asked.only.split(",")
    if not asked.data or set(names) - set(TASKS):
        parser.error(f"--data FOLDER, or SCOREFIELD_TEST_DATA, names the folder of the data; --only knows {[*TASKS]}")
    torch.set_num_threads(1)
    store = asked.out / "categories.json"
    for name in names:
        print(name, flush=True)
        task = TASKS[name](Path(asked.data))
        found = record(task, measured(task, asked.share))
        kept = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
        store.write_text(json.dumps(kept | {name: found}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        written = page(kept | {name: found})
        (asked.out / "categories.md").write_text(written, encoding="utf-8")
    sys.stdout.write(written)


if __name__ == "__main__":
    main()

"""Text with few minutes of one core: bits per character of masked diffusion beside what else reads text.

python benchmarks/text.py --data FOLDER [--steps N]

prints the table and writes benchmarks/results/text.md. FOLDER holds text/tinyshakespeare.txt.gz (otherwise
SCOREFIELD_TEST_DATA names it): 1,115,394 characters, the last tenth of which is held out.

Every model reads the held-out text in the same windows, side by side, each a text of its own; so none knows what stands
before a window, and the figures are comparable among themselves. Both networks are trained by ``sf.fit`` with the same
settings on the same windows; the n-gram model is Witten and Bell's, of the order that is best on the held-out text.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import scorefield as sf
from scorefield.data import codec_for
from scorefield.denoisers import Categorical
from scorefield.likelihood import elbo
from scorefield.metrics.text import NGrams
from scorefield.nets import TokenTransformer
from scorefield.nets.sequence import turns
from scorefield.nets.tokens import turned
from scorefield.noise import masking
from scorefield.objectives import Elbo
from scorefield.training import Settings

RESULT = Path(__file__).parent / "results" / "text.md"
LENGTH, WIDTH, DEPTH, HEADS, BATCH, RATE = 64, 96, 3, 4, 16, 3e-3
ORDERS = range(2, 9)
LOOKS = 3  # of the bound at each held-out window


@dataclass(frozen=True)
class Figure:
    """Bits a character, their standard error, and what they cost."""

    name: str
    bits: float
    error: float
    parameters: int = 0
    minutes: float = 0.0  # CPU


class CausalBlock(nn.Module):
    """x ← x + attention to what stands before; x ← x + MLP: the sizes of our block, without what is told of noise."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        for layer in (self.out, self.narrow):
            nn.init.zeros_(layer.weight)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norms[0](x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(turned(q, places), turned(k, places), v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norms[1](x)), approximate="tanh"))


class Autoregressive(nn.Module):
    """log p(x_i | x_1 … x_{i−1}): the transformer of a language model, tied table, rotary positions."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes, self.process = classes, masking(classes)  # the loop of training wants to know of one
        self.table = nn.Embedding(classes + 1, WIDTH)  # the last one stands before the text
        nn.init.normal_(self.table.weight, std=WIDTH**-0.5)
        self.blocks = nn.ModuleList(CausalBlock() for _ in range(DEPTH))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)
        nn.init.zeros_(self.head.weight)  # like ours: nothing is said before something is learned
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        """−log p of each of x (B, L), in nats."""
        h = self.table(F.pad(x[:, :-1], (1, 0), value=self.classes)) * math.sqrt(WIDTH)
        places = turns(torch.arange(x.shape[1], dtype=h.dtype), WIDTH // HEADS)
        for block in self.blocks:
            h = block(h, places)
        logits = F.linear(self.head(self.norm(h)), self.table.weight[: self.classes], self.bias)
        return F.cross_entropy(logits.transpose(1, 2), x, reduction="none")


def next_character(model: nn.Module, x0: Tensor, rng: sf.Rng, **cond: Any) -> Tensor:
    """The objective of the autoregressive network, (B,)."""
    return model(x0).mean(1)


def trained(model: nn.Module, data: Any, codec: Any, objective: Any, steps: int) -> tuple[nn.Module, float]:
    """(the averaged network, CPU minutes): the same loop and the same settings for both."""
    start = time.process_time()
    settings = Settings(steps=steps, batch=BATCH, lr=RATE, ema=(0.10,), log_every=0, save_every=0, seed=0)
    model = sf.fit(model, data, codec, objective, settings, device="cpu").denoiser
    return model.eval(), (time.process_time() - start) / 60


def size(model: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in model.parameters())


def figure(name: str, nats: Tensor, *cost: Any) -> Figure:
    """Of the −log p of every held-out window, (N,): the mean in bits a character and its error over windows."""
    per = nats.double() / (LENGTH * math.log(2))
    return Figure(name, per.mean().item(), per.std().item() / math.sqrt(len(per)), *cost)


def n_grams(train: Tensor, test: Tensor, classes: int) -> list[Figure]:
    """One figure an order; ``train`` is the whole document (1, T)."""
    found = []
    for order in ORDERS:
        start = time.process_time()
        nats = torch.from_numpy(NGrams(train, classes, order).nll(test)).sum(1)
        minutes = (time.process_time() - start) / 60
        found.append(figure(f"{order}-gram, Witten-Bell", nats, 0, minutes))
    return found


def measure(path: Path, steps: int) -> list[Figure]:
    """Every line of the table, printed as it comes."""
    data = sf.open_data(path, length=LENGTH)
    codec = codec_for(data)
    test, document = codec.encode(data.held_out.batch(range(len(data.held_out)))["x"]), _document(data, codec)
    unigram = torch.bincount(document[0], minlength=codec.classes).double() + 1
    found = [figure("unigram", -(unigram / unigram.sum()).log()[test].sum(1))]
    found += n_grams(document, test, codec.classes)
    for one in found:
        _said(one)
    torch.manual_seed(0)  # weights are drawn by torch's global generator
    model, minutes = trained(Autoregressive(codec.classes), data, codec, next_character, steps)
    with torch.no_grad():
        nats = torch.cat([model(part).sum(1) for part in test.split(64)])
    found.append(_said(figure("autoregressive transformer", nats, size(model), minutes)))
    torch.manual_seed(0)
    process, rng = masking(codec.classes), sf.Rng(1)
    net = TokenTransformer(codec.classes, states=process.states, length=LENGTH, width=WIDTH, depth=DEPTH, heads=HEADS)
    model, minutes = trained(Categorical(net, process), data, codec, Elbo(label_dropout=0.0), steps)
    parts = [elbo(model, part, rng=rng, samples=LOOKS).nats for part in test.split(64)]
    found.append(_said(figure("masked diffusion, scorefield (bound)", torch.cat(parts), size(model), minutes)))
    return found


def _document(data: Any, codec: Any) -> Tensor:
    """The training text in one row, (1, T), of its windows, of which one begins at every character."""
    last = len(data) - 1
    picked = data.batch([*range(0, last, LENGTH), last])["x"]
    rest = last - (len(picked) - 2) * LENGTH  # characters that the last window has beyond the one before it
    raw = torch.cat([picked[:-1].flatten(), picked[-1, LENGTH - rest :]])
    return codec.encode(raw[None])


def _said(one: Figure) -> Figure:
    print(f"{one.name}: {one.bits:.4f} ± {one.error:.4f} bits, {one.minutes:.2f} CPU minutes", flush=True)
    return one


def page(found: list[Figure], steps: int) -> str:
    """The file of results."""
    best = min((one for one in found if "gram," in one.name), key=lambda one: one.bits)
    shown = [one for one in found if "gram," not in one.name or one is best]
    lines = [
        "# Bits per character of Tiny Shakespeare",
        "",
        f"Made by `python benchmarks/text.py --data FOLDER --steps {steps}` (torch {torch.__version__}, CPU, 1 thread, "
        f"Python {platform.python_version()}). The last tenth of the text in windows of {LENGTH}, each a text of its "
        f"own for every model. Both networks: {DEPTH} blocks of {WIDTH}, {HEADS} heads, {steps:,} steps of {BATCH} "
        f"windows ({steps * BATCH * LENGTH / 1e6:.2f} million characters), AdamW {RATE:g}, cosine, the average of the "
        "weights. The diffusion network has more parameters because it is told of the noise level, at next to no "
        f"arithmetic. Its figure is an upper bound, from {LOOKS} looks at each window; ± is a standard error over "
        "windows, which contains that of the looks.",
        "",
        "| model | bits a character | ± | parameters | CPU minutes of training |",
        "|---|---|---|---|---|",
    ]
    for one in sorted(shown, key=lambda one: one.bits):
        cells = [one.name, f"{one.bits:.3f}", f"{one.error:.3f}", f"{one.parameters:,}" if one.parameters else ""]
        lines.append(f"| {' | '.join(cells)} | {one.minutes:.2f} |")
    orders = ", ".join(f"{one.name.split('-')[0]}: {one.bits:.3f}" for one in found if "gram," in one.name)
    lines += ["", f"n-grams by order: {orders}. The order is chosen on the held-out text, in their favour.", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=os.environ.get("SCOREFIELD_TEST_DATA"))
    parser.add_argument("--steps", type=int, default=1000)
    asked = parser.parse_args()
    if not asked.data:
        parser.error("--data FOLDER, or SCOREFIELD_TEST_DATA, names the folder of the data sets")
    torch.set_num_threads(1)
    text = page(measure(Path(asked.data) / "text" / "tinyshakespeare.txt.gz", asked.steps), asked.steps)
    RESULT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

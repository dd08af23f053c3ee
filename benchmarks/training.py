"""How fast networks of the same size are trained: images per second and memory, ours and the peers'.

python benchmarks/training.py                        both sizes on the CPU; writes benchmarks/results/training.md
python benchmarks/training.py device=cuda            on a GPU: prints, and writes benchmarks/results/training-cuda.md
python benchmarks/training.py sizes=28x28x1 rounds=3 batch=32 threads=2 clock=wall bf16=yes

A step of everyone is the same work on the same data in memory: noise, EDM's loss, gradients, clipping, AdamW, one
average of the weights. Ours goes through `training_steps`, with all it watches; the peers' loop stands below, with
the fused AdamW and the foreach average, which are the fastest of torch, in each of their settings. Each contender is a
process of its own, because how memory is given back belongs to a process (`training.pages`); they step in turn, so a
busy moment hits all alike: what counts is the ratio within a turn.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.metadata
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

import scorefield as sf
from benchmarks.peers.networks import PEERS, SIZES, build, cost, installed
from scorefield.noise import EDM
from scorefield.training import Logged, Settings, training_steps
from scorefield.training.precision import Computing, choose

GIVEN = {
    "device": "cpu",
    "sizes": ",".join(SIZES),
    "rounds": "8",
    "batch": "16",
    "threads": "1",
    "clock": "cpu",  # or wall
    "bf16": "auto",  # or yes
}
RESULTS = Path(__file__).parent / "results"
WARM = 2  # steps before the clock
EXAMPLES = 256
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
COLUMNS = (
    "network, precision, layout",
    "parameters, M",
    "GFLOP forward",
    "images/s",
    "ours in fp32 is × as fast",
    "of the product's FLOP/s",
    "memory, MiB",
)
TITLE = """# A training step beside the peers'

Made by `{words}` ({versions}; {machine}). Batch {batch}; medians of {rounds} steps, in {seconds}; the factor is the
median over turns of the other's time by ours. Noise, EDM's loss, gradients, clipping, AdamW and one average for
everybody. GFLOP are those of one image, forward, by torch's counter; ours on a CPU executes the fewer in brackets,
because doubling is folded into the convolution behind it. The share of the product's FLOP/s counts the plain form.
Memory is the peak of a contender's own process above what it held before its network was made.

"""


class Contender(NamedTuple):
    """Who, and in which of its settings; ``ours`` takes precision and channels_last as `train` does."""

    who: str
    precision: str
    channels_last: bool | str

    @property
    def name(self) -> str:
        """As in the table."""
        layout = {True: "channels-last", False: "contiguous", "auto": "auto"}[self.channels_last]
        return f"{self.who}, {self.precision}, {layout}"


def contenders(given: dict[str, str]) -> list[Contender]:
    """Ours in float32 and as auto has it, every installed peer in both layouts, and in bf16 where that may be faster:
    where auto takes it, or with ``bf16=yes``."""
    narrow = given["bf16"] == "yes" or auto(given).precision == "bf16"
    precisions = ("fp32", "bf16") if narrow else ("fp32",)
    ours = [Contender("scorefield", precision, "auto") for precision in precisions]
    return ours + [
        Contender(peer, precision, layout)
        for peer in PEERS
        if installed(peer)
        for precision in precisions
        for layout in (False, True)
    ]


def auto(given: dict[str, str]) -> Computing:
    """What ``precision=auto`` and its like choose for the first size."""
    own = SIZES[given["sizes"].split(",")[0]]["ours"]
    return choose(Settings(steps=1), torch.device(given["device"]), (own["in_channels"], own["size"], own["size"]))


class Images:
    """Noise in place of images, in memory: what is in them does not change the time."""

    fingerprint = "noise"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.x = torch.randn(EXAMPLES, *shape, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return EXAMPLES

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """As ``scorefield.data.Dataset`` has it."""
        return {"x": self.x[index]}

    def encode(self, x: Tensor) -> Tensor:
        """They are their own code."""
        return x

    decode = encode


def images(size: str) -> Images:
    """The data of a size."""
    own = SIZES[size]["ours"]
    return Images((own["in_channels"], own["size"], own["size"]))


def ours(contender: Contender, size: str, given: dict[str, str]) -> Callable[[], object]:
    """One step of ours a call."""
    data = images(size)
    denoiser = sf.Preconditioned(build("scorefield", size), sf.Gaussian(EDM()))
    how = Settings(steps=10**6, batch=int(given["batch"]), precision=contender.precision, ema=(0.05,), log_every=1)
    events = training_steps(denoiser, data, data, sf.Denoising(), how, device=given["device"])
    return lambda: next(event for event in events if type(event) is Logged)


def theirs(contender: Contender, size: str, given: dict[str, str]) -> Callable[[], object]:
    """One step of a peer's network a call: the loop that a careful user writes."""
    device, batch, data = torch.device(given["device"]), int(given["batch"]), images(size)
    layout = torch.channels_last if contender.channels_last else torch.contiguous_format
    net = build(contender.who, size).to(device, memory_format=layout).train()  # pyrefly: ignore[no-matching-overload]
    weights = list(net.parameters())
    optimizer = torch.optim.AdamW(weights, lr=2e-4, betas=(0.9, 0.99), fused=True)
    average = [p.detach().clone() for p in weights]
    narrow = contender.precision == "bf16"

    def step() -> object:
        x0 = data.x[torch.randint(EXAMPLES, (batch,))].to(device, memory_format=layout)
        sigma = torch.exp(1.2 * torch.randn(batch, 1, 1, 1, device=device) - 1.2)
        skip, out, scale = 1 / (1 + sigma**2), sigma / (1 + sigma**2).sqrt(), 1 / (1 + sigma**2).sqrt()
        x = x0 + sigma * torch.randn_like(x0)
        with torch.autocast(device.type, torch.bfloat16, enabled=narrow):
            predicted = net(scale * x, sigma.log().flatten())
        loss = (((skip * x + out * predicted.float() - x0) / out) ** 2).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in weights], 0.001)
        return loss.item()  # ours looks at its loss too

    return step


def stepper(contender: Contender, size: str, given: dict[str, str]) -> Callable[[], object]:
    """One training step a call."""
    torch.manual_seed(0)
    return (theirs if contender.who in PEERS else ours)(contender, size, given)


def work(contender: Contender, size: str, given: dict[str, str]) -> None:
    """Be one contender: a line ``seconds`` for each line read, at the end of the input one with the peak of memory."""
    clock, cuda = CLOCKS[given["clock"]], given["device"] == "cuda"
    small = stepper(contender, size, given | {"batch": "1"})
    small()  # its libraries are loaded now
    del small
    gc.collect()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    else:
        ctypes.CDLL(None).malloc_trim(0)  # what the small step gave back is nobody's
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew here
    before = torch.cuda.memory_allocated() if cuda else _resident("VmRSS")
    step = stepper(contender, size, given)
    for _ in sys.stdin:
        start = clock()
        step()
        if cuda:
            torch.cuda.synchronize()
        _say(clock() - start)
    _say(((torch.cuda.max_memory_allocated() if cuda else _resident("VmHWM")) - before) / 2**20)


def _say(value: float) -> None:
    sys.stdout.write(f"@{value}\n")
    sys.stdout.flush()


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))


class Worker:
    """A contender in a process of its own: how memory is given back is a property of the process."""

    def __init__(self, number: int, size: str, given: dict[str, str]) -> None:
        words = [f"{key}={value}" for key, value in (given | {"sizes": size, "work": str(number)}).items()]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, __file__, *words], stdin=pipe, stdout=pipe, text=True)

    def step(self) -> float:
        """Seconds of one step."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._read()

    def memory(self) -> float:
        """Mebibytes at the peak, and the end of the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._read()

    def _read(self) -> float:
        assert self.process.stdout is not None
        return float(next(line for line in self.process.stdout if line[:1] == "@")[1:])


def measure(size: str, given: dict[str, str]) -> dict[Contender, tuple[list[float], float]]:
    """Seconds of a step, turn by turn, and mebibytes of memory."""
    workers = {contender: Worker(i, size, given) for i, contender in enumerate(contenders(given))}
    spent: dict[Contender, list[float]] = {contender: [] for contender in workers}
    for turn in range(WARM + int(given["rounds"])):
        for contender, worker in workers.items():
            seconds = worker.step()
            spent[contender] += [seconds] if turn >= WARM else []
    return {contender: (spent[contender], worker.memory()) for contender, worker in workers.items()}


def peak(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product: the most that a network could reach."""
    n = 8192 if device == "cuda" else 1024
    a = torch.randn(n, n, device=device).to(dtype)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter() if device == "cuda" else time.process_time()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() if device == "cuda" else time.process_time()) - start)
    return 2 * n**3 / best


def rows(size: str, given: dict[str, str]) -> Iterator[str]:
    """The table of a size."""
    given = given | {"sizes": size}
    said = auto(given).decisions
    peaks = {precision: peak(given["device"], dtype) for precision, dtype in DTYPES.items()}
    costs = {who: cost(build(who, size), size) for who in ("scorefield", *(peer for peer in PEERS if installed(peer)))}
    executed = f" ({cost(build('scorefield', size), size, 'cpu')[1] / 1e9:.3f})" if given["device"] == "cpu" else ""
    spent = measure(size, given)
    base = spent[next(iter(spent))][0]
    products = ", ".join(f"{precision} {flops / 1e9:.0f} GFLOP/s" for precision, flops in peaks.items())
    yield from (
        f"## {size}",
        "",
        f"What auto says: {said[0]} {said[1]} A large product: {products}.",
    )
    yield from ("", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|")
    for contender, (times, memory) in spent.items():
        parameters, flops = costs[contender.who]
        rate = int(given["batch"]) / statistics.median(times)
        ratio = statistics.median(their / mine for their, mine in zip(times, base, strict=True))
        share = 3 * flops * rate / peaks[contender.precision]
        cells = (
            contender.name,
            f"{parameters / 1e6:.3f}",
            f"{flops / 1e9:.3f}{executed if contender.who == 'scorefield' else ''}",
            f"{rate:.1f}",
            f"{ratio:.2f}",
            f"{share:.0%}",
            f"{memory:.0f}",
        )
        yield f"| {' | '.join(cells)} |"
    yield ""


def versions() -> str:
    """What was compared, and on what."""
    found = {"torch": torch.__version__}
    found |= {name: importlib.metadata.version(name) for peer, name in PEERS.items() if installed(peer)}
    return ", ".join([*(f"{name} {version}" for name, version in found.items()), f"Python {platform.python_version()}"])


def main() -> None:
    """Print the tables and write them; with ``work=`` be one of the contenders."""
    given = GIVEN | dict(word.split("=", 1) for word in sys.argv[1:])
    torch.set_num_threads(int(given["threads"]))
    if "work" in given:
        work(contenders(given)[int(given["work"])], given["sizes"], given)
        return
    cuda = given["device"] == "cuda"
    seconds = "wall seconds" if cuda or given["clock"] == "wall" else "CPU seconds of the process"
    machine = torch.cuda.get_device_name() if cuda else f"x86-64 CPU, {given['threads']} thread(s)"
    text = TITLE.format(
        words=" ".join(["python benchmarks/training.py", *sys.argv[1:]]),
        versions=versions(),
        machine=machine,
        seconds=seconds,
        **given,
    )
    for size in given["sizes"].split(","):
        text += "\n".join(rows(size, given)) + "\n"
    (RESULTS / ("training-cuda.md" if cuda else "training.md")).write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

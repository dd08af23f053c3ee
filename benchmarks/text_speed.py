"""Masked diffusion on tokens: our loss and our samplers beside MDLM's own code, around one network, in one process.

python benchmarks/text_speed.py --mdlm FOLDER      prints the tables and writes benchmarks/results/text_speed.md

FOLDER holds the files of github.com/kuleshov-group/mdlm (Apache-2.0; diffusion.py, noise_schedule.py, utils.py). What
these import and never call here (lightning, transformers, …) is stood in for by empty modules; the ``_loss`` and the
``_sample`` that run are theirs, with the settings of their configs/config.yaml. The network is our TokenTransformer
with equal weights on either side, which is checked by what both make of it; theirs has one column more, of the mask, as
their code expects it. The contenders take turns, so that a busy moment hits all alike; times are CPU seconds of the
process, one thread, and the median of the turns counts.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

import scorefield as sf
from scorefield.denoisers import Categorical
from scorefield.nets import TokenTransformer
from scorefield.noise import masking
from scorefield.objectives import Elbo
from scorefield.solvers import Ancestral, Cached

RESULT = Path(__file__).parent / "results" / "text_speed.md"
OURS, THEIRS = "scorefield", "MDLM"
LOOKS = 60  # draws of the loss of one batch


@dataclass(frozen=True)
class Setting:
    """One network, one batch, one number of steps."""

    name: str
    classes: int
    length: int
    batch: int
    width: int
    depth: int
    steps: int
    turns: int


SETTINGS = (
    Setting("characters: 65 tokens, length 128, batch 8", 65, 128, 8, 96, 2, 16, 4),
    Setting("a tokenizer's: 8,192 tokens, length 64, batch 4", 8192, 64, 4, 96, 2, 8, 3),
    Setting("one sequence: 65 tokens, length 32, batch 1", 65, 32, 1, 96, 2, 64, 4),
)


class Counted(nn.Module):
    """A network that counts how often it is asked."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.calls = net, 0

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        self.calls += 1
        return self.net(x, level)


class Lightning(nn.Module):
    """What ``_loss`` and ``_sample`` ask of lightning's module."""

    device, dtype = torch.device("cpu"), torch.float32


def module(name: str, **contents: Any) -> None:
    """An empty module of that name with ``contents``, where there is none; its parents too."""
    if name in sys.modules:
        return
    made = ModuleType(name)
    made.__spec__, made.__path__ = ModuleSpec(name, None, is_package=True), []
    vars(made).update(contents)
    sys.modules[name] = made
    parent, _, last = name.rpartition(".")
    if parent:
        module(parent)
        vars(sys.modules[parent])[last] = made


def mdlm(folder: str) -> ModuleType:
    """Their diffusion.py, with stand-ins for what it imports beside torch, numpy and its own files."""
    if not (Path(folder) / "diffusion.py").is_file():
        raise sf.UserError(
            f"'{folder}' holds no diffusion.py. Clone github.com/kuleshov-group/mdlm and give its folder."
        )
    nothing = type("Nothing", (), {})
    module("lightning", LightningModule=Lightning)
    module("hydra.utils")
    module("torchmetrics.aggregation", MeanMetric=nothing)
    module("transformers", PreTrainedTokenizer=nothing)
    module("timm.scheduler", CosineLRScheduler=nothing)
    module("fsspec")
    module("dataloader")
    module("models")
    sys.path.insert(0, str(folder))
    return importlib.import_module("diffusion")


def theirs(code: ModuleType, net: Counted, s: Setting, sampler: str) -> Any:
    """Their model around ``net`` as their __init__ makes it from configs/config.yaml, without tokenizer and metrics."""
    model = code.Diffusion.__new__(code.Diffusion)
    nn.Module.__init__(model)
    model.config = SimpleNamespace(
        loader=SimpleNamespace(eval_batch_size=s.batch),
        model=SimpleNamespace(length=s.length),
        noise=SimpleNamespace(type="loglinear"),
        sampling=SimpleNamespace(steps=s.steps, noise_removal=True),
    )
    model.backbone, model.sampler, model.parameterization = net, sampler, "subs"
    model.mask_index, model.vocab_size = s.classes, s.classes + 1
    model.T, model.subs_masking, model.time_conditioning, model.neg_infinity = 0, False, False, -1000000.0
    model.antithetic_sampling, model.importance_sampling, model.change_of_variables = True, False, False
    model.sampling_eps, model.noise = 1e-3, sys.modules["noise_schedule"].get_noise(model.config)
    return model


def networks(s: Setting) -> tuple[Counted, Counted]:
    """(ours, theirs) with equal weights."""
    torch.manual_seed(0)
    nets = [
        TokenTransformer(
            tokens, states=s.classes + 1, length=s.length, width=s.width, depth=s.depth, heads=s.width // 32
        )
        for tokens in (s.classes, s.classes + 1)
    ]
    weights = {name: value + 0.05 * torch.randn_like(value) for name, value in nets[1].state_dict().items()}
    nets[1].load_state_dict(weights)
    nets[0].load_state_dict({name: value[: s.classes] if name == "bias" else value for name, value in weights.items()})
    return Counted(nets[0]), Counted(nets[1])


def training(code: ModuleType, s: Setting) -> dict[str, Callable[[], object]]:
    """A step of training of each: loss, gradients, AdamW."""
    ours, other = networks(s)
    denoiser, objective, rng = Categorical(ours, masking(s.classes), timed=False), Elbo(label_dropout=0.0), sf.Rng(0)
    model = theirs(code, other, s, "ddpm")
    x0, counted = sf.Rng(1).integers(s.classes, torch.empty(s.batch, s.length)), torch.ones(s.batch, s.length)
    agree(denoiser, model, x0)
    losses = {OURS: lambda: objective(denoiser, x0, rng).mean(), THEIRS: lambda: model._loss(x0, counted).loss}
    optimisers = {
        OURS: torch.optim.AdamW(ours.parameters(), lr=1e-4, fused=True),
        THEIRS: torch.optim.AdamW(other.parameters(), lr=1e-4, fused=True),
    }

    def step(name: str) -> float:
        loss = losses[name]()
        loss.backward()
        optimisers[name].step()
        optimisers[name].zero_grad()
        return loss.item()

    return {name: lambda name=name: step(name) for name in losses}


@torch.no_grad()
def agree(denoiser: Categorical, model: Any, x0: Tensor) -> None:
    """Raises AssertionError unless both read the same log p(x₀) off half-masked x₀: one network, then."""
    t = torch.full((len(x0),), 0.5, dtype=torch.float64)
    x = denoiser.process.corrupt(x0, t, sf.Rng(2))
    read = [denoiser(x, t).log_probs, model.forward(x, t.float())]
    torch.testing.assert_close(*(log_probs.gather(-1, x0[..., None]) for log_probs in read), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def spread(code: ModuleType, s: Setting) -> str:
    """What the loss of one batch is on average, and how much it varies with the random times and masks."""
    ours, other = networks(s)
    denoiser, objective, rng = Categorical(ours, masking(s.classes), timed=False), Elbo(label_dropout=0.0), sf.Rng(0)
    model = theirs(code, other, s, "ddpm")
    x0, counted = sf.Rng(1).integers(s.classes, torch.empty(s.batch, s.length)), torch.ones(s.batch, s.length)
    torch.manual_seed(1)
    losses = [[objective(denoiser, x0, rng).mean().item() for _ in range(LOOKS)]]
    losses.append([model._loss(x0, counted).loss.item() for _ in range(LOOKS)])
    means, deviations = ([of(values) for values in losses] for of in (statistics.mean, statistics.stdev))
    errors = [deviation / LOOKS**0.5 for deviation in deviations]
    return (
        f"The loss of one and the same batch, which is an estimate of one and the same bound, over {LOOKS} draws of "
        f"times and masks: {means[0]:.3f} ± {errors[0]:.3f} nats a token, standard deviation {deviations[0]:.3f} "
        f"({OURS}); {means[1]:.3f} ± {errors[1]:.3f}, {deviations[1]:.3f} ({THEIRS})."
    )


def sampling(code: ModuleType, s: Setting, cached: bool) -> tuple[dict[str, Callable[[], object]], dict[str, Counted]]:
    """A batch of samples of each, and the networks that they ask."""
    ours, other = networks(s)
    denoiser = Categorical(ours, masking(s.classes), timed=False)
    model = theirs(code, other, s, "ddpm_cache" if cached else "ddpm")
    solver = Cached(Ancestral()) if cached else Ancestral()
    return {
        OURS: lambda: sf.sample(denoiser, (s.batch, s.length), steps=s.steps, solver=solver),
        THEIRS: lambda: model._sample(),
    }, {OURS: ours, THEIRS: other}


def medians(contenders: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Median CPU seconds by contender, after a turn that does not count."""
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        for name, work in contenders.items():
            start = time.process_time()
            work()
            if turn:
                spent[name].append(time.process_time() - start)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def rows(code: ModuleType, s: Setting) -> list[str]:
    """The table of a setting: tokens a second, and how often the network was asked."""
    lines = []
    works: list[tuple[str, dict[str, Callable[[], object]], dict[str, Counted], int]] = [
        ("training, a step", training(code, s), {}, 3 * s.turns)
    ]
    for name, cached in ((f"sampling, {s.steps} steps (ddpm)", False), ("the same, cached (ddpm_cache)", True)):
        works.append((name, *sampling(code, s, cached), s.turns))
    for name, contenders, nets, turns in works:
        seconds = medians(contenders, turns)
        rate = {who: s.batch * s.length / spent for who, spent in seconds.items()}
        calls = {who: nets[who].calls / (turns + 1) if nets else 1 for who in seconds}
        each = (seconds[THEIRS] / calls[THEIRS]) / (seconds[OURS] / calls[OURS])
        shown = [f"{rate[who]:,.0f} | {calls[who]:.1f}" for who in (OURS, THEIRS)]
        lines.append(f"| {name} | {' | '.join(shown)} | {rate[OURS] / rate[THEIRS]:.2f} | {each:.2f} |")
    return lines


def main() -> None:
    """Print the tables and write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mdlm", required=True, help="the folder of kuleshov-group/mdlm")
    code = mdlm(parser.parse_args().mdlm)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # their autocast for CUDA says at each call that there is none
    lines = [
        "# Masked diffusion on tokens beside MDLM's code",
        "",
        f"Made by `python benchmarks/text_speed.py --mdlm FOLDER` (torch {torch.__version__}, CPU, 1 thread, Python "
        f"{platform.python_version()}). Tokens a second of CPU time, medians of interleaved turns; float32, network "
        "without a clock (MDLM's default). `evaluations`: calls of the network for one batch; MDLM ends with one more, "
        "its noise removal. The last two columns are ours over theirs, of tokens a second and of a call of the network "
        "with all that goes with it. Our samplers draw every example from a seed of its own, so that it is the same in "
        "any batch, and in float64; MDLM's draw the batch at once in float32.",
    ]
    for s in SETTINGS:
        lines += ["", f"## {s.name[0].upper()}{s.name[1:]}", "", f"A transformer of {s.depth} blocks of {s.width}.", ""]
        lines += [
            "| | scorefield | evaluations | MDLM | evaluations | ratio | ratio, a call |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += rows(code, s)
    lines += ["", "## What a step learns from", "", spread(code, SETTINGS[0])]
    text = "\n".join(lines) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

"""Every number that ``plan`` chooses, in tables. Change them here and nowhere else."""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Recipe(NamedTuple):
    """A network and how to train it."""

    net: dict[str, Any]  # arguments of its constructor
    batch: int  # examples per step
    lr: float  # peak learning rate of AdamW
    steps: int  # unless steps, images or minutes are given
    dropout: float = 0.0
    numbers: int = 0  # of the steps of a table with tokens: those for numbers; in ROWS, for each pair of them
    level: float = -1.2  # mean of ln σ where training times are log-normal, for data with σ_data = ½


NEAR = 3  # tokens on each side that every token of a text brings along


def _unet(channels: int, mult: tuple[int, ...], blocks: int, attention: tuple[int, ...], **more: Any) -> dict[str, Any]:
    return {"channels": channels, "mult": list(mult), "blocks": blocks, "attention": list(attention)} | more


def _mlp(width: int, depth: int) -> dict[str, Any]:
    return {"width": width, "depth": depth}


def _rows(width: int, depth: int) -> dict[str, Any]:
    return _mlp(width, depth) | {"told": 64, "waves": 8}


def _sequence(width: int, depth: int, heads: int) -> dict[str, Any]:
    return {"width": width, "depth": depth, "heads": heads, "near": NEAR}


# Images by edge length: the first row whose edge is not smaller is taken, the last one above that.
IMAGES: dict[str, dict[int, Recipe]] = {
    "cpu": {
        # Tiny images have few pixels to average noise over, so their detail is decided at lower noise (Hoogeboom et al.
        # 2023). The level was chosen among four trials on the digits, one seed each and two standard errors apart, by
        # their 1-NN accuracy against the held-out half: that figure of the demo is therefore a little flattered.
        8: Recipe(
            _unet(32, (1, 2), 1, (4,), updown="conv", group=4), batch=64, lr=2e-3, steps=2000, dropout=0.1, level=-1.7
        ),
        16: Recipe(_unet(32, (1, 2, 2), 2, (4,)), batch=64, lr=1e-3, steps=4000),
        32: Recipe(_unet(32, (1, 2, 2), 1, (8,), updown="conv"), batch=32, lr=1e-3, steps=8000, dropout=0.05),
        64: Recipe(_unet(32, (1, 2, 3, 3), 1, (8,), updown="conv"), batch=16, lr=1e-3, steps=8000, dropout=0.05),
        128: Recipe(_unet(32, (1, 1, 2, 2, 3), 1, (8,)), batch=8, lr=5e-4, steps=20000),
    },
    "gpu": {
        8: Recipe(_unet(64, (1, 2), 2, (4,)), batch=256, lr=2e-3, steps=5000, dropout=0.1, level=-1.7),
        16: Recipe(_unet(96, (1, 2, 2), 2, (8,)), batch=256, lr=1e-3, steps=20000, dropout=0.1),
        32: Recipe(_unet(128, (2, 2, 2), 4, (16,)), batch=256, lr=5e-4, steps=50000, dropout=0.13),
        64: Recipe(_unet(128, (1, 2, 2, 2), 3, (16,)), batch=256, lr=2e-4, steps=80000, dropout=0.1),
        128: Recipe(_unet(128, (1, 1, 2, 2, 3), 2, (16,)), batch=64, lr=1e-4, steps=150000),
    },
}

# Points and tables by number of columns.
VECTORS: dict[str, dict[int, Recipe]] = {
    "cpu": {
        4: Recipe(_mlp(192, 4), batch=512, lr=2e-3, steps=4000),
        32: Recipe(_mlp(384, 4), batch=256, lr=1e-3, steps=8000),
        512: Recipe(_mlp(512, 6), batch=256, lr=5e-4, steps=10000),
    },
    "gpu": {
        4: Recipe(_mlp(256, 4), batch=2048, lr=2e-3, steps=8000),
        32: Recipe(_mlp(512, 6), batch=2048, lr=1e-3, steps=20000),
        512: Recipe(_mlp(1024, 8), batch=1024, lr=5e-4, steps=40000),
    },
}

# Signals by length.
SIGNALS: dict[str, dict[int, Recipe]] = {
    "cpu": {
        64: Recipe(_unet(32, (1, 2, 2), 1, (16,)), batch=64, lr=1e-3, steps=6000),
        512: Recipe(_unet(32, (1, 2, 2, 2), 1, ()), batch=32, lr=1e-3, steps=8000),
        4096: Recipe(_unet(24, (1, 2, 2, 2, 2), 1, ()), batch=16, lr=5e-4, steps=10000),
    },
    "gpu": {
        64: Recipe(_unet(64, (1, 2, 2), 2, (16,)), batch=256, lr=1e-3, steps=20000),
        512: Recipe(_unet(96, (1, 2, 2, 2), 2, (64,)), batch=256, lr=5e-4, steps=30000),
        4096: Recipe(_unet(64, (1, 2, 2, 2, 2, 2), 2, (128,)), batch=64, lr=3e-4, steps=40000),
    },
}

# Tables by number of columns. Detail decides there (a house costs what its street does), so levels are lower and more
# spread than those of points, and up to 32 columns the network is shown eight octaves of each number: both were chosen
# by what CatBoost learned from samples of California housing. Wider tables and the GPU's rows are not measured.
TABLES: dict[str, dict[int, Recipe]] = {
    "cpu": {
        4: Recipe(_rows(192, 4), batch=512, lr=2e-3, steps=4000, level=-2.0),
        32: Recipe(_rows(256, 4), batch=512, lr=2e-3, steps=20000, level=-2.0),
        512: Recipe(_mlp(512, 6), batch=256, lr=5e-4, steps=10000),
    },
    "gpu": {
        4: Recipe(_rows(256, 4), batch=2048, lr=2e-3, steps=8000, level=-2.0),
        32: Recipe(_rows(512, 6), batch=2048, lr=1e-3, steps=20000, level=-2.0),
        512: Recipe(_mlp(1024, 6), batch=1024, lr=5e-4, steps=30000),
    },
}

# Tables with categories by number of columns. Tokens are learned soon, and by heart soon after; each pair of numbers
# adds steps, up to those of a table without tokens. Chosen on Adult by what CatBoost learned from samples and by their
# distances to the closest rows; the others are not measured.
ROWS: dict[str, dict[int, Recipe]] = {
    "cpu": {
        32: Recipe(_rows(256, 4), batch=512, lr=2e-3, steps=2500, dropout=0.1, numbers=500, level=-2.0),
        512: Recipe(_mlp(512, 4), batch=256, lr=1e-3, steps=5000, dropout=0.1, numbers=500, level=-2.0),
    },
    "gpu": {
        32: Recipe(_rows(512, 4), batch=2048, lr=1e-3, steps=2500, dropout=0.1, numbers=500, level=-2.0),
        512: Recipe(_mlp(1024, 6), batch=1024, lr=5e-4, steps=8000, dropout=0.1, numbers=500, level=-2.0),
    },
}

# Texts by tokens in a window. What stands near is most of what a network learns of letters at first: after the same 40
# CPU seconds the bound on Tiny Shakespeare was 3.30 bits with ``near`` and 3.60 without (3 blocks of 96, one seed).
TEXTS: dict[str, dict[int, Recipe]] = {
    "cpu": {
        32: Recipe(_sequence(128, 4, 4), batch=64, lr=2e-3, steps=6000),
        128: Recipe(_sequence(192, 4, 4), batch=32, lr=1e-3, steps=10000),
        512: Recipe(_sequence(192, 4, 4), batch=16, lr=1e-3, steps=15000),
    },
    "gpu": {
        64: Recipe(_sequence(384, 6, 6), batch=512, lr=1e-3, steps=20000, dropout=0.1),
        256: Recipe(_sequence(384, 8, 6), batch=256, lr=6e-4, steps=30000, dropout=0.1),
        1024: Recipe(_sequence(768, 12, 12), batch=128, lr=3e-4, steps=60000, dropout=0.1),
    },
}

RECIPES = {
    "images": IMAGES,
    "vectors": VECTORS,
    "signals": SIGNALS,
    "table": TABLES,
    "text": TEXTS,
    "categories": IMAGES,  # a table turns categories into channels, the rest is the same
    "rows": ROWS,  # of a table with categories, which become tokens
    "regions": SIGNALS,  # text as points of ℝᴷ, by an argmax flow
}
MODELS = {  # kind of data → network
    "images": "unet",
    "vectors": "mlp",
    "signals": "unet",
    "table": "mlp",
    "text": "sequence",
    "categories": "unet",
    "regions": "dit",
    "rows": "mlp",
}
GAUSSIAN, TOKENS, MIXED, ORDERED = "gaussian", "tokens", "mixed", "ordered"
FAMILIES = {  # kind of data → what its noise does: it is added, it replaces, either, or it masks pixels in order
    **dict.fromkeys(("images", "vectors", "signals", "table", "regions"), GAUSSIAN),
    **dict.fromkeys(("text", "categories"), TOKENS),
    "rows": MIXED,
    "levels": ORDERED,
}

MOST_TOKENS = 1024  # of a transformer whose patches had to be smaller than its recipe's

SCHEDULE = "edm"
PREDICT = "edm"

NOISE, KEEP = "masking", "linear"  # of tokens
NOISE_OF = {"vq": "mask-and-replace"}  # codec → its usual noise, where that is another
MASKED = {"masking": 1.0, "mask-and-replace": 0.9, "uniform": 0.0}  # share of destroyed tokens that become a mask

# The law of training times that goes with a schedule, and the weight that gives each prediction a loss of unit scale.
TIMES: dict[str, dict[str, Any]] = {
    "edm": {"type": "log-normal"},  # mean from the recipe, std from SPREADS
    "ve": {"type": "log-normal"},
    "flow": {"type": "logit-normal"},
    "vp": {"type": "uniform"},
    "sub-vp": {"type": "uniform"},
    "cosine": {"type": "uniform"},
    "ddpm": {"type": "uniform"},
    "learned": {"type": "uniform"},
}
WEIGHTS = {"edm": "edm", "x0": "edm", "v": "edm", "flow": "flow", "eps": "simple", "score": "simple", "ncsn": "simple"}
WEIGHTS["energy"] = "edm"

# ln σ ~ N(level + ln(σ_data/½), spread²): EDM's −1.2 and 1.2 were found for σ_data = ½, and what matters is σ/σ_data.
SPREADS = {
    "images": 1.2,
    "vectors": 1.5,
    "signals": 1.4,
    "table": 1.8,
    "rows": 1.8,
    "regions": 1.4,
}  # densities with thin parts need the small levels too
LABEL_DROPOUT = 0.1  # Ho and Salimans 2022

TRAINING = {  # of every recipe
    "decay": "cosine",
    "weight_decay": 0.0,
    "clip": 1.0,
    "accumulate": 1,
    "precision": "auto",
    "compile": "auto",
    "channels_last": "auto",
    "shard": "auto",
    "recompute": "auto",
    "keep": 2,
    "snapshots": 10,  # two profiles in float16 are the bytes of the weights once: ten times the weights in all
}
EMA = [0.10, 0.05]  # σ_rel; the first is sampled

PREVIEWS = 8  # pictures a run
PREVIEW_SHARE = 0.1  # of the time, beyond which a preview is left out
SAVES = 10  # checkpoints a run, of which the last two stay
LOGS = 200  # lines of metrics.jsonl a run

SAMPLING: dict[str, Any] = {"steps": 18, "solver": "dpmpp2m", "grid": {"type": "karras"}, "guidance": 1.0}
# Rows cost little, and values that many rows share need small steps at the end.
SAMPLING_TABLES: dict[str, Any] = {"steps": 50, "solver": "flow2pc", "grid": {"type": "rectified"}, "guidance": 1.0}
SAMPLING_TOKENS: dict[str, Any] = {"steps": 64, "solver": "ancestral", "grid": {"type": "uniform"}, "guidance": 1.0}
OTHER_STEPS = "flow2pc", {"type": "rectified"}  # solver and grid for another number of steps: docs/choose-a-solver.md
LARGEST_BOTTOM = 16  # images that cannot be halved as often as the recipe does must at least come down to this edge


def recipe(kind: str, edge: int, device: str, among: dict[str, dict[str, dict[int, Recipe]]] = RECIPES) -> Recipe:
    """The recipe for ``kind``; ``edge`` is the longest edge of images, columns of vectors, length of signals."""
    table = among[kind]["cpu" if device == "cpu" else "gpu"]
    return next((row for limit, row in table.items() if edge <= limit), list(table.values())[-1])


# Samples in a preview and in the report: a fraction of a minute of sampling. Images by the numbers in one example.
PICTURED_IMAGES = {"cpu": {300: 64, 800: 36, 12_300: 16, 10**9: 4}, "gpu": {50_000: 64, 10**9: 16}}
PICTURED = {"vectors": 800, "signals": 12, "table": 2000, "text": 6}
FILMED = {
    "images": (16, 24),
    "vectors": (600, 8),
    "signals": (6, 8),
    "table": (1000, 8),
    "text": (1, 24),
    "categories": (16, 24),
}  # kind → most samples and most frames of the film

# Samples that an evaluation draws at most, by the numbers in one example: what the device does in about a minute.
EVALUATED = {
    "cpu": {100: 2000, 300: 1000, 3_100: 256, 12_300: 128, 10**9: 64},
    "gpu": {100: 10_000, 300: 10_000, 3_100: 10_000, 12_300: 5_000, 10**9: 1_000},
}
# Texts are walked in many more steps than images, by the tokens in one.
EVALUATED_TEXTS = {"cpu": {64: 256, 256: 64, 10**9: 16}, "gpu": {256: 2000, 1024: 500, 10**9: 100}}
BOUNDED = {"cpu": 256, "gpu": 5000}  # examples whose bound is estimated
BOUND_SAMPLES = 8  # noised states of each
BOUND_DRAWS = 2  # points of each, of an argmax flow


class Tuning(NamedTuple):
    """How a sampler is fitted to a network."""

    examples: int
    held_out: int
    iterations: int


# By the numbers in one example: a few minutes of the device at six steps.
TUNED = {
    "cpu": {
        32: Tuning(512, 256, 120),
        100: Tuning(128, 64, 60),
        300: Tuning(64, 64, 40),
        3_100: Tuning(24, 24, 30),
        12_300: Tuning(12, 12, 20),
        10**9: Tuning(8, 8, 20),
    },
    "gpu": {12_300: Tuning(512, 256, 300), 50_000: Tuning(128, 128, 200), 10**9: Tuning(64, 64, 100)},
}


def tuned(shape: tuple[int, ...], device: str) -> Tuning:
    """How a sampler is fitted when nobody says."""
    return _by_size(TUNED, shape, device)


def evaluated(kind: str, shape: tuple[int, ...], device: str) -> int:
    """How many samples an evaluation draws when nobody says."""
    return _by_size(EVALUATED_TEXTS if kind == "text" else EVALUATED, shape, device)


def pictured(kind: str, shape: tuple[int, ...], device: str) -> int:
    """How many samples a preview or a report shows."""
    return PICTURED[kind] if kind in PICTURED else _by_size(PICTURED_IMAGES, shape, device)


def _by_size(table: dict[str, dict[int, Any]], shape: tuple[int, ...], device: str) -> Any:
    size = math.prod(shape)
    return next(entry for limit, entry in table["cpu" if device == "cpu" else "gpu"].items() if size <= limit)

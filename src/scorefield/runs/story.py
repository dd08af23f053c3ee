"""A plan in a few lines for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from scorefield.data.words import count
from scorefield.runs import build, device
from scorefield.runs.recipes import GAUSSIAN, MIXED, ORDERED, TOKENS

if TYPE_CHECKING:
    from scorefield.runs.plan import Plan


PLURALS = {"text": "texts", "categories": "images of categories"}  # kinds that are no plurals


def rows_of(plan: Plan) -> list[tuple[str, str]]:
    """(label, sentence) for data, model, noise, training, device and run; what was chosen says why."""
    rows = [(name, ROWS[name](plan)) for name in STAGES[plan.stage] if name != "codec" or _quantised(plan)]
    return [*rows, ("run", str(plan.folder))] if plan.folder and plan.stage != "diffusion" else rows


STAGES = {  # of a training in two, what is told at the beginning of each
    "": ("data", "codec", "model", "noise", "train", "device"),
    "codec": ("data", "codec", "device"),
    "diffusion": ("model", "noise", "train"),
}


def _quantised(plan: Plan) -> bool:
    return plan.config["codec"]["type"] == "vq"


def _codec(plan: Plan) -> str:
    """The quantiser, and in its own stage how it is trained."""
    codec, train = plan.config["codec"], plan.config["train"].get("codec", {})
    with torch.device("meta"):
        count = build.parameters(build.codec(plan.config))  # pyrefly: ignore[bad-argument-type]
    _, *edges = plan.config["data"]["found"]["shape"]
    sites = "×".join(str(edge // codec["factor"]) for edge in edges)
    told = f"VQ-VAE  {readable(count)} parameters, images as {sites} codes of {codec['codes']}"
    if not train:
        return f"{told}, of another run"
    limits = " or ".join(f"{train[key]:,g} {key}" for key in ("steps", "minutes") if train.get(key))
    if plan.stage != "codec":
        return f"{told}, trained before for {limits}"
    return f"first of two stages: {told}, {limits}, batch {train['batch']}, lr {train['lr']:g}"


def _data(found: dict[str, Any]) -> str:
    shape = "×".join(map(str, found["shape"]))
    classes = f", {len(found['classes'])} classes" if found["classes"] else ""
    held_out = f", {found['held_out']:,} held out" if found["held_out"] else ""
    names = found.get("conditions", {}).get("names", ())
    told = f", conditions {', '.join(names[:4])}{' …' if len(names) > 4 else ''}" if names else ""
    kind = PLURALS.get(found["kind"], found["kind"])
    return f"{found['name']}  {found['examples']:,} {kind} of {shape}{classes}{told}{held_out}"


def _model(plan: Plan) -> str:
    net = plan.config["net"]
    size = build.parameters(build.outline(plan.config))
    details = DETAILS[net["type"]](net)
    classes = ", class-conditional" if net.get("classes") and net["type"] != "classifier" else ""
    classes += f", {net['condition']} condition{'s' * (net['condition'] > 1)}" if net.get("condition") else ""
    name = net.get("body", net["type"])
    return f"{name}  {readable(size)} parameters, {details}{classes}{_why(plan, 'net.channels', 'net.width')}"


def _unet(net: dict[str, Any]) -> str:
    levels = "·".join(str(net["channels"] * m) for m in net["mult"])
    attention = f", attention at {', '.join(map(str, net['attention']))}" if net.get("attention") else ""
    return f"channels {levels}{attention}"


def _mlp(net: dict[str, Any]) -> str:
    return f"{count(net['depth'], 'block')} of {net['width']}"


def _transformer(net: dict[str, Any]) -> str:
    return f"{count(net['depth'], 'block')} of {net['width']} with {count(net['heads'], 'head')}"


def _dit(net: dict[str, Any]) -> str:
    return f"{_transformer(net)}, patches of {net['patch']}"


def _categories(net: dict[str, Any]) -> str:
    return f"{DETAILS[net['body']](net)}, over {net['tokens']} categories"


def _classifier(net: dict[str, Any]) -> str:
    return f"first half, {DETAILS[net['body']](net)}, tells {net['classes']} classes apart"


def _sequence(net: dict[str, Any]) -> str:
    near = f", {net['near']} near on each side" if net.get("near") else ""
    return f"{_transformer(net)}{near}, over {net['tokens']} tokens"


def _gated(net: dict[str, Any]) -> str:
    return f"{count(net['depth'], 'layer')} of {net['channels']} in each stack, windows of {net['kernel']}"


def _scaled(net: dict[str, Any]) -> str:
    return f"{count(net['blocks'], 'block')} of {net['channels']} on each of {count(net['scales'], 'scale')}"


DETAILS = {
    "unet": _unet,
    "edm2": _unet,
    "mlp": _mlp,
    "dit": _dit,
    "transformer": _transformer,
    "sequence": _sequence,
    "categories": _categories,
    "classifier": _classifier,
    "pixelcnn": _gated,
    "pixelcnn++": _scaled,
}


def _noise(config: dict[str, Any]) -> str:
    return NOISES[build.family(config)](config)


def destroys(process: dict[str, Any]) -> str:
    """What noise on tokens does to them."""
    share = process.get("masked", 0.0)
    if 0 < share < 1:
        return f"masks {share:.0%} of the tokens it takes and replaces the others"
    return "masks tokens" if share else "replaces tokens"


def _tokens(config: dict[str, Any]) -> str:
    process = config["process"]
    return f"{destroys(process)}, {process['keep']['type']} schedule, {config['objective']['type']} objective"


def _numbers(config: dict[str, Any]) -> str:
    objective = config["objective"]
    times = objective.get("times", {})
    law = times.get("times", times)
    drawn = f"{law['type']} times" if law else f"{objective['type']} objective"
    return (
        f"{config['process']['schedule']['type']} schedule, predicts {predicts(config['denoiser'])}, "
        f"{drawn}, σ_data {config['denoiser']['sigma_data']:g}"
    )


def predicts(denoiser: dict[str, Any]) -> str:
    """What a network on numbers makes, in a word or two."""
    return denoiser.get("predict") or PREDICTED.get(denoiser["type"], denoiser["type"])


PREDICTED = {"classifying": "the class", "energy": "an energy", "diagonal": "mean and variance"}  # of such denoisers


def _mixed(config: dict[str, Any]) -> str:
    parts = {name: config[name]["numbers"] for name in ("process", "objective")}
    count = len(config["denoiser"]["sizes"])
    return f"{destroys(config['process']['tokens'])} ({count} columns), then numbers: {_numbers(config | parts)}"


def _ordered(config: dict[str, Any]) -> str:
    law, levels = config["denoiser"]["law"], config["process"]["levels"]
    mixed = f", {law['mixtures']} to a pixel" if "mixtures" in law else ""
    return f"none: pixel after pixel, {law['type']} laws on {levels} levels{mixed}"


NOISES = {GAUSSIAN: _numbers, TOKENS: _tokens, MIXED: _mixed, ORDERED: _ordered}


def _train(plan: Plan) -> str:
    train = plan.config["train"]
    limits = [f"{train[key]:,g} {key}" for key in ("steps", "images", "minutes") if train.get(key)]
    ema = f"EMA σ_rel {train['ema'][0]:g}" if train["ema"] else "no EMA"
    rate = f"batch {train['batch']}, lr {train['lr']:g} ({train['decay']}), {ema}"
    return f"{' or '.join(limits)}, {rate}{_why(plan, 'train.batch')}"


def _device(train: dict[str, Any]) -> str:
    processes = f", {train['devices']} processes" if train["devices"] > 1 else ""
    return f"{device.describe(train['device'])}{processes}"


def _why(plan: Plan, *keys: str) -> str:
    reasons = [plan.origins.get(key, "") for key in keys]
    chosen = [reason.removeprefix("chosen: ") for reason in reasons if reason.startswith("chosen: ")]
    return f" — {chosen[0]}" if chosen else ""


def readable(number: float) -> str:
    """``1.9 M``, ``350 k``, ``87``."""
    for scale, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= scale:
            return f"{number / scale:.3g}{unit}"
    return f"{number:g}"


ROWS: dict[str, Callable[[Plan], str]] = {
    "data": lambda plan: _data(plan.config["data"]["found"]),
    "codec": _codec,
    "model": _model,
    "noise": lambda plan: _noise(plan.config),
    "train": _train,
    "device": lambda plan: _device(plan.config["train"]),
}

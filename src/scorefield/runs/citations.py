"""Which papers the parts of a run come from, by the names the registry knows them by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scorefield.runs.papers import PAPERS, Paper

# part of a run: name of the part → papers
_PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "data": {"digits": ("digits",)},
    "network": {
        "unet": ("unet", "ddpm", "adm"), "mlp": ("film",), "dit": ("dit",), "edm2": ("edm2", "unet"),
        "pixelcnn": ("pixelcnn",), "pixelcnn++": ("pixelcnn++",),
        "transformer": ("attention", "columns", "dit"), "sequence": ("attention", "rotary", "dit"),
    },
    "noise": {"masking": ("d3pm", "mdlm"), "uniform": ("d3pm", "multinomial"), "both": ("d3pm", "vq")},
    "schedule": {
        "vp": ("sde",), "sub-vp": ("sde",), "ve": ("sde",), "edm": ("edm",), "ddpm": ("ddpm",),
        "cosine": ("improved",), "flow": ("flow", "rectified"), "learned": ("vdm",),
    },
    "prediction": {
        "eps": ("ddpm",), "x0": ("ddpm",), "v": ("distillation",), "score": ("sde",), "ncsn": ("ncsn2",),
        "flow": ("flow",), "edm": ("edm",), "energy": ("energy", "reuse"),
    },
    "times": {"log-normal": ("edm",), "logit-normal": ("sd3",), "importance": ("likelihood",), "stratified": ("vdm",),
        "levels": ("ncsn",),
    },
    "weight": {
        "simple": ("ddpm",), "edm": ("edm",), "flow": ("flow",), "min-snr": ("min-snr",), "p2": ("p2",),
        "sigmoid": ("elbo",), "likelihood": ("vdm", "likelihood"),
    },
    "solver": {
        "ancestral": ("ddpm",), "ddpm": ("ddpm",), "ddpm-large": ("ddpm",), "ddim": ("ddim",),
        "heun": ("edm",), "edm-heun": ("edm",), "edm": ("edm",),
        "dpm1": ("dpm-solver",), "dpm2": ("dpm-solver",), "dpm3": ("dpm-solver",),
        "dpmpp1": ("dpm",), "dpmpp2s": ("dpm",), "dpmpp3s": ("dpm",), "dpmpp2m": ("dpm",), "dpmpp3m": ("dpm",),
        "dpmpp2m-published": ("dpm",), "dpmpp3m-published": ("dpm",),
        "sde-dpmpp1": ("dpm",), "sde-dpmpp2m": ("dpm",), "sde-dpmpp3m": ("dpm",),
        "sde-dpmpp2m-published": ("dpm",), "sde-dpmpp3m-published": ("dpm",),
        "deis2": ("deis",), "deis3": ("deis",),
        "unipc1": ("unipc",), "unipc2": ("unipc",), "unipc3": ("unipc",),
        "unipc1-bh1": ("unipc",), "unipc2-bh1": ("unipc",), "unipc3-bh1": ("unipc",),
        "flow2m": ("rectified",), "flow3m": ("rectified",), "flow4m": ("rectified",),
        "flow2pc": ("rectified", "unipc"), "flow3pc": ("rectified", "unipc"),
        "dpm2m": ("deis",), "dpm3m": ("deis",), "lms2": ("deis",), "lms3": ("deis",), "lms4": ("deis",),
        "dpmpp4m": ("dpm",),
        "sa-solver": ("sa",), "er-sde": ("er-sde",), "restart": ("restart",),
        "euler-maruyama": ("sde",), "reverse-diffusion": ("sde",), "pc": ("sde",), "pc-ancestral": ("sde", "ddpm"),
        "annealed-langevin": ("ncsn",), "consistent-annealed": ("consistent",), "gotta-go-fast": ("gotta-go-fast",),
    },
    "grid": {
        "karras": ("edm",), "quadratic": ("ddim",), "log-snr": ("dpm",), "trailing": ("lin",), "leading": ("lin",),
        "linspace": ("lin",), "rectified": ("rectified",), "shifted": ("sd3",), "knots": ("align",), "beta": ("beta",),
    },
    "objective": {
        "vdm": ("vdm",), "hybrid": ("improved",), "by-history": ("improved",), "dequantised": ("likelihood", "flow++"),
    },
    "guidance": {"guidance": ("guidance",)},
    "codec": {"vq": ("vqvae", "vq"), "argmax": ("multinomial",)},
    "averaging": {"ema": ("edm2",)},
}  # fmt: skip


def citations(config: Mapping[str, Any]) -> list[tuple[str, Paper]]:
    """(parts, paper) for everything in a run's config that comes from a paper; each paper once."""
    uses: dict[str, list[str]] = {}
    for part, name in _parts_of(config):
        for key in _PARTS.get(part, {}).get(name, ()):
            uses.setdefault(key, []).append(part)
    return [(", ".join(dict.fromkeys(parts)), PAPERS[key]) for key, parts in uses.items()]


def _parts_of(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    sample, process = config.get("sample", {}), config["process"]
    objective = config["objective"].get("numbers", config["objective"])  # of a table with tokens: those of its numbers
    times = objective.get("times", {})
    parts = [
        ("data", config["data"]["found"]["name"]),
        ("codec", config.get("codec", {}).get("type", "")),
        ("network", config["net"]["type"]),
        ("network", config["net"].get("body", "")),
        ("noise", _noise(process.get("tokens", process))),
        ("schedule", process.get("numbers", process).get("schedule", {}).get("type", "")),
        ("prediction", config["denoiser"].get("predict", config["denoiser"]["type"])),
        ("objective", objective["type"]),
        ("times", times.get("type", "")),
        ("times", times.get("times", {}).get("type", "")),
        ("weight", objective.get("weight", {}).get("type", "")),
        ("solver", sample.get("solver", "")),
        ("grid", sample.get("grid", {}).get("type", "")),
    ]
    parts += [("guidance", "guidance")] if config["objective"].get("label_dropout") else []
    return parts + ([("averaging", "ema")] if config["train"].get("ema") else [])


def _noise(process: Mapping[str, Any]) -> str:
    """What noise on tokens is called; "" for noise that is added."""
    return {0.0: "uniform", 1.0: "masking"}.get(process["masked"], "both") if "masked" in process else ""

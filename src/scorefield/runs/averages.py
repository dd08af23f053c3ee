"""Which averages of the weights a run has: those it kept in full, and any other width, rebuilt from its snapshots."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from scorefield.errors import UserError
from scorefield.training import Fit, Profile, fit_profile
from scorefield.training.checkpoint import Checkpoint
from scorefield.training.ema import WIDEST
from scorefield.training.posthoc import DOUBTFUL, SAME, USELESS
from scorefield.training.snapshots import Snapshot, found

TRIED = [k / 100 for k in range(1, 29)]  # widths among which those in reach are looked for


class Stored(NamedTuple):
    """One average on the disk: its profile, its file, and what a weight is called there."""

    profile: Profile
    path: Path
    name: Callable[[str], str]


class Rebuilt(NamedTuple):
    """The averaged weights alone, how they were mixed, and what the user should know about it ("" for nothing)."""

    tensors: dict[str, Tensor]
    fit: Fit
    note: str


def check_width(width: float) -> None:
    """Raises UserError unless 0 < width ≤ 0.28."""
    if not 0 < width <= WIDEST:
        raise UserError(f"ema is a width σ_rel above 0 and up to {WIDEST}, got {width:g}. Usual ones are 0.03 to 0.15.")


def kept(checkpoint: Checkpoint) -> dict[float, Path]:
    """σ_rel → file, in the order of training's settings: the first is the one that is sampled."""
    files = {width: checkpoint.path / f"ema-{width:.3f}.safetensors" for width in checkpoint.state["settings"]["ema"]}
    return {width: file for width, file in files.items() if file.is_file()}


def nearest(checkpoint: Checkpoint, width: float) -> float | None:
    """The kept width that is as good as ``width``, None where there is none."""
    return next((own for own in kept(checkpoint) if abs(own - width) < SAME), None)


def snapshots(checkpoint: Checkpoint) -> list[Snapshot]:
    """Those before a checkpoint."""
    return [snapshot for snapshot in found(checkpoint.path.parent) if snapshot.images < checkpoint.state["images"]]


def stored(checkpoint: Checkpoint) -> list[Stored]:
    """Everything that an average at this checkpoint can be mixed from: its own averages, and earlier snapshots."""
    images, late = checkpoint.state["images"], checkpoint.state.get("ema_late", ())
    own = [Stored(Profile(w, images), path, str) for w, path in kept(checkpoint).items() if w not in late]
    return own + [
        Stored(Profile(width, snapshot.images), snapshot.path, lambda weight, s=snapshot, w=width: s.name(w, weight))
        for snapshot in snapshots(checkpoint)
        for width in snapshot.widths
    ]


def fitted(checkpoint: Checkpoint, width: float, basis: list[Stored] | None = None) -> Fit:
    """How the average of ``width`` is mixed from what is ``stored``, without reading a weight.

    Raises UserError: a width out of range, nothing stored, or so little that the profile is missed by more than a
    third."""
    check_width(width)
    basis = stored(checkpoint) if basis is None else basis
    times = snapshots(checkpoint)
    if not times and nearest(checkpoint, width) is None:
        known = ", ".join(f"{own:g}" for own in kept(checkpoint))
        both = f"ema={known.replace(' ', '')},{width:g}" if known else f"ema={width:g}"
        raise UserError(
            f"ema={width:g} was not kept by this run. Kept: {known or 'none'}. Other widths are rebuilt from "
            f"snapshots, of which it stored none: train with snapshots=10, or with {both}."
        )
    images = checkpoint.state["images"]
    profiles = [s.profile for s in basis]
    fit = fit_profile(profiles, Profile(width, images))
    if fit.error > USELESS:
        reached = [w for w in TRIED if fit_profile(profiles, Profile(w, images)).error <= USELESS]
        counted = f"{len(times)} snapshot{'s' * (len(times) > 1)}"
        reach = f" In reach are {reached[0]:g} to {reached[-1]:g}." if reached else ""
        raise UserError(
            f"ema={width:g} cannot be rebuilt from {counted}: the nearest mixture misses its profile by "
            f"{fit.error:.0%}, and a third is the most that is accepted.{reach} Train with snapshots={2 * len(times)} "
            "for more."
        )
    return fit


def rebuilt(checkpoint: Checkpoint, width: float) -> Rebuilt:
    """The average of ``width`` at a checkpoint, mixed in float64 from what is ``stored``. Raises UserError as
    ``fitted``, and for a file that cannot be read."""
    basis = stored(checkpoint)
    fit = fitted(checkpoint, width, basis)
    used = [(s, weight) for s, weight in zip(basis, fit.weights, strict=True) if weight]
    names = _names(basis)
    like = checkpoint.tensors("model")
    total = {name: torch.zeros(like[name].shape, dtype=torch.float64) for name in names}
    for part, weight in used:
        for name, tensor in _read(part, names).items():
            total[name].add_(tensor.double(), alpha=weight)
    note = ""
    if fit.error > DOUBTFUL:
        note = (
            f"ema={width:g} was rebuilt with a profile error of {fit.error:.0%}: about that much of the noise that "
            "the true average has left is its distance from it. A run with more snapshots rebuilds it better."
        )
    return Rebuilt({name: tensor.to(like[name].dtype) for name, tensor in total.items()}, fit, note)


def _names(basis: list[Stored]) -> list[str]:
    """The weights that are averaged: those of a snapshot; a file of the checkpoint holds all of the network's."""
    narrow = next((s for s in reversed(basis) if s.name("") != ""), None)
    part = basis[0] if narrow is None else narrow
    with ExitStack() as stack:
        keys = list(_opened(part.path, stack).keys())
    begin = part.name("")
    return [key.removeprefix(begin) for key in keys if key.startswith(begin)]


def _read(part: Stored, names: list[str]) -> dict[str, Tensor]:
    with ExitStack() as stack:
        file = _opened(part.path, stack)
        return {name: file.get_tensor(part.name(name)) for name in names}


def _opened(path: Path, stack: ExitStack) -> Any:
    return stack.enter_context(safe_open(path, framework="pt"))  # pyrefly: ignore[not-callable]

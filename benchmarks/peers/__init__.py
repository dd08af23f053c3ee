"""Public samplers of diffusers, k-diffusion and azula on a scorefield denoiser, from given noise: one adapter for the
parity tests and for ``accuracy.py``.

    for candidate in candidates(denoiser.process, 10):
        x0, evaluations = candidate.run(denoiser, noise)

Every peer works in its own state and its own arithmetic; where that is float32 (diffusers), ``doubled`` runs the same
lines in float64, and each evaluation is made at the peer's exact noise level, not at a rounded time: both only help it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .common import Candidate, Oracle, doubled, levels

# Distribution: its module in this folder.
PEERS = {"diffusers": "diffusers", "k-diffusion": "k_diffusion", "azula": "azula"}

__all__ = ["PEERS", "Candidate", "Oracle", "candidates", "doubled", "levels", "versions"]


def versions() -> dict[str, str]:
    """The peers that are installed."""
    found = {}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def candidates(process: Any, nfe: int) -> Iterator[Candidate]:
    """Every deterministic sampler × setting of every installed peer that spends at most ``nfe`` evaluations."""
    for name in versions():
        yield from import_module(f".{PEERS[name]}", __name__).candidates(process, nfe)

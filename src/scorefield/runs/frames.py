"""How states on the way from noise to data are kept for a film, and the words under them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from scorefield.core import as_time
from scorefield.runs.recipes import GAUSSIAN, MIXED, ORDERED, TOKENS
from scorefield.runs.tokens import left

if TYPE_CHECKING:
    from scorefield.runs.loading import Run


class Frames(NamedTuple):
    """``frame`` (run, process, step) → what is kept of a step, on the CPU; ``captions`` (process, times)."""

    frame: Callable[[Run, Any, Any], Tensor]
    captions: Callable[[Any, Sequence[float]], tuple[str, ...]]


def _scaled(run: Run, process: Any, step: Any) -> Tensor:
    """x_t at the root mean square of the data, times σ_data / √(α² σ_data² + σ²)."""
    alpha, sigma = (float(c) for c in process.schedule(step.t))
    data = run.config["denoiser"]["sigma_data"]
    return run.codec.decode(step.x * (data / (alpha**2 * data**2 + sigma**2) ** 0.5)).cpu()


def _beside_tokens(run: Run, process: Any, step: Any) -> Tensor:
    """The numbers as in ``_scaled``; a token that is masked is missing."""
    numbers, tokens = process.split(step.x)
    alpha, sigma = (float(c) for c in process.numbers.schedule(process.clocks(step.t).numbers))
    data = run.config["denoiser"]["sigma_data"]
    scaled = numbers * (data / (alpha**2 * data**2 + sigma**2) ** 0.5)
    return run.codec.unfinished(process.join(scaled, tokens), process.tokens.mask)


def _as_it_is(run: Run, process: Any, step: Any) -> Tensor:
    return step.x.cpu()


def _pictured(run: Run, process: Any, step: Any) -> Tensor:
    return run.codec.pictures(step.x).cpu()


def _decoded(run: Run, process: Any, step: Any) -> Tensor:
    return run.codec.decode(step.x).cpu()


def _drawn(process: Any, times: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"{1 - t:.0%} drawn" for t in times)


def _regions(run: Run, process: Any, step: Any) -> Tensor:
    return run.codec.tokens(step.x).cpu()


def _uncaptioned(process: Any, times: Sequence[float]) -> tuple[str, ...]:
    return ()


def _masked(process: Any, times: Sequence[float]) -> tuple[str, ...]:
    return tuple(left(process, t) for t in times)


def _noisy(process: Any, times: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"noise {float((-process.log_ratio(as_time(t))).exp()):.3g} × signal" for t in times)


def _in_turn(process: Any, times: Sequence[float]) -> tuple[str, ...]:
    clocks = [process.clocks(as_time(t)) for t in times]
    return tuple(
        left(process.tokens, float(own.tokens)) if own.tokens > 0 else _noisy(process.numbers, [float(own.numbers)])[0]
        for own in clocks
    )


FRAMES = {  # by family, and by codec where that has its own
    GAUSSIAN: Frames(_scaled, _uncaptioned),
    TOKENS: Frames(_as_it_is, _masked),
    MIXED: Frames(_beside_tokens, _in_turn),
    ORDERED: Frames(_decoded, _drawn),
    "vq": Frames(_pictured, _masked),
    "argmax": Frames(_regions, _noisy),
}


def of(run: Run) -> Frames:
    """How the states of this run are kept."""
    return FRAMES.get(run.config["codec"]["type"]) or FRAMES[run.family]

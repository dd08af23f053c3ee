"""Draws from a posterior over pictures: what they say, and the files they become."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scorefield.operators import Measurement
from scorefield.runs.disk import writer_of
from scorefield.show.files import write_aside
from scorefield.show.film import save_picture
from scorefield.show.numbers import short

if TYPE_CHECKING:
    from scorefield.runs.measured import Given

LIMIT = 3.0  # standard deviations of the mean beyond which samples do not explain y
ASTRAY = 3.0  # how many times that a single draw may be off before it is named
FAR = 2.0  # χ²/M from which on draws are more than somewhat off
FEW = 10  # effective particles below which weights say little


class Consistency(NamedTuple):
    """How well draws explain y: the mean over draws of χ²/M and what it should be, or the residual where there is no
    noise; ``sentence`` says it, and ``each`` is that of every draw."""

    value: float
    expected: float
    spread: float  # of the value, for one y
    sentence: str
    ok: bool
    each: tuple[float, ...]


def squares(measurement: Measurement, z: Tensor) -> Tensor:
    """χ² = Σ ((y − A x)/σ)² of each example, (n, *D) → (n,) float64; with σ = 1 where there is no noise. Counts have
    a σ each, and where few are expected a breath more or less would be many of them: so M Σ (k − λ)² / Σ λ."""
    noise: Any = measurement.noise
    z = z.to(measurement.y)
    if noise.std is None:
        rate = noise.rate(measurement.operator(z)).double().flatten(1)
        counts = (noise.scale * (measurement.y - noise.low)).double().flatten(1)
        return (counts - rate).square().sum(1) / rate.mean(1)
    residual = measurement.residual(z).double()
    return (residual / (noise.std or 1.0)).square().flatten(1).sum(1)


def _spread(measurement: Measurement, z: Tensor) -> float:
    """The deviation of χ²/M over measurements of a truth z (n, *D), from the fourth moment of the noise."""
    noise: Any = measurement.noise
    count = math.prod(measurement.operator.measured)
    if noise.std is None:
        rate = noise.rate(measurement.operator(z.to(measurement.y))).double().flatten(1)
        return float(((2 * rate.square() + rate).sum(1).sqrt() / rate.sum(1)).mean())
    return math.sqrt((2 if noise.gaussian else 5) / count)


def consistency(measurement: Measurement, z: Tensor, assumed: bool = False) -> Consistency:
    """χ² of draws z (n, *D). A draw of p(x | y) and y are a draw of the joint law, so over measurements χ² is that of
    the noise: M on average, √(2M) wide (Gaussian noise). Where the noise was only ``assumed`` y may have less, so draws
    that are nearer to it are no fault."""
    noise: Any = measurement.noise
    count = math.prod(measurement.operator.measured)
    each = tuple((squares(measurement, z) / count).tolist())
    value = sum(each) / len(each)
    if noise.std == 0:
        told = f"residual y − A(x): {short(value**0.5)} (root mean square; no noise was said)"
        return Consistency(value**0.5, 0.0, 0.0, told, True, tuple(one**0.5 for one in each))
    spread = _spread(measurement, z)
    away = (value - 1) / spread
    told = f"χ²/M of y = {value:.2f}, expected 1 ± {spread:.2f} (M = {count:,})"
    reading = "consistent with y and its noise"
    if away > LIMIT:
        reading = _too_far(each, spread)
    if away < -LIMIT:
        reading = "closer to y than its noise allows: the noise was said too large, or the method fits noise"
        if assumed:
            reading = f"closer to y than the noise of {noise.std:g} that was assumed: no fault where y has less"
    return Consistency(value, 1.0, spread, f"{told}: {reading}", away <= LIMIT and (assumed or away >= -LIMIT), each)


def _too_far(each: tuple[float, ...], spread: float) -> str:
    """What to say of draws whose mean χ²/M is too large: whether a few went astray, or all are somewhat or far off."""
    astray = {f"{i + 1} ({value:.1f})": value for i, value in enumerate(each) if value > 1 + ASTRAY * LIMIT * spread}
    others = [value for value in each if value <= 1 + ASTRAY * LIMIT * spread]
    mean = sum(others) / len(others) if others else math.inf
    if len(astray) < len(others) and mean <= 1 + LIMIT * spread:
        named = f"draw {next(iter(astray))} does" if len(astray) == 1 else f"draws {', '.join(astray)} do"
        return f"{named} not explain y and should be left out, the other {len(others)} do ({mean:.2f})"
    if sum(each) / len(each) < FAR:
        return "somewhat farther from y than its noise: more steps bring draws nearer"
    return "the draws do not explain y: more steps, another method, or a larger noise"


@dataclass(frozen=True, eq=False)
class Restored:
    """``x`` uint8 (n, C, H, W) draws, ``mean`` (C, H, W) uint8 and ``deviation`` (C, H, W) in levels of 255 of the
    posterior, ``encoded`` the draws as they were diffused. ``ess`` (the smallest effective sample size on the way) of
    so many ``particles`` and ``log_evidence`` (nats) are None for methods without. ``label`` says how far to trust the
    ``method``."""

    x: Tensor
    encoded: Tensor
    mean: Tensor
    deviation: Tensor
    classes: tuple[str, ...]
    given: Given
    consistency: Consistency
    ess: float | None
    particles: int | None
    log_evidence: float | None
    nfe: int
    method: str
    label: str
    run: str
    truth: Tensor | None = None  # uint8 (C, H, W)
    seed: int = 0

    def __len__(self) -> int:
        return len(self.x)

    @property
    def error(self) -> float | None:
        """Root mean square of mean − truth in levels of 255; None where the truth is not known."""
        if self.truth is None:
            return None
        return float((self.mean.float() - self.truth.float()).square().mean().sqrt())

    @property
    def facts(self) -> list[tuple[str, str]]:
        """(name, sentence): what to know beside the pictures."""
        rows = [("measured", self.given.words + (f". {self.given.note}" if self.given.note else ""))]
        rows.append(
            ("method", f"{self.method}{f' ({self.label})' if self.label else ''}, {self.nfe:,} evaluations each")
        )
        rows.append(("y", self.consistency.sentence))
        rows.append(("spread", f"a pixel varies by {float(self.deviation.mean()):.1f} levels of 255 between draws"))
        if self.error is not None:
            rows.append(("truth", f"the mean of the draws is {self.error:.1f} levels of 255 away from it"))
        if self.ess is not None:
            few = f"at least {self.ess:.0f} of {self.particles} particles counted at every step"
            rows.append(("ESS", f"{few}{': too few, take more particles' if self.ess < FEW else ''}"))
        if self.log_evidence is not None:
            rows.append(("evidence", f"log p(y) = {self.log_evidence:.2f} nats"))
        return rows

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "run": self.run,
            "n": len(self),
            "method": self.method,
            "label": self.label,
            "measured": self.given.words,
            "note": self.given.note,
            "nfe": self.nfe,
            "seed": self.seed,
            "consistency": self.consistency._asdict(),
            "mean_deviation": float(self.deviation.mean()),
            "error": self.error,
            "ess": self.ess,
            "particles": self.particles,
            "log_evidence": self.log_evidence,
        }

    def overview(self) -> Image.Image:
        """What was given, mean, deviation and the first draws side by side."""
        from scorefield.runs.overview import overview

        return overview(self)

    def save(self, path: str | Path) -> Path:
        """``.png`` the overview, ``.npz`` the numbers, ``.html`` the report, no ending a folder with all of them and
        the draws one by one. Returns the path. Raises UserError where it exists or ends otherwise."""
        path = Path(path).expanduser()
        writer_of(path, WRITERS)(self, path)
        return path


def image_of(pixels: Tensor) -> Image.Image:
    """uint8 (C, H, W), C = 1, 3 or 4 (RGBA)."""
    values = pixels.permute(1, 2, 0).numpy()
    return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


def deviation_image(deviation: Tensor) -> tuple[Image.Image, float]:
    """The map as a picture, and how many levels its white is."""
    grey = deviation.square().mean(0).sqrt()
    white = max(float(grey.max()), 1e-6)
    return Image.fromarray((grey / white * 255).round().to(torch.uint8).numpy()), white


def _png(made: Restored, path: Path) -> None:
    save_picture(path, made.overview())


def _npz(made: Restored, path: Path) -> None:
    arrays = {
        "x": made.x.numpy(),
        "encoded": made.encoded.numpy(),
        "mean": made.mean.numpy(),
        "deviation": made.deviation.numpy(),
        "y": made.given.measurement.y.cpu().numpy(),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # pyrefly: ignore[bad-argument-type]
    write_aside(path, buffer.getvalue())


def _html(made: Restored, path: Path) -> None:
    from scorefield.runs.overview import page

    write_aside(path, page(made))


def _folder(made: Restored, path: Path) -> None:
    (path / "draws").mkdir(parents=True)
    for i, pixels in enumerate(made.x):
        save_picture(path / "draws" / f"{i + 1:03d}.png", image_of(pixels))
    save_picture(path / "mean.png", image_of(made.mean))
    save_picture(path / "deviation.png", deviation_image(made.deviation)[0])
    _png(made, path / "overview.png")
    _npz(made, path / "draws.npz")
    write_aside(path / "result.json", json.dumps(made.to_json(), indent=1, ensure_ascii=False) + "\n")
    _html(made, path / "report.html")


WRITERS: dict[str, Callable[[Restored, Path], None]] = {".png": _png, ".npz": _npz, ".html": _html, "": _folder}

"""Pictures drawn from what a run has learned and what was measured: p(x | y), by any method of ``posterior``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Denoiser, Rng
from scorefield.errors import UserError, suggest
from scorefield.operators import Measurement
from scorefield.posterior.draw import chosen, draw
from scorefield.posterior.names import METHODS
from scorefield.runs.labels import NO_CLASS, asked_labels, forgets
from scorefield.runs.measured import Given, given_of
from scorefield.runs.restored import Restored, consistency
from scorefield.runs.sample import Progress, guided
from scorefield.runs.spread import batch_of

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

FEW = {"cpu": 8, "gpu": 32}  # numbers in y up to which particles are taken when nobody says
PARTICLES = {"cpu": 128, "gpu": 512}
SEEING_PAST = {"cpu": 32, "gpu": 512}  # where only particles will do, whatever the size of a picture
CLIPPED = 0.1  # share of numbers at the ends of [−1, 1] that A does not see, from which on it clips
QUIET = 0.1  # noise on y, below which a network's errors leave few particles that count


def restore(
    run: Run,
    given: Any,
    n: int = 8,
    *,
    mask: str | None = None,
    super: int | None = None,
    blur: Any = None,
    grey: bool | None = None,
    operator: Any = None,
    noise: Any = None,
    y: Any = None,
    taken: str | None = None,
    method: str | None = None,
    particles: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    label: Any = None,
    seed: int = 0,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Restored:
    """``n`` draws of the picture of which ``given`` is known.

    What was measured: ``mask`` (a picture, white where it is to be painted), ``super`` (so many times smaller),
    ``blur`` (deviation, or a picture of the kernel), ``grey``, ``operator`` (``FILE.py:NAME``, a word of
    ``operators.names``, an operator or a function of (B, *D) in [−1, 1]); several are done to the picture in the order
    grey, blur, super, operator, mask. ``noise`` is its deviation (black to white is 2), ``poisson:30`` or
    ``laplace:0.1``.

    ``given`` is the picture: of a mask what is known of it; where it has the size of what the operator gives, what was
    measured; where it has the size of the run, a clean one, which is measured first. ``taken`` ("clean", "measured")
    decides where both fit. ``y`` gives the numbers themselves, and ``given`` is then the truth, or None. ``method`` is
    one of ``posterior.METHODS``; ``label`` one class. Raises UserError, before anything is drawn, for what does not
    fit.
    """
    asked = {"mask": mask, "super": super, "blur": blur, "grey": grey, "operator": operator}
    checked_method(method)
    measured = given_of(run, given, y, taken, seed, noise, asked)
    denoiser = prior(run, label, guidance)
    on = _moved(measured.measurement, run.device)
    name, count = affordable(run, on, method, particles)
    size = batch or batch_of(run.width, run.device.type)
    found = draw(denoiser, on, n, method=name, steps=steps, seed=seed, batch=size, particles=count, progress=progress)
    return _answer(run, measured, found, seed)


def checked_method(method: str | None) -> None:
    """Raises UserError for a method that is not known, with the nearest one."""
    known = ("auto", *METHODS)
    if method is not None and method not in known:
        raise UserError(f"method={method} is not known.{suggest(method, known)}")


def affordable(run: Run, measurement: Measurement, method: str | None, particles: int | None) -> tuple[str, int | None]:
    """The method that was asked for and its number of particles. Where nobody said, what ``posterior`` would take,
    except that particles are left out where y has too many numbers for the device, each of which costs a backward pass
    a step, and where its noise is so small that few particles would count; and that they are taken where A clips, which
    only "tds-likelihood" sees past."""
    where = "cpu" if run.device.type == "cpu" else "gpu"
    name = method if method not in (None, "auto") else chosen(measurement)
    std = measurement.noise.std
    dear = math.prod(measurement.operator.measured) > FEW[where] or (std is not None and std < QUIET)
    if method in (None, "auto") and particles is None and dear:
        name = name if METHODS[name].walk is not None or not measurement.operator.differentiable else "mmps"
        if name == "mmps" and not measurement.noise.gaussian:
            name = "dps"
        if std != 0 and _clips(measurement):
            return "tds-likelihood", SEEING_PAST[where]
    count = particles if particles is not None or METHODS[name].walk is not None else PARTICLES[where]
    return name, count


def _clips(measurement: Measurement) -> bool:
    """Whether A has no slope at the ends of [−1, 1] where it has one in the middle, as overexposure has: there, what
    is linear at x̂₀ and what follows a gradient stay where they are, however wrong."""
    operator = measurement.operator
    if operator.linear or not operator.differentiable:
        return False
    ends = Rng(1).normal(torch.empty(1, *operator.event, device=measurement.y.device)).sign()

    def slope(x: Tensor) -> Tensor:
        with torch.enable_grad():
            y = operator(x.requires_grad_())
        return torch.autograd.grad(y, x, Rng(2).normal(y.detach()))[0]

    return bool(((slope(ends) == 0) & (slope(0.01 * ends) != 0)).double().mean() > CLIPPED)


@dataclass(frozen=True)
class Told:
    """A denoiser that is told the same class whatever it is asked: methods then need not know of classes."""

    inner: Denoiser
    label: int

    @property
    def process(self) -> Any:
        return self.inner.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Any:
        return self.inner(x, t, label=torch.full((len(x),), self.label, device=x.device), **cond)


def prior(run: Run, label: Any, guidance: float | None) -> Denoiser:
    """The run's denoiser, told one class where it knows some; without ``label`` it is left open. Raises UserError for
    several classes, or one that the run does not know."""
    denoiser, _ = guided(run, run.denoiser, guidance)
    if not run.classes:
        asked_labels(label, run.classes, 1)  # refuses a class
        return denoiser
    if label is None and not forgets(run.config):
        raise UserError(f"{run.name} was trained with label_dropout=0 and knows nothing without a class. Write class=.")
    labels = [NO_CLASS] if label is None else (asked_labels(label, run.classes, _count(label)))
    numbers = set(torch.as_tensor(labels).tolist())
    if len(numbers) > 1:
        raise UserError("a picture is of one class: write class= with one name or number, or leave it out.")
    return Told(denoiser, numbers.pop())


def _count(label: Any) -> int:
    return 1 if isinstance(label, str | int) else len(label)


def _moved(measurement: Measurement, device: torch.device) -> Measurement:
    return Measurement(measurement.operator, measurement.y.to(device), measurement.noise)


def _answer(run: Run, given: Given, found: Any, seed: int) -> Restored:
    z = found.x.cpu()
    x = run.codec.decode(z)
    mean, deviation = _moments(x.float())
    return Restored(
        x=x,
        encoded=z,
        mean=mean.round().to(torch.uint8),
        deviation=deviation,
        truth=None if given.truth is None else run.codec.decode(given.truth)[0],
        classes=run.classes,
        given=given,
        consistency=consistency(given.measurement, z, given.assumed),
        ess=None if found.ess is None else float(found.ess.double().amin(0).mean()),
        particles=None if found.particles is None else found.particles.x.shape[1],
        log_evidence=found.log_evidence,
        nfe=found.nfe,
        method=found.method,
        label=found.label,
        run=run.name if run.folder is None else str(run.folder.path),
        seed=seed,
    )


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of pixels (n, *D)."""
    return x.mean(0), x.std(0) if len(x) > 1 else torch.zeros_like(x[0])

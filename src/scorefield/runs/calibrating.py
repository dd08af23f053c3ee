"""Is what a run draws given a measurement calibrated? Simulations with its own model and the user's measurement."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Denoiser, Rng
from scorefield.errors import UserError
from scorefield.metrics import Calibration, calibration
from scorefield.operators import Measurement
from scorefield.posterior.draw import check_particles, draw
from scorefield.posterior.names import METHODS
from scorefield.runs import env
from scorefield.runs.measured import noise_of, noise_said, operator_of
from scorefield.runs.restored import squares
from scorefield.runs.restoring import affordable, checked_method, prior
from scorefield.runs.sample import Progress, unseen
from scorefield.runs.spread import batch_of, parts_of
from scorefield.runs.tokens import refuse
from scorefield.sampling import sample
from scorefield.show.files import write_aside

if TYPE_CHECKING:
    from PIL.Image import Image

    from scorefield.runs.loading import Run

TRUTH, NOISE, DRAW, WAYS = 1, 2, 3, 4  # numbers folded with the seed
TRUE_STEPS = 50  # of the walk that draws true pictures: finer than any method's
PROJECTIONS = 4
HOW = (
    "A true example is drawn, measured, and drawn again given the measurement: its rank among the draws is then "
    "uniform for every number, if the draws are what they should be. The band holds 99 % of the bars of an exact "
    "sampler; a valley in the middle says that draws are too narrow, a hill that they are too wide, a slope that they "
    "lie to a side. The numbers are the mean and the mean square (energy) of an example, weighted sums of it by "
    f"{PROJECTIONS} random weights (projections), and how likely it makes y. p is how probable ranks as uneven as "
    "these are for an exact sampler; that of the verdict counts all of them and χ², and finds a fault below 0.01."
)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What simulations with ``run`` and a measurement said: ``found``, how it was done, and the page that shows it."""

    found: Calibration
    run: str
    words: str
    method: str
    label: str
    truth: str
    nfe: int
    seed: int
    note: str = ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """(name, sentence): what to know beside the figures."""
        rows = [
            ("measured", self.words + (f". {self.note}" if self.note else "")),
            ("method", f"{self.method}{f' ({self.label})' if self.label else ''}, {self.nfe:,} evaluations each"),
            ("truth", TRUTHS[self.truth].says),
        ]
        if self.found.chi2 is not None:
            rows.append(("residuals", f"χ²/M = {self.found.chi2:.3f} ± {self.found.chi2_se:.3f}, expected 1"))
        return [*rows, ("verdict", self.found.verdict)]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        own = {name: getattr(self, name) for name in ("run", "method", "label", "truth", "nfe", "seed", "note")}
        return own | {"measured": self.words} | self.found.to_json()

    def picture(self) -> Image:
        """A histogram of ranks for each number."""
        from scorefield.show.ranks import rank_picture

        notes = [f"p = {q.worst:.2g}: {q.reading}" for q in self.found.quantities]
        return rank_picture([q.name for q in self.found.quantities], [q.counts for q in self.found.quantities], notes)

    def page(self) -> str:
        """One HTML file that opens offline."""
        from scorefield.show.html import document, figure, pair_table, paragraph, table

        heads = ("number", "p", *(f"{c.level:.0%} interval" for c in self.found.quantities[0].coverage), "reading")
        body = paragraph(HOW, "muted") + figure(self.picture(), "Histograms of ranks", "", 400_000)
        note = "How often the interval held the truth, ± one standard error of what an exact sampler would show."
        sections = [
            ("ranks", "Ranks of the truth", body),
            ("coverage", "Credible intervals", paragraph(note, "muted") + table(heads, self.found.rows())),
            ("facts", "How it was made", pair_table(self.facts)),
        ]
        cells = [
            ("simulations", f"{self.found.n}"),
            ("draws each", f"{self.found.draws}"),
            ("p", f"{self.found.p:.2g}"),
        ]
        title = f"Calibration of {Path(self.run).name}"
        story = self.found.verdict[:1].upper() + self.found.verdict[1:] + "."
        return document(title, story, cells, sections, f"Written by scorefield on {env.now()}.")

    def save(self, path: str | Path) -> Path:
        """``.html`` the page, ``.json`` the numbers. Returns the path. Raises UserError where it exists or ends
        otherwise."""
        path = Path(path).expanduser()
        if path.exists():
            raise UserError(f"{path} exists and is not overwritten. Choose another name, or remove it first.")
        if path.suffix.lower() not in WRITERS:
            raise UserError(f"{path} should end in {' or '.join(WRITERS)}: the ending says what to write.")
        return write_aside(path, WRITERS[path.suffix.lower()](self))


WRITERS: dict[str, Callable[[Calibrated], str]] = {
    ".html": Calibrated.page,
    ".json": lambda made: json.dumps(made.to_json(), indent=1, ensure_ascii=False) + "\n",
}


def calibrate(
    run: Run,
    *,
    mask: str | None = None,
    super: int | None = None,
    blur: Any = None,
    grey: bool | None = None,
    operator: Any = None,
    noise: Any = None,
    method: str | None = None,
    particles: int | None = None,
    truth: str = "model",
    n: int = 64,
    draws: int = 15,
    steps: int | None = None,
    guidance: float | None = None,
    label: Any = None,
    seed: int = 0,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Calibrated:
    """Simulation-based calibration of ``method`` (Talts et al. 2018) with this run as the prior.

    What is measured is said as in ``edit``. ``truth`` says where the ``n`` true examples come from: "model" draws them
    from the run, and what is found is about the method; "data" takes held-out examples, and what is found is about the
    model as well. Each is measured with its own noise, and ``draws`` draws are taken given that. Ranks are those of the
    mean, the energy, four random projections and the likelihood of y. Raises UserError for runs on tokens, and for
    whatever the measurement and the method refuse, before anything is drawn."""
    refuse(run, "calibrate measures numbers", "Measure it by `evaluate`.")
    asked = {"mask": mask, "super": super, "blur": blur, "grey": grey, "operator": operator}
    checked_method(method)
    made, words = operator_of(run, asked)
    law, note = noise_of(noise)
    words = f"{words} {noise_said(noise)}"
    denoiser = prior(run, label, guidance)
    tell = progress or unseen
    blank = Measurement(made, torch.zeros(1, *made.measured), law)
    name, count = affordable(run, blank, method, particles)
    METHODS[name].check(name, blank)  # before truths are drawn, which may take minutes
    check_particles(name, particles)
    true = TRUTHS[truth].draw(run, denoiser, n, seed, batch)
    measured = Measurement.of(true, made, law, Rng.each(Rng.fold(seed, NOISE), range(n)))
    ways = _projections(true, seed)
    how = _together if METHODS[name].walk is not None else _one_by_one
    size = batch or batch_of(run.width, run.device.type)
    drawn, nfe = how(_Asked(denoiser, measured, n, draws, name, steps, seed, size, count, tell))
    each = [measured.rows(slice(i, i + 1)) for i in range(n)]
    numbers = [_numbers(x, own, ways) for x, own in zip(drawn, each, strict=True)]
    chi2 = [_chi2(own, x) for x, own in zip(drawn, each, strict=True)]
    own_numbers = torch.cat([_numbers(true[i : i + 1], own, ways) for i, own in enumerate(each)])
    squared = None if law.std == 0 else torch.stack(chi2)
    result = calibration(own_numbers, torch.stack(numbers), names(), chi2=squared, seed=seed)
    where = run.name if run.folder is None else str(run.folder.path)
    return Calibrated(result, where, words, name, METHODS[name].label, truth, nfe, seed, note)


def names() -> tuple[str, ...]:
    """Of the numbers whose ranks are taken."""
    return ("mean", "energy", *(f"projection {k + 1}" for k in range(PROJECTIONS)), "likelihood of y")


def _numbers(x: Tensor, measurement: Measurement, ways: Tensor) -> Tensor:
    """(R, F) of examples x (R, *D) given the one y of ``measurement``."""
    flat = x.double().flatten(1)
    seen = -squares(measurement, x)
    return torch.cat(
        [flat.mean(1, keepdim=True), flat.square().mean(1, keepdim=True), flat @ ways.to(flat), seen[:, None]], 1
    ).cpu()


def _projections(x: Tensor, seed: int) -> Tensor:
    """Random unit directions, (D, PROJECTIONS) float64."""
    ways = Rng(Rng.fold(seed, WAYS)).normal(torch.empty(x[0].numel(), PROJECTIONS, dtype=torch.float64))
    return ways / ways.norm(dim=0)


def _chi2(measurement: Measurement, x: Tensor) -> Tensor:
    """The mean over draws of χ²/M."""
    return (squares(measurement, x) / math.prod(measurement.operator.measured)).mean().cpu()


@dataclass(frozen=True)
class _Asked:
    """Draws that were asked for: ``draws`` for each of n rows of y."""

    denoiser: Denoiser
    measured: Measurement
    n: int
    draws: int
    method: str
    steps: int | None
    seed: int
    batch: int
    particles: int | None
    tell: Progress


def _together(asked: _Asked) -> tuple[list[Tensor], int]:
    """All draws in one call, a row of y each."""
    y = asked.measured.y.repeat_interleave(asked.draws, 0)
    rows = Measurement(asked.measured.operator, y, asked.measured.noise)
    seed = Rng.fold(asked.seed, DRAW)
    found = draw(
        asked.denoiser,
        rows,
        len(y),
        method=asked.method,
        steps=asked.steps,
        seed=seed,
        batch=asked.batch,
        particles=asked.particles,
        progress=asked.tell,
    )
    return list(found.x.split(asked.draws)), found.nfe


def _one_by_one(asked: _Asked) -> tuple[list[Tensor], int]:
    """A call for each row of y: populations of particles belong to one."""
    drawn, nfe = [], 0
    for i in range(asked.n):
        asked.tell(i, asked.n)
        found = draw(
            asked.denoiser,
            asked.measured.rows(slice(i, i + 1)),
            asked.draws,
            method=asked.method,
            steps=asked.steps,
            seed=Rng.fold(asked.seed, DRAW, i),
            batch=asked.batch,
            particles=asked.particles,
        )
        drawn.append(found.x)
        nfe = found.nfe
    return drawn, nfe


@dataclass(frozen=True)
class _Truth:
    """Where true examples come from."""

    draw: Callable[[Run, Denoiser, int, int, int | None], Tensor]
    says: str


def _of_model(run: Run, denoiser: Denoiser, n: int, seed: int, batch: int | None) -> Tensor:
    parts = parts_of(n, batch or batch_of(run.width, run.device.type))
    rngs = [Rng.each(Rng.fold(seed, TRUTH), part) for part in parts]
    shapes = [(len(part), *run.encoded) for part in parts]
    drawn = [
        sample(denoiser, shape, steps=TRUE_STEPS, rng=rng, device=run.device)
        for shape, rng in zip(shapes, rngs, strict=True)
    ]
    return torch.cat(drawn)


def _of_data(run: Run, denoiser: Denoiser, n: int, seed: int, batch: int | None) -> Tensor:
    data = run.dataset()
    held = data.held_out
    if held is None or len(held) < n:
        raise UserError(
            f"truth=data needs {n} held-out examples, and {run.data_name} has {len(held) if held else 0}. Write a "
            "smaller n=, or truth=model."
        )
    index = Rng(Rng.fold(seed, TRUTH)).permutation(len(held))[:n]
    return run.codec.encode(held.batch(index)["x"]).to(run.device)


TRUTHS: dict[str, _Truth] = {
    "model": _Truth(_of_model, "drawn from the model, so what is found is about the method"),
    "data": _Truth(_of_data, "held-out data, so what is found is about the model and the method"),
}

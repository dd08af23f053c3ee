"""A run gathered into its two pages: report.html for the eye, README.md (the model card) for whoever gets the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

from scorefield.data import Dataset
from scorefield.errors import UserError
from scorefield.runs import account, env, recipes
from scorefield.runs.citations import citations
from scorefield.runs.classifying import is_classifier
from scorefield.runs.disk import read_json
from scorefield.runs.folder import RunFolder
from scorefield.runs.recipes import GAUSSIAN, MIXED, ORDERED, TOKENS
from scorefield.runs.samples import PICTURED, seen
from scorefield.runs.written import RULE
from scorefield.show.card import write_card
from scorefield.show.embed import evenly
from scorefield.show.grid import limits_of, picture
from scorefield.show.report import write_report
from scorefield.show.story import Card, Citation, Frame, Report

if TYPE_CHECKING:
    from scorefield.runs.loading import Run
    from scorefield.runs.samples import Samples

SHOWN_REAL = 64  # real images
SHOWN_TEXTS = 3
FILM_CAPTIONS = {
    GAUSSIAN: "The same few samples at every step of the solver, scaled to the size of the data.",
    MIXED: "The same few samples at every step of the solver: first the tokens, and then the numbers, scaled.",
    TOKENS: "The same few samples on their way; ░ and grey stand where nothing is known yet.",
    ORDERED: "The same few samples on their way, pixel after pixel; grey stands where nothing is known yet.",
}
MOST_HISTORY = 16  # pictures of the samples over the training


def report(run: Run, path: str | Path | None = None, *, film: bool = True) -> Path:
    """Write report.html and README.md into the run folder, or only the report to ``path``; returns its path.

    ``film`` False leaves out the way from noise to data, the one part that has to be sampled.
    Raises UserError for a weights file without a run folder, or a full disk."""
    if run.folder is None:
        raise UserError(
            "A report tells how a run was made, which a weights file alone does not know. Load its run folder."
        )
    real = _real(run)
    told = account.Account(run, run.folder)
    page = _page(run, run.folder, told, real, film)
    if path is not None:
        return write_report(path, page)
    write_card(run.folder.card_file, _card(run, run.folder, told))
    return write_report(run.folder.report_file, page)


def _real(run: Run) -> Dataset | None:
    """The data, where they are still here: a report is more than its picture of them."""
    try:
        return run.dataset()
    except UserError:
        return None


def _page(run: Run, folder: RunFolder, told: account.Account, real: Dataset | None, film: bool) -> Report:
    steps, losses = told.curve()
    samples = _shown(folder)
    return Report(
        title=folder.name,
        story=told.story(),
        facts=told.facts(),
        samples=_opened(samples) if samples and not _texts(samples) else None,
        texts=_texts(samples) if samples else (),
        samples_caption=f"Averaged weights, {told.sampling()}, seed 0: not chosen by anybody." if samples else "",
        film=_film(run, real) if film and not is_classifier(run.config) else (),
        film_caption=FILM_CAPTIONS[run.family],
        history=_history(folder),
        steps=steps,
        losses=losses,
        metrics=told.metrics(),
        metrics_note=told.metrics_note(),
        noises=told.noises()[0],
        bits=told.noises()[1],
        bits_caption=told.bits_caption(),
        averages=_opened(folder.average_picture) if folder.average_picture.is_file() else None,
        averages_caption=read_json(folder.average_file, {}).get("verdict", ""),
        data_story=told.data_story(),
        data_facts=told.data_facts(),
        data_notes=told.notes(),
        data_picture=None if real is None or run.kind == "text" else _data_picture(run, real),
        data_texts=_examples(run, real) if real is not None and run.kind == "text" else (),
        config=told.settings(),
        command=told.command(),
        versions=told.versions(),
        python=told.python(),
        citations=_citations(run),
        created=f"Written by scorefield on {env.now()}.",
    )


def _card(run: Run, folder: RunFolder, told: account.Account) -> Card:
    samples = _shown(folder)
    return Card(
        title=folder.name,
        summary=told.story(),
        kind=run.kind,
        tags=tuple(filter(None, (run.config["net"]["type"], run.data_name))),
        picture=str(samples.relative_to(folder.path)) if samples else "",
        data=told.data_story(),
        data_facts=told.data_facts(),
        training=told.training(),
        training_facts=told.versions(),
        command=told.command(),
        metrics=told.metrics(),
        python=told.python(),
        shell=told.shell(),
        limits=told.limits(),
        citations=_citations(run),
    )


def _citations(run: Run) -> tuple[Citation, ...]:
    return tuple(Citation(parts, str(paper)) for parts, paper in citations(run.config))


def _shown(folder: RunFolder) -> Path | None:
    """The picture of the final samples, or the newest one before the end."""
    final = folder.samples / "final.png"
    return final if final.is_file() else next((path for _, path in reversed(folder.previews())), None)


def _texts(picture_file: Path) -> tuple[str, ...]:
    """The texts that lie beside a picture of them, in one piece; nothing beside other pictures."""
    beside = picture_file.with_suffix(".txt")
    return (beside.read_text(encoding="utf-8"),) if beside.is_file() else ()


def _history(folder: RunFolder) -> list[Frame]:
    frames = []
    for step, path in evenly(folder.previews(), MOST_HISTORY):
        texts = _texts(path)
        frames.append(Frame(None if texts else _opened(path), f"step {step:,}", "".join(texts)))
    return frames


def _examples(run: Run, real: Dataset) -> tuple[str, ...]:
    """A few examples, spread evenly over the text."""
    index = torch.linspace(0, len(real) - 1, min(SHOWN_TEXTS, len(real))).long()
    return tuple(run.tokens.text(run.tokens.encode(real.batch(index)["x"])))


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _film(run: Run, real: Dataset | None) -> list[Frame]:
    count, frames = recipes.FILMED[run.kind]
    samples = run.preview(count, data=real, trajectory=True).thinned(frames)
    if samples.written:
        pairs = zip(samples.written, samples.captions, strict=True)
        return [Frame(None, caption, RULE.join(texts)) for texts, caption in pairs]
    captions = samples.captions or tuple(f"noise {_level(run, t):.3g} × signal" for t in samples.times)
    pictures = samples.pictures(_drawn_under(samples, real))
    return [Frame(image, caption) for image, caption in zip(pictures, captions, strict=True)]


def _level(run: Run, t: float) -> float:
    """σ/α at time t; infinite where no signal is left."""
    return float((-run.process.log_ratio(t)).exp())


def _drawn_under(samples: Samples, real: Dataset | None) -> object | None:
    return None if real is None or samples.kind in PICTURED else real.x[: len(samples)]


def _data_picture(run: Run, real: Dataset) -> Image.Image:
    shown = real.x[: recipes.PICTURED.get(real.kind, SHOWN_REAL)]
    labels = None if real.labels is None else real.labels[: len(shown)]
    x, kind = seen(run.tokens, shown, real.kind)
    limits = None if kind == "images" else limits_of(x)
    return picture(
        x, kind, labels=labels, classes=real.classes, columns=real.columns, schema=real.schema, limits=limits
    )

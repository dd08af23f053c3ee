"""What a report and a model card are made of: plain values, no object of the library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .numbers import short

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


@dataclass(frozen=True)
class Frame:
    """A picture, or a text (then ``image`` is None), and the few words that name it, such as ``step 1,000``."""

    image: Image.Image | None
    caption: str
    text: str = ""


@dataclass(frozen=True)
class Metric:
    """A measured number with what it means.

    name, value, se     what was measured, and its standard error (None where unknown).
    floor, floor_se     the same with real data in the place of the samples: the best any model can show at this n.
    lower_is_better     False for an accuracy, where the floor is a ceiling.
    n                   numbers of samples and real examples in words, such as ``1,000 against 898``.
    features            what was compared, such as ``pixels`` or ``random convolutions, seed 0``.
    reading             a sentence in plain language; where it is empty ``read`` writes one.
    se_from             how the standard errors were found.
    """

    name: str
    value: float
    se: float | None = None
    floor: float | None = None
    floor_se: float | None = None
    lower_is_better: bool = True
    n: str = ""
    features: str = ""
    reading: str = ""
    se_from: str = ""


@dataclass(frozen=True)
class Setting:
    """One line of the configuration: ``section`` (as ``train``), ``key``, ``value`` as written, ``origin`` (as
    ``default`` or ``command line``)."""

    section: str
    key: str
    value: str
    origin: str = ""


@dataclass(frozen=True)
class Citation:
    """What to cite for one part: ``part`` (as ``solver: heun``), ``text`` (authors, title, year), ``bibtex``."""

    part: str
    text: str
    bibtex: str = ""


@dataclass(frozen=True)
class Report:
    """Everything ``write_report`` shows; whatever is left empty leaves its section out.

    title            the name of the run.
    story            one paragraph: what was trained on what, for how long, and how good it is.
    facts            short (name, value) pairs under the title, such as ("steps", "2,000").
    samples          the picture of final samples; samples_caption says how they were made; texts are those of samples
                     that are text.
    film             noise to data in order: about 20 frames of the same few samples (more are thinned to 24).
    film_caption     a sentence under it.
    history          samples from the same noise as training went on, in order (more are thinned to 16).
    steps, losses    the loss curve, (N,) each.
    loss_caption     a sentence under it.
    metrics          measured numbers; metrics_note says how they were measured.
    noises, bits     what noise around each log σ/α adds to the bits a dimension of the bound, (N,) each; bits_caption
                     says of what and how surely.
    averages         a chart of widths of the averaged weights; averages_caption says which is best.
    data_story       a sentence about the data; data_facts (name, value) pairs; data_notes conversions made, in
                     sentences; data_picture a grid of real data, data_texts some of it where it is text.
    config           the complete configuration; command the line that started the run.
    versions         (name, version) of the software and (name, value) of the machine.
    python           code that loads the run.
    citations        what to cite.
    created          when and by what, for the foot of the page.
    language         the language of the words, for the page's ``lang``.
    """

    title: str
    story: str = ""
    facts: Sequence[tuple[str, str]] = ()
    samples: Image.Image | None = None
    samples_caption: str = ""
    texts: Sequence[str] = ()
    film: Sequence[Frame] = ()
    film_caption: str = ""
    history: Sequence[Frame] = ()
    steps: Sequence[float] | np.ndarray = ()
    losses: Sequence[float] | np.ndarray = ()
    loss_caption: str = ""
    metrics: Sequence[Metric] = ()
    metrics_note: str = ""
    noises: Sequence[float] = ()
    bits: Sequence[float] = ()
    bits_caption: str = ""
    averages: Image.Image | None = None
    averages_caption: str = ""
    data_story: str = ""
    data_facts: Sequence[tuple[str, str]] = ()
    data_notes: Sequence[str] = ()
    data_picture: Image.Image | None = None
    data_texts: Sequence[str] = ()
    config: Sequence[Setting] = ()
    command: str = ""
    versions: Sequence[tuple[str, str]] = ()
    python: str = ""
    citations: Sequence[Citation] = ()
    created: str = ""
    language: str = "en"


@dataclass(frozen=True)
class Card:
    """Everything ``write_card`` writes; whatever is left empty leaves its section out.

    title, summary   the name of the model and what it is, in a sentence or two.
    kind             "images", "vectors", "signals", "table", "text" or "categories".
    license          an identifier of the Hugging Face hub, such as ``apache-2.0``, where it is known.
    tags             more tags than the usual ones; dataset a hub name of the data, if it has one.
    picture          path of a picture beside the card, such as ``samples.png``.
    data             what it was trained on, in sentences; data_facts (name, value) pairs.
    training         how it was trained, in sentences; training_facts (name, value) pairs; command the line itself.
    metrics          measured numbers.
    python           code that samples the model; shell a command that does.
    limits           what it cannot do or what was not checked, a sentence each.
    citations        what to cite.
    """

    title: str
    summary: str = ""
    kind: str = "images"
    license: str = ""
    tags: Sequence[str] = ()
    dataset: str = ""
    picture: str = ""
    data: str = ""
    data_facts: Sequence[tuple[str, str]] = ()
    training: str = ""
    training_facts: Sequence[tuple[str, str]] = ()
    command: str = ""
    metrics: Sequence[Metric] = ()
    python: str = ""
    shell: str = ""
    limits: Sequence[str] = ()
    citations: Sequence[Citation] = ()


def read(metric: Metric) -> str:
    """What a number says beside its floor, in a sentence: whether the difference is more than two standard errors."""
    if metric.reading:
        return metric.reading
    if not math.isfinite(metric.value):
        return "Could not be measured: the value is not finite."
    if metric.floor is None:
        return "Lower is better." if metric.lower_is_better else "Higher is better."
    worse = metric.value - metric.floor if metric.lower_is_better else metric.floor - metric.value
    if metric.se is None and metric.floor_se is None:
        return f"{short(abs(worse))} {'above' if metric.value > metric.floor else 'below'} the floor, errors unknown."
    error = math.hypot(metric.se or 0.0, metric.floor_se or 0.0)
    if abs(worse) <= 2 * error:
        return "At this number of samples the two cannot be told apart by this measure."
    if worse < 0:
        return "Better than real data against real data, by more than chance: look for copies of the training data."
    if not metric.lower_is_better:
        return f"{short(worse)} below what real data reach: a difference remains."
    times = f", {metric.value / metric.floor:.2g} times it" if metric.floor > 0 else ""
    return f"Above the floor{times}: a difference remains."

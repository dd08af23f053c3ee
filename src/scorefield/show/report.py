"""The page of a run: one HTML file that opens offline, asks nothing of any server, and explains itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from .charts import loss_chart, whisker
from .embed import evenly
from .files import write_aside
from .html import code_block, document, figure, image, pair_table, paragraph
from .numbers import with_error
from .story import Frame, Metric, Report, read

# bytes of pictures before base64 adds a third: together the page stays under 2 MB
_SAMPLES, _DATA, _FILM, _HISTORY = 330_000, 200_000, 560_000, 300_000
_FILM_FRAMES, _HISTORY_FRAMES, _FRAME_WIDTH = 24, 16, 760


def write_report(path: str | Path, report: Report) -> Path:
    """Write ``report`` as one self-contained HTML page, replacing what is at ``path``, whole or not at all.

    No external request (a content policy in the page forbids them), light and dark, usable by keyboard and on a
    telephone, under about 2 MB whatever the pictures. All text is escaped. Returns the path; UserError if the disk
    cannot be written.
    """
    return write_aside(path, report_html(report))


def report_html(report: Report) -> str:
    """The page as text."""
    parts = [(anchor, name, build(report)) for anchor, name, build in _SECTIONS]
    return document(report.title, report.story, report.facts, parts, report.created, report.language)


def _samples(report: Report) -> str:
    picture = figure(report.samples, "Samples of the trained model", report.samples_caption, _SAMPLES)
    return picture + _texts(report.texts, report.samples_caption)


def _film(report: Report) -> str:
    return _player(report.film, "From noise to data", report.film_caption, _FILM_FRAMES, _FILM)


def _history(report: Report) -> str:
    caption = "The same noise, denoised by the model as it was at each step of the training."
    return _player(report.history, "Samples over the training", caption, _HISTORY_FRAMES, _HISTORY)


def _loss(report: Report) -> str:
    """The curve for wide and for narrow screens, each with a linear and, where it can be, a logarithmic scale."""
    shapes = (("wide", 760, 320), ("narrow", 380, 280))
    scales = [
        (scale, [(name, loss_chart(report.steps, report.losses, width=w, height=h, log=log)) for name, w, h in shapes])
        for scale, log in (("log", True), ("linear", False))
    ]
    drawn = [(scale, charts) for scale, charts in scales if charts[0][1]]
    if not drawn:
        return ""
    body, buttons = "", ""
    for index, (scale, charts) in enumerate(drawn):
        inner = "".join(f'<div class="{name}">{chart}</div>' for name, chart in charts)
        body += f'<div data-scale="{scale}"{" hidden" if index else ""}>{inner}</div>'
        pressed = "false" if index else "true"
        buttons += f'<button type="button" value="{scale}" aria-pressed="{pressed}">{scale}</button>'
    switch = f'<div class="switch">{buttons}</div>' if len(drawn) > 1 else ""
    words = report.loss_caption or "Thin: each logged value. Thick: their Gaussian mean over 2 % of the run."
    return f'<figure class="chart">{switch}{body}<figcaption>{escape(words)}</figcaption></figure>'


def _metrics(report: Report) -> str:
    if not report.metrics:
        return ""
    note = report.metrics_note or (
        "The floor is the same measure with real data in the place of the samples: no model can honestly do better. "
        "Grey: the floor, blue: this model, both with two standard errors, each row on its own scale from 0."
    )
    head = "<tr><th>Measure</th><th>This model</th><th>Floor</th><th></th><th>Reading</th></tr>"
    rows = "".join(map(_metric, report.metrics))
    table = f'<table class="metrics"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    return paragraph(note, "muted") + table


def _metric(metric: Metric) -> str:
    small = (metric.n, metric.features, metric.se_from)
    details = "".join(f"<small>{escape(words)}</small>" for words in small if words)
    floor = "" if metric.floor is None else escape(with_error(metric.floor, metric.floor_se))
    return (
        f"<tr><td>{escape(metric.name)}{details}</td>"
        f'<td class="number" data-name="this model">{escape(with_error(metric.value, metric.se))}</td>'
        f'<td class="number" data-name="floor">{floor or "not known"}</td>'
        f"<td>{whisker(metric)}</td><td>{escape(read(metric))}</td></tr>"
    )


def _bits(report: Report) -> str:
    """What the bound on the likelihood is made of, for wide and for narrow screens; figures alone where it is none."""
    if report.bits_caption and not report.noises:
        return paragraph(report.bits_caption)
    charts = [
        (name, loss_chart(report.noises, report.bits, width=w, height=h, x_label="log σ/α", y_label="bits/dim"))
        for name, w, h in (("wide", 760, 320), ("narrow", 380, 280))
    ]
    body = "".join(f'<div class="{name}">{chart}</div>' for name, chart in charts if chart)
    caption = f"<figcaption>{escape(report.bits_caption)}</figcaption>"
    return f'<figure class="chart">{body}{caption}</figure>' if body else ""


def _averages(report: Report) -> str:
    return figure(report.averages, "Widths of the averaged weights", report.averages_caption, _DATA)


def _data(report: Report) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.data_notes)
    return (
        paragraph(report.data_story)
        + pair_table(report.data_facts)
        + (f"<ul>{notes}</ul>" if notes else "")
        + figure(report.data_picture, "Examples of the real data", "Real data.", _DATA)
        + _texts(report.data_texts, "Real data.")
    )


def _config(report: Report) -> str:
    if not report.config and not report.command:
        return ""
    rows, section = "", None
    for line in report.config:
        if line.section != section:
            section = line.section
            rows += f'<tr class="section"><td colspan="3">[{escape(section)}]</td></tr>' if section else ""
        rows += f"<tr><td>{escape(line.key)}</td><td>{escape(line.value)}</td><td>{escape(line.origin)}</td></tr>"
    count = len(report.config)
    table = f'<table class="config"><tbody>{rows}</tbody></table>'
    details = f"<details><summary>{count} settings and where each came from</summary>{table}</details>" if rows else ""
    return code_block(report.command) + details


def _versions(report: Report) -> str:
    return pair_table(report.versions)


def _python(report: Report) -> str:
    return code_block(report.python)


def _citations(report: Report) -> str:
    items = "".join(f"<li><b>{escape(c.part)}</b>: {escape(c.text)}</li>" for c in report.citations)
    bibtex = "\n\n".join(dict.fromkeys(c.bibtex.strip() for c in report.citations if c.bibtex))
    details = f"<details><summary>BibTeX</summary>{code_block(bibtex)}</details>" if bibtex else ""
    return f"<ul>{items}</ul>{details}" if items else ""


_SECTIONS: tuple[tuple[str, str, Callable[[Report], str]], ...] = (
    ("samples", "Samples", _samples),
    ("film", "From noise to data", _film),
    ("history", "Samples over the training", _history),
    ("loss", "Loss", _loss),
    ("metrics", "How good it is", _metrics),
    ("bits", "Bits per dimension", _bits),
    ("averages", "Averages of the weights", _averages),
    ("data", "The data", _data),
    ("python", "In Python", _python),
    ("config", "Configuration", _config),
    ("versions", "Versions and machine", _versions),
    ("cite", "How to cite", _citations),
)


def _texts(texts: Sequence[str], caption: str) -> str:
    """Texts as texts, which can be searched, copied and read aloud."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    blocks = "".join(f'<pre class="text" tabindex="0">{escape(text)}</pre>' for text in texts)
    return f"<figure>{blocks}{below}</figure>" if texts else ""


def _player(frames: Sequence[Frame], name: str, caption: str, most: int, budget: int) -> str:
    """All frames one on the other, the last one visible, so that the page says something without scripts too."""
    if not frames:
        return ""
    kept = evenly(frames, most)
    images = "".join(_shown(frame, budget // len(kept), hidden=frame is not kept[-1]) for frame in kept)
    last, below = len(kept) - 1, f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    controls = (
        f'<div class="controls"><button type="button" class="play" aria-pressed="false">Play</button>'
        f'<input type="range" min="0" max="{last}" value="{last}" step="1" aria-label="{escape(name)}">'
        f"<output>{escape(kept[-1].caption)}</output></div>"
    )
    return f'<figure><div class="player"><div class="mat">{images}</div>{controls}</div>{below}</figure>'


def _shown(frame: Frame, budget: int, hidden: bool) -> str:
    """One frame of a player: a picture that is not too wide, or a text."""
    if frame.image is None:
        words = f'title="{escape(frame.caption)}"{" hidden" if hidden else ""}'
        return f'<pre class="text frame" {words}>{escape(frame.text)}</pre>'
    shrink = min(1.0, _FRAME_WIDTH / frame.image.width)
    size = (round(frame.image.width * shrink), round(frame.image.height * shrink))
    return image(_resized(frame.image, size), frame.caption, budget, size, hidden=hidden)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)

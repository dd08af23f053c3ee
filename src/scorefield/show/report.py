"""The page of a run: one HTML file that opens offline, asks nothing of any server, and explains itself."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path

from PIL import Image

from .charts import loss_chart, whisker
from .embed import data_uri, evenly
from .files import write_aside
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
    style, script = (_asset(name) for name in ("report.css", "report.js"))
    parts = [(anchor, name, build(report)) for anchor, name, build in _SECTIONS]
    shown = [(anchor, name, body) for anchor, name, body in parts if body]
    links = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name, _ in shown)
    sections = "".join(
        f'<section id="{anchor}" aria-labelledby="{anchor}-title"><h2 id="{anchor}-title">{name}</h2>{body}</section>\n'
        for anchor, name, body in shown
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_fingerprint(style)}'; script-src '{_fingerprint(script)}'"
    )
    return (
        f'<!doctype html>\n<html lang="{escape(report.language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="color-scheme" content="light dark">\n<meta name="generator" content="scorefield">\n'
        f"<title>{escape(report.title)} · scorefield</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<div class="page">\n<header>\n<div class="top"><span>scorefield</span>'
        f'<button type="button" class="scheme" aria-label="Change between light and dark">Dark</button></div>\n'
        f"<h1>{escape(report.title)}</h1>\n{_paragraph(report.story, 'story')}{_facts(report.facts)}\n"
        f'<nav aria-label="Sections">{links}</nav>\n</header>\n<main>\n{sections}</main>\n'
        f"<footer>{escape(report.created) or 'Written by scorefield.'}</footer>\n</div>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _samples(report: Report) -> str:
    picture = _figure(report.samples, "Samples of the trained model", report.samples_caption, _SAMPLES)
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
    return _paragraph(note, "muted") + table


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


def _averages(report: Report) -> str:
    return _figure(report.averages, "Widths of the averaged weights", report.averages_caption, _DATA)


def _data(report: Report) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.data_notes)
    return (
        _paragraph(report.data_story)
        + _pairs(report.data_facts)
        + (f"<ul>{notes}</ul>" if notes else "")
        + _figure(report.data_picture, "Examples of the real data", "Real data.", _DATA)
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
    return _code(report.command) + details


def _versions(report: Report) -> str:
    return _pairs(report.versions)


def _python(report: Report) -> str:
    return _code(report.python)


def _citations(report: Report) -> str:
    items = "".join(f"<li><b>{escape(c.part)}</b>: {escape(c.text)}</li>" for c in report.citations)
    bibtex = "\n\n".join(dict.fromkeys(c.bibtex.strip() for c in report.citations if c.bibtex))
    details = f"<details><summary>BibTeX</summary>{_code(bibtex)}</details>" if bibtex else ""
    return f"<ul>{items}</ul>{details}" if items else ""


_SECTIONS: tuple[tuple[str, str, Callable[[Report], str]], ...] = (
    ("samples", "Samples", _samples),
    ("film", "From noise to data", _film),
    ("history", "Samples over the training", _history),
    ("loss", "Loss", _loss),
    ("metrics", "How good it is", _metrics),
    ("averages", "Averages of the weights", _averages),
    ("data", "The data", _data),
    ("python", "In Python", _python),
    ("config", "Configuration", _config),
    ("versions", "Versions and machine", _versions),
    ("cite", "How to cite", _citations),
)


def _figure(image: Image.Image | None, words: str, caption: str, budget: int) -> str:
    if image is None:
        return ""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="mat">{_image(image, words, budget, image.size)}</div>{below}</figure>'


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
    return _image(_resized(frame.image, size), frame.caption, budget, size, hidden=hidden)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _image(image: Image.Image, words: str, budget: int, size: tuple[int, int], *, hidden: bool = False) -> str:
    wide, high = size
    attributes = f'alt="{escape(words)}" width="{wide}" height="{high}"{" hidden" if hidden else ""}'
    return f'<img src="{data_uri(image, budget)}" {attributes}>'


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{cells}</dl>' if cells else ""


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in pairs)
    return f'<table class="pairs"><tbody>{rows}</tbody></table>' if rows else ""


def _paragraph(words: str, name: str = "") -> str:
    return f"<p{f' class={chr(34)}{name}{chr(34)}' if name else ''}>{escape(words)}</p>" if words else ""


def _code(code: str) -> str:
    return f'<pre tabindex="0"><code>{escape(code.strip())}</code></pre>' if code.strip() else ""


def _asset(name: str) -> str:
    return files("scorefield.show").joinpath("assets", name).read_text("utf-8")


def _fingerprint(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode("ascii")

"""Pieces of the pages that scorefield writes: one file each, which opens offline and asks nothing of any server."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files

from PIL import Image

from .embed import data_uri


def document(
    title: str,
    story: str,
    facts: Sequence[tuple[str, str]],
    sections: Sequence[tuple[str, str, str]],
    created: str = "",
    language: str = "en",
) -> str:
    """A whole page: title, story and facts, then the ``sections`` (anchor, name, body as HTML), without the empty ones.

    No external request (a content policy in the page forbids them), light and dark."""
    style, script = (_asset(name) for name in ("report.css", "report.js"))
    shown = [(anchor, name, body) for anchor, name, body in sections if body]
    links = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name, _ in shown)
    bodies = "".join(
        f'<section id="{anchor}" aria-labelledby="{anchor}-title"><h2 id="{anchor}-title">{name}</h2>{body}</section>\n'
        for anchor, name, body in shown
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_fingerprint(style)}'; script-src '{_fingerprint(script)}'"
    )
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="color-scheme" content="light dark">\n<meta name="generator" content="scorefield">\n'
        f"<title>{escape(title)} · scorefield</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<div class="page">\n<header>\n<div class="top"><span>scorefield</span>'
        f'<button type="button" class="scheme" aria-label="Change between light and dark">Dark</button></div>\n'
        f"<h1>{escape(title)}</h1>\n{paragraph(story, 'story')}{fact_cells(facts)}\n"
        f'<nav aria-label="Sections">{links}</nav>\n</header>\n<main>\n{bodies}</main>\n'
        f"<footer>{escape(created) or 'Written by scorefield.'}</footer>\n</div>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def figure(picture: Image.Image | None, words: str, caption: str, budget: int) -> str:
    """A picture with a caption, at most ``budget`` bytes before base64; "" for none."""
    if picture is None:
        return ""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="mat">{image(picture, words, budget, picture.size)}</div>{below}</figure>'


def image(picture: Image.Image, words: str, budget: int, size: tuple[int, int], *, hidden: bool = False) -> str:
    """An <img> of the picture, ``size`` pixels large."""
    wide, high = size
    attributes = f'alt="{escape(words)}" width="{wide}" height="{high}"{" hidden" if hidden else ""}'
    return f'<img src="{data_uri(picture, budget)}" {attributes}>'


def fact_cells(facts: Sequence[tuple[str, str]]) -> str:
    """Short (name, value) pairs under a title."""
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{cells}</dl>' if cells else ""


def pair_table(pairs: Sequence[tuple[str, str]]) -> str:
    """(name, value) pairs, a line each."""
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in pairs)
    return f'<table class="pairs"><tbody>{rows}</tbody></table>' if rows else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with heads; each row as long as these."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="metrics"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def paragraph(words: str, name: str = "") -> str:
    """A paragraph, of class ``name``; "" for no words."""
    return f"<p{f' class={chr(34)}{name}{chr(34)}' if name else ''}>{escape(words)}</p>" if words else ""


def code_block(code: str) -> str:
    """Code that can be scrolled; "" for none."""
    return f'<pre tabindex="0"><code>{escape(code.strip())}</code></pre>' if code.strip() else ""


def _asset(name: str) -> str:
    return files("scorefield.show").joinpath("assets", name).read_text("utf-8")


def _fingerprint(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode("ascii")

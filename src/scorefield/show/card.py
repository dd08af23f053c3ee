"""The model card of a run: a README.md that a hub, a colleague or a reader next year can use."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from .files import write_aside
from .numbers import with_error
from .story import Card, Metric, read

_TASK = {"images": "unconditional-image-generation", "text": "text-generation"}  # what the Hugging Face hub calls it


def write_card(path: str | Path, card: Card) -> Path:
    """Write ``card`` as Markdown with a YAML head as on the Hugging Face hub, replacing what is at ``path``, whole or
    not at all. Returns the path; UserError if the disk cannot be written."""
    return write_aside(path, card_markdown(card))


def card_markdown(card: Card) -> str:
    """The card as text: what it is, its data, how it was trained, how good it is, how to sample it, its limits."""
    picture = f"![Samples of {_inline(card.title)}](<{card.picture}>)" if card.picture else ""
    sections = (
        ("The data", [_inline(card.data), _pairs(card.data_facts)]),
        ("How it was trained", [_inline(card.training), _fence(card.command, "sh"), _pairs(card.training_facts)]),
        ("How good it is", [_metrics(card.metrics)]),
        ("Sampling", [_fence(card.shell, "sh"), _fence(card.python, "python")]),
        ("Limits", ["\n".join(f"- {_inline(limit)}" for limit in card.limits)]),
        ("How to cite", [_citations(card)]),
    )
    blocks = [_head(card), f"# {_inline(card.title)}", _inline(card.summary), picture]
    for name, parts in sections:
        kept = [part for part in parts if part]
        blocks += [f"## {name}", *kept] if kept else []
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(card: Card) -> str:
    """YAML: every string is written as JSON, which YAML reads too, so no name can break the head."""
    lines = ["---", "library_name: scorefield"]
    if card.license:
        lines.append(f"license: {_yaml(card.license)}")
    if card.kind in _TASK:
        lines.append(f"pipeline_tag: {_TASK[card.kind]}")
    if card.dataset:
        lines += ["datasets:", f"- {_yaml(card.dataset)}"]
    tags = dict.fromkeys(("scorefield", "diffusion", "score-based", card.kind, *card.tags))
    return "\n".join([*lines, "tags:", *(f"- {_yaml(tag)}" for tag in tags), "---"])


def _metrics(metrics: Sequence[Metric]) -> str:
    if not metrics:
        return ""
    rows = ["| measure | this model | floor | features | n | reading |", "| --- | --- | --- | --- | --- | --- |"]
    for metric in metrics:
        floor = "not known" if metric.floor is None else with_error(metric.floor, metric.floor_se)
        cells = (metric.name, with_error(metric.value, metric.se), floor, metric.features, metric.n, read(metric))
        rows.append("| " + " | ".join(map(_inline, cells)) + " |")
    note = "The floor is the same measure with real data in the place of the samples; ± is one standard error."
    return note + "\n\n" + "\n".join(rows)


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {_inline(name)}: {_inline(value)}" for name, value in pairs)


def _citations(card: Card) -> str:
    items = "\n".join(f"- {_inline(c.part)}: {_inline(c.text)}" for c in card.citations)
    bibtex = "\n\n".join(dict.fromkeys(c.bibtex.strip() for c in card.citations if c.bibtex))
    return "\n\n".join(part for part in (items, _fence(bibtex, "bibtex")) if part)


def _fence(code: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    if not code.strip():
        return ""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.strip()}\n{fence}"


def _inline(words: str) -> str:
    """Text on one line in which nothing is Markdown or HTML but what a reader sees."""
    flat = " ".join(str(words).split())
    flat = re.sub(r"([\\`*\[\]|<>])", r"\\\1", flat)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", flat)  # an underscore inside a word is harmless


def _yaml(words: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9./_-]*", words) and words.lower() not in _YAML_WORDS
    return words if plain else json.dumps(words, ensure_ascii=False)


_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

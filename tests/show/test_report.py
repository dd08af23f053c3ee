"""The page of a run: well-formed, self-contained, safe with any text, bounded in size. And the model card."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import fields, replace
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from scorefield.show import Card, Citation, Frame, Metric, Report, Setting, card_markdown, picture, report_html
from scorefield.show import write_card as card_to
from scorefield.show import write_report as report_to
from scorefield.show.embed import evenly

EVIL = "</pre></script><script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>\"'&|`*_"
VOID = {"meta", "img", "input", "br", "link", "hr"}


class Reader(HTMLParser):
    """Checks that every tag closes in order, and remembers what the page holds."""

    def __init__(self) -> None:
        HTMLParser.__init__(self)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def images(reader: Reader) -> list[Image.Image]:
    sources = [attributes["src"] or "" for tag, attributes in reader.tags if tag == "img"]
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    return [Image.open(BytesIO(b64decode(source.partition(",")[2]))).convert("RGB") for source in sources]


def noise(edge: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (edge, edge, 3), dtype=np.uint8))


def full(words: str = "words") -> Report:
    pair, frame = ((words, words),), Frame(Image.new("RGB", (40, 30), (9, 9, 9)), words)
    written = Frame(None, words, words)
    image = Image.new("RGB", (40, 30), (200, 10, 10))
    return Report(
        title=words, story=words, facts=pair, samples=image, samples_caption=words, film=(frame,) * 3,
        texts=(words, words), data_texts=(words,), film_caption=words, history=(written, written),
        steps=range(30), losses=np.linspace(1, 0.1, 30),
        loss_caption=words, metrics=(Metric(words, 1.0, 0.1, 0.9, 0.1, n=words, features=words, reading=words),),
        metrics_note=words, data_story=words, data_facts=pair, data_notes=(words,), data_picture=image,
        averages=image, averages_caption=words, noises=range(1, 31), bits=np.linspace(1, 0.1, 30), bits_caption=words,
        config=(Setting(words, words, words, words),), command=words, versions=pair, python=words,
        citations=(Citation(words, words, words),), created=words, language="en",
    )  # fmt: skip


def test_every_field_is_filled_by_the_full_report() -> None:
    empty = Report("t")
    assert all(
        f.name == "language" or getattr(full(), f.name) is not getattr(empty, f.name) for f in fields(Report)
    )  # so the tests below speak of all of them


def test_the_page_is_well_formed_and_holds_every_section() -> None:
    reader = parsed(report_html(full()))
    links = [a["href"] for tag, a in reader.tags if tag == "a"]
    anchors = [a["id"] for tag, a in reader.tags if tag == "section"]
    assert links == [f"#{anchor}" for anchor in anchors] and len(anchors) == 12
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(a.get("alt") for tag, a in reader.tags if tag == "img")


def test_an_empty_report_has_a_title_and_no_empty_sections() -> None:
    reader = parsed(report_html(Report("just a name")))
    assert "just a name" in reader.words
    assert not [tag for tag, _ in reader.tags if tag in ("section", "img", "table", "svg", "figure")]


def test_no_text_can_become_markup() -> None:
    reader, calm = parsed(report_html(full(EVIL))), parsed(report_html(full()))
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in calm.tags]
    assert [set(a) for _, a in reader.tags] == [set(a) for _, a in calm.tags]
    assert EVIL in reader.words


def test_the_page_asks_no_server_and_runs_only_its_own_script() -> None:
    html = report_html(full(EVIL))
    reader = parsed(html)
    for _, attributes in reader.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name) or "#"
            assert value.startswith(("data:", "#"))
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    policy = next(a["content"] or "" for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    for tag in ("style", "script"):
        (inner,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.S)
        assert "url(" not in inner and "@import" not in inner and "http" not in inner
        found = re.search(f"{tag}-src 'sha256-([^']+)'", policy)
        assert found and b64decode(found[1]) == sha256(inner.encode()).digest()


def test_pictures_come_back_exactly_where_they_fit() -> None:
    x = np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    shown = picture(x, "images")
    frames = [Frame(picture(np.roll(x, i, 0), "images"), f"step {i}") for i in range(3)]
    reader = parsed(report_html(Report("t", samples=shown, film=frames)))
    found = images(reader)
    assert np.array_equal(np.asarray(found[0]), np.asarray(shown))
    for image, frame in zip(found[1:], frames, strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(frame.image))
    hidden = ["hidden" in a for tag, a in reader.tags if tag == "img"]
    assert hidden == [False, True, True, False]  # without scripts the last frame is seen
    slider = next(a for tag, a in reader.tags if tag == "input")
    assert (slider["type"], slider["min"], slider["max"], slider["value"]) == ("range", "0", "2", "2")
    assert slider["aria-label"]


def test_long_films_are_thinned_with_both_ends() -> None:
    frames = [Frame(Image.new("L", (20, 20), i), f"frame {i}") for i in range(100)]
    names = [a["alt"] for tag, a in parsed(report_html(Report("t", film=frames))).tags if tag == "img"]
    assert len(names) == 24 and (names[0], names[-1]) == ("frame 0", "frame 99")
    assert evenly(range(5), 5) == [0, 1, 2, 3, 4] and evenly(range(9), 3) == [0, 4, 8]


def test_the_worst_pictures_stay_under_two_megabytes() -> None:
    big = noise(1000, 0)
    frames = [Frame(noise(560, i), str(i)) for i in range(6)] * 4
    html = report_html(replace(full(), samples=big, data_picture=big, film=frames, history=frames[:16]))
    assert len(html.encode()) < 2_000_000
    assert min(image.width for image in images(parsed(html))) >= 40


def test_the_loss_has_both_scales_where_both_exist() -> None:
    scales = [a["data-scale"] for _, a in parsed(report_html(full())).tags if "data-scale" in a]
    assert scales == ["log", "linear"]
    negative = replace(full(), losses=-np.arange(30.0) - 1)
    assert [a["data-scale"] for _, a in parsed(report_html(negative)).tags if "data-scale" in a] == ["linear"]


def test_written_over_the_old_page(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    assert report_to(path, full()) == path and "old" not in path.read_text(encoding="utf-8")[:20]
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_card_head_is_yaml_whatever_the_names(tmp_path: Path) -> None:
    names = ("a: b", "- x", "yes", "#", "ü", "images")
    card = Card("t", license="no", tags=names, dataset="user/data")
    text = card_to(tmp_path / "README.md", card).read_text(encoding="utf-8")
    lines = text.split("---\n")[1].splitlines()
    assert lines[:5] == [
        "library_name: scorefield",
        'license: "no"',  # bare, YAML reads False
        "pipeline_tag: unconditional-image-generation",
        "datasets:",
        "- user/data",
    ]
    quoted = [json.loads(line[2:]) for line in lines[7:] if line.startswith('- "')]
    assert quoted == ["a: b", "- x", "yes", "#", "ü"]  # JSON strings are YAML strings
    plain = [line[2:] for line in lines[6:] if not line.startswith('- "')]
    assert plain == ["scorefield", "diffusion", "score-based", "images"]  # each once


def test_card_text_cannot_break_its_markdown() -> None:
    words = EVIL + "\n\n# not a heading ```"
    metric = Metric(words, 1.0, 0.1, 0.9, 0.1, n=words, features=words)
    card = Card(words, words, data=words, training=words, metrics=(metric,), limits=(words,), python="x = '```'",
                command=words, citations=(Citation(words, words, "@misc{a}"),))  # fmt: skip
    text = card_markdown(card)
    blocks = re.findall(r"(?ms)^(`{3,})(?:sh|python|bibtex)\n(.*?)\n\1$", text)
    assert [body for _, body in blocks][1:] == ["x = '```'", "@misc{a}"]
    outside = re.sub(r"(?ms)^(`{3,})\w+\n.*?\n\1$", "", text)
    assert not re.search(r"(?<!\\)<", outside)
    assert [line for line in outside.splitlines() if re.match(r"#+ not", line)] == []
    (row,) = [line for line in text.splitlines() if line.startswith("| ") and "1.00 ± 0.10" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 7  # six cells


def test_card_leaves_out_what_it_does_not_know() -> None:
    text = card_markdown(Card("digits", "A model.", kind="vectors"))
    assert "license" not in text and "##" not in text and "pipeline_tag" not in text

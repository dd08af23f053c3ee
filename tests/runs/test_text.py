"""A run on text and one on images of categories, from the file to the report: sampled, edited, measured, resumed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import scorefield
from scorefield.data import open_data
from scorefield.errors import UserError
from scorefield.runs.display import Silent
from scorefield.runs.folder import RunFolder
from scorefield.runs.infilling import windows
from scorefield.runs.measuring import sites_of

SMALL = {"channels": 8, "blocks": 1, "heads": 2, "batch": 8, "log": 2, "save": 4, "evaluate": False, "device": "cpu"}
STORY = "The cat sat on the mat. A dog ran to the cat. The mat was red, and so was the dog.\n"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .txt file of some 800 characters."""
    path = tmp_path_factory.mktemp("book") / "story.txt"
    path.write_text(STORY * 10)
    return path


@pytest.fixture(scope="module")
def story(book: Path) -> scorefield.Run:
    """A run on it, eight steps long, with windows of 16 characters."""
    return scorefield.train(str(book), length=16, runs=book.parent / "runs", steps=8, preview=4, **SMALL)


def test_the_folder_holds_texts_beside_their_pictures(story: scorefield.Run):
    folder = RunFolder(story.folder.path)
    assert folder.state() == "done" and (story.kind, story.family) == ("text", "tokens")
    assert (folder.samples / "final.png").is_file()
    shown = (folder.samples / "final.txt").read_text(encoding="utf-8")
    assert {*shown} <= {*STORY, "─"} and folder.preview_file(4).with_suffix(".txt").is_file()
    page = folder.report_file.read_text(encoding="utf-8")
    assert "100% masked" in page and "The cat sat on" in page and "masks tokens" in page


def test_samples_are_the_same_whatever_the_batch_and_become_files(story: scorefield.Run, tmp_path: Path):
    one, other = story.sample(6, steps=3), story.sample(4, steps=3, batch=2)
    assert one.x.dtype == torch.int64 and torch.equal(one.x[:4], other.x)
    assert all(len(text) == 16 for text in one.texts)
    assert one.save(tmp_path / "s.txt").read_text(encoding="utf-8").count("─" * 24) == 5
    assert sorted(p.name for p in one.save(tmp_path / "s").iterdir()) == [f"{i:06d}.txt" for i in range(6)]
    film = story.sample(2, steps=3, trajectory=True)
    assert film.captions[0] == "100% masked" and film.written[0] == ("░" * 16,) * 2
    assert film.written[-1] == film.texts
    assert film.texts[0] in film.save(tmp_path / "film.html").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="needs text and every step"):
        one.save(tmp_path / "still.html")


def test_another_run_judges_samples(story: scorefield.Run, book: Path, tmp_path: Path):
    """Its figure for held-out text is its own bound on it: the same text in other windows and other draws, within 5
    standard errors (1e-6 false alarms); after eight steps a character costs less than twice log₂ of the alphabet."""
    judged = story.evaluate(judge=story.folder.path, n=20, steps=3, metrics=["judged", "bits"], keep=False)
    score = judged["judged"]
    assert abs(score.floor - judged["bits"].value) < 5 * np.hypot(score.floor_se, judged["bits"].se)
    assert score.n_fake == 20 and 0 < score.value < 2 * np.log2(story.tokens.classes)
    (tmp_path / "other.txt").write_text("Quite another alphabet: 0123456789! " * 20)
    other = scorefield.train(str(tmp_path / "other.txt"), length=16, runs=tmp_path, steps=1, **SMALL)
    with pytest.raises(UserError, match="knows another alphabet or another length than"):
        story.evaluate(judge=other, keep=False)


@pytest.mark.parametrize("noise", ["masking", "uniform"])
def test_edit_keeps_what_is_given(book: Path, noise: str, request: pytest.FixtureRequest):
    how = SMALL | {"length": 16, "runs": book.parent / "runs", "steps": 2, "preview": 0}
    run = request.getfixturevalue("story") if noise == "masking" else scorefield.train(str(book), noise=noise, **how)
    edited = run.edit("The c_t s__", 3, steps=4, trajectory=True)
    for text in edited.texts:
        assert len(text) == 11 and {*text} <= {*STORY}
        assert text[:5] == "The c" and text[6:9] == "t s"
    assert len(edited.frames) == 6 and edited.frames[-1].shape == (3, 11)
    longer = run.edit("The dog", length=40, steps=2)  # two and a half windows
    assert longer.texts[0].startswith("The dog") and longer.x.shape == (1, 40) and longer.nfe > edited.nfe
    far = run.edit("The cat sat on the mat. A d?g ran to the cat.", blank="?", steps=2).texts[0]
    assert far[:27] == "The cat sat on the mat. A d" and far[28:] == "g ran to the cat."


@pytest.mark.parametrize(
    ("given", "options", "sentence"),
    [
        ("The dog", {}, "Nothing is left open in 'The dog'. Write _ where a character is to be filled in"),
        ("The dog", {"length": 3}, "length=3 is less than the 7 characters given"),
        ("Thé d_g", {}, "The alphabet lacks 'é'"),
        ("a_", {"blank": "__"}, "blank=__ should be one sign"),
        ("a_", {"n": 0}, "n must be at least 1, got 0"),
        ("nothing-here.txt", {}, "nothing-here.txt does not exist"),
        ("a_", {"solver": "ddim"}, "solver=ddim does not walk text. Write one of analytic"),
    ],
)
def test_what_cannot_be_edited_is_said(story: scorefield.Run, given: str, options: dict, sentence: str):
    with pytest.raises(UserError) as caught:
        story.edit(given, **options)
    assert sentence in str(caught.value)


def test_it_is_measured_in_bits_and_beside_held_out_text(story: scorefield.Run):
    scores = story.evaluate(n=6, steps=4)
    assert [score.name for score in scores] == ["bits", "perplexity", "grams", "words"]
    bits = scores["bits"]
    assert bits.label == "bits per character" and bits.se > 0
    # After eight steps the network knows little: near the bits of a guess among all signs.
    assert 0.5 * np.log2(len({*STORY})) < bits.value < 1.3 * np.log2(len({*STORY}))
    alone = story.evaluate(metrics=["bits"], keep=False)
    assert [score.value for score in alone] == [bits.value]
    other = story.folder.path.parents[1] / "other.txt"
    other.write_text("A red dog sat. The cat ran. " * 8)
    found = story.evaluate(other, n=4, steps=2, keep=False)
    assert len(found) == 4 and found["bits"].value == found["bits"].floor  # no training data to put beside it
    other.write_text("A blue dog, 7 kg. " * 8)
    with pytest.raises(UserError, match="The alphabet lacks 'b'"):
        story.evaluate(other, metrics=["bits"], keep=False)
    with pytest.raises(UserError, match="which make 1 of the length of the samples"):
        scorefield.runs.evaluate_samples(other, other)
    for options, sentence in (({"features": "pixels"}, "is for images"), ({"metrics": ["frechet"]}, "No metric")):
        with pytest.raises(UserError, match=sentence):
            story.evaluate(**options)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda run: run.tune(4), "A table holds the steps of numbers"),
        (lambda run: run.compare(), "compare measures where walks of numbers end"),
        (lambda run: run.export(), "export writes networks of numbers"),
        (lambda run: run.sample(2, schedule="vp"), "schedule=vp does not suit this run"),
        (lambda run: scorefield.train("moons", noise="masking"), "noise=masking is for text and categories"),
        (lambda run: scorefield.load(run.folder.path).sample(2, top_p=2.0), "above 0 and at most 1"),
    ],
)
def test_what_text_cannot_do_is_said(story: scorefield.Run, call, sentence: str):
    with pytest.raises(UserError, match=sentence):
        call(story)


class Stopping(Silent):
    """Presses Ctrl-C after the checkpoint of step 4."""

    def factory(self) -> Stopping:
        return self

    def saved(self, event: object) -> None:
        if event.step == 4:
            os.kill(os.getpid(), 2)


def test_resume_is_bit_exact(story: scorefield.Run, book: Path, tmp_path: Path):
    how = SMALL | {"length": 16, "preview": 4, "runs": tmp_path, "steps": 8}
    scorefield.train(str(book), display=Stopping().factory, **how)
    assert RunFolder(tmp_path / "story").state() == "interrupted"
    scorefield.train(str(book), **how)
    ours, whole = (load_file(p / "final/model.safetensors") for p in (tmp_path / "story", story.folder.path))
    assert all(torch.equal(ours[name], whole[name]) for name in whole)


def test_every_line_can_be_an_example(tmp_path: Path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(["anna", "bo", "clara", "dora", "eva"] * 8))
    run = scorefield.train(str(path), lines=True, runs=tmp_path / "runs", steps=2, **(SMALL | {"preview": 0}))
    assert all("\n" not in text for text in run.sample(8, steps=3).texts)
    assert run.edit("an_a", steps=2).texts[0][:2] == "an" and len(run.edit("an_a", steps=2).texts[0]) <= 4
    scores = run.evaluate(metrics=["bits", "perplexity"], n=8, steps=2)
    assert all(np.isfinite(score.value) for score in scores)
    raw = torch.tensor([[97, 98, -1, -1], [97, 98, 99, 100]])
    assert sites_of(raw).tolist() == [3, 4]
    with pytest.raises(UserError, match="more than the 5 that a line of this run has"):
        run.edit("clara", length=9)


def test_images_of_categories(tmp_path: Path):
    rng, folder = np.random.default_rng(0), tmp_path / "masks"
    folder.mkdir()
    for i in range(30):
        image = Image.fromarray(rng.integers(0, 3, (8, 8), dtype=np.uint8))
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        image.save(folder / f"{i}.png")
    how = SMALL | {"heads": None, "channels": 16, "runs": tmp_path / "runs", "preview": 0, "steps": 2}
    run = scorefield.train(str(folder), **{key: value for key, value in how.items() if value is not None})
    assert (run.kind, run.family, run.config["net"]["body"]) == ("categories", "tokens", "unet")
    samples = run.sample(4, steps=3, trajectory=True)
    assert samples.x.shape == (4, 8, 8) and samples.x.dtype == torch.uint8 and len(samples.pictures()) == 4
    back = open_data(samples.save(tmp_path / "drawn"), holdout=0)
    assert back.kind == "categories" and torch.equal(back.x, samples.x)
    bits = run.evaluate(metrics=["bits"])["bits"]
    assert bits.label == "bits per pixel" and bits.value == pytest.approx(np.log2(3), abs=0.6)
    with pytest.raises(UserError, match="edit fills in text and images, but masks makes categories"):
        run.edit("a_")


def test_windows_overlap_by_half_and_skip_what_is_known():
    where = torch.zeros(1, 40, dtype=torch.bool)
    assert windows(where, 16) == [range(0, 16), range(8, 24), range(16, 32), range(24, 40)]
    assert windows(where[:, :10], 16) == [range(0, 10)]
    where[:, :30] = True
    assert windows(where, 16) == [range(16, 32), range(24, 40)]

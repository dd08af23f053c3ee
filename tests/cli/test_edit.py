"""`scorefield edit` of texts and pictures, `calibrate`, and what the other commands print of text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Said

Cli = Callable[..., Said]


@pytest.fixture(scope="module")
def tale(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run on a small text, after two steps."""
    from scorefield import train

    root = tmp_path_factory.mktemp("tale")
    (root / "tale.txt").write_text("once there was a mouse and the mouse had a house. " * 8)
    small = {"channels": 8, "blocks": 1, "heads": 2, "batch": 8, "length": 8, "preview": 0, "evaluate": False}
    return str(train(root / "tale.txt", steps=2, runs=root / "runs", device="cpu", **small).folder.path)


def test_edit_prints_the_text(cli: Cli, tale: str, tmp_cwd: Path):
    said = cli("edit", tale, "the m__se", "n=2", "steps=2", "film=yes", "out=filled.txt")
    assert said.code == 0, said.err
    first, _, second = said.out.splitlines()
    assert all(text[:5] == "the m" and text[7:] == "se" and len(text) == 9 for text in (first, second))
    assert "100% masked" in said.err and "run.edit(" in said.err
    assert Path("filled.txt").read_text(encoding="utf-8").startswith(first) and Path("filled.html").is_file()
    told = cli("edit", tale, "the", "length=12", "steps=2", "--json")
    assert told.code == 0 and '"texts"' in told.out


def test_sample_and_evaluate_of_text(cli: Cli, tale: str, tmp_cwd: Path):
    said = cli("sample", tale, "n=2", "steps=2", "out=s.txt", "film=yes")
    assert said.code == 0 and said.out.split() == ["s.txt", "s.html"] and "── 1 of 2" in said.err
    said = cli("evaluate", tale, "n=2", "steps=2")
    assert said.code == 0 and "compared with" in said.out and "bits per character" in said.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "edit needs what to edit after the run."),
        (["the mouse"], "Nothing is left open in 'the mouse'."),
        (["the M_"], "The alphabet lacks 'M'"),
        (["the _", "out=a.csv"], "out=a.csv should end in .npz, .txt, .html"),
        (["the _", "temperature=0"], "temperature must be greater than 0, got 0"),
        (["the _", "more"], "edit takes at most 2 words"),
    ],
)
def test_what_cannot_be_edited_is_said_in_a_sentence(cli: Cli, tale: str, words: list[str], sentence: str):
    said = cli("edit", tale, *words)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err and "Traceback" not in said.err


def test_edit_of_another_kind_of_run_is_refused(cli: Cli, moons: Path):
    said = cli("edit", str(moons / "runs" / "tiny"), "a_")
    assert said.code == 2 and "edit fills in text and images, but tiny makes vectors." in said.err


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run on the digits, after two steps."""
    from scorefield import train

    small = {"channels": 8, "blocks": 1, "batch": 8, "preview": 0, "evaluate": False}
    return str(
        train("digits", steps=2, runs=tmp_path_factory.mktemp("digits") / "runs", device="cpu", **small).folder.path
    )


@pytest.fixture
def pictures(tmp_cwd: Path) -> None:
    """photo.png and mask.png, white on the right, 8×8; small.png, 2×2; wide.png, 9×8; own.py and y.npy."""
    photo = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    white = np.zeros((8, 8), np.uint8)
    white[:, 5:] = 255
    drawn = {"photo": photo, "mask": white, "small": photo[:2, :2], "wide": np.zeros((8, 9), np.uint8)}
    for name, pixels in drawn.items():
        Image.fromarray(pixels).save(f"{name}.png")
    own = (
        "def A(x):",
        "    return x.mean(-1)",
        "def J(x):",
        "    return x.abs().mean(-1)",
        "def R(x):",
        "    return x.round()",
    )
    Path("own.py").write_text("\n".join(own))
    np.save("y.npy", np.zeros((1, 8), np.float32))
    np.save("nan.npy", np.full((1, 8), np.nan, np.float32))


def test_edit_paints_what_is_white(cli: Cli, digits: str, pictures: None):
    said = cli("edit", digits, "photo.png", "--mask", "mask.png", "n=2", "method=ddnm", "steps=3", "out=edited")
    assert said.code == 0 and said.out == "edited\n", said.err
    for word in ("mask=mask.png", "ddnm (heuristic), 3 evaluations", "χ²/M", "run.edit(", "scorefield calibrate"):
        assert word in said.err
    assert Path("edited/report.html").is_file() and len(list(Path("edited/draws").glob("*.png"))) == 2
    told = cli("edit", digits, "small.png", "super=4", "n=1", "method=ddnm", "steps=2", "--json")
    found = json.loads(told.out)
    assert told.code == 0 and "what was measured" in found["note"] and found["consistency"]["expected"] == 1.0
    own = cli("edit", digits, "operator=own.py:A", "y=y.npy", "noise=0.1", "n=1", "method=mmps", "steps=2", "out=a.npz")
    assert own.code == 0 and own.out == "a.npz\n" and 'run.edit(None, n=1, operator="own.py:A"' in own.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["photo.png"], "nothing says what was measured. Write mask=mask.png"),
        (["photo.png", "mask=wide.png"], "the mask has 8x9 pixels, but an example has shape (1, 8, 8)"),
        (["wide.png", "super=4"], "wide.png has 8×9 pixels, but 2×2 (what super=4 gives) or 8×8"),
        (["operator=own.py:A", "y=nan.npy"], "y must be finite"),
        (["super=4", "y=y.npy"], "y.npy has shape (1, 8), but the operator gives (1, 2, 2)"),
        (["operator=own.py:J", "y=y.npy", "method=ddnm"], "ddnm needs the singular values of a linear operator"),
        (["photo.png", "mask=mask.png", "noise=0", "method=dps"], "dps needs noise, and this measurement is exact"),
        (["photo.png", "operator=own.py:R", "method=mmps"], "mmps needs an operator that can be differentiated"),
        (["photo.png", "super=4", "method=dpz"], "method=dpz is not known. Did you mean 'dps'"),
        (["photo.png", "super=4", "blank=?"], "blank does not go with a picture"),
        (["photo.png", "super=4", "out=a.txt"], "out=a.txt should end in .png, .npz, .html"),
        (["photo.png", "super=4", "particles=9", "method=mmps"], "the method mmps has no particles"),
        (["photo.png", "operator=none.py:A"], "error: operator=none.py:A: write FILE.py:NAME with a file that exists"),
        (["photo.png", "operator=own.py"], "error: operator=own.py: write FILE.py:NAME with a file that exists"),
        ([], "edit needs what to edit after the run"),
    ],
)
def test_what_pictures_cannot_be_edited_is_said(cli: Cli, digits: str, pictures: None, words: list, sentence: str):
    before = sorted(Path().rglob("*"))
    said = cli("edit", digits, *words)
    assert (said.code, said.out) == (2, "") and sentence in said.err and "Traceback" not in said.err, said.err
    assert sorted(Path().rglob("*")) == before


def test_calibrate_prints_ranks_and_writes_a_page(cli: Cli, digits: str, tmp_cwd: Path):
    words = ("super=4", "noise=0.2", "method=ddnm", "steps=2", "n=16", "draws=3")
    said = cli("calibrate", digits, *words, "out=page.html")
    assert said.code == 0, said.err
    assert "projection 1" in said.out and "likelihood of y" in said.out and "verdict" in said.err
    assert "Ranks of the truth" in Path("page.html").read_text()
    bad = cli("calibrate", digits, "super=4", "n=3")
    assert bad.code == 2 and "n must be at least 16, got 3" in bad.err
    text = cli("calibrate", digits, "method=ddnm")
    assert text.code == 2 and "nothing says what was measured" in text.err


def test_train_a_classifier_and_sample_with_it(cli: Cli, moons: Path, tmp_cwd: Path):
    small = ("channels=16", "blocks=1", "batch=32", "steps=3", "evaluate=no", "device=cpu")
    said = cli("train", "moons", "classifier=yes", *small)
    assert said.code == 0 and said.out == "runs/moons-classifier\n" and "tells 2 classes apart" in said.err
    assert cli("info", "runs/moons-classifier").code == 0
    told = cli("evaluate", "runs/moons-classifier")
    assert told.code == 0 and "accuracy at σ/α 0.1" in told.out
    drawn = cli(
        "sample", str(moons / "runs" / "tiny"), "classifier=runs/moons-classifier", "class=1", "n=4", "out=a.npz"
    )
    assert drawn.code == 0 and Path("a.npz").is_file(), drawn.err
    refused = cli("sample", "runs/moons-classifier")
    assert refused.code == 2 and "moons-classifier is a classifier: it makes no samples" in refused.err

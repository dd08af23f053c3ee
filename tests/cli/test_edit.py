"""`scorefield edit`, and what the other commands print of text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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
        (["the _", "out=a.csv"], "out=a.csv should end in .txt, .npz, .html"),
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
    assert said.code == 2 and "edit fills in text, but tiny makes vectors." in said.err

"""The Python of the README and of the pages runs as it stands there, in order, with small budgets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs" / "design.md", ROOT / "docs" / "run-folder.md"]
SMALLER = [(r"steps=2000", "steps=20"), (r"n=500", "n=40"), (r"steps=50\b", "steps=5")]


def sketches() -> list[str]:
    """The Python blocks of the pages, with fewer steps and samples; the later ones use what the earlier ones made."""
    blocks = [b for p in PAGES for b in re.findall(r"^```python\n(.*?)^```", p.read_text("utf-8"), re.M | re.S)]
    for pattern, small in SMALLER:
        blocks = [re.sub(pattern, small, block) for block in blocks]
    return blocks


def test_the_readme_has_five_sketches():
    assert len(re.findall(r"^```python$", PAGES[0].read_text("utf-8"), re.M)) == 5


@pytest.mark.slow
def test_the_sketches_run(tmp_cwd: Path):
    """One after the other in one folder, each with names of its own."""
    for number, sketch in enumerate(sketches()):
        exec(compile(sketch, f"sketch {number}", "exec"), {"__name__": f"sketch_{number}"})
    assert (tmp_cwd / "threes.png").exists()

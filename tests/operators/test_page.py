"""The sketches of docs/operators.md run, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


def test_the_sketches_run():
    sketches = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(sketches) == 3
    names: dict = {}
    for number, sketch in enumerate(sketches):
        exec(compile(sketch, f"sketch {number}", "exec"), names)
    assert names["x"].shape == (8, 33) and names["x"].isfinite().all()


def test_the_table_has_every_name_of_the_command_line():
    from scorefield.operators.names import OPERATORS

    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in OPERATORS if f"`{name}=" not in text] == []

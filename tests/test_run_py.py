"""run.py sets up once, repairs what was interrupted, passes words and exit codes through. pip is a stand-in here."""

from __future__ import annotations

import ast
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Plays pip, pytest and scorefield: notes its words, and answers as the test asked it to.
STAND_IN = """#!{python}
import os, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(" ".join(words) + "\\n")
if "install" in words and os.environ.get("PIP_FAILS"):
    print("\\n".join(f"line {{n}}" for n in range(40)))
    sys.exit(1)
sys.exit(int(os.environ.get("ANSWER", 0)) if "install" not in words and "-c" not in words else 0)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with run.py and what it reads, and a .venv whose python is the stand-in."""
    for name in ("run.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN.format(python=sys.executable, log=str(tmp_path / "log")))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def run(clone: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Start run.py as a user does."""
    command = [sys.executable, str(clone / "run.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | env, timeout=60)


def calls(clone: Path) -> list[str]:
    """What the stand-in was asked to do since the last look, the question whether it has pip left out."""
    log = clone / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [line for line in lines if line != "-c import pip"]


pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a script with a #! line")


def test_the_second_start_does_not_call_pip(clone: Path):
    run(clone, "data", "digits")
    assert ["install" in call for call in calls(clone)] == [True, False]
    run(clone, "data", "digits")
    assert calls(clone) == ["-P -m scorefield data digits"]


def test_tests_install_their_extra_and_serve_for_everything_else(clone: Path):
    run(clone, "test", "-k", "rng")
    installed, tested = calls(clone)
    assert installed.endswith(f"-e {clone}[test]")
    assert tested == "-m pytest -n 2 -m not slow -k rng"
    run(clone, "demo")
    assert len(calls(clone)) == 1


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed(clone: Path, name: str):
    run(clone, "list")
    calls(clone)
    with (clone / name).open("a") as file:
        file.write("# changed\n")
    run(clone, "list")
    assert "install" in calls(clone)[0]


def test_words_and_exit_codes_pass_through(clone: Path):
    done = run(clone, "sample", "runs/a b", "n=4", ANSWER="2")
    assert done.returncode == 2
    assert calls(clone)[-1] == "-P -m scorefield sample runs/a b n=4"


def test_failure_shows_the_end_of_what_pip_said_and_the_usual_causes(clone: Path):
    done = run(clone, "demo", PIP_FAILS="1")
    assert done.returncode == 1
    assert "line 39" in done.stderr and "line 25\n" in done.stderr and "line 24\n" not in done.stderr
    assert "Usual causes" in done.stderr and "Traceback" not in done.stderr
    assert run(clone, "list").returncode == 0, "the next start tries again"


@pytest.mark.slow
def test_an_unfinished_environment_is_made_anew_and_lends_torch(clone: Path):
    """The new one is real and sees the torch of the Python that runs this test; pip has no index and leaves it bare."""
    (clone / ".venv" / "scorefield-stamp").write_text("unfinished")
    (clone / ".venv" / "torn").touch()
    done = run(clone, "list", PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
    assert "Keeping torch of" in done.stdout
    assert not (clone / ".venv" / "torn").exists()
    seen = "import importlib.util as u; print(u.find_spec('torch') is not None)"
    python = clone / ".venv" / "bin" / "python"
    assert subprocess.run([python, "-c", seen], capture_output=True, text=True).stdout == "True\n"
    pins = (clone / ".venv" / "constraints.txt").read_text()
    assert "torch==" not in pins, "what is lent keeps its version"


def test_without_words_it_says_what_it_can_do(clone: Path):
    done = run(clone)
    assert done.returncode == 0 and "run.py demo" in done.stdout and not calls(clone)


def test_it_is_short_stands_on_the_standard_library_and_names_no_index():
    text = (ROOT / "run.py").read_text(encoding="utf-8")
    assert text.count("\n") < 110
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert not re.search(r"https?://|find-links|index-url", text)


def test_an_older_python_is_told_so_in_a_sentence(tmp_path: Path):
    """The check comes first and is written in words that Python 3.8 can read."""
    text = (ROOT / "run.py").read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 8))
    script = tmp_path / "run.py"
    script.write_text(text.replace("sys.version_info < (3, 11)", "sys.version_info < (9, 0)"))
    done = subprocess.run([sys.executable, str(script), "demo"], capture_output=True, text=True)
    assert done.returncode == 1 and "needs Python 3.11 or newer" in done.stderr
    assert list(tmp_path.iterdir()) == [script]

"""What is installed, what is shipped, and what must never be written into the repository."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.house.source import ROOT, tracked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
BANNED = {"torchvision", "torchaudio"}


def name_of(requirement: str) -> str:
    """The normalised package name of ``scipy>=1.11; extra == "x"``."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_constraints_pin_every_requirement_without_builds_or_hosts():
    """``torch==2.13.0`` lets pip choose the CPU or CUDA build that the machine's own settings prefer."""
    assert all(re.fullmatch(r"[\w.-]+==\d[\w.]*", pin) for pin in PINS)
    assert sorted(PINS, key=name_of) == PINS
    wanted = {name_of(r) for group in [PROJECT["dependencies"], *EXTRAS.values()] for r in group} - {"scorefield"}
    assert wanted <= {name_of(pin) for pin in PINS}


def test_no_installed_requirement_leads_to_torchvision():
    """The closure of all requirements, as far as it is installed here, extras of requirements included."""
    seen: set[str] = set()
    queue = [name_of(r) for group in [PROJECT["dependencies"], *EXTRAS.values()] for r in group]
    while queue:
        name = queue.pop()
        if name in seen or name == "scorefield":
            continue
        seen.add(name)
        for found in metadata.distributions(name=name):
            queue += [name_of(r) for r in found.requires or [] if "extra ==" not in r]
    assert not seen & BANNED


@pytest.mark.slow
@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_no_extra_resolves_to_torchvision(extra: str):
    """Asks pip itself, with the pip settings of this machine."""
    options = ["--dry-run", "--quiet", "--report", "-", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
    report = pip("install", *options, f"{ROOT}[{extra}]")
    names = {item["metadata"]["name"].lower() for item in json.loads(report)["install"]}
    assert not names & BANNED


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_data_and_its_licence(tmp_path: Path):
    """Every file below src/scorefield, nothing else of ours."""
    pip("wheel", "--quiet", "--no-deps", "--disable-pip-version-check", "-w", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("scorefield-*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    source = [path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.relative_to(ROOT / "src").as_posix() for path in source} == {n for n in shipped if "-info/" not in n}
    assert any(name.endswith("licenses/LICENSE") for name in shipped)


def pip(*words: str | Path) -> str:
    """What pip prints; the test is skipped where pip cannot reach an index."""
    done = subprocess.run([sys.executable, "-m", "pip", *map(str, words)], capture_output=True, text=True)
    if done.returncode and re.search(r"Failed to establish|Temporary failure|No matching distribution", done.stderr):
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_machine_paths_and_no_package_hosts():
    """What is true on one machine only does not belong into the repository."""
    private = re.compile(
        r"(?<![\w.<])/(?:work|farm|root|opt|home)/|[ (`'\"]/Users/|[A-Z]:\\Users"
        r"|--?(?:find-links|(?:extra-)?index-url)[ =]|PIP_(?:FIND_LINKS|INDEX_URL|EXTRA_INDEX_URL)\b"
        r"|https?://\S+/(?:simple|packages|wheels)/"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        if path.resolve() != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if private.search(line)
    ]
    assert not found, "\n".join(found)


def test_the_licence_is_apache_2():
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")

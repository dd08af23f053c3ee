"""The documentation says what is: links resolve, commands parse, pages are complete, public names have their words."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT

DOCS = ROOT / "docs"
BUILD = runpy.run_path(str(DOCS / "build.py"), run_name="build")  # what makes the pages that are made
API = {DOCS / "api" / f"{page}.md" for page in BUILD["PAGES"]}
MADE = {*API, *(path.with_suffix(".md") for path in (DOCS / "tutorials").glob("*.py"))}
WRITTEN = sorted({*ROOT.glob("*.md"), *DOCS.rglob("*.md")} - MADE)


def name(path: Path) -> str:
    """``docs/index.md``."""
    return path.relative_to(ROOT).as_posix()


def fenced(path: Path, *languages: str) -> Iterator[str]:
    """The code blocks of a page in one of the languages ('' for none)."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S):
        if language in languages:
            yield block


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_links_resolve(page: Path):
    """Relative links and pictures point at files of the repository, or at pages that docs/build.py makes."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    paths = [(page.parent / t).resolve() for t in targets if t and not t.startswith(("http:", "https:", "mailto:"))]
    assert [name(path) for path in paths if not path.exists() and path not in MADE] == []


def test_every_page_is_in_the_navigation_and_the_other_way_round():
    listed = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    there = {path.relative_to(DOCS).as_posix() for path in {*DOCS.rglob("*.md"), *MADE}}
    assert listed == there


def test_the_site_loads_nothing_from_elsewhere():
    assert "font: false" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in WRITTEN:
        assert not re.search(r"<script|<link|!\[[^\]]*\]\(http", page.read_text(encoding="utf-8")), page


def test_the_page_of_commands_is_up_to_date():
    """``python docs/build.py reference`` writes it again."""
    from scorefield.cli.help import reference

    assert (DOCS / "reference" / "commands.md").read_text(encoding="utf-8") == reference()


def test_the_page_of_solvers_is_that_of_the_benchmark():
    """``python benchmarks/choose.py`` writes it again."""
    from benchmarks.choose import PAGE, RESULTS, page

    assert PAGE.read_text(encoding="utf-8") == page(json.loads(RESULTS.read_text(encoding="utf-8")))


COMMANDS = [
    pytest.param(shlex.split(line, comments=True), id=line.strip())
    for page in WRITTEN
    for block in fenced(page, "bash", "")
    for line in block.splitlines()
    if line.startswith(("scorefield ", "python3 run.py "))
]


@pytest.mark.parametrize("words", COMMANDS)
def test_commands_in_the_docs_are_understood(words: list[str]):
    """Every command line of the pages names a command and options that exist, with values that are allowed."""
    from scorefield.cli.words import command_named, parse

    command, *rest = words[1:] if words[0] == "scorefield" else words[2:]
    if words[0] != "scorefield" and command in {"demo", "test"}:
        return
    parse(command_named(command), rest)


def test_every_public_name_has_its_words(monkeypatch: pytest.MonkeyPatch):
    """What ``import scorefield`` offers, and what the folders behind it offer, is documented where it is defined; where
    it is not, the pages are not made."""
    assert BUILD["undocumented"]() == []
    import scorefield
    from scorefield.metrics import Evaluation

    monkeypatch.setattr(scorefield.train, "__doc__", None)
    monkeypatch.setattr(scorefield.Dataset, "__doc__", "Dataset(name: str)")  # what a dataclass says of itself
    monkeypatch.setattr(Evaluation.rows, "__doc__", None)
    bare = set(BUILD["undocumented"]())
    assert {"scorefield.index.train", "scorefield.data.Dataset", "scorefield.metrics.Evaluation.rows"} <= bare
    with pytest.raises(SystemExit, match="Evaluation"):
        BUILD["api"]()


def test_the_pages_of_python_hold_every_public_name_once_and_link_to_what_is_there():
    """A page a folder; every name has a heading, and every link between the pages a target."""
    pages, targets, links = BUILD["pages"](), set(), set()
    where = {name: f"{page}.md#{name}" for page, names in pages.items() for name in names}
    for page, names in pages.items():
        text = "\n".join(BUILD["section"](page, BUILD["module_of"](page), names, where))
        headings = re.findall(r"^## (\S+) \{ #(\S+) \}$", text, re.M)
        assert [name for name, _ in headings] == [anchor for _, anchor in headings] == names
        targets |= {f"{page}.md#{name}" for name in names} | {f"{page}.md"}
        links |= {f"{page}.md{link}" if link[0] == "#" else link for link in re.findall(r"\]\(([^)\s]+)\)", text)}
    assert {link for link in links if link.startswith(tuple(pages))} <= targets


def test_the_readme_sets_up_with_two_commands_that_run_py_knows():
    """.ci/run extracts this very block, so it must hold these two lines and nothing else."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^## Set-up$.*?^```bash\n(.*?)^```", readme, re.M | re.S)
    assert block and block[1].splitlines() == ["python3 run.py demo", "python3 run.py test"]


def test_the_map_of_the_tree_in_the_readme_is_complete():
    """Every file and folder directly under src/scorefield has its line, and every line its file."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^src/scorefield/\n(.*?)^docs/", readme, re.M | re.S)
    shown = set(re.findall(r"^  (\w+(?:\.py|/))", tree, re.M))
    here = ROOT / "src" / "scorefield"
    files = {p.name for p in here.glob("*.py") if not p.name.startswith("__")}
    folders = {f"{p.name}/" for p in here.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert shown == files | folders

"""Help is fast, complete and true to the table of options."""

from __future__ import annotations

import json
import re

import pytest

from scorefield.cli import help as helping
from scorefield.cli.main import main
from scorefield.cli.words import parse
from scorefield.options import COMMANDS, resolve, written
from tests.cli.conftest import own_process

HEAVY = ("torch", "numpy", "pydantic", "rich", "PIL", "safetensors", "scorefield.data")
REPORT = (
    "import sys, json\nfrom scorefield.cli.main import main\ncode = main(sys.argv[1:])\n"
    f"print('@' + json.dumps([code, [m for m in {HEAVY!r} if m in sys.modules]]))"
)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--help",), 0),
        (("--version",), 0),
        ((), 0),
        (("train", "--help"), 0),
        (("sample", "--help", "all"), 0),
        (("trian", "digits"), 2),
        (("train", "digits", "step=5"), 2),
        (("train",), 2),
        (("sample", "last", "steps=0"), 2),
    ],
)
def test_help_and_usage_errors_import_nothing_heavy(words: tuple[str, ...], code: int):
    done = own_process(REPORT, *words)
    assert json.loads(done.stdout.rpartition("@")[2]) == [code, []]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "seconds"), [(("--help",), 0.15), (("step=4",), 0.15), (("train", "--help"), 0.45)])
def test_help_takes_a_moment(words: tuple[str, ...], seconds: float, tmp_path):
    """CPU seconds of the whole process, the least of five, so that a busy machine does not matter."""
    code = "import sys, time\nfrom scorefield.cli.main import main\nmain(sys.argv[1:])\nprint('@', time.process_time())"
    environment = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    spent = [float(own_process(code, *words, **environment).stdout.rpartition("@")[2]) for _ in range(6)]
    assert min(spent[1:]) < seconds, spent


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option_in_at_most_100_columns(name: str, capsys: pytest.CaptureFixture[str]):
    assert main([name, "--help", "all"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith(f"usage: scorefield {name}")
    for option in COMMANDS[name].options.values():
        assert re.search(rf"^  {option.name}={re.escape(written(option.default))}\b", text, re.MULTILINE), option.name


@pytest.mark.parametrize("name", COMMANDS)
def test_short_help_says_how_many_options_it_leaves_out(name: str):
    command = COMMANDS[name]
    short = helping.command(command)
    hidden = sum(not option.common for option in command.options.values())
    assert (f"{hidden} more options: scorefield {name} --help all" in short) == bool(hidden)
    assert len([option for option in command.options.values() if option.common]) <= 12


def test_root_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == bare
    assert all(re.search(rf"^  {name}\b", bare, re.MULTILINE) for name in COMMANDS)
    assert max(map(len, bare.splitlines())) <= 104


def test_every_example_can_be_typed():
    """Copied from the help, each example parses and its options resolve."""
    for command in COMMANDS.values():
        for _, line in command.examples:
            program, name, *words = line.split()
            assert (program, name) == ("scorefield", command.name)
            parse(command, words)


def test_the_reference_page_holds_every_option():
    page = helping.reference()
    for command in COMMANDS.values():
        section = page.partition(f"## scorefield {command.name}")[2].partition("\n## ")[0]
        assert all(
            f"| `{option.name}` | `{written(option.default)}` |" in section for option in command.options.values()
        )
        assert resolve(command.name, {}).keys() == command.options.keys()

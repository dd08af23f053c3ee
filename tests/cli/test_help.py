"""Help imports little, is complete and true to the table of options. (Seconds: benchmarks/startup.py.)"""

from __future__ import annotations

import json
import re
import shlex

import pytest

from scorefield.cli import help as helping
from scorefield.cli.main import main
from scorefield.cli.words import parse
from scorefield.options import COMMANDS, resolve, written
from tests.cli.conftest import own_process

HEAVY = (
    *("torch", "numpy", "pydantic", "rich", "PIL", "safetensors"),
    *("asyncio", "importlib.metadata", "inspect", "logging", "multiprocessing", "subprocess", "tempfile", "unittest"),
    *("scorefield.data", "scorefield.noise", "scorefield.registry", "scorefield.solvers"),
)
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
            program, name, *words = shlex.split(line)
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

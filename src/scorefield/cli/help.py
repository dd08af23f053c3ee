"""Help and the reference page, both written from the table of options."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable

from scorefield.options import COMMANDS, Command, Option, written
from scorefield.options.shared import SWITCH

WIDTH = 100
_NO_BREAK = "\N{NO-BREAK SPACE}"
_FLAGS = (
    ("--json", "Print one JSON object instead of text."),
    ("--quiet", "Print results only, no progress."),
    ("--help [all]", "Show the most used options, or all of them."),
)
_DOTTED = (
    "Any argument of the objects in config.toml can be set by its dotted name: net.channels=64, "
    "process.schedule.beta_max=10, objective.weight.gamma=5, codec.levels=256."
)


def root() -> str:
    """The help of `scorefield` itself."""
    lines = [
        "usage: scorefield COMMAND [DATA or RUN] [key=value ...]",
        "",
        "Diffusion models: train one on your data, sample it, look at it, trust it.",
        "",
        bold("start here"),
        *_columns(
            [
                ("scorefield train digits", "learn real handwriting"),
                ("scorefield sample last", "draw new digits"),
                ("scorefield train photos/ size=64", "learn your own photos"),
            ]
        ),
        "",
        bold("commands"),
        *_columns([(f"{c.name} {c.argument}".strip(), c.summary) for c in COMMANDS.values()]),
        "",
        bold("flags"),
        *_columns([*_FLAGS, ("--version", "Print the version.")]),
        "",
        "`--steps 5`, `--steps=5` and `steps=5` mean the same. The options of a command: scorefield train --help",
    ]
    return "\n".join(lines)


def command(it: Command, everything: bool = False) -> str:
    """The help of one command: usage, examples to copy, the most used options or all of them."""
    lines = [f"usage: scorefield {it.name} {it.argument} [key=value ...]".replace("  ", " "), ""]
    lines += [*textwrap.wrap(it.summary, WIDTH), "", bold("examples")]
    lines += [*_columns([(line, what) for what, line in it.examples]), ""]
    if it.argument:
        lines += [*textwrap.wrap(f"{it.argument} is {it.argument_help}.", WIDTH), ""]
    for title, options in it.groups if everything else [("options", _common(it))]:
        lines += [bold(title), *_columns([(_default(o), f"{o.help}{_limits(o)}") for o in options]), ""]
    lines += [bold("flags"), *_columns(_FLAGS), ""]
    if everything and it.dotted:
        lines += [*textwrap.wrap(_DOTTED, WIDTH), ""]
    hidden = len(it.options) - len(_common(it))
    if hidden and not everything:
        lines += [f"{hidden} more options: scorefield {it.name} --help all"]
    return "\n".join(lines).rstrip()


def reference() -> str:
    """Every command and option as Markdown: the page docs/reference/commands.md."""
    lines = ["# Commands", "", "Written from `scorefield.options`; `scorefield COMMAND --help all` says the same.", ""]
    for it in COMMANDS.values():
        lines += [f"## scorefield {it.name} {it.argument}".rstrip(), "", it.summary, "", "```"]
        lines += [f"{line:<{max(len(e[1]) for e in it.examples)}}  # {what}" for what, line in it.examples]
        lines += ["```", ""]
        lines += [f"`{it.argument}` is {it.argument_help}.", ""] if it.argument else []
        for title, options in it.groups:
            lines += [f"### {title}", "", "| option | default | |", "|---|---|---|"]
            lines += [f"| `{o.name}` | `{written(o.default)}` | {_cell(o)} |" for o in options] + [""]
        lines += [_DOTTED.replace("net.channels=64", "`net.channels=64`"), ""] if it.dotted else []
    return "\n".join(lines).rstrip() + "\n"


def bold(text: str) -> str:
    """Bold on a terminal that shows it, else as is."""
    return f"\x1b[1m{text}\x1b[0m" if _styled() else text


def _styled() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _common(it: Command) -> list[Option]:
    return [option for option in it.options.values() if option.common]


def _default(option: Option) -> str:
    return f"{option.name}={written(option.default)}"


def _cell(option: Option) -> str:
    return f"{option.help}{_limits(option)}".replace(_NO_BREAK, " ").replace("|", "\\|")


def _limits(option: Option) -> str:
    """The unit, the bounds and the words an option knows, in brackets."""
    parts = [option.unit]
    if option.choices != SWITCH:
        parts.append(", ".join(choice for choice in option.choices if choice != "auto"))
    if option.low is not None and option.high is not None:
        parts.append(f"{option.low:g}{_NO_BREAK}to{_NO_BREAK}{option.high:g}")
    elif option.low is not None and option.low > 1:
        parts.append(f"at least {option.low:g}")
    told = "; ".join(filter(None, parts))
    return f" [{told}]" if told else ""


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Two columns, the second wrapped; a left side wider than usual keeps its row to itself."""
    rows = list(rows)
    indent = min(max(len(left) for left, _ in rows), WIDTH // 2) + 4
    lines: list[str] = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, WIDTH - indent, break_on_hyphens=False) or [""]
        if len(left) + 4 > indent:
            lines.append(f"  {left}")
            left = ""
        lines.append(f"  {left:<{indent - 2}}{wrapped[0]}".rstrip())
        lines += [" " * indent + line for line in wrapped[1:]]
    return [line.replace(_NO_BREAK, " ") for line in lines]

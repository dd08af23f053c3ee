"""`scorefield export RUN`: the model as a file that other programs run, with the check that it is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns, table
from scorefield.cli.outputs import new_file
from scorefield.cli.python import call
from scorefield.cli.words import Request

if TYPE_CHECKING:
    from scorefield.runs.export import Exported

LOADING = ("runs", "ema")
ENDINGS = {"pt2": (".pt2",), "onnx": (".onnx",)}
EXPORTING = ("to", "what", "steps", "solver", "grid", "eta", "table", "guidance", "decode")


def run(request: Request, console: Console) -> Outcome:
    """Export, check, say what came out."""
    word, options = request.word, request.options
    out = new_file(options["out"], ENDINGS[options["to"]])
    from scorefield.runs import load

    loaded = load(word, runs=options["runs"], device="cpu", ema=options["ema"])
    asked = {name: options[name] for name in EXPORTING if options[name] not in (None, "auto")}
    console.say(console.dim("tracing the network, which takes a while for a sampler of many steps"))
    done = loaded.export(out=out, **asked)
    for line in table([("program", "largest difference", "bound"), *_rows(done)]):
        console.result(line)
    for line in columns(_words(done) + ([("note", loaded.note)] if loaded.note else [])):
        console.say(console.dim(line))
    console.result(str(done.path))
    console.say(f"described in {done.description}")
    loading = {k: v for k, v in request.given.items() if k in LOADING}
    python = [
        f"run = {call('scorefield.load', word, loading)}",
        call("run.export", None, {k: v for k, v in request.given.items() if k not in LOADING}),
    ]
    return Outcome({"run": word} | done.to_json(), python, [])


def _rows(done: Exported) -> list[tuple[str, ...]]:
    return [(it.program, f"{it.difference:.2g}", f"{it.bound:.2g}") for it in done.parity]


def _words(done: Exported) -> list[tuple[str, str]]:
    """The inputs and the output, and how they were compared."""
    lines = [("input", _told(*it[:3], it.meaning)) for it in done.inputs]
    lines.append(("output", _told(*done.output[:3], done.output.meaning)))
    batches = ", ".join(map(str, done.parity[0].batches))
    return [*lines, ("check", f"against the library at batches of {batches}; any other batch size is allowed")]


def _told(name: str, dtype: str, shape: tuple[int, ...], meaning: str) -> str:
    return f"{name}  {dtype} ({', '.join(['B', *map(str, shape)])}): {meaning}"

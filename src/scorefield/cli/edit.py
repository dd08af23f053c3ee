"""`scorefield edit RUN TEXT`: fill in what is left open; stdout is the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns
from scorefield.cli.outputs import free_file, new_file
from scorefield.cli.progress import counting
from scorefield.cli.python import call
from scorefield.cli.words import Request
from scorefield.cli.writing import marked, play
from scorefield.errors import UserError

if TYPE_CHECKING:
    from scorefield.runs import Run
    from scorefield.runs.samples import Samples

ENDINGS = (".txt", ".npz", ".html")
FILM = ".html"
LOADING = ("runs", "device", "ema")
EDITING = ("blank", "length", "steps", "solver", "guidance", "seed", "temperature", "top_k", "top_p", "batch")


def run(request: Request, console: Console) -> Outcome:
    """Fill in, show, and write what was asked for."""
    word, options = request.word, request.options
    if len(request.targets) < 2:
        raise UserError(f"edit needs what to edit after the run. For example: {request.command.examples[0][1]}")
    given = request.targets[1]
    out = new_file(options["out"], ENDINGS)
    film = options["film"] or (out is not None and out.suffix.lower() == FILM)
    from scorefield.runs import load

    loaded = load(word, runs=options["runs"], device=options["device"], ema=options["ema"])
    asked = {name: options[name] for name in EDITING if options[name] not in (None, "auto")}
    with counting(console, "editing") as progress:
        samples = loaded.edit(given, options["n"], label=options["class"], trajectory=film, progress=progress, **asked)
    if film:
        play(samples, console)
    for i, text in enumerate(samples.texts):
        if i:
            console.result("")
        console.result(marked(text, given, options["blank"]))
    for line in columns([("note", samples.note)] if samples.note else []):
        console.say(console.dim(line))
    files = [str(samples.save(path)) for path in _paths(loaded, out, film)]
    for file in files:
        console.say(f"written to {file}")
    return Outcome(_result(loaded, samples, files), _python(request, film), _following(word, request, film))


def _paths(loaded: Run, out: Path | None, film: bool) -> list[Path]:
    """``out``; and the page of a film, beside it or in the run folder."""
    page = [] if not film or (out is not None and out.suffix.lower() == FILM) else [_page(loaded, out)]
    return [*([] if out is None else [out]), *page]


def _page(loaded: Run, out: Path | None) -> Path:
    folder = loaded.folder.samples if loaded.folder else Path()
    folder.mkdir(parents=True, exist_ok=True)
    return free_file(folder / f"edited{FILM}" if out is None else out.with_suffix(FILM))


def _result(loaded: Run, samples: Samples, files: list[str]) -> dict[str, object]:
    return {
        "run": str(loaded.folder.path) if loaded.folder else loaded.name,
        "step": loaded.step,
        "n": len(samples),
        "nfe": samples.nfe,
        "seed": samples.seed,
        "texts": list(samples.texts),
        "files": files,
    }


def _python(request: Request, film: bool) -> list[str]:
    loading = {k: v for k, v in request.given.items() if k in LOADING}
    editing = {k: v for k, v in request.given.items() if k not in (*LOADING, "out", "film")}
    editing |= {"trajectory": True} if film else {}
    return [
        f"run = {call('scorefield.load', request.word, loading)}",
        f"edited = {call('run.edit', request.targets[1], editing)}",
        "edited.texts",
    ]


def _following(word: str, request: Request, film: bool) -> list[str]:
    again = f'scorefield edit {word} "{request.targets[1]}"' if '"' not in request.targets[1] else ""
    more = [f"{again} n=4 temperature=0.8", *([] if film else [f"{again} film=yes"])] if again else []
    return [*more, f"scorefield evaluate {word}"]

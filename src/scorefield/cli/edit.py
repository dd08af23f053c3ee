"""`scorefield edit RUN WHAT`: keep what is given, make up the rest. How texts and pictures are shown and written is a
row of one table each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns
from scorefield.cli.outputs import free_file, new_file
from scorefield.cli.progress import counting
from scorefield.cli.python import call, command_line
from scorefield.cli.words import Request
from scorefield.cli.writing import marked, play
from scorefield.errors import UserError
from scorefield.options.edit import OF_PICTURES, OF_TEXT

if TYPE_CHECKING:
    from scorefield.runs import Run
    from scorefield.runs.restored import Restored
    from scorefield.runs.samples import Samples

FILM = ".html"
LOADING = ("runs", "device", "ema")
OTHERS = ("steps", "guidance", "seed", "batch")
BLANK = "_"


class _Shown(NamedTuple):
    """Of one kind of run: how many ways when nobody says, the endings of ``out``, and how the answer is told."""

    n: int
    endings: tuple[str, ...]
    tell: Callable[[Request, Console, Run, Any, Path | None, bool], list[str]]
    result: Callable[[Run, Any, list[str]], dict[str, object]]
    value: str  # what one looks at, in Python


def run(request: Request, console: Console) -> Outcome:
    """Edit, show, and write what was asked for."""
    word, options = request.word, request.options
    if len(request.targets) < 2 and options["y"] is None:
        raise UserError(f"edit needs what to edit after the run. For example: {request.command.examples[0][1]}")
    given = request.targets[1] if len(request.targets) > 1 else None
    every = (".npz", *(ending for row in SHOWN.values() for ending in row.endings))  # what any run can write, first
    new_file(options["out"], tuple(dict.fromkeys(every)))
    from scorefield.runs import load

    loaded = load(word, runs=options["runs"], device=options["device"], ema=options["ema"])
    row = SHOWN.get(loaded.kind, SHOWN["text"])
    out = new_file(options["out"], row.endings)
    film = options["film"] or (loaded.kind == "text" and out is not None and out.suffix.lower() == FILM)
    names = (*OTHERS, *OF_TEXT, *OF_PICTURES)
    asked = {name: options[name] for name in names if options.get(name) not in (None, "auto", False)}
    asked |= {"trajectory": True} if film else {}
    with counting(console, "editing") as progress:
        answer = loaded.edit(given, options["n"] or row.n, label=options["class"], progress=progress, **asked)
    files = row.tell(request, console, loaded, answer, out, film)
    return Outcome(row.result(loaded, answer, files), _python(request, row, film), _following(request, loaded, film))


def _tell_text(
    request: Request, console: Console, loaded: Run, samples: Samples, out: Path | None, film: bool
) -> list[str]:
    """The texts to stdout; files only where they were asked for."""
    if film:
        play(samples, console)
    for i, text in enumerate(samples.texts):
        if i:
            console.result("")
        console.result(marked(text, request.targets[1], request.options["blank"] or BLANK))
    for line in columns([("note", samples.note)] if samples.note else []):
        console.say(console.dim(line))
    page = [] if not film or (out is not None and out.suffix.lower() == FILM) else [_page(loaded, out)]
    files = [str(samples.save(path)) for path in [*([] if out is None else [out]), *page]]
    for file in files:
        console.say(f"written to {file}")
    return files


def _tell_picture(
    request: Request, console: Console, loaded: Run, made: Restored, out: Path | None, film: bool
) -> list[str]:
    """What was found to stderr, with a picture on a terminal; the files to stdout."""
    import torch

    from scorefield.cli.pictures import show
    from scorefield.runs.overview import tiles

    show(torch.from_numpy(tiles(made)[0]), "images", console)
    for line in columns(made.facts):
        console.say(line)
    saved = made.save(out if out is not None else _folder(request, loaded))
    console.result(str(saved))
    if saved.is_dir():
        console.say(f"open {saved / 'report.html'}")
    return [str(path) for path in sorted(saved.rglob("*")) if path.is_file()] if saved.is_dir() else [str(saved)]


def _page(loaded: Run, out: Path | None) -> Path:
    return _free(loaded, f"edited{FILM}") if out is None else free_file(out.with_suffix(FILM))


def _folder(request: Request, loaded: Run) -> Path:
    """A new folder in the run's samples/, called after the picture."""
    given = Path(request.targets[1] if len(request.targets) > 1 else request.options["y"]).stem
    return _free(loaded, f"edited-{given}")


def _free(loaded: Run, name: str) -> Path:
    folder = loaded.folder.samples if loaded.folder else Path()
    folder.mkdir(parents=True, exist_ok=True)
    return free_file(folder / name)


def _texts(loaded: Run, samples: Samples, files: list[str]) -> dict[str, object]:
    return {
        "run": str(loaded.folder.path) if loaded.folder else loaded.name,
        "step": loaded.step,
        "n": len(samples),
        "nfe": samples.nfe,
        "seed": samples.seed,
        "texts": list(samples.texts),
        "files": files,
    }


def _numbers(loaded: Run, made: Restored, files: list[str]) -> dict[str, object]:
    return made.to_json() | {"step": loaded.step, "files": files}


SHOWN: dict[str, _Shown] = {
    "text": _Shown(1, (".txt", ".npz", FILM), _tell_text, _texts, "edited.texts"),
    "images": _Shown(8, ("", ".png", ".npz", FILM), _tell_picture, _numbers, 'edited.save("edited")'),
}


def _python(request: Request, row: _Shown, film: bool) -> list[str]:
    loading = {k: v for k, v in request.given.items() if k in LOADING}
    editing = {k: v for k, v in request.given.items() if k not in (*LOADING, "out", "film")}
    editing = {"n": row.n} | editing | ({"trajectory": True} if film else {})
    given = request.targets[1] if len(request.targets) > 1 else None
    edited = call("run.edit", given, editing)
    return [
        f"run = {call('scorefield.load', request.word, loading)}",
        f"edited = {edited if given is not None else edited.replace('run.edit(', 'run.edit(None, ')}",
        row.value,
    ]


def _following(request: Request, loaded: Run, film: bool) -> list[str]:
    word = request.word
    if loaded.kind != "text":
        named = {k: v for k, v in request.given.items() if k in OF_PICTURES and k not in ("y", "taken")}
        return [command_line("calibrate", word, named)]
    again = f'scorefield edit {word} "{request.targets[1]}"' if '"' not in request.targets[1] else ""
    more = [f"{again} n=4 temperature=0.8", *([] if film else [f"{again} film=yes"])] if again else []
    return [*more, f"scorefield evaluate {word}"]

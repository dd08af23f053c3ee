"""`scorefield encode`, `decode` and `interpolate`: between examples and the noise that a run makes them of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.outputs import free_file, new_file
from scorefield.cli.pictures import show
from scorefield.cli.progress import counting
from scorefield.cli.python import call
from scorefield.cli.words import Request
from scorefield.errors import UserError

if TYPE_CHECKING:
    from scorefield.runs import Run
    from scorefield.runs.samples import Samples

LOADING = ("runs", "device", "ema")
NUMBERS = (".npz", ".safetensors", ".npy")
PICTURES = (".png", ".npz", ".npy", ".csv")


def encode(request: Request, console: Console) -> Outcome:
    """Encode data and write their latents."""
    out = new_file(request.options["out"], NUMBERS)
    loaded, how = _opened(request)
    from scorefield.runs import latents

    data = request.targets[1] if len(request.targets) > 1 else None
    with counting(console, "encoding") as progress:
        found = latents.encode(loaded, data, request.options["n"], progress=progress, **how)
    spread = found.z.double()
    console.say(f"latents of mean {spread.mean():.3f} and deviation {spread.std():.3f}; the prior has 0 and 1")
    file = found.save(out or _new(loaded, "latents.npz"))
    console.result(str(file))
    told = None if found.labels is None else found.labels.tolist()
    result = {"run": _name(loaded), "n": len(found), "shape": list(found.z.shape[1:]), "labels": told}
    python = _python(request, "encode", request.targets[1:], f'.save("{file.name}")')
    return Outcome(result | {"files": [str(file)]}, python, [f"scorefield decode {request.word} {file}"])


def decode(request: Request, console: Console) -> Outcome:
    """Decode latents and write the examples."""
    out = new_file(request.options["out"], PICTURES)
    if len(request.targets) < 2:
        raise UserError(f"decode needs latents after the run. For example: {request.command.examples[0][1]}")
    loaded, how = _opened(request)
    from scorefield.runs import latents

    with counting(console, "decoding") as progress:
        made = latents.decode(loaded, request.targets[1], progress=progress, **how)
    file = _written(made, out or _new(loaded, "decoded.png"), None, console)
    result = {"run": _name(loaded), "n": len(made), "files": [file]}
    return Outcome(result, _python(request, "decode", request.targets[1:2], f'.save("{Path(file).name}")'))


def interpolate(request: Request, console: Console) -> Outcome:
    """Draw what lies between two examples, as a strip."""
    out = new_file(request.options["out"], PICTURES)
    if len(request.targets) < 3:
        raise UserError(f"interpolate needs two examples after the run: {request.command.examples[0][1]}")
    loaded, how = _opened(request)
    from scorefield.runs import latents

    (_, a, b), n = request.targets, request.options["n"]
    with counting(console, "interpolating") as progress:
        made = latents.interpolate(loaded, a, b, n, progress=progress, **how)
    file = _written(made, out or _new(loaded, "interpolated.png"), n, console)
    result = {"run": _name(loaded), "n": len(made), "files": [file]}
    return Outcome(result, _python(request, "interpolate", (a, b), f'.save("{Path(file).name}")'))


def _opened(request: Request) -> tuple[Run, dict[str, Any]]:
    from scorefield.runs import load

    options = request.options
    loaded = load(request.word, runs=options["runs"], device=options["device"], ema=options["ema"])
    return loaded, {"label": options["class"], "tol": options["tol"], "batch": options["batch"]}


def _written(made: Samples, path: Path, across: int | None, console: Console) -> str:
    """The file, named on stdout; a picture of ``across`` a row."""
    from scorefield.show.film import save_picture

    show(*made.look(), console)
    if path.suffix.lower() == ".png" and made.kind == "images":
        save_picture(path, made.picture(across=across) if across else made.picture())
    else:
        made.save(path)
    console.result(str(path))
    return str(path)


def _new(loaded: Run, name: str) -> Path:
    """A name that is free, in the run's samples/."""
    folder = loaded.folder.samples if loaded.folder else Path()
    folder.mkdir(parents=True, exist_ok=True)
    return free_file(folder / name)


def _name(loaded: Run) -> str:
    return str(loaded.folder.path) if loaded.folder else loaded.name


def _python(request: Request, name: str, words: tuple[str, ...], then: str) -> list[str]:
    loading = {k: v for k, v in request.given.items() if k in LOADING}
    given = {k: v for k, v in request.given.items() if k not in (*LOADING, "out")}
    first = ", ".join(["run", *(f'"{word}"' for word in words)])
    options = call("", None, given)[1:-1]
    return [
        f"from scorefield.runs.latents import {name}",
        f"run = {call('scorefield.load', request.word, loading)}",
        f"{name}({first}{', ' + options if options else ''}){then}",
    ]

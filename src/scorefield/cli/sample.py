"""`scorefield sample RUN`: new examples, as pictures and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.figures import columns
from scorefield.cli.outputs import free_file, new_file
from scorefield.cli.pictures import show
from scorefield.cli.progress import counting
from scorefield.cli.python import call
from scorefield.cli.words import Request
from scorefield.cli.writing import opening, play, show_texts

if TYPE_CHECKING:
    from scorefield.runs import Run
    from scorefield.runs.samples import Samples

# "": a folder of images, sounds or texts
ENDINGS = (".png", ".npz", ".npy", ".csv", ".parquet", ".wav", ".txt", ".webp", ".gif", ".html", "")
FILMS = (".webp", ".gif", ".html")
NUMBERS = {"table": ".csv", "text": ".txt"}  # how samples are written when nobody says, where that is not .npz
FILM = {"text": ".html"}  # and their film, where it is not .webp
FOLDERS = ("categories",)  # of which the files are wanted as well, beside sounds
LOADING = ("runs", "device", "ema")
WALKING = (
    *("condition", "steps", "solver", "guidance", "seed", "grid", "eta", "batch", "schedule", "table"),
    *("temperature", "top_k", "top_p", "classifier", "classifier_scale"),
)


def run(request: Request, console: Console) -> Outcome:
    """Sample and write; stdout is the list of files written."""
    word, options = request.word, request.options
    out = new_file(options["out"], ENDINGS)
    film = options["film"] or (out is not None and out.suffix.lower() in FILMS)
    if film and out is not None and out.suffix.lower() not in FILMS:
        new_file(str(out.with_suffix(".webp")), ENDINGS)
    from scorefield.runs import load

    loaded = load(word, runs=options["runs"], device=options["device"], ema=options["ema"])
    asked = {name: options[name] for name in WALKING if options[name] not in (None, "auto")}
    asked |= {"devices": shared} if (shared := console.devices(options["devices"])) else {}
    with counting(console, "sampling") as progress:
        samples = loaded.sample(options["n"], label=options["class"], trajectory=film, progress=progress, **asked)
    if console.rank:  # the first process writes
        return Outcome({})
    if film and samples.written:
        play(samples, console)
    SHOWN.get(samples.kind, _picture)(samples, console)
    for line in columns([("note", samples.note)] if samples.note else []):
        console.say(console.dim(line))
    files = [str(samples.save(path)) for path in _paths(loaded, out, film)]
    for file in files:
        console.result(file)
    following = _following(request, loaded, samples, film)
    return Outcome(_result(loaded, samples, files), _python(request, film, files), following)


def _picture(samples: Samples, console: Console) -> None:
    x, kind = samples.look()
    show(x, kind, console, samples.schema)


SHOWN = {"text": show_texts}  # kind of samples → how they are shown on a terminal, where not as a picture


def _paths(loaded: Run, out: Path | None, film: bool) -> Iterator[Path]:
    """Where to write. Without ``out``: a picture and the numbers (and a film), under a name that is free."""
    if out is not None:
        yield out
        if film and out.suffix.lower() not in FILMS:
            yield out.with_suffix(FILM.get(loaded.kind, ".webp"))
        return
    folder = loaded.folder.samples if loaded.folder else Path()
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / "drawn.png" if loaded.folder else Path(f"{loaded.name}.png")
    folders = [""] if loaded.rate or loaded.kind in FOLDERS else []  # of .wav files, of palette images
    moving = [FILM.get(loaded.kind, ".webp")] if film else []
    endings = (".png", NUMBERS.get(loaded.kind, ".npz"), *folders, *moving)
    base = free_file(picture, endings)
    yield from (base.with_suffix(ending) for ending in endings)


def _result(loaded: Run, samples: Samples, files: list[str]) -> dict[str, object]:
    return {
        "run": str(loaded.folder.path) if loaded.folder else loaded.name,
        "step": loaded.step,
        "n": len(samples),
        "shape": list(samples.x.shape[1:]),
        "nfe": samples.nfe,
        "table": samples.table or None,
        "seed": samples.seed,
        "labels": None if samples.labels is None else samples.labels.tolist(),
        "conditions": None if samples.conditions is None else _open(samples.conditions.tolist()),
        "files": files,
    }


def _open(rows: list[list[float]]) -> list[list[float | None]]:
    """JSON has no NaN: a number left open is null."""
    return [[None if number != number else number for number in row] for row in rows]


def _python(request: Request, film: bool, files: list[str]) -> list[str]:
    loading = {k: v for k, v in request.given.items() if k in LOADING}
    drawing = {k: v for k, v in request.given.items() if k not in (*LOADING, "n", "out", "film")}
    drawing |= {"trajectory": True} if film else {}
    name = Path(files[-1]).name
    return [
        f"run = {call('scorefield.load', request.word, loading)}",
        f"samples = {call('run.sample', request.options['n'], drawing)}",
        f'samples.save("{name}")',
    ]


def _following(request: Request, loaded: Run, samples: Samples, film: bool) -> list[str]:
    from scorefield.runs.tokens import guidance_of

    word = request.word
    lines = [] if film else [f"scorefield sample {word} film=yes"]
    lines += [f'scorefield edit {word} "{opening(samples)}____"'] if samples.kind == "text" else []
    if samples.labels is not None and "classifier" not in request.given:
        lines.append(f"scorefield sample {word} class={samples.classes[0]}{guidance_of(loaded)}")
    if samples.condition_names and samples.conditions is None:
        lines.append(f"scorefield sample {word} condition={','.join('0' * len(samples.condition_names))}")
    return [*lines, f"scorefield evaluate {word}"]

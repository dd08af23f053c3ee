"""`scorefield train DATA`: learn, with a display of how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorefield.cli import display, scores
from scorefield.cli.commands import Outcome
from scorefield.cli.console import Console
from scorefield.cli.progress import counting
from scorefield.cli.python import call, command_line
from scorefield.cli.words import Request

if TYPE_CHECKING:
    from scorefield.runs import Run

INTERRUPTED = 130


def run(request: Request, console: Console) -> Outcome:
    """Train, and say where everything lies. The exit code is 130 when the run was interrupted (and saved)."""
    data = request.word
    from scorefield.runs import train
    from scorefield.runs.classifying import is_classifier

    opener = display.Opener(console.quiet)
    try:
        with counting(console, "reading") as progress:
            trained = train(data, display=opener, progress=progress, **request.given)
    finally:
        opener.close()
    folder = trained.folder
    assert folder is not None  # train always leaves one
    interrupted = trained.stopped.get("reason") == "interrupted"
    if not interrupted:
        _summary(trained, console)
    console.result(str(folder.path))
    name = str(folder.path)
    same = command_line("train", data, request.given)
    python = [f"run = {call('scorefield.train', data, request.given)}", _using(trained)]
    used = f"evaluate {name}" if is_classifier(trained.config) else f"sample {name}{_asking(trained)}"
    following = [f"scorefield {used}", f"scorefield info {name}", "scorefield list"]
    return Outcome(_result(trained), python, [same] if interrupted else following, INTERRUPTED if interrupted else 0)


def _summary(trained: Run, console: Console) -> None:
    folder = trained.folder
    assert folder is not None
    final = folder.samples / ("final.txt" if trained.kind == "text" else "final.png")
    evaluation = scores.stored(folder)
    for line in ["", *scores.lines(evaluation), ""] if evaluation else [""]:
        console.say(line)
    written = {"samples": final, "report": folder.report_file, "weights": folder.weights_file}
    for label, file in written.items():
        if file.exists():
            console.say(f"{label:<{display.LABEL}}{file}")


def _using(trained: Run) -> str:
    """Python that makes something with it."""
    from scorefield.runs.classifying import is_classifier

    if is_classifier(trained.config):
        return f'scorefield.load("RUN").sample(16, classifier=run, label="{trained.classes[0]}").save("samples.png")'
    return f'run.sample(16).save("samples{".txt" if trained.kind == "text" else ".png"}")'


def _asking(trained: Run) -> str:
    """What makes the next picture interesting: one class, guided, where there are classes."""
    from scorefield.runs.tokens import guidance_of

    which = min(3, len(trained.classes) - 1)
    return f" class={trained.classes[which]}{guidance_of(trained)}" if trained.classes else " film=yes"


def _result(trained: Run) -> dict[str, object]:
    folder = trained.folder
    assert folder is not None
    from scorefield.runs.disk import read_json

    losses = [record["loss"] for record in folder.history() if record.get("event") == "logged"]
    return {
        "run": str(folder.path),
        "state": folder.state(),
        "step": trained.step,
        "stopped": trained.stopped.get("reason"),
        "loss": losses[-1] if losses else None,
        "evaluation": read_json(folder.evaluation_file),
        "samples": [str(path) for _, path in folder.previews()],
        "report": str(folder.report_file) if folder.report_file.exists() else None,
    }

"""What follows training: the final model, its pictures, its figures, the report. A function of the folder alone, so a
kill in the middle is made good by the same command."""

from __future__ import annotations

from PIL import Image

from scorefield.errors import UserError
from scorefield.runs import coding, env, weights
from scorefield.runs.classifying import is_classifier
from scorefield.runs.disk import read_json, write_json
from scorefield.runs.display import Display
from scorefield.runs.evaluate import evaluate
from scorefield.runs.folder import RunFolder
from scorefield.runs.loading import Run, final_tensors, load
from scorefield.runs.report import report
from scorefield.runs.trackers import Session, Trackers, figures
from scorefield.runs.worker import reference
from scorefield.training import newest


def finish(folder: RunFolder, display: Display) -> None:
    """Write final/, samples/final.png, evaluation.json (unless evaluate=no), report.html, README.md, and last DONE."""
    config, last = folder.config(), newest(folder.checkpoints)
    if last is None:
        raise UserError(f"{folder.path} has no checkpoint, so there is nothing to finish. Give the same command again.")
    weights.write(folder.weights_file, final_tensors(last) | coding.beside(folder), config, last.step)
    run = load(folder.path, device=config["train"]["device"])
    if not is_classifier(config):
        _picture(run, folder)
    if config["train"].get("evaluate", True):
        _evaluate(run, display)
    _tell(run, folder, display)
    report(run)
    write_json(folder.done_file, {"step": last.step, "when": env.now()})


def leave(folder: RunFolder, display: Display) -> None:
    """Write the report of a run that stopped before its end, where there is a checkpoint to show."""
    if newest(folder.checkpoints) is not None:
        report(load(folder.path, device=folder.config()["train"]["device"]), film=False)


def _picture(run: Run, folder: RunFolder) -> None:
    data = run.dataset()
    run.preview(data=data).save_picture(folder.samples / "final.png", reference(data))


def _tell(run: Run, folder: RunFolder, display: Display) -> None:
    """The final picture and the figures, for the trackers of the run; none is opened for nothing."""
    if not run.config["train"].get("tracker"):
        return
    told = Trackers(Session(folder, run.config, run.step), display.note).open()
    if (folder.samples / "final.png").is_file():
        with Image.open(folder.samples / "final.png") as drawn:
            told.picture(run.step, "final", drawn)
    told.scalars(run.step, figures(read_json(folder.evaluation_file, {})))
    told.close()


def _evaluate(run: Run, display: Display) -> None:
    what = "it is" if is_classifier(run.config) else "samples are"
    display.note(f"Trained. Now {what} measured against held-out data (evaluate=no leaves this out).")
    try:
        evaluate(run)
    except UserError as error:  # too little was held out: a trained model is worth more than its figures
        display.note(f"Not evaluated: {error}")

"""Trackers are told what metrics.jsonl is told, the same run every session, and can never end a training."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import scorefield
from scorefield.errors import UserError
from scorefield.runs import recipes, trackers
from scorefield.runs.display import Silent
from scorefield.runs.folder import RunFolder

from .conftest import TINY

TOLD: list[tuple[str, Any]] = []  # what the fake libraries were called with, in order
NOTES: list[str] = []
SEED = {"steps": 4, **TINY, "preview": 2, "evaluate": True}


class Noting(Silent):
    """Remembers sentences."""

    def note(self, sentence: str) -> None:
        NOTES.append(sentence)


def tell(name: str, *values: Any) -> None:
    """Remember a call; the library may be told to break at it."""
    TOLD.append((name, *values))
    if BROKEN.get("at") == name:
        raise RuntimeError("the server is away\nand more")


BROKEN: dict[str, str] = {}


@pytest.fixture(autouse=True)
def fresh(blank_pictures: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    TOLD.clear(), NOTES.clear(), BROKEN.clear()
    for key in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setitem(recipes.PICTURED, "vectors", 8)
    monkeypatch.setitem(recipes.EVALUATED["cpu"], 100, 40)
    for module in (fake_wandb(), fake_mlflow(), fake_trackio()):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def library(name: str, **members: Any) -> ModuleType:
    """A module that was never installed."""
    module = ModuleType(name)
    module.__dict__.update(members)
    return module


def fake_wandb() -> ModuleType:
    """The four calls of wandb that are used: init, run.log, Image, run.finish."""
    run = SimpleNamespace(log=lambda values, step: tell("log", step, values), finish=lambda: tell("finish"))

    def init(**options: Any) -> Any:
        tell("init", options)
        return run

    return library("wandb", init=init, Image=lambda image: ("image", image.size))


def fake_trackio() -> ModuleType:
    """As wandb, which it imitates."""
    return library("trackio", **{k: v for k, v in vars(fake_wandb()).items() if k in ("init", "Image")})


def fake_mlflow() -> ModuleType:
    """A client that knows no experiment at first."""

    class MlflowClient:
        def get_experiment_by_name(self, name: str) -> Any:
            return SimpleNamespace(experiment_id="7") if ("create_experiment", name) in TOLD else None

        def create_experiment(self, name: str) -> str:
            tell("create_experiment", name)
            return "7"

        def create_run(self, experiment: str, run_name: str) -> Any:
            tell("create_run", experiment, run_name)
            return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

        def log_param(self, run: str, key: str, value: str) -> None:
            assert len(value) <= 500

        def log_metric(self, run: str, key: str, value: float, step: int) -> None:
            tell("metric", run, key, value, step)

        def log_image(self, run: str, image: Any, artifact_file: str) -> None:
            tell("image", run, artifact_file)

        def update_run(self, run: str, status: str) -> None:
            tell("update_run", run, status)

        def set_terminated(self, run: str) -> None:
            tell("terminated", run)

    return library("mlflow", MlflowClient=MlflowClient)


def trained(tmp_path: Path, **options: Any) -> RunFolder:
    """A short run of the moons, in tmp_path/runs."""
    run = scorefield.train("moons", runs=tmp_path / "runs", display=Noting, **SEED | options)
    assert run.folder is not None
    return run.folder


def logged(folder: RunFolder) -> dict[int, float]:
    """step → loss, as metrics.jsonl has it."""
    return {record["step"]: record["loss"] for record in folder.history() if record["event"] == "logged"}


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_figures_pictures_and_evaluation_arrive(tmp_path: Path, name: str):
    folder = trained(tmp_path, tracker=name)
    losses = {step: values["loss"] for _, step, values in (t for t in TOLD if t[0] == "log") if "loss" in values}
    assert losses == logged(folder)
    (first, *_) = (values for t in TOLD if t[0] == "log" for values in [t[2]])
    assert set(first) == set(trackers.SERVED)
    pictures = [(step, *values) for _, step, values in (t for t in TOLD if t[0] == "log") if len(values) == 1]
    assert pictures == [(2, "samples"), (4, "final")]
    scores = json.loads(folder.evaluation_file.read_text())["evaluation"]["scores"]
    (last,) = [t[2] for t in TOLD if t[0] == "log" and any(key.startswith("evaluation/") for key in t[2])]
    assert last[f"evaluation/{scores[0]['name']}"] == scores[0]["value"] and len(last) == 2 * len(scores)
    assert [t[0] for t in TOLD].count("init") == [t[0] for t in TOLD].count("finish") == 2  # training, then its end
    assert len(NOTES) == 1 and "measured" in NOTES[0]


def test_wandb_is_offline_without_a_key_and_the_same_run_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained(tmp_path, tracker="wandb", evaluate=False)
    monkeypatch.setenv("WANDB_API_KEY", "k")
    trained(tmp_path, tracker="wandb", steps=6, evaluate=False)
    made = [t[1] for t in TOLD if t[0] == "init"]
    assert [options["mode"] for options in made] == ["offline", "offline", "online", "online"]
    assert len({options["id"] for options in made}) == 1 and {options["resume"] for options in made} == {"allow"}
    assert made[0]["config"]["train.batch"] == 32 and made[0]["name"] == "moons"


def test_mlflow_takes_its_run_up_again(tmp_path: Path):
    folder = trained(tmp_path, tracker="mlflow", evaluate=False)
    trained(tmp_path, tracker="mlflow", steps=6, evaluate=False)
    assert [t for t in TOLD if t[0].startswith("create")] == [
        ("create_experiment", "scorefield"),
        ("create_run", "7", "moons"),
    ]
    losses = {t[4]: t[3] for t in TOLD if t[0] == "metric" and t[2] == "loss"}
    assert losses == logged(folder)
    assert ("image", "abc", "samples-00000002.png") in TOLD and TOLD[-1] == ("terminated", "abc")


@pytest.mark.slow
def test_tensorboard_files_hold_the_figures_and_forget_what_happens_again(tmp_path: Path):
    pytest.importorskip("tensorboard")
    folder = trained(tmp_path, tracker="tensorboard")
    trained(tmp_path, tracker="tensorboard", steps=6)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    losses = {event.step: event.value for event in events.Scalars("loss")}
    assert losses == pytest.approx(logged(folder), rel=1e-6)  # TensorBoard keeps float32
    assert {event.step for event in events.Images("samples")} == {2}
    assert {event.step for event in events.Images("final")} == {4, 6}
    assert any(tag.startswith("evaluation/") for tag in events.Tags()["scalars"])


@pytest.mark.parametrize("at", ["init", "log", "finish"])
def test_a_tracker_that_fails_costs_one_sentence(tmp_path: Path, at: str):
    BROKEN["at"] = at
    folder = trained(tmp_path, tracker="wandb,mlflow", evaluate=False)
    assert folder.state() == "done" and folder.step() == 4
    told = [note for note in NOTES if "tracker=wandb failed (RuntimeError: the server is away)" in note]
    assert len(told) == 2 and told == NOTES  # one while training, one at its end
    assert "tracker=wandb failed" in folder.log_file.read_text()
    assert [t[4] for t in TOLD if t[0] == "metric" and t[2] == "loss"] == [2, 4]  # the other one goes on
    assert [t[0] for t in TOLD].count(at) == 2  # after its first failure nothing more is tried


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tensorbord", "tracker=tensorbord is not known. Did you mean 'tensorboard'?"),
        ("mlflow,wandb", "tracker=wandb needs a library that is not here"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, message: str
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError) as caught:
        trained(tmp_path, tracker=word)
    assert message in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_run_without_trackers_opens_none(tmp_path: Path):
    folder = trained(tmp_path, evaluate=False)
    assert not TOLD and not (folder.path / trackers.MEMORY).exists()

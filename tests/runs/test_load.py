"""Loading a run in every form, and the sentences about files that cannot be loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import scorefield
from scorefield.errors import UserError


def weights_of(run: scorefield.Run) -> torch.Tensor:
    return torch.cat([p.flatten() for p in run.denoiser.parameters()])


def test_every_way_of_naming_a_run_gives_the_same_model(moons: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(moons.parent.parent)
    alone = Path(shutil.copy(moons / "final/model.safetensors", moons.parent.parent / "alone.safetensors"))
    whole = scorefield.load(moons)
    ways = ["moons", "last", "mo", "runs/moons", moons / "final", moons / "final/model.safetensors", alone]
    ways += [moons / "checkpoints/step-00000008"]
    for way in ways:
        run = scorefield.load(way)
        assert (run.step, run.classes, run.kind, run.shape) == (8, ("0", "1"), "vectors", (2,))
        assert torch.equal(weights_of(run), weights_of(whole)), way
        assert not run.denoiser.training
        assert torch.equal(run.sample(3).x, whole.sample(3).x)


def test_one_file_is_loadable_alone_and_tells_no_paths(moons: Path, tmp_path: Path):
    alone = Path(shutil.copy(moons / "final/model.safetensors", tmp_path / "alone.safetensors"))
    shutil.rmtree(moons)
    run = scorefield.load(alone)
    assert run.name == "moons" and len(run.sample(2)) == 2
    assert str(tmp_path) not in json.dumps(run.config)
    with pytest.raises(UserError, match=r"'moons' cannot be opened from a weights file alone\. Give data: against="):
        run.evaluate()


def test_another_average_and_another_checkpoint(moons: Path):
    first, second = scorefield.load(moons), scorefield.load(moons, ema=0.05)
    assert not torch.equal(weights_of(first), weights_of(second))
    assert scorefield.load(moons / "checkpoints/step-00000004").step == 4
    shutil.rmtree(moons / "checkpoints/snapshots")
    with pytest.raises(UserError, match=r"ema=0\.2 was not kept by this run\. Kept: 0\.1, 0\.05\."):
        scorefield.load(moons, ema=0.2)


def test_a_newer_checkpoint_wins_over_an_older_final(moons: Path):
    shutil.copytree(moons / "checkpoints/step-00000004", moons / "checkpoints/step-00000012")
    state = moons / "checkpoints/step-00000012/state.json"
    state.write_text(state.read_text().replace('"step": 4', '"step": 12'))
    assert scorefield.load(moons).step == 12


def test_a_run_without_weights(moons: Path):
    shutil.rmtree(moons / "final"), shutil.rmtree(moons / "checkpoints")
    with pytest.raises(UserError, match=r"moons has no weights yet: no checkpoint was saved\."):
        scorefield.load(moons)


def test_a_truncated_file(moons: Path):
    file = moons / "final/model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(
        UserError, match=r"model\.safetensors is damaged or incomplete .*\. Copy it again, or load .*checkpoint"
    ):
        scorefield.load(moons)
    assert scorefield.load(moons / "checkpoints/step-00000008").step == 8


def test_a_foreign_file(tmp_path: Path):
    file = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(2)}, file)
    with pytest.raises(
        UserError, match="holds weights but no scorefield config, so the network they belong to is not known"
    ):
        scorefield.load(file)


def test_a_config_that_cannot_be_built(moons: Path):
    config = moons / "config.toml"
    text = config.read_text()
    config.write_text(text.replace('type = "mlp"', 'type = "resnet"'))
    with pytest.raises(UserError, match=r"config\.net\.type: no net is called 'resnet'\. Did you mean 'unet'"):
        scorefield.load(moons)
    config.write_text(text.replace("format = 1", "format = 2"))
    with pytest.raises(UserError, match="has format 2, written by a newer scorefield"):
        scorefield.load(moons)
    config.write_text(text.replace("width = 16", "width = 24"))
    with pytest.raises(UserError, match=r"do not fit the network of its config: size mismatch"):
        scorefield.load(moons)


def test_a_file_of_a_newer_format(moons: Path, tmp_path: Path):
    source = moons / "final/model.safetensors"
    header = {"scorefield": json.dumps({"config": {"format": 7}, "step": 1})}
    save_file(load_file(source), tmp_path / "new.safetensors", header)
    with pytest.raises(UserError, match="has format 7, written by a newer scorefield; this one reads up to format 1"):
        scorefield.load(tmp_path / "new.safetensors")

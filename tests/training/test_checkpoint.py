"""A checkpoint is whole or not there."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from scorefield.errors import UserError
from scorefield.training import Started, Stopped, newest
from scorefield.training.checkpoint import read, write
from tests.training import toy


def _write(folder: Path, step: int, keep: int = 9) -> Path:
    shared = torch.arange(6.0).reshape(2, 3)
    return write(
        folder, step, {"model": {"a": shared, "tied": shared, "t": shared.T}}, {"images": step}, keep, {"config": "{}"}
    )


def test_what_was_written_is_read_and_the_header_says_what_it_is(tmp_path: Path) -> None:
    path = _write(tmp_path, 500)
    checkpoint = newest(tmp_path)
    assert path.name == "step-00000500" and checkpoint is not None and checkpoint.step == 500
    tensors = checkpoint.tensors("model")
    assert torch.equal(tensors["tied"], torch.arange(6.0).reshape(2, 3)) and torch.equal(tensors["t"], tensors["a"].T)
    with safe_open(path / "model.safetensors", "pt") as file:
        assert file.metadata() == {"config": "{}"}


def _truncate(path: Path) -> None:
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])


def _flip_a_bit(path: Path) -> None:
    file = path / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _no_file(path: Path) -> None:
    (path / "model.safetensors").unlink()


def _no_state(path: Path) -> None:
    (path / "state.json").unlink()


def _half_a_state(path: Path) -> None:
    text = (path / "state.json").read_text()
    (path / "state.json").write_text(text[: len(text) // 2])


def _odd_state(path: Path) -> None:
    (path / "state.json").write_text("[]")


@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, _no_file, _no_state, _half_a_state, _odd_state])
def test_a_torn_one_is_passed_over_with_a_word(damage: Callable[[Path], None], tmp_path: Path) -> None:
    _write(tmp_path, 1)
    damage(_write(tmp_path, 2))
    warnings: list[str] = []
    found = newest(tmp_path, warnings)
    assert found is not None and found.step == 1
    assert len(warnings) == 1 and warnings[0].startswith("step-00000002 is not usable (")


def test_a_run_resumes_from_the_one_before_a_torn_one(tmp_path: Path) -> None:
    how = toy.settings(save_every=2, keep=3)
    toy.train(toy.Net(), how, tmp_path, until=6)
    _truncate(tmp_path / "step-00000006")
    net, whole = toy.Net(), toy.Net()
    events = toy.train(net, how, tmp_path)
    assert type(events[0]) is Started and events[0].step == 4
    assert "step-00000006 is not usable (model.safetensors has" in events[0].warnings[0]
    assert toy.equal(toy.numbers(net, events), toy.numbers(whole, toy.train(whole, how)))
    assert read(tmp_path / "step-00000006")[0] is not None  # written anew over the torn one


def test_only_the_newest_are_kept_and_leftovers_swept(tmp_path: Path) -> None:
    (tmp_path / ".writing-00000003").mkdir(parents=True)
    for step in (8, 9, 10, 11):
        _write(tmp_path, step, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000010", "step-00000011"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_costs_nothing_that_was_there(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, 1)
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(os, call, full)
        with pytest.raises(
            UserError, match=r"The disk is full.*last good checkpoint, step 1, stands\. Free some space"
        ):
            _write(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    assert newest(tmp_path) is not None


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"could not be written to .*There is no earlier checkpoint\."):
        _write(tmp_path / "file" / "checkpoints", 1)


def test_the_state_tells_where_the_run_was(tmp_path: Path) -> None:
    events = toy.train(toy.Net(), toy.settings(), tmp_path, metadata={"config": "x"})
    assert type(events[-1]) is Stopped
    path = tmp_path / "step-00000007"
    state = json.loads((path / "state.json").read_text())
    assert (state["step"], state["images"], state["processes"], state["data"]) == (7, 28, 1, "points")
    assert set(state["files"]) == {f"{n}.safetensors" for n in ("model", "ema-0.050", "ema-0.100", "optimizer")}
    net = toy.Net()
    checkpoint = newest(tmp_path)
    assert checkpoint is not None
    net.load_state_dict(checkpoint.tensors("ema-0.050"))  # each average is loadable alone
    assert toy.equal(dict(net.state_dict()), dict(events[-1].denoiser.state_dict()))

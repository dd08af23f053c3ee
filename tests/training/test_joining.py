"""A world that somebody else made, and what is missing for one."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from scorefield.errors import UserError
from scorefield.training import check_devices, check_launched, join, launched
from scorefield.training.joining import local_gpu

CUDA = torch.device("cuda")


def test_without_a_launcher_there_is_nothing_to_join() -> None:
    assert launched() == 1
    join(torch.device("cpu"))
    check_launched(5)
    assert not dist.is_initialized()


def test_a_launcher_is_noticed_and_must_not_be_contradicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert launched() == 1  # somebody's variable alone is no launcher
    monkeypatch.setenv("RANK", "2")
    assert launched() == 4
    check_launched(None)
    check_launched(4)
    with pytest.raises(UserError, match="devices=2 were asked for, but the launcher started 4 processes"):
        check_launched(2)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"MASTER_ADDR and MASTER_PORT are not\. Start scorefield with torchrun"):
        join(torch.device("cpu"))


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert local_gpu() == 1
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("RANK", "10")
    with pytest.raises(UserError, match=r"Process 10 is number 3 on its machine, which has 2 GPUs\. .*per-node=2"):
        local_gpu()


def test_what_torch_was_built_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(dist, "is_nccl_available", lambda: False)
    with pytest.raises(UserError, match="Several GPUs need NCCL"):
        check_devices(2, CUDA)
    check_devices(1, CUDA)
    monkeypatch.setattr(dist, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"no torch\.distributed.*Use devices=1"):
        check_devices(2, torch.device("cpu"))

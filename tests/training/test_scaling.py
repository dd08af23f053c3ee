"""How many processes and micro-batches share a batch, and who holds which weights, changes nothing but rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from scorefield.errors import UserError
from scorefield.training import World, launch, newest
from scorefield.training.settings import Settings
from scorefield.training.sharding import decided
from tests.training import toy

HOW: dict[str, Any] = {"steps": 12, "batch": 8, "accumulate": 1, "lr": 0.01, "log_every": 1, "decay": "constant"}

# Two orders of summing B numbers differ by at most 2 (B − 1) u Σ|g|, u = 2⁻⁵³ (Higham 2002, section 4.2): at B = 8
# 1.6e-15 Σ|g|. AdamW divides by the size of the gradient, so a weight moves by lr · 1.6e-15 · κ differently, where
# κ = Σ|g| / |Σ g| says how much its gradient cancels; over 12 steps, 500 weights and slopes of order one the losses
# move by 12 · 0.01 · √500 · 1.6e-15 κ = 4e-15 κ. The bound allows κ = 2e4. Other noise moves them by 1e-1.
BOUND = 1e-10


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two runs, over all losses and averaged weights."""
    assert [step for step, _ in one["losses"]] == [step for step, _ in other["losses"]]
    assert one["average"].keys() == other["average"].keys()
    pairs = [(one["losses"], other["losses"])] + [(one["average"][n], other["average"][n]) for n in one["average"]]
    wide = [(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)) for a, b in pairs]
    return max((a - b).abs().max().item() for a, b in wide)


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """One process, one micro-batch."""
    return toy.learn(toy.settings(**HOW))


@pytest.mark.parametrize("accumulate", [2, 8])
def test_micro_batches_learn_what_one_batch_does(accumulate: int, whole: dict[str, Any]) -> None:
    many = toy.learn(toy.settings(**HOW | {"accumulate": accumulate}))
    assert 0 < apart(whole, many) < BOUND
    assert apart(whole, toy.learn(toy.settings(**HOW | {"seed": 1}))) > 1e-2  # the bound could tell


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything that two processes do here, in one start of them: name → what ``toy.learn`` returned; the folders."""
    folder = tmp_path_factory.mktemp("shards")
    plain, sharded = toy.settings(**HOW), toy.settings(**HOW | {"shard": True})
    short, half = ({**HOW, "steps": 5, "shard": shard, "save_every": 0} for shard in (True, False))
    toy.learn(toy.settings(**half), str(folder / "one"))
    runs = {
        "replicated": (plain,),
        "replicated, memory of one": (plain, None, (8, 1)),
        "sharded": (sharded,),
        "sharded, memory of both": (sharded, None, (2, 2)),
        "first part": (toy.settings(**short), str(folder / "two")),
        "second part": (sharded, str(folder / "two")),
        "from one": (sharded, str(folder / "one")),
        "kept": (toy.settings(**short), str(folder / "kept")),
        "unsharded": (plain, str(folder / "kept")),
        "kept for one": (toy.settings(**short), str(folder / "later")),
    }
    results = launch(toy.learn_through, tuple(runs.values()), 2, "cpu")
    return dict(zip(runs, results, strict=True)) | {"folder": folder}


@pytest.mark.slow
@pytest.mark.parametrize("run", ["replicated", "sharded", "second part", "from one", "unsharded"])
def test_two_processes_learn_what_one_does(run: str, two: dict[str, Any], whole: dict[str, Any]) -> None:
    """The same loss at every step, and the same averaged weights; also where a run went on from a checkpoint of as many
    processes, of one, or of sharded weights."""
    assert apart(whole, two[run]) < BOUND


@pytest.mark.slow
def test_one_process_goes_on_with_shards_of_two(two: dict[str, Any], whole: dict[str, Any]) -> None:
    assert {p.name for p in (two["folder"] / "later" / "step-00000005").iterdir()} == {
        "state.json", "shards", "ema-0.050.safetensors", "ema-0.100.safetensors",
    }  # fmt: skip
    resumed = toy.learn(toy.settings(**HOW | {"shard": True}), str(two["folder"] / "later"))
    assert apart(whole, resumed) < BOUND
    assert "processes 2 then, 1 now" in resumed["warnings"][0]
    assert "shard off: one process has nobody to share with." in resumed["decisions"]


@pytest.mark.slow
def test_all_agree_when_one_runs_out_of_memory(two: dict[str, Any], whole: dict[str, Any]) -> None:
    for run, times in {"replicated, memory of one": 2, "sharded, memory of both": 1}.items():
        assert len(two[run]["told"]) == times and "on each of 2 processes" in two[run]["told"][0]
        assert apart(whole, two[run]) < BOUND
    assert two["sharded"]["decisions"][0] == "2 processes, gloo on cpu, fused AdamW."
    assert any("of which each process holds 1/2" in sentence for sentence in two["sharded"]["decisions"])


@pytest.mark.slow
def test_a_torn_shard_is_passed_over_and_averages_are_whole(two: dict[str, Any], tmp_path: Path) -> None:
    folder = two["folder"] / "two"
    found = newest(folder)
    assert found is not None and found.sharded and found.step == 12
    assert {name for name in found.state["files"] if "/" in name} == {
        "shards/.metadata", "shards/__0_0.distcp", "shards/__1_0.distcp",
    }  # fmt: skip
    weights = toy.denoiser().state_dict()
    for name in ("model", "ema-0.050"):
        assert {n: t.shape for n, t in found.tensors(name).items()} == {n: t.shape for n, t in weights.items()}
    shard = found.path / "shards" / "__1_0.distcp"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    warnings: list[str] = []
    before = newest(folder, warnings)
    assert before is not None and before.step == 5
    assert warnings == [
        "step-00000012 is not usable (shards/__1_0.distcp has changed since it was written); an older checkpoint is "
        "taken."
    ]


def test_when_weights_are_sharded_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gpu:
        total_memory = 24 * 10**9

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Gpu)
    with torch.device("meta"):
        small, large = torch.nn.Linear(1000, 1000), torch.nn.Linear(30_000, 30_000)
    four = World(0, 4, torch.device("cuda", 0), "nccl")
    auto, asked = Settings(steps=1), Settings(steps=1, shard=True)
    assert decided(auto, four, small) == (
        False, "weights, gradients, moments and averages take 24 MB of the 24 GB of each GPU",
    )  # fmt: skip
    assert decided(auto, four, large) == (
        True, "weights, gradients, moments and averages take 21.6 GB of the 24 GB of each GPU, too much",
    )  # fmt: skip
    assert decided(auto, World(0, 2, torch.device("cpu"), "gloo"), large)[0] is False
    assert decided(asked, World(0, 1, torch.device("cpu")), large)[0] is False
    assert decided(asked, four, small)[0] is True


def test_what_sharded_weights_cannot_be_is_said() -> None:
    from scorefield.training.precision import choose

    for wrong in ({"precision": "fp16"}, {"compile": True}, {"channels_last": True}):
        with pytest.raises(UserError, match="does not go with sharded weights"):
            choose(Settings(steps=1, **wrong), torch.device("cpu"), (3, 8, 8), (True, "as asked"))

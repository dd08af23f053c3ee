"""Runs that diffuse codes of images, from a folder of pictures to decoded samples; and argmax flows of text."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import scorefield
from scorefield import Rng
from scorefield.errors import UserError
from scorefield.runs import coding
from scorefield.runs.display import Silent
from scorefield.runs.folder import RunFolder
from scorefield.runs.settings import differences, read

CODEC = {"codec.codes": 8, "codec.channels": 8, "codec.dim": 4, "codec.factor": 2}
SMALL = {"channels": 16, "blocks": 1, "batch": 8, "preview": 0, "evaluate": False, "device": "cpu"}
VQ = SMALL | CODEC | {"codec": "vq", "codec_steps": 4, "steps": 4}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 120 pictures of 8 × 8 pixels: one of two colours left, the other right."""
    folder, rng = tmp_path_factory.mktemp("photos") / "flags", np.random.default_rng(0)
    folder.mkdir()
    for i in range(120):
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[:, :4], pixels[:, 4:] = rng.permutation([[250, 20, 20], [20, 20, 250]])
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def flags(photos: Path) -> scorefield.Run:
    """A run on them: four steps of a quantiser, four of diffusion on its codes."""
    return scorefield.train(str(photos), runs=photos.parent / "runs", **VQ)


def test_a_folder_of_pictures_becomes_a_quantiser_and_a_law_of_its_codes(flags: scorefield.Run, tmp_path: Path):
    folder = RunFolder(flags.folder.path)
    assert (flags.kind, flags.family, flags.encoded) == ("images", "tokens", (4, 4)) and folder.state() == "done"
    process = flags.config["process"]
    assert (process["classes"], process["masked"], flags.config["train"]["codec"]["steps"]) == (8, 0.9, 4)
    pictures = coding.folder_of(folder).samples
    assert (pictures / "final.png").is_file() and folder.report_file.is_file()
    drawn = flags.sample(4, steps=3, trajectory=True)
    assert drawn.x.dtype == torch.uint8 and drawn.x.shape == (4, 3, 8, 8) and len(drawn.pictures()) == 4
    assert all(frame.shape == drawn.x.shape for frame in drawn.frames) and torch.equal(drawn.frames[-1], drawn.x)
    assert drawn.captions[0] == "100% masked or replaced"
    assert (drawn.frames[0] == 128).all(1).double().mean() > 0.6  # of the sites 0.9 are masked: 64 draws
    assert len([*drawn.save(tmp_path / "drawn").iterdir()]) == 4
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(folder.weights_file.read_bytes())
    assert torch.equal(scorefield.load(alone).sample(4, steps=3).x, drawn.x)


def test_it_is_measured_in_bits_a_code_and_in_what_the_quantiser_loses(flags: scorefield.Run):
    scores = flags.evaluate(n=10, steps=2, metrics=["bits", "codec", "sliced_wasserstein"], features="pixels")
    assert [score.name for score in scores] == ["bits", "codec", "sliced_wasserstein"]
    assert scores["bits"].label == "bits per code" and scores["bits"].value < 1.3 * np.log2(8)
    held = flags.dataset().held_out.x
    lost = (flags.codec.decode(flags.codec.encode(held)).double() - held.double()).square().mean().sqrt()
    assert scores["codec"].value == pytest.approx(lost.item())
    assert [score.name for score in flags.evaluate(metrics=["codec"], keep=False)] == ["codec"]


class Stopping(Silent):
    """Presses Ctrl-C at the second logged step of each stage in which it is made to."""

    def __init__(self, stage: str) -> None:
        self.stage, self.plan = stage, None

    def factory(self) -> Stopping:
        return self

    def started(self, plan: object) -> None:
        self.plan = plan

    def logged(self, event: object) -> None:
        if (self.plan.stage == "codec") == (self.stage == "codec") and event.step == 2:
            os.kill(os.getpid(), 2)


@pytest.mark.usefixtures("blank_pictures")
def test_either_stage_can_be_interrupted_and_nothing_changes(flags: scorefield.Run, photos: Path, tmp_path: Path):
    how = VQ | {"log": 1, "runs": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        scorefield.train(str(photos), display=Stopping("codec").factory, **how)
    folder = RunFolder(tmp_path / "flags")
    assert folder.state() == "interrupted" and not coding.file_of(folder).exists()
    with pytest.raises(UserError, match="has no weights yet"):
        scorefield.load(folder.path)
    stopped = scorefield.train(str(photos), display=Stopping("diffusion").factory, **how)
    assert stopped.stopped["reason"] == "interrupted" and stopped.step < 4
    finished = scorefield.train(str(photos), **how)
    ours, whole = (load_file(run.folder.weights_file) for run in (finished, flags))
    assert all(torch.equal(ours[name], whole[name]) for name in whole) and any("codec." in name for name in whole)
    assert scorefield.train(str(photos), **how).step == 4  # there is nothing left to do


@pytest.mark.usefixtures("blank_pictures")
def test_a_quantiser_is_lent_to_other_runs(flags: scorefield.Run, photos: Path):
    how = {key: value for key, value in VQ.items() if not key.startswith("codec")} | {"steps": 2, "noise": "masking"}
    run = scorefield.train(str(photos), codec=str(flags.folder.path), runs=photos.parent / "others", **how)
    assert "codec" not in run.config["train"] and run.config["codec"] == flags.config["codec"]
    book = "codebook.book"
    assert torch.equal(run.codec.state_dict()[book], flags.codec.state_dict()[book])
    assert run.process.masked == 1.0 and run.sample(2, steps=2).x.shape == (2, 3, 8, 8)
    assert any(pair.key == "process.masked" for pair in differences(*(read(str(r.folder.path)) for r in (run, flags))))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"codec": "vq", "codec.factor": 16}, "cannot be cut into codes of 16×16 pixels. Write size="),
        ({"codec": "vq", "codec.size": 3}, "codec.size"),
        ({"codec": "vq", "predict": "eps"}, "predict=eps is for images and other numbers"),
        ({"codec": "vq", "classifier": True}, "codec=vq makes tokens"),
        ({"codec_steps": 3}, "codec_steps=3 says how long a quantiser of images is trained"),
        ({"noise": "argmax"}, "noise=argmax is for text and categories"),
        ({"codec": "vp"}, "codec=vp"),
    ],
)
def test_what_cannot_be_coded_is_said(photos: Path, tmp_path: Path, options: dict, sentence: str):
    with pytest.raises(UserError) as caught:
        scorefield.train(str(photos), runs=tmp_path, steps=2, **(SMALL | options))
    assert sentence in str(caught.value) and not any(tmp_path.iterdir())


def test_what_takes_no_codes_says_so(flags: scorefield.Run, photos: Path, moons: Path, tmp_path: Path):
    text = tmp_path / "story.txt"
    text.write_text("The cat sat on the mat. " * 20)
    with pytest.raises(UserError, match="codec=vq makes codes of images, but story holds text"):
        scorefield.train(str(text), codec="vq", steps=2, runs=tmp_path / "runs")
    with pytest.raises(UserError, match="edit keeps what is given"):
        flags.edit("a_")
    with pytest.raises(UserError, match="has no trained quantiser to lend"):
        scorefield.train(str(photos), codec=str(moons), steps=2, runs=tmp_path / "runs")


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.parametrize("form", ["gumbel", "threshold"])
def test_text_as_an_argmax_flow(form: str, tmp_path: Path):
    text = tmp_path / "story.txt"
    text.write_text("The cat sat on the mat. A dog ran to the cat. " * 20)
    how = {"length": 16, "channels": 16, "blocks": 1, "heads": 2, "batch": 4, "steps": 2, "evaluate": False}
    run = scorefield.train(str(text), noise="argmax", runs=tmp_path / "runs", preview=0, **how, **{"codec.form": form})
    assert (run.kind, run.family, run.codec.form) == ("text", "gaussian", form)
    drawn = run.sample(3, steps=3, trajectory=True)
    assert drawn.x.dtype == torch.int64 and all(len(text) == 16 for text in drawn.texts)
    assert drawn.written[-1] == drawn.texts and drawn.captions[0].endswith("× signal")
    scores = run.evaluate(n=4, steps=2, metrics=["bits", "perplexity"])
    assert scores["bits"].label == "bits per character" and scores["bits"].se > 0
    raw = run.dataset().batch(torch.arange(4))["x"]
    assert torch.equal(run.codec.decode(run.codec.encode(raw, Rng(0))), raw)
    with pytest.raises(UserError, match="edit keeps what is given"):
        run.edit("a_")

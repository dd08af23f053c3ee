"""The FID network: parity with a published port on the same weights, its resizings, and the files it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from scorefield.errors import UserError
from scorefield.metrics import make_features
from scorefield.metrics.inception import InceptionV3
from scorefield.metrics.weights import load_inception, resize_clean, resize_pytorch, resize_tensorflow
from tests.metrics.official import IMAGES, PLACES, noise, weights

OFFICIAL = json.loads(Path(__file__).with_name("official.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.safetensors"
    save_file(weights(), path)
    return path


def test_it_has_the_parameters_of_the_port() -> None:
    with torch.device("meta"):
        net = InceptionV3()
    assert sum(p.numel() for p in net.parameters()) == 23_850_960  # torch-fidelity's, with 1,008 logits
    assert net.get_parameter("Mixed_7c.branch3x3dbl_3b.conv.weight").shape == (384, 384, 3, 1)
    assert not net.training


def test_features_are_those_of_the_published_port(file: Path) -> None:
    """torch-fidelity 0.4.0 on the same weights; float32 sums of some thousand terms differ by 1e-5 of their size."""
    features = make_features(f"inception:{file}", IMAGES)
    rows = features(IMAGES)
    assert rows.shape == (2, 2048) and rows.dtype == torch.float64
    want = torch.tensor(OFFICIAL["inception"], dtype=torch.float64).view(2, -1)
    assert torch.allclose(rows[:, PLACES], want, rtol=1e-3, atol=1e-3)
    assert (
        features.name.startswith("inception:") and len(features.name) == len("inception:") + 8 and not features.fitted
    )
    grey = make_features(f"inception-pytorch:{file}", IMAGES[:, :1])(IMAGES[:1, :1])
    assert torch.allclose(grey, make_features(f"inception-pytorch:{file}", IMAGES)(IMAGES[:1, :1].repeat(1, 3, 1, 1)))


def test_resizings_are_what_their_names_say() -> None:
    ramp = torch.arange(50.0)[None, None, None].expand(1, 1, 40, 50)
    place = torch.arange(299) * 50 / 299
    assert torch.allclose(resize_tensorflow(ramp)[0, 0, 7], place.clamp_max(49), atol=1e-4)
    centred = (torch.arange(299) + 0.5) * 50 / 299 - 0.5
    assert torch.allclose(resize_pytorch(ramp)[0, 0, 7], centred.clamp(0, 49), atol=1e-4)
    for side in (32, 400):  # up and down
        x = torch.from_numpy(noise(side, side + 5) * 255).float()
        pillow = Image.fromarray(x.numpy(), mode=None).resize((299, 299), Image.Resampling.BICUBIC)
        want = torch.from_numpy(np.array(pillow)).clamp(0, 255)
        assert float((resize_clean(x[None, None])[0, 0] - want).abs().max()) < 0.02  # of 255; Pillow rounds its weights


def saved(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, path)
    return path


def test_weights_without_logits_do_and_others_are_refused(tmp_path: Path, file: Path) -> None:
    small = {"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 3, 3)}
    with pytest.raises(UserError, match=r"lacks \d+ tensors of the InceptionV3 of FID"):
        load_inception(saved(tmp_path / "part.safetensors", small))
    with pytest.raises(UserError, match="torchvision's InceptionV3"):
        load_inception(saved(tmp_path / "other.safetensors", {"AuxLogits.fc.weight": torch.zeros(2)}))
    with pytest.raises(UserError, match=r"pickle, which can run code.*safetensors\.torch\.save_file"):
        load_inception(tmp_path / "pt_inception-2015-12-05-6726825d.pth")
    (tmp_path / "torn.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="damaged or no safetensors file"):
        load_inception(tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match="does not exist"):
        load_inception(tmp_path / "none.safetensors")
    bare = {name: tensor for name, tensor in load_file(file).items() if not name.startswith("fc.")}
    assert load_inception(saved(tmp_path / "bare.safetensors", bare)).fc.weight.abs().sum() == 0
    bare["Conv2d_1a_3x3.conv.weight"] = torch.zeros(32, 1, 3, 3)
    with pytest.raises(UserError, match=r"has shape \(32, 1, 3, 3\)"):
        load_inception(saved(tmp_path / "grey.safetensors", bare))


def test_data_that_are_no_images_are_refused(file: Path) -> None:
    with pytest.raises(UserError, match="compares grey or RGB images of bytes"):
        make_features(f"inception:{file}", torch.zeros(4, 3))
    with pytest.raises(UserError, match="needs the weights"):
        make_features("inception", IMAGES)

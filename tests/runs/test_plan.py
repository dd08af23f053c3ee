"""What is chosen for which data, and every refusal before anything is written."""

from __future__ import annotations

import numpy as np
import pytest

from scorefield.data import open_data
from scorefield.errors import UserError
from scorefield.options import resolve
from scorefield.runs import build
from scorefield.runs.draft import rounded
from scorefield.runs.plan import Plan, plan


def planned(data: object, device: str = "cpu", reading: dict | None = None, **given: object) -> Plan:
    return plan(open_data(data, **(reading or {})), resolve("train", given), given, device)


def images(*shape: int, colour: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, *shape, colour), dtype=np.uint8)


@pytest.mark.parametrize(
    ("edge", "device"),
    [
        (8, "cpu"),
        (16, "cpu"),
        (24, "cpu"),
        (28, "cpu"),
        (48, "cpu"),
        (64, "cpu"),
        (256, "cpu"),
        (32, "cuda"),
        (96, "cuda"),
    ],
)
def test_every_usual_size_has_a_network(edge: int, device: str):
    config = planned(images(edge, edge), device).config
    assert config["net"]["type"] == "unet"
    assert config["net"]["size"] == edge
    levels = [edge >> i for i in range(len(config["net"]["mult"]))]
    assert set(config["net"]["attention"]) <= set(levels)


@pytest.mark.parametrize("length", [32, 100, 129, 1000])
def test_signals_of_any_length_have_a_network(length: int):
    signals = np.random.default_rng(0).normal(size=(24, 2, length)).astype(np.float32)
    made = planned(signals)
    assert (made.config["net"]["dims"], made.config["net"]["in_channels"]) == (1, 2)
    assert made.config["codec"].get("pad", 0) == {32: 0, 100: 12, 129: 15, 1000: 24}[length]
    assert not any("halved" in note for note in made.notes)


def test_vectors_get_an_mlp_and_labels_make_it_conditional():
    config = planned("moons").config
    assert (config["net"]["type"], config["net"]["dim"], config["net"]["classes"]) == ("mlp", 2, 2)
    assert config["objective"]["label_dropout"] == 0.1
    config = planned("moons", conditional="no").config
    assert (config["net"]["classes"], config["objective"]["label_dropout"]) == (0, 0.0)


def test_sigma_data_is_the_root_mean_square_of_the_encoded_data():
    dataset = open_data("digits")
    config = planned("digits").config
    x = build.codec(config).encode(dataset.x).double()
    assert config["denoiser"]["sigma_data"] == pytest.approx(x.square().mean().sqrt().item(), abs=1e-4)  # 4 digits kept


def test_every_value_says_where_it_came_from():
    made = planned("digits", lr=1e-3, steps="2k")
    leaves = [key for key in _flat(made.config) if key != "format"]
    assert set(leaves) == set(made.origins)
    assert made.origins["train.lr"] == made.origins["train.steps"] == "command line"
    assert made.origins["train.batch"].startswith("chosen: for images of 8 on cpu")
    assert made.config["train"]["steps"] == 2000
    told = dict(made.rows)
    assert list(told) == ["data", "model", "noise", "train", "device"]
    assert told["data"].startswith("digits  899 images of 1×8×8, 10 classes, 898 held out")
    assert "2,000 steps" in told["train"]


def _flat(config: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def test_limits_replace_the_usual_number_of_steps():
    train = planned("moons", minutes=3).config["train"]
    assert (train["steps"], train["minutes"]) == (None, 3)


@pytest.mark.parametrize(
    ("schedule", "law"), [("vp", "uniform"), ("flow", "logit-normal"), ("edm", "log-normal"), ("ddpm", "uniform")]
)
def test_times_go_with_the_schedule(schedule: str, law: str):
    times = planned("moons", schedule=schedule).config["objective"]["times"]
    assert (times["type"], times["times"]["type"]) == ("stratified", law)
    assert planned("moons", schedule=schedule, times="uniform").config["objective"]["times"] == {"type": "uniform"}


@pytest.mark.parametrize("predict", ["eps", "x0", "v", "score", "flow", "edm"])
def test_every_prediction_has_its_weight(predict: str):
    config = planned("moons", predict=predict).config
    assert build.outline(config).predict == predict


def test_dotted_options_reach_their_section():
    made = planned("moons", **{"net.width": 32, "process.schedule.type": "vp", "process.schedule.beta_max": 12})
    assert made.config["net"]["width"] == 32
    assert made.config["process"]["schedule"] == {"type": "vp", "beta_max": 12}
    assert made.origins["net.width"] == "command line"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"net.witdh": 3}, r"config\.net\.witdh: mlp takes no 'witdh'\. Did you mean 'width'\?"),
        ({"net.type": "resnet"}, r"config\.net\.type: no net is called 'resnet'\."),
        (
            {"model": "unet"},
            "model=unet learns images, signals, images of categories and regions of text, but moons holds vectors of "
            r"2\. Write model=mlp or ",
        ),
        (
            {"mult": "1,2"},
            r"mult is an option of model=unet and model=edm2; this run's model is mlp\. Leave mult out\.",
        ),
        ({"batch": 33, "accumulate": 2}, r"batch=33 cannot be shared evenly"),
        ({"schedule": "cosine", "predict": "eps"}, r"predict='eps' divides by α"),
    ],
)
def test_refusals_name_the_fault(given: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        planned("moons", **given)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("model", ["unet", "dit", "edm2"])
def test_every_network_of_images_and_signals_fits_every_usual_size(model: str, device: str):
    for edges in ((8, 8), (28, 28), (32, 32), (64, 64), (16, 32)):
        assert planned(images(*edges), device, model=model).config["net"]["type"] == model
    signals = np.random.default_rng(0).normal(size=(24, 2, 1000)).astype(np.float32)
    assert planned(signals, device, model=model).config["net"]["dims"] == 1


def test_patches_follow_from_the_edges_and_the_options_of_a_network_reach_it():
    net = planned(images(28, 28), model="dit", channels=64, blocks=2, heads=2).config["net"]
    assert (net["patch"], net["width"], net["depth"], net["heads"]) == (4, 64, 2, 2)
    assert planned(images(30, 18), model="dit").config["net"]["patch"] == 3  # of 4 wanted: the most that divides both
    assert planned("moons", model="transformer", heads=2).config["net"]["heads"] == 2
    with pytest.raises(UserError, match=r"patch=4 must divide every edge\. Use patch=3, or size 28x16 or 32x20"):
        planned(images(30, 18), model="dit", patch=4)
    with pytest.raises(
        UserError, match=r"images of 61×61 cannot be cut into patches of 4, .* Write size=60 or size=64"
    ):
        planned(images(61, 61), model="dit")
    with pytest.raises(UserError, match=r"patch is an option of model=dit; this run's model is unet"):
        planned(images(32, 32), patch=2)


def test_a_size_that_cannot_be_halved_names_its_neighbours():
    with pytest.raises(
        UserError, match=r"images of 50×50 cannot be halved 3 times.* Write size=48 or size=56, or choose"
    ):
        planned(images(50, 50))
    with pytest.raises(UserError, match=r"size 24x24 does not fit this U-Net"):
        planned(images(24, 24), mult="1,1,1,1,1")


def test_images_that_are_not_square_are_rehearsed_too():
    assert planned(images(16, 32)).config["net"]["size"] == 32
    with pytest.raises(UserError, match=r"cannot be halved|does not fit"):
        planned(images(18, 64))


def test_classes_cannot_be_asked_of_data_without():
    points = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(UserError, match="conditional=yes needs classes, and array has none"):
        planned(points, conditional="yes")


def test_rounded_numbers():
    assert [rounded(x) for x in (0, 0.3, 1, 3, 4.9, 7, 18, 60, 250)] == [1, 1, 1, 5, 5, 10, 20, 100, 500]

"""What the axes of an array mean, and what is refused in a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from scorefield.data import open_data
from scorefield.errors import UserError

N = 30


def says(text: str):
    return pytest.raises(UserError, match=f"^{re.escape(text)}$")


def bytes_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


CHW = bytes_of(N, 3, 12, 10)
GREY = CHW[:, :1]
CLEAR = np.concatenate([CHW, np.zeros_like(GREY)], 1)
IN_01 = ["Values in [0, 1] became 0 … 255."]
IN_11 = ["Values in [−1, 1] became 0 … 255."]
TO_GREY = "Three channels were reduced to one of grey."
WHOLE = "Whole numbers 0 … 255 were stored as {}; they are kept as bytes."

# array given, images expected, notes
IMAGES = {
    "uint8 NCHW": (CHW, CHW, []),
    "uint8 NHWC": (CHW.transpose(0, 2, 3, 1), CHW, []),
    "uint8 NHW": (GREY[:, 0], GREY, []),
    "uint8 NHWC of 1": (GREY.transpose(0, 2, 3, 1), GREY, []),
    "either order, square last": (bytes_of(N, 3, 4, 4), bytes_of(N, 3, 4, 4), []),
    "either order, square first": (bytes_of(N, 4, 4, 3), bytes_of(N, 4, 4, 3).transpose(0, 3, 1, 2), []),
    "bool": (GREY[:, 0] > 99, np.where(GREY > 99, 255, 0), ["True and False became 255 and 0."]),
    "uint16": (CHW.astype(np.uint16) * 257, CHW, ["Values of 16 bits were scaled to 8 bits."]),
    "int64": (CHW.astype(np.int64), CHW, [WHOLE.format("int64")]),
    "float32 in [0, 1]": (CHW.astype(np.float32) / 255, CHW, IN_01),
    "float64 in [−1, 1]": (CHW.transpose(0, 2, 3, 1) / 127.5 - 1, CHW, IN_11),
    "float32 whole": (CHW.astype(np.float32), CHW, [WHOLE.format("float32")]),
    "float32 NSS": (bytes_of(N, 8, 8).astype(np.float32) / 255, bytes_of(N, 8, 8)[:, None], IN_01),
    "RGBA clear": (CLEAR, np.full_like(GREY, 255), ["Transparency was laid on white.", TO_GREY]),
    "equal channels": (np.repeat(GREY, 3, 1), GREY, [TO_GREY]),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str):
    given, expected, notes = IMAGES[name]
    data = open_data(given, holdout=0)
    assert (data.kind, data.x.dtype, list(data.notes)) == ("images", torch.uint8, notes)
    assert np.array_equal(data.x.numpy(), expected)


def test_half_transparent_grey_on_white():
    data = open_data(np.stack([np.full((2, 8, 8), 100, np.uint8), np.full((2, 8, 8), 51, np.uint8)], 1))
    assert data.shape == (1, 8, 8) and (data.x == 224).all()  # 100/5 + 204


SIGNALS = {
    "NCL": ((N, 2, 64), (2, 64), "Signals were read as (N, C, L): 2 channels of length 64."),
    "NLC": ((N, 64, 2), (2, 64), "Signals were read as (N, L, C): 2 channels of length 64."),
    "square": ((N, 6, 6), (6, 6), "Signals were read as (N, C, L): 6 channels of length 6."),
}


@pytest.mark.parametrize("shape, event, note", SIGNALS.values(), ids=SIGNALS)
def test_signals(shape, event, note):
    given = np.random.default_rng(0).normal(size=shape)
    data = open_data(given, holdout=0)
    assert (data.kind, data.shape, data.x.dtype, data.notes) == ("signals", event, torch.float32, (note,))
    aligned = given if shape[1:] == event else given.transpose(0, 2, 1)
    assert np.array_equal(data.x.numpy(), aligned.astype(np.float32))


@pytest.mark.parametrize("array", [np.arange(24.0).reshape(6, 4), np.arange(6), torch.ones(6, 4, dtype=torch.bfloat16)])
def test_vectors(array):
    data = open_data(array)
    assert data.kind == "vectors" and data.x.dtype == torch.float32
    assert torch.equal(data.x, torch.as_tensor(array).float().reshape(6, -1))
    assert data.columns == tuple(f"x{i}" for i in range(data.shape[0]))


def test_an_array_given_is_never_changed():
    given = bytes_of(N, 8, 8)
    before = given.copy()
    data = open_data(given, holdout=0.5)
    data.x[:] = 0
    assert np.array_equal(given, before)


REFUSED = {
    "empty": (np.zeros((0, 3)), "has shape (0, 3): there is nothing in it to train on."),
    "complex": (np.zeros((3, 3), complex), "holds complex128 values. Save plain real numbers instead."),
    "words": (np.array(["a", "b"]), "holds <U1 values. Save plain real numbers instead."),
    "five axes": (
        np.zeros((1, 2, 3, 4, 5)),
        "has shape (1, 2, 3, 4, 5). Usable are images (N, C, H, W), signals (N, C, L) and vectors (N, D).",
    ),
    "channels": (
        np.zeros((2, 9, 9, 9), np.uint8),
        "has shape (2, 9, 9, 9). Images are (N, C, H, W) or (N, H, W, C) with 1 to 4 channels.",
    ),
    "range": (
        np.full((2, 3, 8, 8), 1.5),
        "looks like images, (2, 3, 8, 8), but its values run from 1.5 to 1.5. Scale them to [0, 1], [−1, 1] or whole "
        "numbers 0 to 255; or reshape to (N, D) to train on vectors.",
    ),
    "nan": (
        np.array([[0, 1], [np.nan, np.inf]]),
        "holds nan at [1, 0], the first of 2 values that float32 cannot hold. Only finite numbers can be learned: "
        "repair or remove them.",
    ),
    "too large": (
        np.array([[0, -1e300]]),
        "holds -1e+300 at [0, 1], the first of 1 value that float32 cannot hold. Only finite numbers can be learned: "
        "repair or remove them.",
    ),
}


@pytest.mark.parametrize("array, error", REFUSED.values(), ids=REFUSED)
def test_refused_arrays(tmp_path: Path, array: np.ndarray, error: str):
    np.save(tmp_path / "a.npy", array)
    with says(f"'{tmp_path / 'a.npy'}' {error}"):
        open_data(tmp_path / "a.npy")


def test_size_and_color():
    small = open_data(CHW, size=5, holdout=0)
    area = CHW[:, :, 1:11].reshape(N, 3, 5, 2, 5, 2).mean((3, 5))
    assert np.abs(small.x.numpy() - area).max() < 0.6
    assert small.notes == ("Images (10×12) are centre-cropped and resized to 5×5.",)
    grey = open_data(CHW, color="gray", holdout=0)
    luma = np.einsum("nchw,c->nhw", CHW, [0.299, 0.587, 0.114])
    assert np.abs(grey.x[:, 0].numpy() - luma).max() <= 0.51
    assert open_data(GREY, color="rgb").shape == (3, 12, 10)
    with says("size=5 is for images, but The array (2, 3) holds vectors. Leave size= out."):
        open_data(np.zeros((2, 3)), size=5)


@pytest.mark.parametrize("examples, labels", [("x", "y"), ("images", "labels"), ("data", "target"), ("other", "label")])
def test_archives_find_examples_and_labels(tmp_path: Path, examples: str, labels: str):
    np.savez(tmp_path / "a.npz", **{labels: np.arange(N) % 3 + 5, examples: CHW})
    data = open_data(tmp_path / "a.npz", holdout=0)
    assert np.array_equal(data.x.numpy(), CHW)
    assert data.classes == ("5", "6", "7")
    assert data.labels is not None and data.labels.tolist() == [i % 3 for i in range(N)]


def test_class_names_and_named_labels(tmp_path: Path):
    words = np.array(["ox", "ant", "cow"])
    np.savez(tmp_path / "a.npz", x=CHW, animal=np.arange(N) % 3, animal_names=words, kind=words[np.arange(N) % 2])
    path = tmp_path / "a.npz"
    assert open_data(path).labels is None
    assert open_data(path, label="animal").classes == ("ox", "ant", "cow")
    assert open_data(path, label="kind").classes == ("ant", "ox")
    with says(f"'{path}' has no array 'knd'. Did you mean 'kind'?"):
        open_data(path, label="knd")
    named = open_data(path, columns="animal")
    assert named.kind == "vectors" and named.shape == (1,)
    with says("columns= names the one array to train on, got 2: x, kind."):
        open_data(path, columns=["x", "kind"])


def test_the_archives_own_test_part_is_held_out(tmp_path: Path):
    np.savez(
        tmp_path / "a.npz",
        x_train=CHW,
        y_train=np.arange(N) % 2 + 1,
        x_test=np.repeat(GREY, 3, 1),
        y_test=np.full(N, 2),
    )
    data = open_data(tmp_path / "a.npz")
    assert len(data) == N and data.held_out is not None and data.held_out.shape == data.shape
    assert data.held_out.labels is not None and data.held_out.labels.tolist() == [1] * N  # class "2" has index 1
    assert data.notes == (f"Held out: the archive's own 'x_test', {N} examples.",)
    own = open_data(tmp_path / "a.npz", holdout=0.2)
    assert own.held_out is not None and len(own) == 24 and len(own.held_out) == 6


def test_quantities_are_not_taken_for_classes(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros((N, 3)), y=np.linspace(0, 1, N))
    where = f"Array 'y' in '{tmp_path / 'a.npz'}'"
    why = "holds 0.0344828 at [1]. Classes are whole numbers or words; leave label= out if this is a quantity."
    data = open_data(tmp_path / "a.npz")
    assert data.labels is None and data.notes == (f"Not used as classes: {where} {why}",)
    with says(f"{where} {why}"):
        open_data(tmp_path / "a.npz", label="y")


LABELS = {
    "numbers": ([3, 3, -1, 7], [0, 0, -1, 1], ("3", "7")),
    "words": (["b", "a", "b", "b"], [1, 0, 1, 1], ("a", "b")),
    "tensor": (torch.tensor([10, 9, 10, 9]), [1, 0, 1, 0], ("9", "10")),
    "bool": ([True, False, True, True], [1, 0, 1, 1], ("0", "1")),
}


@pytest.mark.parametrize("given, numbers, classes", LABELS.values(), ids=LABELS)
def test_labels_beside_an_array(given, numbers, classes):
    data = open_data(np.zeros((4, 2)), label=given)
    assert data.labels is not None and (data.labels.tolist(), data.classes) == (numbers, classes)


def test_labels_of_another_length_or_too_many():
    with says("label= has shape (3), but 4 examples need one class each."):
        open_data(np.zeros((4, 2)), label=[0, 1, 2])
    with pytest.raises(UserError, match="label= has 150 different values in 200 examples: too many to be classes"):
        open_data(np.zeros((200, 2)), label=np.arange(200) % 150)


def test_pickles_are_never_read(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([{}], object))
    for name in ("a.npy", "a.npz"):
        with says(
            f"'{tmp_path / name}' holds Python objects (a pickle), which can run code. "
            "Save plain numbers instead: numpy.savez(path, x=...)."
        ):
            open_data(tmp_path / name)


@pytest.mark.parametrize("keep", [0, 3, 200, -40])
@pytest.mark.parametrize("name", ["a.npz", "b.npz", "a.npy"])
def test_truncated_files(tmp_path: Path, name: str, keep: int):
    path = tmp_path / name
    {"a.npz": np.savez, "b.npz": np.savez_compressed, "a.npy": np.save}[name](path, bytes_of(N, 8, 8))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=f"^'{re.escape(str(path))}' (is damaged or incomplete|holds Python objects)"):
        open_data(path)


def test_a_flipped_byte_is_noticed(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, x=bytes_of(N, 8, 8))
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged or incomplete \\(Bad CRC-32"):
        open_data(path)


def test_a_large_npy_stays_on_its_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from scorefield.data import arrays

    np.save(tmp_path / "a.npy", CHW.transpose(0, 2, 3, 1))
    before = (tmp_path / "a.npy").read_bytes()
    monkeypatch.setattr(arrays, "IN_MEMORY", 0)
    data = open_data(tmp_path / "a.npy", holdout=0.5)
    assert data.key is not None and data.held_out is not None
    both = torch.cat([data.x[:], data.held_out.x[:]]).flatten(1)
    assert torch.equal(both.unique(dim=0), torch.tensor(CHW).flatten(1).unique(dim=0))
    assert (tmp_path / "a.npy").read_bytes() == before


REAL = {
    "mnist/mnist.npz": ("images", (1, 28, 28), 60_000, 10_000, 10),
    "airfoils/airfoils.npz": ("signals", (2, 129), 1776, 197, 0),
    "pde_fields/burgers.npz": ("signals", (16, 17), 720, 80, 0),
    "uci_regression/concrete.npz": ("vectors", (8,), 927, 103, 0),
    "big/fashion_mnist/fashion_mnist_test.npz": ("images", (1, 28, 28), 9000, 1000, 0),
}


@pytest.mark.parametrize("path", REAL)
def test_real_archives(shared_data: Path, path: str):
    if not (shared_data / path).is_file():
        pytest.skip(f"{path} is absent")
    kind, shape, count, aside, classes = REAL[path]
    data = open_data(shared_data / path)
    assert data.held_out is not None
    assert (data.kind, data.shape, len(data), len(data.held_out), len(data.classes)) == (
        kind,
        shape,
        count,
        aside,
        classes,
    )

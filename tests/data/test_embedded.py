"""Sets that need no file: known content, and the same content for the same seed."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
import pytest
import torch

from scorefield.data import glyphs, open_data, toy
from scorefield.data.glyphs import DARK, GLYPHS, LIGHT
from scorefield.data.toys import TOYS
from scorefield.errors import UserError


def test_digits_are_those_of_the_repository():
    data = open_data("digits")
    assert data.held_out is not None and (len(data), len(data.held_out)) == (899, 898)
    assert data.shape == (1, 8, 8) and data.classes == tuple("0123456789") and not data.flip_ok
    whole = open_data("digits", holdout=0)
    assert whole.labels is not None
    inked = np.rint(whole.x.double().numpy() * 16 / 255).astype(np.uint8)
    assert np.array_equal(np.rint(inked * (255 / 16)), whole.x.numpy())
    # Images and labels of scikit-learn's load_digits as bytes, hashed once.
    digest = hashlib.blake2b(inked.tobytes() + whole.labels.numpy().astype(np.uint8).tobytes(), digest_size=16)
    assert digest.hexdigest() == "3add1ae1fa53cc89d7599167a31c4e88"


def test_digits_carry_their_licence():
    text = (files("scorefield.data") / "assets" / "LICENSE.txt").read_text("utf-8")
    assert "CC BY 4.0" in text and "Alpaydin" in text


def test_digits_can_be_enlarged():
    data = open_data("digits", size=16)
    assert data.shape == (1, 16, 16)
    assert data.notes == ("Images (8×8) are centre-cropped and resized to 16×16.",)


def test_glyphs_are_a_function_of_the_seed():
    a, b, c = glyphs(200, seed=1), glyphs(200, seed=1), glyphs(200, seed=2)
    assert torch.equal(a.x, b.x) and a.captions == b.captions and not torch.equal(a.x, c.x)


@pytest.mark.parametrize("size", [16, 32])
def test_glyphs_look_as_their_captions_say(size: int):
    data = glyphs(1000, size=size)
    assert data.shape == (3, size, size) and data.classes == tuple(GLYPHS) and data.labels is not None
    colours = {name: np.array(value) for name, value in (LIGHT | DARK).items()}
    assert data.captions is not None
    for image, label, caption in zip(data.x.numpy(), data.labels, data.captions, strict=True):
        article, front, character, back = _parts(caption)
        assert character == GLYPHS[label] and article == ("an" if front[0] in "aeiou" else "a")
        assert np.abs(image[:, 0, 0].astype(int) - colours[back]).max() <= 5  # the corner is background
        # Ink is there, and its strongest pixel comes most of the way from background to foreground.
        way = (image.reshape(3, -1).T - colours[back]) @ (colours[front] - colours[back])
        assert way.max() / np.square(colours[front] - colours[back]).sum() > 0.6


def _parts(caption: str) -> tuple[str, str, str, str]:
    left, back = caption.split(" on ")
    article, *front, character = left.split()
    return article, " ".join(front), character, back


def test_characters_are_told_apart():
    """A nearest-mean classifier on ink, blind to colour, beats chance by far: the glyphs are what their labels say."""
    data = open_data(glyphs(4000).x, color="gray", holdout=0)
    x = data.x.float().flatten(1)
    ink = (x - x[:, :1]).abs()
    ink, labels = ink / ink.amax(1, keepdim=True), glyphs(4000).labels
    assert labels is not None
    means = torch.stack([ink[:3000][labels[:3000] == k].mean(0) for k in range(36)])
    found = torch.cdist(ink[3000:], means).argmin(1)
    assert (found == labels[3000:]).float().mean() > 0.4


def test_glyphs_of_impossible_size():
    with pytest.raises(UserError, match=r"^glyphs are drawn at 8 to 128 pixels, got size=4\. 16 and 32 are usual\.$"):
        open_data("glyphs", size=4)


@pytest.mark.parametrize("name", TOYS)
def test_toys(name: str):
    data = toy(name, seed=5)
    assert data.shape == (2,) and len(data) == 20_000 and data.x.dtype == torch.float32
    assert torch.equal(data.x, toy(name, seed=5).x) and not torch.equal(data.x, toy(name, seed=6).x)
    assert data.x.abs().max() < 3 and data.x.std(0).min() > 0.4
    if data.labels is not None:
        counts = torch.bincount(data.labels, minlength=len(data.classes))
        expected = len(data) / len(data.classes)
        assert (counts - expected).abs().max() < 5 * expected**0.5  # five deviations of a multinomial count


def test_toys_obey_their_laws():
    x = toy("rings").x
    rings = toy("rings").labels
    assert rings is not None
    radius = x.norm(dim=1)
    for k in range(3):
        own = radius[rings == k]
        assert abs(own.mean() - 0.6 * (k + 1)) < 5 * 0.05 / len(own) ** 0.5
    cells = (toy("checkerboard").x + 2).floor().long()
    assert (cells.sum(1) % 2 == 0).all() and cells.min() == 0 and cells.max() == 3
    x, k = toy("gaussians").x.double(), toy("gaussians").labels
    assert k is not None
    own = x[k == 2]  # centred at (0, 1.6)
    assert (own.mean(0) - torch.tensor([0, 1.6])).abs().max() < 5 * 0.12 / len(own) ** 0.5


def test_toys_refuse_what_images_take():
    with pytest.raises(UserError, match=r"^size= does not apply to the embedded set 'moons'\. Leave it out\.$"):
        open_data("moons", size=8)

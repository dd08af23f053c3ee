from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from scorefield import UserError
from scorefield.operators import Blur, GaussianNoise, LaplaceNoise, PoissonNoise
from scorefield.operators.names import OPERATORS, noise, operator

EVENT = (3, 16, 16)
WORDS = {
    "box": "2,3,4,5",
    "half": "left",
    "random": "0.5",
    "super": "4",
    "bicubic": "2",
    "blur": "1.5",
    "motion": "5,30",
    "grey": "yes",
    "fourier": "3",
    "radon": "7",
    "compressed": "0.1",
    "jpeg": "30",
    "levels": "4",
    "hdr": "1.5",
    "phase": "1.5",
}


def test_every_name_makes_an_operator(tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[3:9, 3:9] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(mask[2:10, 2:10]).save(tmp_path / "kernel.png")
    np.save(tmp_path / "kernel.npy", np.ones((3, 3)) / 9)
    (tmp_path / "own.py").write_text(
        "from scorefield.operators import Grey\nA = Grey((3, 16, 16))\nG = Grey((3, 8, 8))\n\n"
        "def half(x):\n    return x[..., :8]\n\n"
        "class Bright(Grey):\n    def __call__(self, x):\n        return x.mean(1, keepdim=True) + 1\n\n"
        "bright = Bright((3, 16, 16))\n"
    )
    files = {"mask": "mask.png", "kernel": "kernel.npy", "operator": "own.py:half"}
    words = WORDS | {name: str(tmp_path / file) for name, file in files.items()}
    assert set(words) == set(OPERATORS)
    x = torch.rand(2, *EVENT, generator=torch.Generator().manual_seed(0))
    for name, value in words.items():
        A = operator(f"{name}={value}", EVENT)
        assert A.event == EVENT and A(x).shape == (2, *A.measured), name
        assert A.differentiable, name  # else no method could use it
    assert operator(f"kernel={tmp_path / 'kernel.png'}", EVENT).kernel.sum() == pytest.approx(1)
    assert operator(f"operator={tmp_path / 'own.py'}:half", EVENT).linear
    assert operator(f"operator={tmp_path / 'own.py'}:A", EVENT).measured == (1, 16, 16)
    with pytest.raises(UserError, match=r"measures events \(3, 8, 8\), but the model makes \(3, 16, 16\)"):
        operator(f"operator={tmp_path / 'own.py'}:G", EVENT)
    with pytest.raises(UserError, match="Bright is not linear: A"):
        operator(f"operator={tmp_path / 'own.py'}:bright", EVENT)
    with pytest.raises(UserError, match=r"has no 'halv'\. Did you mean 'half'"):
        operator(f"operator={tmp_path / 'own.py'}:halv", EVENT)


def test_several_words_act_one_after_another():
    A = operator(["blur=1.5", "super=4", "grey=yes"], EVENT)
    x = torch.rand(2, *EVENT, generator=torch.Generator().manual_seed(0))
    blurred = Blur.gaussian(EVENT, 1.5)(x)
    torch.testing.assert_close(A(x), operator("grey=yes", (3, 4, 4))(operator("super=4", EVENT)(blurred)))
    assert A.measured == (1, 4, 4)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("supr=4", "no operator is called 'supr'. Did you mean 'super'"),
        ("super", "super needs a value: super=FACTOR"),
        ("super=four", "super=four: 'four' was given where a whole number is needed"),
        ("super=3", r"super=3: an event \(3, 16, 16\) cannot be made smaller by 3"),
        ("motion=1,2,3", "up to 2 with commas"),
        ("box=1,2,3", "top,left,height,width"),
        ("grey=no", "write grey=yes, or leave it out"),
        ("mask=nowhere.png", "is not a picture that can be read"),
        ("operator=nowhere.py:A", "with a file that exists"),
        ("compressed=1.5", "between 0 and 1"),
    ],
)
def test_what_cannot_be_said_is_answered_in_a_sentence(word, said):
    with pytest.raises(UserError, match=said):
        operator(word, EVENT)


def test_noises_by_name():
    assert noise(0.05) == noise("0.05") == noise("gaussian:0.05") == GaussianNoise(0.05)
    assert noise("laplace:0.1") == LaplaceNoise(0.1) and noise("poisson:30") == PoissonNoise(30.0)
    with pytest.raises(UserError, match=r"no noise is called 'poison'\. Did you mean 'poisson'"):
        noise("poison:3")
    with pytest.raises(UserError, match="'much' is no number"):
        noise("much")
    with pytest.raises(UserError, match="≥ 0"):
        noise("-1")

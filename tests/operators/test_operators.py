"""Every operator obeys the laws of ``check_operator``: one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scorefield import Rng, UserError
from scorefield.operators import (
    Blur,
    Compressed,
    Downsample,
    Fourier,
    Function,
    Grey,
    HighDynamicRange,
    Jpeg,
    Mask,
    Matrix,
    PhaseRetrieval,
    Quantise,
    Radon,
    Separable,
    spectrum_of,
)
from scorefield.operators.compressed import hadamard
from scorefield.testing import check_operator
from scorefield.testing.operators import check_spectrum


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return Rng(seed).normal(torch.empty(shape, dtype=torch.float64))


OPERATORS: dict[str, Callable[[], Any]] = {
    "matrix": lambda: Matrix(gaussian(5, 12)),
    "tall matrix": lambda: Matrix(gaussian(30, 12), (3, 4), (2, 15)),
    "matrix of rank 2": lambda: Matrix(gaussian(6, 2) @ gaussian(2, 8, seed=1)),
    "mask": lambda: Mask(gaussian(3, 4, 5) > 0),
    "box": lambda: Mask.box((3, 6, 8), 1, 2, 3, 4),
    "half": lambda: Mask.half((3, 6, 7), "top"),
    "half of a signal": lambda: Mask.half((2, 9)),
    "random pixels": lambda: Mask.random((3, 6, 8), 0.75),
    "average": lambda: Downsample((3, 8, 12), 4),
    "average of a signal": lambda: Downsample((2, 12), 3),
    "average of a vector": lambda: Downsample((12,), 2),
    "bicubic": lambda: Downsample((3, 8, 12), 4, "bicubic"),
    "grey": lambda: Grey((3, 4, 6)),
    "separable": lambda: Separable((2, 5, 6), (None, gaussian(7, 5), gaussian(2, 6))),
    "gaussian blur": lambda: Blur.gaussian((3, 8, 9), 0.7),
    "gaussian blur that loses frequencies": lambda: Blur.gaussian((1, 16, 16), 4.0),
    "motion blur": lambda: Blur.motion((1, 10, 9), 5, 30),
    "any blur": lambda: Blur((2, 8, 7), gaussian(4, 3)),
    "blur of a signal": lambda: Blur((2, 9), gaussian(4)),
    "blur of a vector": lambda: Blur.gaussian((10,), 1.0),
    "fourier, complex": lambda: Fourier((2, 6, 5), gaussian(6, 5) > 0.3),
    "fourier, real": lambda: Fourier((3, 6, 4), gaussian(6, 4) > 0.3),
    "fourier, lines": lambda: Fourier.lines((1, 7, 12), 3.0),
    "radon": lambda: Radon.views((2, 7, 6), 5),
    "hadamard": lambda: Compressed((1, 4, 8), 11),
    "hartley": lambda: Compressed((3, 5, 2), 11),
    "gaussian sensing": lambda: Compressed.gaussian((3, 4), 5),
    "jpeg": lambda: Jpeg((3, 16, 16), 30),
    "grey jpeg": lambda: Jpeg((1, 9, 11), 75),
    "levels": lambda: Quantise((2, 4, 5), 4),
    "hdr": lambda: HighDynamicRange((2, 4, 5)),
    "phase": lambda: PhaseRetrieval((2, 4, 5)),
    "linear function": lambda: Function(lambda x: x.cumsum(-1)[..., ::2], (2, 9)),
    "function": lambda: Function(lambda x: x.sin(), (2, 9)),
    "composed": lambda: Downsample((1, 8, 8), 2) @ Blur.gaussian((1, 8, 8), 1.0),
    "composed, not linear": lambda: Quantise((1, 8, 8), 5) @ Blur.gaussian((1, 8, 8), 1.0),
}


LINEAR = {name for name, build in OPERATORS.items() if build().linear}
KNOWN = {name for name in LINEAR if OPERATORS[name]().spectrum() is not None}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_obey_their_laws(name):
    check_operator(OPERATORS[name]())


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_is_made_in_inference_mode_takes_part_in_gradients(name):
    A = OPERATORS[name]()
    with torch.inference_mode():
        spectrum = A.spectrum()
        A.adjoint(A(gaussian(2, *A.event)))
        spectrum.pinv(A(gaussian(2, *A.event)))
    x = gaussian(2, *A.event).requires_grad_()
    (A.adjoint(A(x)).square().sum() + spectrum.from_u(spectrum.to_u(A(x)) * spectrum.values).square().sum()).backward()
    assert x.grad is not None


@pytest.mark.parametrize("name", sorted(LINEAR - KNOWN))
def test_the_computed_spectrum_obeys_the_same_laws(name):
    check_spectrum(OPERATORS[name](), spectrum_of(OPERATORS[name]()))


def test_which_are_linear_and_whose_svd_is_known():
    others = {"jpeg", "grey jpeg", "levels", "hdr", "phase", "function", "composed, not linear"}
    assert set(OPERATORS) - LINEAR == others
    assert KNOWN | {"radon", "linear function", "composed"} == LINEAR


@pytest.mark.parametrize("build", [lambda: Jpeg((1, 8, 8), 50, True), lambda: Quantise((2, 4), 4, True)])
def test_straight_through_has_the_gradient_of_the_identity(build):
    A = build()
    x = gaussian(2, *A.event).requires_grad_()
    y = A(x)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], torch.ones_like(x))
    torch.testing.assert_close(y.detach(), A(x.detach()))
    assert A.differentiable and not Quantise((2, 4), 4).differentiable


def test_bicubic_and_grey_are_those_of_pillow():
    x = Rng(0).uniform(torch.empty(3, 24, 36, dtype=torch.float64))
    for factor in (2, 3, 4):
        size = (36 // factor, 24 // factor)
        want = [np.array(Image.fromarray(c.float().numpy()).resize(size, Image.Resampling.BICUBIC)) for c in x]
        got = Downsample((3, 24, 36), factor, "bicubic")(x[None])[0]
        torch.testing.assert_close(got.float(), torch.tensor(np.stack(want)), rtol=0, atol=2e-6)
    bytes_ = (255 * x).byte()
    grey = np.array(Image.fromarray(bytes_.permute(1, 2, 0).numpy()).convert("L"))
    got = Grey((3, 24, 36))(bytes_[None].double())[0, 0]
    assert (got - torch.from_numpy(grey).double()).abs().max() <= 1  # Pillow rounds


def test_blur_is_a_circular_convolution():
    kernel, x = gaussian(3, 4), gaussian(1, 1, 6, 7)
    want = sum(
        kernel[i, j] * x.roll((i - 1, j - 2), (-2, -1)) for i in range(3) for j in range(4)
    )  # the middle is entry (1, 2)
    torch.testing.assert_close(Blur((1, 6, 7), kernel)(x), want)
    for blur in (Blur.gaussian((1, 9, 8), 1.3), Blur.motion((1, 9, 9), 4.5, 20)):
        torch.testing.assert_close(blur.kernel.sum(), torch.ones((), dtype=torch.float64))
    level = Blur.motion((1, 9, 9), 4).kernel
    assert (level.sum(1) > 1e-9).sum() == 1 and (level[2] > 1e-9).sum() == 5  # a stroke to the right, 4 pixels long
    assert Blur.motion((1, 9, 9), 4, 90).kernel[:, 2].sum() == pytest.approx(1)


def test_the_law_of_projections():
    """Each projection holds the mass of the picture; at 0 and 90 degrees they are sums of columns and rows."""
    x = gaussian(1, 1, 8, 8)
    views = Radon((1, 8, 8), (0.0, 90.0, 37.0))(x)[0, 0]
    torch.testing.assert_close(views.sum(1), (x.sum() / 8).expand(3))
    first = (Radon((1, 8, 8), (0.0,)).bins - 8) // 2
    torch.testing.assert_close(views[0, first : first + 8], x[0, 0].sum(0) / 8)
    torch.testing.assert_close(views[1, first : first + 8], x[0, 0].flip(0).sum(1) / 8)


def test_fourier_measures_the_frequencies_of_the_mask():
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[3, 4] = mask[3, 5] = True  # frequencies (0, 0) and (0, 1), the zero in the middle
    x = gaussian(1, 1, 6, 8)
    got = Fourier((1, 6, 8), mask)(x)[0, 0]
    want = torch.fft.fft2(x, norm="ortho")[0, 0, 0, :2]
    torch.testing.assert_close(torch.complex(got[0], got[1]), want)
    lines = Fourier.lines((1, 32, 32), 4)
    assert lines.mask[0].sum() == 8 and lines.mask[:, 16].all() and (lines.mask == lines.mask[:1]).all()


def test_hadamard_is_the_matrix():
    H = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(3):
        H = torch.cat([torch.cat([H, H], 1), torch.cat([H, -H], 1)])
    x = gaussian(2, 8)
    torch.testing.assert_close(hadamard(x), x @ H / 8**0.5)


def test_jpeg_is_what_pillow_writes_and_reads():
    x = Rng(1).uniform(torch.empty(2, 3, 16, 24)) * 2 - 1
    y = Jpeg((3, 16, 24), 20)(x)
    levels = (y + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    error = [(Jpeg((3, 16, 24), q)(x) - x).square().mean() for q in (5, 40, 90)]
    assert error[0] > error[1] > error[2] > 0


@pytest.mark.parametrize(("make", "value"), [(Jpeg, 10), (Quantise, 4)])
def test_straight_through_has_the_derivative_of_the_identity_both_ways(make, value):
    """MMPS asks for A' v as well as A'ᵀ v, and Jpeg leaves torch in between."""
    x, v, operator = gaussian(2, 1, 8, 8), gaussian(2, 1, 8, 8, seed=1), make((1, 8, 8), value, straight_through=True)
    y, forward = torch.func.jvp(operator, (x,), (v,))
    torch.testing.assert_close(y, make((1, 8, 8), value)(x))
    torch.testing.assert_close(forward, v)
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(operator(leaf), leaf, v)[0], v)


def test_functions_that_torch_cannot_differentiate_are_found():
    """Rounding has a gradient, 0; NumPy, detach and no_grad have none. A part that is constant is no fault."""

    def numpy(x):
        return torch.from_numpy(x.numpy() ** 2)

    for f in (torch.round, lambda x: x.detach().sin(), numpy, torch.no_grad()(torch.sin)):
        assert not Function(f, (1, 6)).differentiable
        with pytest.raises(UserError, match="torch cannot differentiate the operator"):
            Function(f, (1, 6), differentiable=True)
    for f in (lambda x: x.clamp(-1, 1), lambda x: x - x.round().detach(), lambda x: (x - 9).relu()):
        assert Function(f, (1, 6), linear=False).differentiable
    for linear in (True, None):  # its adjoint is the gradient
        with pytest.raises(UserError, match=r"torch cannot differentiate the operator .* leaves torch"):
            Function(lambda x: 2 * x.detach(), (1, 6), linear=linear)


def test_brush_masks_paint_what_is_white(tmp_path):
    image = np.zeros((4, 5), np.uint8)
    image[1:3, 2] = 255
    Image.fromarray(image).save(tmp_path / "mask.png")
    mask = Mask.brush((3, 4, 5), tmp_path / "mask.png")
    assert torch.equal(~mask.where, torch.from_numpy(image > 0).expand(3, 4, 5))
    layer = Image.new("RGBA", (5, 4), (255, 255, 255, 0))  # a transparent layer with two opaque white pixels
    for y in (1, 2):
        layer.putpixel((2, y), (255, 255, 255, 255))
    assert torch.equal(Mask.brush((3, 4, 5), layer).where, mask.where)
    for wrong, said in ((Image.new("L", (4, 5)), "has 5x4 pixels, but an example has shape"), (255 - image, None)):
        if said:
            with pytest.raises(UserError, match=said):
                Mask.brush((3, 4, 5), wrong)
        else:
            assert Mask.brush((3, 4, 5), Image.fromarray(wrong)).where.sum() == 6
    for colour, share in ((0, "none"), (255, "all")):
        with pytest.raises(UserError, match=f"{share} of its pixels white. White is what is to be painted"):
            Mask.brush((3, 4, 5), Image.new("L", (5, 4), colour))
    (tmp_path / "no.png").write_text("no picture")
    with pytest.raises(UserError, match="is not a picture"):
        Mask.brush((3, 4, 5), str(tmp_path / "no.png"))


def test_masks_hide_what_they_are_told():
    assert not Mask.half((1, 4, 6), "left").where[..., :3].any() and Mask.half((1, 4, 6), "left").where[..., 3:].all()
    assert Mask.half((5,), "right").where.tolist() == [True, True, False, False, False]
    pixels = Mask.random((3, 8, 8), 0.75, seed=2).where
    assert (pixels == pixels[:1]).all() and pixels[0].sum() == 16
    y = Mask(pixels)(gaussian(2, 3, 8, 8))
    assert torch.equal(Mask(pixels).adjoint(y)[:, pixels], y) and not Mask(pixels).adjoint(y)[:, ~pixels].any()


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Mask(torch.zeros(3, dtype=torch.bool)), "hides everything"),
        (lambda: Mask(torch.ones(3)), "bool tensor"),
        (lambda: Mask.box((3, 8, 8), 4, 4, 5, 2), r"box 5x2 at \(4, 4\) does not lie in an event \(3, 8, 8\)"),
        (lambda: Mask.half((4,), "top"), "left, right, top or bottom, got 'top'"),
        (lambda: Downsample((3, 8, 9), 2), r"\(3, 8, 9\) cannot be made smaller by 2"),
        (lambda: Downsample((3, 8, 8), 2, "bicubik"), "Did you mean 'bicubic'"),
        (lambda: Grey((1, 8, 8)), r"3 channels, but an example has shape \(1, 8, 8\)"),
        (lambda: Blur((1, 4, 4), gaussian(5, 3)), r"at most \(4, 4\), got \(5, 3\)"),
        (lambda: Blur.motion((1, 8, 8), 9), "0 to 6 pixels long, got 9"),
        (lambda: Fourier((1, 4, 4), torch.ones(4, 5) > 0), r"bool mask \(H, W\) of its size"),
        (lambda: Compressed((4,), 5), "4 numbers has 1 to so many combinations, got 5"),
        (lambda: Jpeg((2, 8, 8), 50), "grey or RGB"),
        (lambda: Matrix(gaussian(3)), r"finite matrix \(M, D\)"),
        (lambda: Matrix(gaussian(3, 4), (5,)), "other sizes"),
        (lambda: Grey((3, 4, 4)) @ Grey((3, 4, 4)), r"takes \(3, 4, 4\), but Grey before it gives \(1, 4, 4\)"),
        (
            lambda: Grey((3, 4, 4))(gaussian(2, 1, 4, 4)),
            r"Grey takes a batch of shape \(B, 3, 4, 4\), got \(2, 1, 4, 4\)",
        ),
        (lambda: Function(lambda x: x + 1, (3,), linear=True), "is not linear: A"),
        (lambda: Function(lambda x: x.log(), (3,)), "NaN or infinite"),
        (lambda: Function(lambda x: x - x.mean(0), (3,)), "another answer for an example alone than in a batch"),
        (lambda: Function(lambda x: x + torch.rand_like(x), (3,)), "or draws random numbers"),
        (lambda: Function(lambda x: x.mul_(2), (3,)), "writes into what it is given"),
        (lambda: Function(lambda x: x.sum(), (3,)), r"must map a batch \(B, \*D\)"),
    ],
)
def test_what_cannot_be_is_refused(build, said):
    with pytest.raises(UserError, match=said):
        build()

"""Codes of images: the table is that of k-means, and what is trained comes back as images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from scorefield import sample
from scorefield.core import Rng
from scorefield.data import Pixels, open_data
from scorefield.denoisers.categorical import Categorical
from scorefield.errors import UserError
from scorefield.nets import Codebook, Quantised, TokenGrid
from scorefield.nets.quantised import spread
from scorefield.noise.discrete import masking
from scorefield.objectives import Elbo, Quantising
from scorefield.training import Settings, fit


def mixture(count: int) -> Tensor:
    """Points of six components of unequal weights and widths in the plane."""
    generator = torch.Generator().manual_seed(2)
    centre = torch.tensor([[0.0, 0.0], [5.0, 1.0], [-4.0, 3.0], [1.0, -6.0], [6.0, 6.0], [-5.0, -5.0]])
    which = torch.multinomial(torch.tensor([0.3, 0.1, 0.2, 0.15, 0.05, 0.2]), count, True, generator=generator)
    width = torch.tensor([1.0, 0.5, 0.7, 0.3, 0.4, 1.2])[which, None]
    return centre[which] + width * torch.randn(count, 2, generator=generator)


def error(points: Tensor, book: Tensor) -> float:
    """Mean squared distance to the nearest row."""
    return torch.cdist(points, book).square().amin(1).mean().item()


@pytest.mark.parametrize("codes", [6, 12])
def test_the_table_reaches_the_optimum_of_k_means(codes: int) -> None:
    """Within 2 % of the best of ten runs of Lloyd's algorithm on the same points."""
    cluster = pytest.importorskip("sklearn.cluster", reason="needs the extra [test]")
    points, book = mixture(8192), Codebook(codes, 2, decay=0.95)
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        book(points[torch.randint(len(points), (512,), generator=generator)])
    best = cluster.KMeans(codes, n_init=10, random_state=0).fit(points.numpy()).inertia_ / len(points)
    assert error(points, book.book) < 1.02 * best
    frozen = book.book.clone()
    found, codes_of = book.eval()(points)
    assert torch.equal(book.book, frozen) and torch.equal(found, frozen[codes_of])
    assert torch.equal(codes_of, torch.cdist(points, frozen).argmin(1))


def test_codes_that_nothing_uses_begin_again_where_data_are() -> None:
    """The data move away from half of the table: without new beginnings those codes would stay where they were."""
    book, far = Codebook(8, 2, decay=0.9), mixture(2048) + 100.0
    book(mixture(512))
    for i in range(200):
        book(far[(256 * i) % 2048 :][:256])
    _, codes = book.eval()(far)
    share = torch.bincount(codes, minlength=8) / len(far)
    assert share.min() > 0.01 and (book.book > 50).all()


def test_points_are_taken_by_their_distance() -> None:
    """Three heaps and three to take: one from each, though one heap has nine tenths of the points."""
    points = torch.cat((torch.zeros(900, 2), torch.full((50, 2), 7.0), torch.full((50, 2), -9.0)))
    points += 0.01 * torch.sin(torch.arange(2000.0)).view(1000, 2)
    assert sorted(spread(points, 3)[:, 0].round().tolist()) == [-9, 0, 7]
    assert spread(points, 1, torch.tensor([[0.0, 0.0], [7.0, 7.0]]))[0, 0].round() == -9


def trained(steps: int = 100) -> tuple[Quantised, Tensor]:
    """A quantiser of the embedded digits, and the digits held out."""
    data = open_data("digits")
    torch.manual_seed(0)
    net = Quantised(1, codes=32, factor=2, dim=8, channels=16, decay=0.95)
    settings = Settings(steps=steps, batch=64, lr=3e-3, ema=(), precision="fp32", compile=False)
    return fit(net, data, Pixels(), Quantising(), settings, device="cpu").denoiser.eval(), data.held_out.x


def test_images_become_codes_and_come_back(tmp_path: Path) -> None:
    """Sixteen codes of five bits for 64 pixels keep most of the variance: more than what the sixteen means of 2 × 2
    pixels would without their details, at the same number of values an image."""
    net, x = trained()
    codes = net.encode(x)
    assert codes.shape == (len(x), 4, 4) and codes.dtype == torch.int64 and codes.min() >= 0 and codes.max() < 32
    back = net.decode(codes)
    assert back.dtype == torch.uint8 and back.shape == x.shape
    lost = (back.float() - x.float()).square().mean()
    means = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(x.float(), 2), scale_factor=2.0)
    assert lost < (means - x.float()).square().mean() and lost < 0.3 * x.float().var()
    assert len(codes.unique()) > 24  # of 32: the table has not collapsed
    net.save(tmp_path / "codes.safetensors")
    again = Quantised.load(tmp_path / "codes.safetensors")
    assert torch.equal(again.encode(x[:9]), codes[:9]) and torch.equal(again.decode(codes[:9]), back[:9])
    (tmp_path / "codes.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"is not a quantiser that Quantised\.save wrote"):
        Quantised.load(tmp_path / "codes.safetensors")


def test_the_gradient_goes_straight_through() -> None:
    """∂ reconstruction / ∂ z is that at the code, and the commitment pulls z to its code alone."""
    torch.manual_seed(0)
    net = Quantised(2, codes=4, factor=2, dim=3, channels=8).double().eval()
    net.codebook.book.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    z = net.down(x).detach()
    found = net.codebook(z.movedim(1, -1))[0].movedim(-1, 1)
    at_code = found.clone().requires_grad_()
    net.up(at_code).square().sum().backward()
    seen: list[Tensor] = []
    net.down.register_full_backward_hook(lambda module, inward, outward: seen.append(outward[0]))
    back, away = net(x.requires_grad_())
    back.square().sum().backward(retain_graph=True)
    away.sum().backward()
    torch.testing.assert_close(seen[0], at_code.grad, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(seen[1], 2 * (z - found) / z.numel(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "build, error",
    [
        (lambda: Quantised(3, factor=3), "factor must be a power of two"),
        (lambda: Quantised(3, codes=1), "codes must be at least 2"),
        (lambda: Codebook(8, 2, decay=1.0), r"got codes=8, dim=2, decay=1\.0"),
        (lambda: Quantised(1, channels=8)(torch.zeros(2, 1, 6, 8)), "edges multiples of 4; got an input of shape"),
        (lambda: Quantising(-1.0), r"commitment must be at least 0, got -1\.0"),
    ],
)
def test_quantisers_that_cannot_be(build, error: str) -> None:
    with pytest.raises(UserError, match=error):
        build()


@pytest.mark.slow
def test_discrete_diffusion_learns_codes_from_images_alone() -> None:
    """The whole of VQ-Diffusion: images → codes → a law of codes → new images. What it says of held-out codes is below
    the entropy of single codes, which knows nothing of how they go together."""
    quantiser, held_out = trained()
    torch.manual_seed(0)
    process, small = masking(32), {"patch": 1, "width": 64, "depth": 3, "heads": 4}
    denoiser = Categorical(TokenGrid(32, states=33, body="dit", classes=10, **small), process)
    settings = Settings(steps=600, batch=64, lr=2e-3, ema=(0.1,), precision="fp32", compile=False)
    learned = fit(denoiser, open_data("digits"), quantiser, Elbo(label_dropout=0.0), settings, device="cpu").denoiser
    codes, labels = quantiser.encode(held_out), open_data("digits").held_out.labels
    share = torch.bincount(codes.flatten(), minlength=32) / codes.numel()
    told = Elbo(label_dropout=0.0)
    with torch.no_grad():
        bound = torch.stack([told(learned, codes, Rng(seed), label=labels).mean() for seed in range(20)]).mean()
    assert bound < 0.85 * -torch.xlogy(share, share).sum()
    made = sample(learned, (len(codes), 4, 4), steps=16, seed=1, label=labels)
    images, back = quantiser.decode(made).float(), quantiser.decode(codes).float()
    assert images.shape == back.shape and made.max() < 32
    spread_of = [x.flatten(1).std(0).mean() for x in (images, back)]
    assert 0.8 < spread_of[0] / spread_of[1] < 1.2, spread_of

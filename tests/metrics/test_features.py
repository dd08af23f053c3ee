"""Features: named, from functions and modules, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from scorefield.core import Rng
from scorefield.errors import UserError
from scorefield.metrics import FEATURES, make_features


def images(n: int = 40, size: int = 8, seed: int = 0) -> Tensor:
    return Rng(seed).integers(256, torch.empty(n, 3, size, size)).to(torch.uint8)


@pytest.mark.parametrize("name", FEATURES)
def test_features_do_not_depend_on_batch_or_order(name: str) -> None:
    x = images(300)  # more than one batch
    features = make_features(name if name != "pca" else "pca:20", x)
    rows = features(x)
    assert rows.dtype == torch.float64 and rows.shape[0] == 300 and torch.isfinite(rows).all()
    assert torch.allclose(features(x.flip(0)).flip(0), rows, atol=1e-5)
    assert torch.allclose(features(x[7:8]), rows[7:8], atol=1e-5)


def test_what_the_named_features_are() -> None:
    x = images()
    assert torch.equal(make_features("pixels", x)(x), x.flatten(1).double() / 255)
    scaled = make_features("standardised", x)(x)
    assert torch.allclose(scaled.std(0), torch.ones(192).double())
    flat = x.flatten(1).double() / 255
    variances = torch.linalg.eigvalsh(torch.cov(flat.T)).flip(0)[:5]
    components = make_features("pca:5", x)(x)
    assert torch.allclose(torch.cov(components.T), torch.diag(variances), atol=1e-10)
    first, same, other = (make_features(f"random-conv:{seed}", x)(x) for seed in (0, 0, 1))
    assert torch.equal(first, same) and not torch.allclose(first, other)
    assert torch.equal(make_features("random-conv", images(30, seed=5))(x), first)  # uint8: no fitting on the reference
    assert first.shape == (40, 288)
    signals = Rng(0).normal(torch.empty(20, 2, 64))
    assert make_features("random-conv", signals)(signals).shape == (20, 160)


@pytest.mark.parametrize(
    ("shape", "name"),
    [((3, 8, 8), "pixels"), ((1, 28, 28), "random-conv:0"), ((2, 400), "random-conv:0"), ((5,), "pixels"),
     ((2000,), "pca:256")],
)  # fmt: skip
def test_auto_chooses_by_shape_and_says_why(shape: tuple[int, ...], name: str) -> None:
    features = make_features("auto", Rng(0).normal(torch.empty(300, *shape)))
    assert features.name == name and features.why


def test_auto_standardises_a_table_of_unlike_columns() -> None:
    table = Rng(0).normal(torch.empty(50, 3)) * torch.tensor([1.0, 100.0, 0.0])
    features = make_features("auto", table)
    assert features.name == "standardised" and "columns" in features.why
    assert torch.isfinite(features(table)).all()


def test_functions_and_modules_are_features() -> None:
    def brightness(batch: Tensor) -> Tensor:
        return batch.float().mean((2, 3))

    x = images()
    assert make_features(brightness, x).name == "brightness" and make_features(brightness, x)(x).shape == (40, 3)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.linear = nn.Dropout(0.5), nn.Linear(192, 4)

        def forward(self, batch: Tensor) -> Tensor:
            return self.linear(self.drop(batch.flatten(1).float()))

    net = Net().train()
    features = make_features(net, x)
    assert features.name == "Net" and torch.equal(features(x), features(x))  # dropout is off …
    assert net.training  # … and on again
    assert not features(x).requires_grad


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pixel", "No features 'pixel'. Did you mean 'pixels'?"),
        ("os:system", "No features 'os'"),
        ("pca:many", "write a whole number, as in 'pca:64'"),
        ("pixels:3", "'pixels' takes no argument"),
        ("pca:0", "1 to 39 principal components"),
        ("pca:50", "1 to 39 principal components"),
        (3, "must be a name or a function"),
    ],
)
def test_wrong_features_get_a_sentence(spec: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        make_features(spec, images())
    assert message in str(error.value)


def test_features_that_cannot_be_used_get_a_sentence() -> None:
    x, large = images(), images(12, size=32)
    with pytest.raises(UserError, match=r"3,072 dimensions; at most 2,048 .*pca:256"):
        make_features("pixels", large)(large)
    with pytest.raises(UserError, match=r"gave \(3,\) for 40 examples"):
        make_features(lambda batch: torch.zeros(3), x)(x)
    with pytest.raises(UserError, match="gave str for 40"):
        make_features(lambda batch: "no", x)(x)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="NaN or infinite"):
        make_features(lambda batch: torch.full((len(batch), 2), math.nan), x)(x)
    with pytest.raises(UserError, match="needs images"):
        make_features("random-conv", torch.zeros(20, 5))
    with pytest.raises(UserError, match="at least 4 values"):
        make_features("random-conv", images(size=2))

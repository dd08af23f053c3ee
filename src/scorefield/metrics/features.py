"""In which coordinates samples are compared: one table of named features, or any function of a batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core import Rng
from ..errors import UserError, suggest
from .resample import subset
from .weights import RESIZED, inception_features

Rows = Callable[[Tensor], Tensor]

MAX_DIM = 2048  # Inception's: a covariance of more takes minutes and tells nothing at usual sample sizes
_MANY = 1024  # columns, above which "auto" takes principal components
_SMALL = 192  # images and signals of up to this many numbers (8×8×3) are compared in pixels
_FIT_ROWS = 2_000  # rows of the reference that "pca" and scalings are fitted on
_UNEVEN = 10.0  # columns whose spreads differ by more than this would leave the narrow ones unseen
_FITTED = ("pca", "standardised")
_BATCH = 256
_CONVOLUTION = {1: F.conv1d, 2: F.conv2d}
_POOL = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d}
_HALVE = {1: F.avg_pool1d, 2: F.avg_pool2d}


@dataclass(frozen=True)
class Features:
    """A name and a function, a batch as stored (b, *D) → (b, K). Calling it goes through the data in batches."""

    name: str
    rows: Rows
    why: str = ""  # a sentence, where the choice was made by "auto"
    fitted: bool = False  # to the data they compare, so that other data would have others

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """(N, *D) → (N, K) float64 on the CPU. Raises UserError for output that is not (N, K) or not finite."""
        rows = torch.cat([self._checked(batch) for batch in x.split(_BATCH)])
        if not torch.isfinite(rows).all():
            raise UserError(f"The features {self.name!r} are NaN or infinite for some examples; no distance exists.")
        if rows.shape[1] > MAX_DIM:
            raise UserError(
                f"The features {self.name!r} have {rows.shape[1]:,} dimensions; at most {MAX_DIM:,} can be compared. "
                "Use features='random-conv' or features='pca:256'."
            )
        return rows

    def _checked(self, batch: Tensor) -> Tensor:
        rows = self.rows(batch)
        if not isinstance(rows, Tensor) or rows.ndim < 2 or len(rows) != len(batch):
            got = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise UserError(f"The features {self.name!r} gave {got} for {len(batch)} examples; needed is (N, K).")
        return rows.detach().cpu().flatten(1).double()


def make_features(spec: str | Rows, reference: Tensor, *, device: str = "cpu") -> Features:
    """Features by name ("pixels", "standardised", "pca:64", "random-conv:0", "auto"), or a function or torch module.

    "inception:PATH.safetensors" is the network that FID is defined by, on ``device``, with weights that the user has;
    "inception-pytorch:PATH" and "inception-clean:PATH" resize as pytorch-fid and clean-fid do.

    A function takes a batch as the data are stored (uint8 images (b, C, H, W), float vectors (b, D)) and returns
    (b, K). ``reference`` (N, *D), real data: "pca" and "standardised" are fitted on at most 2,000 rows of it.
    Raises UserError for an unknown name, a wrong argument, or data the features cannot take.
    """
    if not isinstance(spec, str):
        return _from_callable(spec)
    name, _, argument = spec.partition(":")
    if name == "auto":
        chosen, why = _choose(reference)
        return replace(make_features(chosen, reference), why=why)
    if name in RESIZED:
        return Features(*inception_features(name, argument, reference[:1], device))
    if name not in FEATURES:
        raise UserError(f"No features {name!r}.{suggest(name, [*FEATURES, *RESIZED, 'auto'])}")
    build, default = FEATURES[name]
    if argument and (default is None or not argument.isdecimal()):
        raise UserError(f"features={spec!r}: {_usage(name, default)}")
    number = int(argument) if argument else default
    fitted_on = reference[subset(len(reference), _FIT_ROWS, 0)]
    label = name if number is None else f"{name}:{number}"
    return Features(label, build(number or 0, fitted_on), fitted=name in _FITTED)


def _usage(name: str, default: int | None) -> str:
    return f"{name!r} takes no argument." if default is None else f"write a whole number, as in '{name}:{default}'."


def _choose(reference: Tensor) -> tuple[str, str]:
    """The features for these data, and why."""
    size = reference[0].numel()
    if reference.ndim == 2 and size > _MANY:
        return "pca:256", f"pca:256, because {size:,} columns are too many for a covariance"
    if reference.ndim == 2:
        spread = _flat(reference).std(0)
        spread = spread[spread > 0]
        if len(spread) and float(spread.max() / spread.min()) > _UNEVEN:
            return "standardised", "standardised, because the columns differ more than tenfold in spread"
        return "pixels", "the values themselves, as usual for vectors"
    if size <= _SMALL or reference.ndim - 2 not in _CONVOLUTION:
        return "pixels", f"the values themselves, because {size:,} numbers an example are few enough"
    return "random-conv:0", f"random convolutions, because {size:,} numbers an example are too many to compare singly"


def _flat(x: Tensor) -> Tensor:
    """(N, D) float64; bytes become [0, 1]."""
    flat = x.cpu().flatten(1).double()
    return flat if x.dtype != torch.uint8 else flat / 255


def _pixels(_: int, reference: Tensor) -> Rows:
    """The values themselves; bytes as [0, 1]."""
    return _flat


def _standardised(_: int, reference: Tensor) -> Rows:
    """Every column in units of its own standard deviation in real data; constant columns stay as they are."""
    mean, std = _flat(reference).mean(0), _flat(reference).std(0)
    std = torch.where(std > 0, std, 1.0)
    return lambda x: (_flat(x) - mean) / std


def _pca(count: int, reference: Tensor) -> Rows:
    """The ``count`` directions of largest variance of the real data, not whitened, by the smaller Gram matrix."""
    flat = _flat(reference)
    mean, most = flat.mean(0), min(flat.shape[1], len(flat) - 1)
    if not 1 <= count <= most:
        raise UserError(f"features='pca:{count}': these data have 1 to {most} principal components.")
    _, _, directions = torch.linalg.svd(flat - mean, full_matrices=False)
    axes = directions[:count].T
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()  # a sign that no library version changes
    return lambda x: (_flat(x) - mean) @ axes


def _random_conv(seed: int, reference: Tensor) -> Rows:
    """288 averages over two layers of random convolutions, which see strokes and textures but no single pixel.

    Layer: 3- and 5-wide Gaussian filters of unit norm, both signs rectified. The first is averaged over the image, the
    second over its quarters. Random filters make useful features without training (Saxe et al. 2011). Weights depend on
    ``seed`` alone, so distances of different runs are comparable. Images (C, H, W) or signals (C, L).
    """
    dims = reference.ndim - 2
    if dims not in _CONVOLUTION:
        raise UserError(
            f"'random-conv' needs images (N, C, H, W) or signals (N, C, L), not {tuple(reference.shape)}. Use 'pixels'."
        )
    if min(reference.shape[2:]) < 4:
        raise UserError("'random-conv' needs at least 4 values along every axis. Use features='pixels'.")
    rng = Rng(Rng.fold(seed, dims))
    first = _filters(16, reference.shape[1], 5, dims, rng)
    second = _filters(32, 32, 3, dims, rng)
    shift, scale = (127.5, 127.5) if reference.dtype == torch.uint8 else _range(reference)

    def rows(x: Tensor) -> Tensor:
        fine = _rectified((x.cpu().float() - shift) / scale, first)
        coarse = _rectified(_HALVE[dims](fine, 2), second)
        return torch.cat([_POOL[dims](fine, 1).flatten(1), _POOL[dims](coarse, 2).flatten(1)], 1)

    return rows


def _filters(count: int, channels: int, width: int, dims: int, rng: Rng) -> Tensor:
    weights = rng.normal(torch.empty(count, channels, *[width] * dims))
    return weights / weights.flatten(1).norm(dim=1).view(-1, *[1] * (dims + 1))


def _rectified(x: Tensor, filters: Tensor) -> Tensor:
    response = _CONVOLUTION[filters.ndim - 2](x, filters, padding=filters.shape[-1] // 2)
    return torch.cat([F.relu(response), F.relu(-response)], 1)


def _range(reference: Tensor) -> tuple[float, float]:
    return float(reference.float().mean()), float(reference.float().std()) or 1.0


def _from_callable(spec: Rows) -> Features:
    if not callable(spec):
        raise UserError(f"features must be a name or a function of a batch, not {type(spec).__name__}.")
    module = spec if isinstance(spec, nn.Module) else None
    name = type(spec).__name__ if module or not inspect.isroutine(spec) else spec.__name__
    if module is None:
        return Features(name, spec)
    held = next(chain(module.parameters(), module.buffers()), None)

    def rows(x: Tensor) -> Tensor:
        with _evaluating(module):
            return module(x if held is None else x.to(held.device))

    return Features(name, rows)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Dropout and batch statistics off, and back as they were."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


# name → (build(number, reference), the number's default; None where it takes none)
FEATURES: dict[str, tuple[Callable[[int, Tensor], Rows], int | None]] = {
    "pixels": (_pixels, None),
    "standardised": (_standardised, None),
    "pca": (_pca, 64),
    "random-conv": (_random_conv, 0),
}

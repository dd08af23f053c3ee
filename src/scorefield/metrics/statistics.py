"""Mean and covariance of features in a file: what FID is computed against, in the layout that everybody uses."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core import Rng
from ..errors import UserError
from .resample import MIN_ROWS

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt")
_LAYOUT = "mu (K,) and sigma (K, K), as pytorch-fid, ADM and EDM write them"
_ROUNDING = 1e-3  # of the largest entry: an asymmetry beyond this is no float32 rounding


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean (K,) and covariance (K, K), float64, of ``n`` examples in ``features``; 0 and "" where the file is silent.

    Raises UserError unless the two are finite, fit together, and sigma is a covariance.
    """

    mean: Tensor
    cov: Tensor
    n: int = 0
    features: str = ""
    name: str = "the statistics"

    def __post_init__(self) -> None:
        size = len(self.mean) if self.mean.ndim == 1 else 0
        if not size or self.cov.shape != (size, size):
            raise UserError(
                f"{self.name}: mu has shape {tuple(self.mean.shape)} and sigma {tuple(self.cov.shape)}; "
                "needed are (K,) and (K, K)."
            )
        if not (torch.isfinite(self.mean).all() and torch.isfinite(self.cov).all()):
            raise UserError(f"{self.name} holds NaN or infinity. Compute the statistics again.")
        uneven = float((self.cov - self.cov.T).abs().max())
        if uneven > _ROUNDING * float(self.cov.abs().max()) or bool((self.cov.diagonal() < 0).any()):
            raise UserError(f"{self.name}: sigma is not a covariance: it must be symmetric, with no negative diagonal.")

    @classmethod
    def of(cls, batches: Iterable[Tensor], features: str = "", name: str = "the statistics") -> Statistics:
        """Of feature rows in batches (b, K), with 1/(N − 1), so that data of any size fit. Raises UserError for fewer
        than 10 rows or NaN."""
        n, total, products, centre = 0, torch.zeros(()), torch.zeros(()), torch.zeros(())
        for batch in batches:
            rows = batch.double()
            centre = rows.mean(0) if n == 0 else centre  # small numbers lose fewer digits
            rows = rows - centre
            n, total, products = n + len(rows), total + rows.sum(0), products + rows.T @ rows
        if n < MIN_ROWS:
            raise UserError(f"The data hold {n} examples; at least {MIN_ROWS} are needed to measure anything.")
        cov = (products - torch.outer(total, total) / n) / (n - 1)
        return cls(centre + total / n, cov, n, features, name)

    @classmethod
    def read(cls, path: str | Path) -> Statistics:
        """Of a .npz file with ``mu`` (K,) and ``sigma`` (K, K): pytorch-fid's, ADM's, EDM's, or one of ``save_stats``.

        Nothing in the file can run code. Raises UserError for a missing, damaged, pickled or other file.
        """
        path = Path(path).expanduser()
        if path.suffix.lower() in _PICKLES:
            raise UserError(f"{path} is a Python pickle, which can run code. Give a .npz with {_LAYOUT}.")
        try:
            with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                held = {key: file[key] for key in ("mu", "sigma", "n", "features") if key in file.files}
                known = ", ".join(file.files)
        except FileNotFoundError:
            raise UserError(f"reference={path} does not exist. Give a .npz with {_LAYOUT}.") from None
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as problem:
            raise UserError(f"{path} cannot be read as .npz ({problem}). Give one with {_LAYOUT}.") from problem
        if not {"mu", "sigma"} <= held.keys():
            raise UserError(f"{path} holds {known or 'nothing'}; needed are {_LAYOUT}.")
        mean, cov = (_numbers(path, key, held[key]) for key in ("mu", "sigma"))
        n, features = (held.get(key) for key in ("n", "features"))
        return cls(mean, cov, int(n) if n is not None else 0, str(features) if features is not None else "", path.name)

    def to_bytes(self) -> bytes:
        """The content of a .npz with mu, sigma, n and features: every reader of mu and sigma understands it."""
        buffer = io.BytesIO()
        arrays = {"mu": self.mean.numpy(), "sigma": self.cov.numpy(), "n": self.n, "features": self.features}
        np.savez(buffer, **arrays)  # pyrefly: ignore[bad-argument-type]
        return buffer.getvalue()

    def check(self, rows: Tensor, features: str) -> None:
        """Raise UserError unless feature rows (·, K) can be compared with these statistics."""
        if self.features and self.features != features:
            raise UserError(
                f"{self.name} was made with features {self.features!r}, but the samples are compared in {features!r}. "
                "Compare in the features of the file, or make it again with save_stats=... in these."
            )
        if rows.shape[1] != len(self.mean):
            raise UserError(
                f"{self.name} describes {len(self.mean):,} features, but {features!r} has {rows.shape[1]:,}. "
                "The 2,048 of the FID files are those of features=inception:WEIGHTS.safetensors."
            )

    def draw(self, n: int, seed: int) -> Tensor:
        """``n`` rows (n, K) of the Gaussian with this mean and covariance."""
        eigenvalues, vectors = torch.linalg.eigh((self.cov + self.cov.T) / 2)
        normal = Rng(Rng.fold(seed, 9)).normal(torch.empty(n, len(self.mean), dtype=torch.float64))
        return (normal * eigenvalues.clamp_min(0).sqrt()) @ vectors.T + self.mean


def _numbers(path: Path, key: str, array: np.ndarray) -> Tensor:
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: {key} holds {array.dtype}, not numbers. Needed are {_LAYOUT}.")
    return torch.from_numpy(array.astype(np.float64))

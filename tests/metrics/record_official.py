"""Record what published implementations say of two small sets: python -m tests.metrics.record_official PATH

PATH is a folder with the packages prdc 0.2, pytorch-fid 0.3.0 and torch-fidelity 0.4.0, unpacked. Single functions are
compiled from their files, so that neither their other imports (torchvision) nor any weights are needed; their numbers
alone are kept here.
"""

from __future__ import annotations

import ast
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.metrics
import torch
import torch.nn.functional as F
from scipy import linalg

from tests.metrics.official import IMAGES, PLACES, ROWS, weights


def taken(path: Path, names: tuple[str, ...], **known: Any) -> dict[str, Any]:
    """The functions and classes ``names`` of a file, and nothing else of it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept = [node for node in tree.body if getattr(node, "name", None) in names]
    space = dict(known)
    exec(compile(ast.Module(kept, []), str(path), "exec"), space)
    return space


def neighbourhoods(root: Path) -> dict[str, float]:
    """Precision and recall at k = 3, density and coverage at k = 5."""
    names = ("compute_pairwise_distance", "get_kth_value", "compute_nearest_neighbour_distances", "compute_prdc")
    space = taken(root / "prdc" / "prdc.py", names, np=np, sklearn=sklearn, print=lambda *_: None)
    near, wide = (space["compute_prdc"](ROWS["real"], ROWS["fake"], k) for k in (3, 5))
    found = {name: near[name] for name in ("precision", "recall")} | {
        name: wide[name] for name in ("density", "coverage")
    }
    return {name: float(value) for name, value in found.items()}


def kernel(root: Path) -> float:
    """The unbiased MMD² of equally many rows."""
    defaults = {
        "kid_kernel": "poly",
        "kid_kernel_poly_degree": 3,
        "kid_kernel_poly_gamma": None,
        "kid_kernel_poly_coef0": 1,
    }
    known = {"np": np, "vassert": lambda *_: None, "get_kwarg": lambda name, _: defaults[name]}
    space = taken(
        root / "torch_fidelity" / "metric_kid.py", ("mmd2", "kernel_poly", "kernel_rbf", "kernel_mmd"), **known
    )
    return float(space["kernel_mmd"](ROWS["fake"], ROWS["real"]))


def frechet(root: Path) -> float:
    """The distance of the two Gaussians."""
    space = taken(root / "pytorch_fid" / "fid_score.py", ("calculate_frechet_distance",), np=np, linalg=Sqrtm)
    moments = [part for name in ("fake", "real") for part in (ROWS[name].mean(0), np.cov(ROWS[name], rowvar=False))]
    return float(space["calculate_frechet_distance"](*moments))


class Sqrtm:
    """SciPy's matrix root as it was when pytorch-fid was written: with ``disp`` it returned a pair."""

    @staticmethod
    def sqrtm(matrix: np.ndarray, disp: bool = True) -> Any:
        root = linalg.sqrtm(matrix)
        return root if disp else (root, 0.0)


def inception(root: Path) -> list[float]:
    """Some features of two images, by torch-fidelity's network with weights that anybody can make."""
    here = root / "torch_fidelity"
    resize = "interpolate_bilinear_2d_like_tensorflow1x"
    known = {"torch": torch, "nn": torch.nn, "F": F, "math": math, "vassert": lambda *_: None}
    known |= taken(here / "interpolate_compat_tensorflow.py", (resize,), **known)
    known |= {"FeatureExtractorBase": Base, "text_to_dtype": lambda *_: torch.float32, "get_kwarg": lambda *_: None}
    blocks = [f"Inception{letter}" for letter in ("A", "B", "C", "D", "E_1", "E_2")]
    names = ("BasicConv2d", *blocks, "FeatureExtractorInceptionV3")
    space = taken(here / "feature_extractor_inceptionv3.py", names, **known)
    read, torch.load = torch.load, lambda *_, **__: weights(counts=True)
    try:
        net = space["FeatureExtractorInceptionV3"]("", ["2048"], feature_extractor_weights_path="any")
    finally:
        torch.load = read
    return net(IMAGES)[0][:, PLACES].flatten().tolist()


class Base(torch.nn.Module):
    """What torch-fidelity's network needs of its own base class."""

    def __init__(self, name: str, features_list: list[str]) -> None:
        super().__init__()
        self.features_list = features_list


if __name__ == "__main__":
    root = Path(sys.argv[1])
    found = neighbourhoods(root) | {"kernel": kernel(root), "frechet": frechet(root), "inception": inception(root)}
    print(json.dumps(found, indent=1))

"""`scorefield encode`, `decode` and `interpolate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.cli.conftest import Said

Cli = Callable[..., Said]


def test_encode_and_decode(cli: Cli, moons: Path):
    runs = f"runs={moons / 'runs'}"
    said = cli("encode", "tiny", "n=5", "tol=1e-3", "out=z.npz", runs)
    assert (said.code, said.out) == (0, "z.npz\n"), said.err
    assert 'encode(run, n=5, tol=0.001).save("z.npz")' in said.err and "scorefield decode tiny z.npz" in said.err
    said = cli("decode", "tiny", "z.npz", "out=back.npz", "--json", runs)
    assert said.code == 0 and json.loads(said.out)["n"] == 5
    np.testing.assert_allclose(np.load("back.npz")["x"], np.load("z.npz")["x"], atol=1e-2)


def test_interpolate(cli: Cli, moons: Path):
    said = cli("interpolate", "tiny", "0", "1", "n=3", "tol=1e-3", "out=between.csv", f"runs={moons / 'runs'}")
    assert (said.code, said.out) == (0, "between.csv\n"), said.err
    assert len(Path("between.csv").read_text().splitlines()) == 4
    assert 'interpolate(run, "0", "1", n=3, tol=0.001).save("between.csv")' in said.err


def test_what_is_missing_is_said(cli: Cli, moons: Path):
    runs = f"runs={moons / 'runs'}"
    for words, sentence in (
        (["decode", "tiny"], "decode needs latents after the run."),
        (["interpolate", "tiny", "0"], "interpolate needs two examples after the run"),
        (["encode", "tiny", "out=z.txt"], "out=z.txt should end in .npz, .safetensors, .npy"),
        (["encode", "tiny", "tol=0"], "tol must be greater than 0, got 0"),
        (["decode", "tiny", "z.npy"], "z.npy does not exist"),
    ):
        said = cli(*words, runs)
        assert (said.code, said.out) == (2, "") and sentence in said.err, said.err

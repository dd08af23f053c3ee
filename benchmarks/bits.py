"""Bits per dimension of systems made for likelihood on the digits, in one table: benchmarks/results/bits.md.

python benchmarks/bits.py [--runs FOLDER] [--steps 1200] [--systems ddpm,vdm]

It is `scorefield bits digits`, written to its place here. Runs that FOLDER has begun go on where they stopped.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from scorefield.runs import bits

RESULTS = Path(__file__).parent / "results" / "bits.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=Path, help="folder that keeps the runs; otherwise a temporary one")
    parser.add_argument("--steps", type=int, default=1200, help="optimiser steps of each system")
    parser.add_argument("--systems", help="names separated by commas; otherwise the usual five")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = bits("digits", options.systems, steps=options.steps, runs=options.runs or folder, device="cpu")
    command = f"python benchmarks/bits.py --steps {options.steps}"
    page = found.markdown().replace("\n\n", f"\n\n`{command}`\n\n", 1)
    RESULTS.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()

"""How long the package and its command line take to start, beyond Python and torch themselves.

python benchmarks/startup.py            prints the table and writes benchmarks/results/startup.md
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

STARTS = 5
RESULT = Path(__file__).parent / "results" / "startup.md"

BARE = "import time\nprint('@', time.process_time())"
TORCH = "import time\nimport torch\nprint('@', time.process_time())"
NAMES = (
    "import time, torch\nstart = time.process_time()\nimport scorefield\n"
    "for name in scorefield.__all__: getattr(scorefield, name)\n"
    "print('@', time.process_time() - start)"
)
COMMAND = "import sys, time\nfrom scorefield.cli.main import main\nmain(sys.argv[1:])\nprint('@', time.process_time())"
CASES: dict[str, tuple[str, tuple[str, ...]]] = {  # what is measured: (code, words of the command line)
    "Python alone": (BARE, ()),
    "import torch": (TORCH, ()),
    "import scorefield and all its public names, after torch": (NAMES, ()),
    "scorefield --help": (COMMAND, ("--help",)),
    "a usage error (scorefield sample last steps=0)": (COMMAND, ("sample", "last", "steps=0")),
    "scorefield train --help": (COMMAND, ("train", "--help")),
}


def seconds(code: str, words: tuple[str, ...], cache: str) -> float:
    """CPU seconds that a fresh interpreter reports behind its last ``@``."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": cache, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return float(done.stdout.rpartition("@")[2])


def measure() -> dict[str, float]:
    """The least CPU seconds of ``STARTS`` starts of each case, after one that fills the cache of bytecode."""
    with tempfile.TemporaryDirectory() as cache:
        spent: dict[str, list[float]] = {name: [] for name in CASES}
        for turn in range(STARTS + 1):  # in turn, so that a busy moment hits all cases alike
            for name, (code, words) in CASES.items():
                taken = seconds(code, words, cache)
                spent[name] += [taken] if turn else []
    return {name: min(times) for name, times in spent.items()}


def main() -> None:
    """Print the table and write it."""
    import torch

    rows = [f"| {name} | {value:.3f} |" for name, value in measure().items()]
    table = "\n".join(["| start | CPU seconds |", "| --- | --- |", *rows])
    where = f"Python {platform.python_version()}, torch {torch.__version__}, one thread"
    head = (
        f"# Start-up\n\nMade by `python benchmarks/startup.py` ({where}). CPU seconds of the process, the least of "
        f"{STARTS} starts.\nHelp and usage errors include Python's own start and import neither torch nor numpy.\n"
    )
    RESULT.write_text(f"{head}\n{table}\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()

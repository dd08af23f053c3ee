#!/usr/bin/env python3
"""Set up and start scorefield with nothing but Python 3.11+ and pip.

    python3 run.py demo            train on the embedded digits; leaves samples and a report in runs/demo
    python3 run.py test [WORDS]    run the quick tests; further words go to pytest: `test -m slow` runs the slow ones
    python3 run.py WORDS           the same as `scorefield WORDS`, for example: python3 run.py train photos/

The first start makes .venv beside this file and installs into it; later starts find its stamp and begin at once.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

DEMO = ["train", "digits", "name=demo"]
QUICK = ["-n", "2", "-m", "not slow"]

ROOT = Path(__file__).resolve().parent
PINS, VENV = ROOT / "constraints.txt", ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP, LENT = VENV / "scorefield-stamp", VENV / "scorefield-lent-torch"

AHEAD = "Downloading torch (0.2 GB for the CPU build, 3 GB for the CUDA build) and small packages: about two minutes."
CAUSES = """Usual causes: no network, or a proxy that pip does not know of; a full disk (1.5 GB are needed with the CPU
build of torch, 7 GB with CUDA); a platform without torch packages (32-bit, an Intel Mac, a Python newer
than torch knows). The same command tries again."""


def stamp(extra):
    """All that an installation depends on, in one line: where it equals the line in .venv, there is nothing to do."""
    parts = [path for path in (ROOT / "pyproject.toml", PINS, VENV / "pyvenv.cfg") if path.exists()]
    return hashlib.sha256(b"\n".join([f"{ROOT}[{extra}]".encode(), *map(Path.read_bytes, parts)])).hexdigest()


def lent(name):
    """The version of a package that the calling Python could lend to .venv, as numbers; () where it has none."""
    found = [package.version for package in metadata.distributions(name=name) if Path(sys.prefix) != VENV]
    return tuple(int(part) for part in re.findall(r"\d+", found[0])[:2]) if found else ()


def make_venv():
    """A fresh .venv in place of a missing or half-made one; it sees the calling Python's torch where that will do."""
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir(exist_ok=True)
    STAMP.write_text("unfinished", encoding="utf-8")
    reuse = lent("torch") >= (2, 6)
    print(f"Keeping torch of {sys.executable}; only what it lacks is installed." if reuse else AHEAD)
    options = ["--system-site-packages"] * reuse + ["--without-pip"] * (importlib.util.find_spec("ensurepip") is None)
    command = [getattr(sys, "_base_executable", sys.executable), "-m", "venv", *options, VENV]
    if (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        sys.exit(f"{done.stdout}{done.stderr}\n.venv could not be made. On Debian or Ubuntu: apt install python3-venv")
    if reuse:
        LENT.touch()
        if sys.prefix != sys.base_prefix:  # the lender is a virtual environment itself, which venv would look past
            (folder,) = VENV.glob("[Ll]ib/**/site-packages")
            folder.joinpath("lender.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


def install(extra):
    """Plain pip with its own settings, under constraints.txt; what is lent by the calling Python keeps its version."""
    if not PYTHON.exists() or (STAMP.exists() and STAMP.read_text(encoding="utf-8") == "unfinished"):
        make_venv()
    pins = [pin for pin in PINS.read_text(encoding="utf-8").splitlines() if "==" in pin]
    kept = [pin for pin in pins if not (LENT.exists() and lent(pin.partition("==")[0]))]
    (VENV / "constraints.txt").write_text("\n".join(kept), encoding="utf-8")
    own_pip = subprocess.run([PYTHON, "-c", "import pip"], capture_output=True).returncode == 0
    pip = [PYTHON, "-m", "pip"] if own_pip else [sys.executable, "-m", "pip", "--python", PYTHON]
    options = ["--disable-pip-version-check", "--progress-bar", "off", "-c", VENV / "constraints.txt"]
    command, lines = [*pip, "install", *options, "-e", f"{ROOT}[{extra}]" if extra else ROOT], []
    print(f"Installing into {VENV}", flush=True)
    with subprocess.Popen(command, stdout=-1, stderr=-2, text=True, encoding="utf-8", errors="replace") as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if found := re.search(r"Downloading (?:\S*/)?([^\s/-]+-\d[^\s-]*)\S* \((.*)\)", line):
                print(f"  {found[1]} ({found[2]})", flush=True)
    if process.returncode:
        sys.exit("\n".join(["pip could not install scorefield. Its last lines were:", *lines[-15:], "", CAUSES]))
    STAMP.write_text(stamp(extra), encoding="utf-8")


def main(words):
    if sys.version_info < (3, 11):
        sys.exit(f"scorefield needs Python 3.11 or newer; {sys.executable} is Python {sys.version.split()[0]}.")
    if not words or words[0] in {"-h", "--help"}:
        return print(__doc__)
    verb, *rest = words
    extra = "test" if verb == "test" else ""
    if not (PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") in {stamp(extra), stamp("test")}):
        install(extra)  # the test extra holds all that the plain installation holds, so either stamp will do
    command = [str(PYTHON), "-P", "-m", "scorefield", *(DEMO + rest if verb == "demo" else words)]
    if verb == "test":
        os.chdir(ROOT)
        command = [str(PYTHON), "-m", "pytest", *QUICK, *rest]
    # exec leaves signals and the exit code to the child; on Windows it would give the prompt back at once
    return subprocess.call(command) if os.name == "nt" else os.execv(command[0], command)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

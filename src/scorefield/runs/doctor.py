"""What this machine has for training, and what is wrong with it: Python, torch, devices, disks, optional libraries.

Every look is a function that yields findings, and none of them needs torch to be whole."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from scorefield import __version__

OK, NOTE, PROBLEM = "ok", "note", "problem"
ROOM = 2e9  # bytes on the disk of the runs, below which a training may not get far
WRITTEN = 32 * 2**20  # bytes written to learn how fast a disk is
PRODUCT = 1024  # edge of the matrices whose product is timed
WORTH = 1.5  # how many times faster bf16 has to be to be called faster


class Finding(NamedTuple):
    """One line of the doctor: ``level`` is ok, note or problem; ``mend`` says what to do about it."""

    level: str
    name: str
    text: str
    mend: str = ""


class Library(NamedTuple):
    """An optional package: what it is for, and how to get it."""

    purpose: str
    how: str


LIBRARIES = {
    "tensorboard": Library("tracker=tensorboard", 'pip install "scorefield[tensorboard]"'),
    "wandb": Library("tracker=wandb", "pip install wandb"),
    "mlflow": Library("tracker=mlflow", "pip install mlflow"),
    "trackio": Library("tracker=trackio", "pip install trackio"),
    "pyarrow": Library("Parquet tables", 'pip install "scorefield[data]"'),
    "datasets": Library("Hugging Face data sets", 'pip install "scorefield[data]"'),
    "soundfile": Library("audio other than wav", 'pip install "scorefield[audio]"'),
    "onnx": Library("export to=onnx", 'pip install "scorefield[export]"'),
    "onnxruntime": Library("the check of export to=onnx", 'pip install "scorefield[export]"'),
    "onnxscript": Library("export to=onnx", 'pip install "scorefield[export]"'),
}


def doctor(runs: str | Path = "runs") -> list[Finding]:
    """Look at this machine; ``runs`` is the folder that will hold run folders. Nothing is changed or raised."""
    return [finding for look in LOOKS for finding in look(Path(runs))]


def _python(_: Path) -> Iterator[Finding]:
    where = "a virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"
    yield Finding(OK, "python", f"Python {platform.python_version()} on {platform.platform()}, {where}")
    yield Finding(OK, "scorefield", f"{__version__}, at {Path(__file__).parents[1]}")
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if encoding != "utf8":
        yield Finding(NOTE, "terminal", f"writes {encoding or 'nothing known'}, not UTF-8", "set PYTHONUTF8=1")


def _torch(_: Path) -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:
        yield Finding(PROBLEM, "torch", f"cannot be loaded: {_first_line(error)}", "python -m pip install torch")
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    yield Finding(OK, "torch", f"{torch.__version__}, built with {build}")
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        without = torch.version.cuda is None
        why = "this build of torch has no CUDA" if without else "torch cannot use it: the driver may be too old"
        mend = (
            "install a CUDA build of torch (pytorch.org)" if without else "compare nvidia-smi with torch's CUDA version"
        )
        yield Finding(NOTE, "gpu", f"there seems to be one, but {why}", mend)
    yield from _gpus(torch)
    yield from _processor(torch)
    yield from _compiler(torch)


def _gpus(torch: Any) -> Iterator[Finding]:
    for index in range(torch.cuda.device_count()):
        try:
            about = torch.cuda.get_device_properties(index)
            free, total = torch.cuda.mem_get_info(index)
            a = torch.ones(256, 256, device=f"cuda:{index}")
            right = bool((a @ a == 256).all())
        except RuntimeError as error:  # torch's own errors are RuntimeErrors, those of the driver too
            yield Finding(
                PROBLEM, f"cuda:{index}", f"does not compute: {_first_line(error)}", "restart it; see nvidia-smi"
            )
            continue
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        words = f"{about.name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free, compute {about.major}.{about.minor}"
        words += f", bf16 {'yes' if native else 'no'}, tf32 {'yes' if about.major >= 8 else 'no'}"
        yield Finding(
            OK if right else PROBLEM, f"cuda:{index}", words if right else f"{words}; a product came out wrong"
        )
    if torch.backends.mps.is_available():
        yield Finding(OK, "mps", "the GPU of this Mac")


def _processor(torch: Any) -> Iterator[Finding]:
    cores, allowed = os.cpu_count() or 1, len(_affinity())
    threads, memory = torch.get_num_threads(), _memory()
    held = f", {memory / 1e9:.1f} GB of memory" if memory else ""
    yield Finding(OK, "cpu", f"{cores} cores{f', {allowed} of them ours' if allowed < cores else ''}{held}")
    limit = os.environ.get("OMP_NUM_THREADS")
    few = threads < allowed // 2 or (threads == 1 < allowed)
    mend = f"unset OMP_NUM_THREADS, or set it to {allowed}" if limit else ""
    yield Finding(
        NOTE if few else OK, "threads", f"torch computes on {threads} of {allowed} cores", mend if few else ""
    )
    narrow, wide = _seconds(torch, torch.bfloat16), _seconds(torch, torch.float32)
    flags = [flag for flag in _flags() if re.fullmatch(r"amx_\w+|avx512_bf16|avx512f|avx2|bf16|sve|asimd", flag)]
    units = f"{torch.backends.cpu.get_cpu_capability()} ({', '.join(sorted(flags)) or 'flags unknown'})"
    ratio = wide / narrow
    faster = f"{ratio:.1f} times as fast as in float32" if ratio >= WORTH else "not faster than in float32"
    yield Finding(OK, "arithmetic", f"{units}; a product of {PRODUCT}×{PRODUCT} matrices in bf16 is {faster}")


def _seconds(torch: Any, dtype: Any) -> float:
    """The fastest of five products, after one that is not counted."""
    a = torch.ones(PRODUCT, PRODUCT, dtype=dtype)
    times = []
    for _ in range(6):
        began = perf_counter()
        a @ a
        times.append(perf_counter() - began)
    return max(min(times[1:]), 1e-9)


def _compiler(torch: Any) -> Iterator[Finding]:
    found = next((word for word in ("c++", "g++", "clang++", "cl") if shutil.which(word)), None)
    headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    lacks = [what for what, there in (("a C++ compiler", found), ("Python's headers", headers)) if not there]
    if not lacks:
        yield Finding(OK, "compile", f"{found} and Python's headers are here, so compile=yes can work on the CPU")
    else:
        mend = "Debian or Ubuntu: apt install g++ python3-dev; without them everything else works"
        yield Finding(NOTE, "compile", f"compile=yes cannot work on the CPU without {' and '.join(lacks)}", mend)
    if torch.cuda.is_available():
        triton = _version("triton")
        level, words = (OK, f"triton {triton}, so") if triton else (NOTE, "triton is missing, so no")
        yield Finding(level, "compile", f"{words} compile=yes on the GPU")


def _disks(runs: Path) -> Iterator[Finding]:
    from scorefield.data.cache import cache_folder

    yield from _disk("runs", runs, "write runs=FOLDER", timed=True)
    yield from _disk(
        "cache", cache_folder(), "set SCOREFIELD_CACHE to a folder of yours; without it images are not kept"
    )
    yield from _disk("temporary", Path(tempfile.gettempdir()), "set TMPDIR to a folder of yours")


def _disk(name: str, folder: Path, mend: str, timed: bool = False) -> Iterator[Finding]:
    """Whether ``folder`` (or the nearest that is there) can be written, its room, and how fast it is."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".scorefield-doctor-") as file:
            began = perf_counter()
            file.write(bytes(WRITTEN if timed else 1))
            file.flush()
            os.fsync(file.fileno())
            rate = WRITTEN / max(perf_counter() - began, 1e-9)
    except OSError as error:
        yield Finding(PROBLEM, name, f"{folder} cannot be written: {error.strerror or error}", mend)
        return
    free = shutil.disk_usage(there).free
    speed = f", writes {rate / 1e6:,.0f} MB a second" if timed else ""
    tight = free < ROOM
    yield Finding(
        NOTE if tight else OK,
        name,
        f"{folder}: {free / 1e9:.1f} GB free{speed}",
        f"make room, or {mend}" if tight else "",
    )


def _libraries(_: Path) -> Iterator[Finding]:
    for name, (purpose, how) in LIBRARIES.items():
        version = _version(name)
        yield Finding(OK, name, f"{version}, for {purpose}" if version else f"not installed; for {purpose}: {how}")


def _torchvision(_: Path) -> Iterator[Finding]:
    """scorefield never imports it, but other libraries do, and one that does not fit this torch takes them down."""
    version = _version("torchvision")
    if version is None:
        yield Finding(OK, "torchvision", "not installed, and not needed")
        return
    tried = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        yield Finding(OK, "torchvision", f"{version}, loads; scorefield does not use it")
        return
    last = (tried.stderr.strip().splitlines() or ["it says nothing"])[-1]
    text = f"{version} is installed but cannot be loaded ({last}); libraries that import it fail, scorefield does not"
    yield Finding(NOTE, "torchvision", text, "python -m pip uninstall torchvision, or install the one of this torch")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _affinity() -> set[int]:
    """The cores this process may use; all of them where the system does not say."""
    ours: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return ours(0) if ours else set(range(os.cpu_count() or 1))


def _memory() -> float:
    """Bytes of memory of this machine; 0 where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return 0.0


def _flags() -> set[str]:
    """What Linux says the processor can do."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return set(" ".join(re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.M)[:1]).split())


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


LOOKS: tuple[Callable[[Path], Iterator[Finding]], ...] = (_python, _torch, _disks, _libraries, _torchvision)

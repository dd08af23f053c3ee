"""Memory that a step gave back is there for the next one."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TRIM, MAPPED = -1, -3  # mallopt's numbers for M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
LARGEST, NEVER = 32 << 20, 2**31 - 1  # bytes: the most that glibc takes for MAPPED; as good as never for TRIM
USUAL = 128 << 10  # glibc's own beginning of both


@contextmanager
def kept_pages() -> Iterator[None]:
    """While training on a CPU, let glibc keep freed memory instead of handing it to the system at the end of each step:
    getting it back costs a fault for every page of every activation. The peak is the same, and afterwards what is free
    is returned. Does nothing where the C library is another one, or where the environment sets the allocator."""
    options = _options()
    if options is None:
        yield
        return
    options(MAPPED, LARGEST)
    options(TRIM, NEVER)
    try:
        yield
    finally:
        options(MAPPED, USUAL)
        options(TRIM, USUAL)
        _trim()


def _options() -> Callable[[int, int], int] | None:
    """glibc's ``mallopt``, or None."""
    asked = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if asked or not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    try:
        library.gnu_get_libc_version  # noqa: B018  # musl has no such name, and no such options
        return library.mallopt
    except AttributeError:
        return None


def _trim() -> None:
    """Return to the system what is free."""
    ctypes.CDLL(None).malloc_trim(0)

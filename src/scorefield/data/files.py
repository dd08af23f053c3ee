"""Where the files of a data set lie: a folder, a zip archive, or tar archives. Archives are read in place; nothing is
ever written where a name in them points to."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from scorefield.data.cache import stamps

# Bytes when called; raises what the file system or the archive raises.
Opener = Callable[[], BinaryIO]

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
LARGEST = 2**29  # bytes of one member: more is a mistake or a decompression bomb
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, OSError, EOFError, ValueError, RuntimeError)


class Files(Protocol):
    """Named bytes. ``names`` are visible files in the order of the examples, with forward slashes."""

    @property
    def path(self) -> Path:
        """What the user gave."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """All files."""
        ...

    @property
    def identity(self) -> str:
        """What tells it from other data, wherever it is opened from."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        ...

    def read(self, name: str) -> bytes:
        """All of a small file."""
        ...

    def stamps(self, names: Sequence[str]) -> list[list[str | int]]:
        """What tells unchanged files without opening each of them."""
        ...

    def each(self, names: Sequence[str]) -> Iterator[Opener]:
        """What opens each of ``names``, which are in the order of ``self.names``."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder and everything below it."""

    path: Path
    names: tuple[str, ...]

    @property
    def identity(self) -> str:
        return str(self.path.resolve())

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def stamps(self, names: Sequence[str]) -> list[list[str | int]]:
        return stamps(self.path, names)

    def each(self, names: Sequence[str]) -> Iterator[Opener]:
        for name in names:
            yield partial(open, self.path / name, "rb")


@dataclass(frozen=True)
class Zip:
    """The members of one zip archive; each thread reads and unpacks its own."""

    path: Path
    names: tuple[str, ...]
    archive: zipfile.ZipFile = field(repr=False)
    inside: str = ""  # the one folder that holds everything, with its slash

    @property
    def identity(self) -> str:
        return str(self.path.resolve())

    def has(self, name: str) -> bool:
        return self.inside + name in self.archive.NameToInfo

    def read(self, name: str) -> bytes:
        return self._bytes(name).getvalue()

    def stamps(self, names: Sequence[str]) -> list[list[str | int]]:
        return stamps(self.path.parent, [self.path.name])

    def each(self, names: Sequence[str]) -> Iterator[Opener]:
        for name in names:
            yield partial(self._bytes, name)

    def _bytes(self, name: str) -> io.BytesIO:
        member = self.archive.getinfo(self.inside + name)
        refuse_large(name, member.file_size)
        return io.BytesIO(self.archive.read(member))


@dataclass(frozen=True)
class Member:
    """Where the bytes of a tar member lie."""

    archive: int  # number of the shard
    offset: int
    size: int


@dataclass(frozen=True)
class Tars:
    """The members of one or many tar archives, in their order; compressed ones are read from the front each time."""

    path: Path  # what the user gave
    shards: tuple[Path, ...]
    names: tuple[str, ...]
    members: dict[str, Member] = field(repr=False)
    small: dict[str, bytes] = field(repr=False)  # text files, read on the way

    @property
    def identity(self) -> str:
        return str(self.path.resolve())

    def has(self, name: str) -> bool:
        return name in self.members

    def read(self, name: str) -> bytes:
        return self.small[name]

    def stamps(self, names: Sequence[str]) -> list[list[str | int]]:
        return [row for shard in self.shards for row in stamps(shard.parent, [shard.name])]

    def each(self, names: Sequence[str]) -> Iterator[Opener]:
        waiting = list(reversed(names))
        while waiting:
            shard = self.members[waiting[-1]].archive
            mine = []
            while waiting and self.members[waiting[-1]].archive == shard:
                mine.append(waiting.pop())
            read = self._streamed if is_compressed(self.shards[shard]) else self._direct
            yield from read(self.shards[shard], mine)

    def _direct(self, shard: Path, names: Sequence[str]) -> Iterator[Opener]:
        for name in names:
            yield partial(_piece, shard, name, self.members[name])

    def _streamed(self, shard: Path, names: Sequence[str]) -> Iterator[Opener]:
        """Unpacked once from front to back, in the order of the names; damage on the way is told by each opener."""
        with gzip.open(shard, "rb") as file:
            for name in names:
                try:
                    content: bytes | Exception = _read(file, name, self.members[name])
                except DAMAGE as error:
                    content = error
                yield partial(_given, content)


def is_compressed(path: Path) -> bool:
    """Whether a tar archive has to be read from its front."""
    return path.name.lower().endswith((".gz", ".tgz"))


def refuse_large(name: str, size: int) -> None:
    """Raises ``ValueError`` for a member too large to be one example."""
    if size > LARGEST:
        raise ValueError(f"{name.rpartition('/')[2]} unpacks to {size / 2**20:,.0f} MiB; {LARGEST >> 20} are the most")


def _piece(shard: Path, name: str, member: Member) -> io.BytesIO:
    with open(shard, "rb") as file:
        return io.BytesIO(_read(file, name, member))


def _read(file: Any, name: str, member: Member) -> bytes:
    refuse_large(name, member.size)
    file.seek(member.offset)
    content = file.read(member.size)
    if len(content) < member.size:
        raise EOFError(f"truncated after {len(content):,} of {member.size:,} bytes")
    return content


def _given(content: bytes | Exception) -> io.BytesIO:
    if isinstance(content, Exception):
        raise content
    return io.BytesIO(content)

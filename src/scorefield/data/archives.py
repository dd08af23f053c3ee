"""Zip and tar archives and lists of WebDataset shards become ``Files``: what is in them, and what cannot be used."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from scorefield.data.dataset import Broken
from scorefield.data.files import ARCHIVES, DAMAGE, Files, Member, Tars, Zip
from scorefield.data.words import count
from scorefield.errors import UserError

TEXTS = (".cls", ".txt", ".json", ".jsonl", ".csv", ".caption")  # read while the archive is listed
MOST_TEXT = 2**26  # bytes of one of them
PATTERN = re.compile(r"[*?\[{]")
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")


def is_archive(path: Path) -> bool:
    """Whether the name says so."""
    return path.name.lower().endswith(ARCHIVES)


def expanded(pattern: str) -> list[Path]:
    """The archives that ``shards/{000..010}.tar`` or ``shards/*.tar`` mean, in order.

    Raises ``UserError`` for a pattern that nothing answers to, and for files in a range that are missing."""
    texts = _braces(pattern)
    found, missing = [], []
    for text in texts:
        path = Path(text).expanduser()
        if not PATTERN.search(text):
            (found if path.is_file() else missing).append(path)
            continue
        root = Path(path.anchor) if path.is_absolute() else Path()
        found += sorted(p for p in root.glob(str(path.relative_to(path.anchor))) if p.is_file() and is_archive(p))
    if missing and len(texts) > 1:
        raise UserError(
            f"'{pattern}' names {count(len(texts), 'archive')}, of which {len(missing)} do not exist; "
            f"first: '{missing[0]}'."
        )
    if not found:
        raise UserError(f"No archive answers to '{pattern}'. It should name {', '.join(ARCHIVES)} files.")
    return found


def _braces(text: str) -> list[str]:
    """``a{0..2}b`` → a0b, a1b, a2b; ``{x,y}`` → x, y; the first pair, then the others."""
    match = BRACES.search(text)
    if match is None:
        return [text]
    span = RANGE.fullmatch(match[1])
    if span:
        first, last = int(span[1]), int(span[2])
        step = 1 if last >= first else -1
        words = [str(i).zfill(len(span[1])) for i in range(first, last + step, step)]
    else:
        words = match[1].split(",")
    return [rest for word in words for rest in _braces(text[: match.start()] + word + text[match.end() :])]


def open_archives(given: Path, paths: Sequence[Path]) -> tuple[Files, tuple[Broken, ...]]:
    """What lies in one zip or in tar archives, and the members that may not be used. Nothing is unpacked to disk.

    Raises ``UserError`` for archives of which nothing can be read, and for several zip archives."""
    zips = [path for path in paths if path.name.lower().endswith(".zip")]
    if zips and len(paths) > 1:
        raise UserError(
            f"'{given}' names {len(paths)} archives with zip among them. Shards are tar archives; zip is one."
        )
    return _zip(zips[0]) if zips else _tars(given, paths)


def _zip(path: Path) -> tuple[Files, tuple[Broken, ...]]:
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise UserError(f"'{path}' is damaged or no zip archive ({error}). Copy or download it again.") from error
    names, broken = _usable(info.filename for info in archive.infolist() if not info.is_dir())
    root = _root(names)
    return Zip(path, tuple(sorted(name[len(root) :] for name in names)), archive, root), broken


def _tars(given: Path, paths: Sequence[Path]) -> tuple[Files, tuple[Broken, ...]]:
    members: dict[str, Member] = {}
    small: dict[str, bytes] = {}
    broken: list[Broken] = []
    for number, path in enumerate(paths):
        here, texts, fault = _listed(path, number)
        if fault and not here:
            raise UserError(f"'{path}' is damaged or no tar archive ({fault}). Copy or download it again.")
        names, unusable = _usable(here)
        broken += unusable
        broken += [Broken(path.name, f"is cut short or damaged after {count(len(here), 'member')}")] if fault else []
        mark = f"{path.name.partition('.')[0]}:" if not members.keys().isdisjoint(names) else ""
        for name in names:
            folder, _, base = name.rpartition("/")
            unique = f"{folder}/{mark}{base}" if folder else mark + base
            members[unique] = here[name]
            if name in texts:
                small[unique] = texts[name]
    root = _root(members)
    cut = len(root)
    members = {name[cut:]: member for name, member in members.items()}
    small = {name[cut:]: text for name, text in small.items()}
    return Tars(given, tuple(paths), tuple(members), members, small), tuple(broken)


def _listed(path: Path, number: int) -> tuple[dict[str, Member], dict[str, bytes], str]:
    """The regular files of one archive, the texts among them, and what stopped the listing, if anything did."""
    members: dict[str, Member] = {}
    texts: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for info in archive:
                if not info.isreg() or info.issparse():
                    continue
                name = info.name.removeprefix("./")
                members[name] = Member(number, info.offset_data, info.size)
                if name.lower().endswith(TEXTS) and info.size <= MOST_TEXT:
                    file = archive.extractfile(info)  # a view of the bytes; nothing is extracted
                    texts[name] = file.read() if file else b""
    except DAMAGE as error:
        return members, texts, str(error) or type(error).__name__
    return members, texts, ""


def _usable(names: Iterable[str]) -> tuple[list[str], tuple[Broken, ...]]:
    """Visible names, and those that lead out of the archive, which no honest tool writes."""
    good, broken = [], []
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if ".." in parts or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
            broken.append(Broken(name, "has a name that leads out of the archive, so it is not read"))
        elif not any(part.startswith((".", "__MACOSX")) for part in parts):
            good.append(name)
    return good, tuple(broken)


def _root(names: Iterable[str]) -> str:
    """The one folder that holds everything, with its slash; '' where there is none."""
    tops = {name.partition("/")[0] if "/" in name else "" for name in names}
    top = tops.pop() if len(tops) == 1 else ""
    return f"{top}/" if top else ""

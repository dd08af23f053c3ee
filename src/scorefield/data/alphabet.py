"""The codecs of text: what is written in a file ↔ numbers 0 … K − 1, and back without a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from scorefield.errors import UserError
from scorefield.registry import register

ENDED, UNKNOWN = -1, -2  # as stored: after the end of an example, and where a mask stands
BLANK = "_"  # how a mask is written
SHOWN = 40  # signs of an alphabet that an error quotes


class Lookup:
    """Sorted whole numbers ↔ their places 0 … n − 1; ``ENDED`` is place n where ``end``. Raises ``UserError`` by
    ``lacking(value, place)`` for a number that is not among them, where that can be seen without waiting for an
    accelerator."""

    def __init__(self, values: Sequence[int], end: bool = False) -> None:
        self.values, self.end = torch.tensor(values, dtype=torch.int64), end
        self.count = len(values) + end

    def index(self, raw: Tensor, lacking: Callable[[int, tuple[int, ...]], str]) -> Tensor:
        """Any shape of whole numbers → int64 of the same shape."""
        raw, values = raw.long(), self.values.to(raw.device)
        z = torch.searchsorted(values, raw).clamp_(max=len(values) - 1)
        known = values[z] == raw
        if self.end:
            z, known = z.masked_fill_(raw == ENDED, len(values)), known | (raw == ENDED)
        if raw.device.type == "cpu" and not known.all():
            place = tuple((~known).nonzero()[0].tolist())
            raise UserError(lacking(int(raw[place]), place))
        return z

    def back(self, z: Tensor) -> Tensor:
        """Places → numbers as stored; ``UNKNOWN`` for any place that is none, such as a mask."""
        extra = [ENDED] * self.end + [UNKNOWN]
        values = torch.cat((self.values, torch.tensor(extra))).to(z.device)
        return values[z.long().clamp(max=len(values) - 1)]


@register("characters", "codec")
class Characters:
    """Each character of ``alphabet`` is a category, in the order of Unicode: the shortest alphabet that a text has.

    Raw text is int64 code points, and ``ENDED`` after the end of an example, which is the last category where ``end``.
    K = ``classes``. Raises UserError for fewer than two categories, and for a repeated character.
    """

    def __init__(self, alphabet: str, end: bool = False) -> None:
        if len(set(alphabet)) < len(alphabet) or len(alphabet) + end < 2:
            raise UserError(f"alphabet must hold at least two different characters, each once; got {alphabet!r}.")
        self.alphabet, self.end = "".join(sorted(alphabet)), end
        self.lookup = Lookup([ord(sign) for sign in self.alphabet], end)
        self.classes = self.lookup.count

    def __repr__(self) -> str:
        return f"Characters({self.classes})"

    def name(self, z: int) -> str:
        """What a category is called in lists: the character as Python writes it."""
        return repr(self.alphabet[z]) if z < len(self.alphabet) else "end"

    def encode(self, raw: Tensor) -> Tensor:
        """Code points (B, L) → int64 in 0 … K − 1. Raises UserError for a character that the alphabet lacks."""
        return self.lookup.index(raw, self._lacking)

    def decode(self, z: Tensor) -> Tensor:
        """Categories (B, L) → code points; masks become ``UNKNOWN``."""
        return self.lookup.back(z)

    def text(self, z: Tensor, blank: str = BLANK) -> list[str]:
        """Categories (B, L) as they read, each up to its end; masks (K and more) are written as ``blank``."""
        return [
            "".join(blank if code == UNKNOWN else chr(code) for code in until_end(row))
            for row in self.decode(z).tolist()
        ]

    def of_text(self, text: str, blank: str | None = None) -> Tensor:
        """A text as categories (L,) int64; where it says ``blank``, K. Raises UserError, with the place, for a
        character that the alphabet lacks."""
        where = {sign: i for i, sign in enumerate(self.alphabet)} | ({blank: self.classes} if blank else {})
        for i, sign in enumerate(text):
            if sign not in where:
                raise UserError(_lacking(sign, f"{place_in(text, i)} of the text", self.alphabet))
        return torch.tensor([where[sign] for sign in text], dtype=torch.int64)

    def _lacking(self, code: int, place: tuple[int, ...]) -> str:
        what = chr(code) if code >= 0 else "an end"
        return _lacking(what, f"place {place[-1] + 1} of example {place[0] + 1}", self.alphabet)


def _lacking(sign: str, where: str, alphabet: str) -> str:
    named = f"U+{ord(sign):04X}" if len(sign) == 1 else "which the data had not"
    known = alphabet if len(alphabet) <= SHOWN else alphabet[:SHOWN] + "…"
    return (
        f"The alphabet lacks {sign!r} ({named}), at {where}. It has {len(alphabet)} characters, {known!r}: write "
        "others, or train with codec=bytes, which knows every text."
    )


def place_in(text: str, i: int) -> str:
    """Where the character number ``i`` stands: ``line 3, column 7``."""
    line = text.count("\n", 0, i)
    return f"line {line + 1}, column {i - (text.rfind(chr(10), 0, i) + 1) + 1}"


def until_end(row: Sequence[int]) -> Iterator[int]:
    """What an example holds before its end."""
    for code in row:
        if code == ENDED:
            return
        yield code


@register("bytes", "codec")
class Bytes:
    """Each byte of UTF-8 is a category, 256 in all: knows every text and every file.

    Raw text is int64 bytes, and ``ENDED`` after the end of an example, category 256 where ``end``. K = ``classes``.
    """

    def __init__(self, end: bool = False) -> None:
        self.end = end
        self.lookup = Lookup(range(256), end)
        self.classes = self.lookup.count

    def __repr__(self) -> str:
        return f"Bytes({self.classes})"

    def name(self, z: int) -> str:
        """What a category is called in lists: the letter or the number of the byte."""
        return (repr(chr(z)) if 32 <= z < 127 else f"0x{z:02x}") if z < 256 else "end"

    def encode(self, raw: Tensor) -> Tensor:
        """Bytes (B, L) → int64 in 0 … K − 1. Raises UserError for other numbers."""
        return self.lookup.index(raw, lambda value, place: f"A byte is a number from 0 to 255, got {value}.")

    def decode(self, z: Tensor) -> Tensor:
        """Categories (B, L) → bytes; masks become ``UNKNOWN``."""
        return self.lookup.back(z)

    def text(self, z: Tensor, blank: str = BLANK) -> list[str]:
        """Categories (B, L) as they read, each up to its end, with U+FFFD for bytes that are no UTF-8; masks (K and
        more) are written as ``blank``."""
        return [
            pieced(row, lambda codes: bytes(codes).decode("utf-8", "replace"), blank) for row in self.decode(z).tolist()
        ]

    def of_text(self, text: str, blank: str | None = None) -> Tensor:
        """A text as categories (L,) int64, a character as one to four; where it says ``blank``, K."""
        return parted(text, lambda piece: list(piece.encode("utf-8")), blank, self.classes)


def pieced(row: Sequence[int], read: Callable[[list[int]], str], blank: str) -> str:
    """The text of an example up to its end: what lies between masks is read together."""
    runs = groupby(until_end(row), lambda code: code == UNKNOWN)
    return "".join(blank * len(list(run)) if masked else read(list(run)) for masked, run in runs)


def parted(text: str, read: Callable[[str], list[int]], blank: str | None, mask: int) -> Tensor:
    """A text as categories, one ``mask`` for each ``blank`` in it."""
    codes: list[int] = []
    for i, piece in enumerate(text.split(blank) if blank else [text]):
        codes += [mask] * (i > 0)
        codes += read(piece) if piece else []
    return torch.tensor(codes, dtype=torch.int64)

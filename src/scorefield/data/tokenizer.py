"""Text in the tokens of a tokenizer file, as the ``tokenizers`` package of Hugging Face writes it."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scorefield.data.alphabet import BLANK, Lookup, parted, pieced
from scorefield.errors import UserError
from scorefield.registry import register

LARGEST = 2**26  # bytes of a tokenizer file


@register("tokens", "codec")
class Tokens:
    """Each token of a tokenizer is a category: fewer of them a text than characters, and more to choose from.

    ``packed`` is the tokenizer's JSON file itself, compressed, so that a run needs no other file; ``Tokens.read`` makes
    it. Raw text is int64 numbers of tokens, and ``ENDED`` after the end of an example, which is the last category where
    ``end``. K = ``classes``, special tokens included. Raises UserError for what is no tokenizer, and without the
    package ``tokenizers``.
    """

    def __init__(self, packed: str, end: bool = False) -> None:
        self.packed, self.end = packed, end
        self.tokenizer = _made(_unpacked(packed))
        self.size = max(self.tokenizer.get_vocab(with_added_tokens=True).values(), default=0) + 1
        self.lookup = Lookup(range(self.size), end)
        self.classes = self.lookup.count

    @classmethod
    def read(cls, path: str | Path, end: bool = False) -> Tokens:
        """The codec of a tokenizer's JSON file. Raises UserError where there is none."""
        path = Path(path).expanduser()
        if not path.is_file():
            raise UserError(f"codec={path}: there is no such file. Give the JSON file of a tokenizer, or codec=bytes.")
        content = path.read_bytes()[:LARGEST]
        try:
            json.loads(content)
        except ValueError as error:
            raise UserError(f"codec={path} is not the JSON file of a tokenizer ({error}).") from error
        return cls(base64.b64encode(zlib.compress(content, 9)).decode("ascii"), end)

    def __repr__(self) -> str:
        return f"Tokens({self.classes})"

    def name(self, z: int) -> str:
        """What a category is called in lists: the token as its tokenizer writes it."""
        return repr(self.tokenizer.id_to_token(z)) if z < self.size else "end"

    def encode(self, raw: Tensor) -> Tensor:
        """Numbers of tokens (B, L) → int64 in 0 … K − 1. Raises UserError for other numbers."""
        return self.lookup.index(raw, self._lacking)

    def decode(self, z: Tensor) -> Tensor:
        """Categories (B, L) → numbers of tokens; masks become ``UNKNOWN``."""
        return self.lookup.back(z)

    def text(self, z: Tensor, blank: str = BLANK) -> list[str]:
        """Categories (B, L) as they read, each up to its end; masks (K and more) are written as ``blank``."""
        return [
            pieced(row, lambda codes: self.tokenizer.decode(codes, skip_special_tokens=False), blank)
            for row in self.decode(z).tolist()
        ]

    def of_text(self, text: str, blank: str | None = None) -> Tensor:
        """A text as categories (L,) int64; where it says ``blank``, K."""
        return parted(
            text, lambda piece: self.tokenizer.encode(piece, add_special_tokens=False).ids, blank, self.classes
        )

    def _lacking(self, value: int, place: tuple[int, ...]) -> str:
        return f"This tokenizer has {self.size:,} tokens, so there is no token {value} (example {place[0] + 1})."


def _unpacked(packed: str) -> str:
    try:
        text = zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), LARGEST)
        return text.decode("utf-8")
    except (binascii.Error, zlib.error, UnicodeDecodeError) as error:
        raise UserError(
            f"packed is not a packed tokenizer ({error}). Make it with Tokens.read(path).packed."
        ) from error


def _made(text: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UserError(
            "Tokenizer files need the package tokenizers: pip install 'scorefield[text]'. Without it there are "
            "codec=characters and codec=bytes."
        ) from error
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the package raises nothing narrower
        raise UserError(f"This is not the JSON file of a tokenizer ({error}).") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def ids(codec: Tokens, text: str) -> Tensor:
    """The tokens of a text, (T,) int32."""
    return torch.tensor(codec.tokenizer.encode(text, add_special_tokens=False).ids, dtype=torch.int32)

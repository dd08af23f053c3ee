"""Two files of text against each other, whoever wrote them: what ``scorefield evaluate`` does without a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scorefield.data.text import is_text, read_text
from scorefield.errors import UserError, suggest
from scorefield.metrics import Evaluation
from scorefield.metrics.text import TEXT, text_scores
from scorefield.runs.written import RULE

LENGTH = 128  # characters of a piece of a text that has no rules
FEWEST = 4  # pieces of real text: two to learn from, two to compare with


@dataclass(frozen=True)
class _Rows:
    """Pieces of text, and the same in numbers (N, L), filled up beyond ``sizes`` (N,)."""

    texts: list[str]
    x: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, texts: list[str], alphabet: np.ndarray) -> _Rows:
        x = np.full((len(texts), max(map(len, texts))), 0, np.int64)
        for row, text in enumerate(texts):
            x[row, : len(text)] = np.searchsorted(alphabet, _codes(text))
        return cls(texts, torch.from_numpy(x), torch.tensor([len(text) for text in texts]))


def evaluate_texts(
    samples: str | Path,
    against: Any,
    *,
    n: int | None = None,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    **others: Any,
) -> Evaluation:
    """Texts in the file ``samples`` (as `scorefield sample out=samples.txt` writes them, else pieces of 128 characters)
    beside the real text in the file ``against``: perplexity under an n-gram model, and pieces and words that occur.

    Of the real text one half is what was learned, the other what the samples are compared with. ``n`` takes that many
    pieces of the samples at random. Raises UserError for files that are no text or too short, for unknown metrics, and
    for ``others``, options of sets of numbers."""
    for name, value in others.items():
        if value is not None:
            raise UserError(f"{name}={value} is for images and numbers, but '{samples}' holds text. Leave {name} out.")
    if against is None or not is_text(str(against)):
        raise UserError(f"'{samples}' holds text, so compare it with a text that people wrote: against=FILE.txt")
    for name in metrics or ():
        if name not in TEXT:
            raise UserError(f"No metric {name!r} of two texts.{suggest(name, TEXT)}")
    written, real = read_text(Path(samples)), read_text(Path(against))
    alphabet = np.unique(np.concatenate([_codes(written), _codes(real)]))
    fake = _pieces(written)
    if n is not None and n > len(fake):
        raise UserError(f"n={n} is more than the {len(fake):,} pieces of '{samples}'. Leave n out to take all.")
    if n is not None:
        rows = torch.randperm(len(fake), generator=torch.Generator().manual_seed(seed))[:n].sort().values
        fake = [fake[row] for row in rows.tolist()]
    length = max(map(len, fake))
    whole = _cut(real, length)
    if len(whole) < FEWEST:
        raise UserError(
            f"'{against}' holds {len(real):,} characters, which make {len(whole)} of the length of the samples "
            f"({length}); at least {FEWEST} are needed. Give a longer text."
        )
    train, held = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    given, known, learned = (_Rows.of(texts, alphabet) for texts in (fake, held, train))
    scores = text_scores(
        given.x, known.x, learned.x, len(alphabet), sizes=(given.sizes, known.sizes), fake_texts=given.texts,
        real_texts=known.texts, train_texts=learned.texts,
    )  # fmt: skip
    wanted = metrics or TEXT
    notes = (
        f"{len(fake):,} pieces of up to {length} characters of {Path(samples).name}; of {Path(against).name} the first "
        "half is what was learned, the second what the samples are compared with.",
    )
    return Evaluation(tuple(score for score in scores if score.name in wanted), "text", seed, notes)


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), np.int32)


def _pieces(written: str) -> list[str]:
    """The texts between rules, or pieces of one length where there are none."""
    if RULE in written:
        return [text for text in written.removesuffix("\n").split(RULE) if text]
    return _cut(written, LENGTH) or [written]


def _cut(text: str, length: int) -> list[str]:
    """Pieces side by side; what is left over at the end is left out."""
    return [text[i : i + length] for i in range(0, len(text) - length + 1, length)]

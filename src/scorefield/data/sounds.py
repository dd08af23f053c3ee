"""A folder or an archive of sounds becomes signals of one rate, one length and one number of channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from scorefield.data import cache as stored
from scorefield.data.cache import Rows, cache_key, recall
from scorefield.data.dataset import Broken, Dataset, Progress
from scorefield.data.decoding import decode, parallel, threads
from scorefield.data.files import Files
from scorefield.data.folder import every_broken, told_by
from scorefield.data.listing import RECORDINGS, Listing, list_files
from scorefield.data.sound import Header, header_of, read_sound
from scorefield.data.words import count
from scorefield.errors import UserError

FORMAT = 1  # of the cached samples: raise it when decoding changes
MULTIPLE = 64  # lengths are whole multiples, so that a U-Net can halve them six times
FITTING = 0.95  # share of the sounds that the chosen length holds whole
LONGEST = 16384  # samples, unless more are asked for: what the recipes are made for

SENTENCES = {
    "mixed": "Several channels were mixed to one in {}.",
    "doubled": "One channel became two equal ones in {}.",
    "resampled": "The rate was changed in {}.",
    "cut": "The end was cut off {}.",
    "padded": "Silence was added at the end of {}.",
}


def open_sounds(
    files: Files,
    *,
    rate: int | None,
    seconds: float | None,
    label: str | None,
    condition: tuple[str, ...] | None = None,
    strict: bool,
    cache: bool,
    progress: Progress | None,
    broken: tuple[Broken, ...] = (),
    listing: Listing | None = None,
    name: str = "data",
) -> Dataset:
    """Every sound of ``files`` as float32 (N, C, L) in [−1, 1], in their order, classes from folders or metadata.

    ``rate`` is in samples a second (None: that of most files), ``seconds`` the length (None: what holds 95 % of them
    whole, at most 16,384 samples), rounded up to a multiple of 64 samples. Stereo stays where all files have it.
    Raises ``UserError`` where no sound can be used, and, if ``strict``, for any file that cannot be read.
    """
    listing = listing or list_files(files, RECORDINGS, label, condition)
    with threads() as pool:
        heads = list(parallel(pool, header_of, files.each(listing.files)))
    known = [head for head in heads if type(head) is Header]
    if not known:
        faults = tuple(Broken(n, str(h)) for n, h in zip(listing.files, heads, strict=True))
        every_broken(files, listing, (*broken, *faults), 0, "sounds", strict)
    hertz, channels, length, notes = _common(known, rate, seconds)
    key = cache_key("sound", FORMAT, files.identity, files.stamps(listing.files), hertz, channels, length)
    x, unusable, done = _decoded(files, listing.files, key, (hertz, channels, length), cache, progress)
    every = every_broken(files, listing, (*broken, *unusable), len(x), "sounds", strict)
    skipped = (f"{count(len(every), 'broken file')} skipped.",) if every else ()
    return Dataset(
        name=name,
        kind="signals",
        x=torch.from_numpy(x),
        columns=("left", "right") if channels == 2 else (),
        broken=every,
        notes=(*notes, *done, *listing.notes, *skipped),
        source=str(files.path),
        key=key if x.nbytes > stored.IN_MEMORY else None,
        rate=hertz,
        **told_by(listing, unusable),
    )


def _common(heads: Sequence[Header], rate: int | None, seconds: float | None) -> tuple[int, int, int, tuple[str, ...]]:
    """(rate, channels, length) of all examples, and the sentences that say so."""
    rates = Counter(head.rate for head in heads)
    hertz = rate or min(rates, key=lambda r: (-rates[r], r))
    numbers = {head.channels for head in heads}
    channels = 2 if numbers == {2} else 1
    lasting = np.array([head.length / head.rate for head in heads])
    wanted = seconds * hertz if seconds else min(float(np.quantile(lasting, FITTING)) * hertz, LONGEST)
    length = max(MULTIPLE, -(-round(wanted) // MULTIPLE) * MULTIPLE)
    low, high = lasting.min(), lasting.max()
    span = f"{low:.3g} s" if high - low < 0.005 else f"{low:.3g} … {high:.3g} s"
    other = "" if set(rates) == {hertz} else f" (stored: {', '.join(f'{r:,}' for r in sorted(rates))} Hz)"
    said = "" if seconds else " Write seconds= for another length."
    note = (
        f"Sounds of {span} became {length:,} samples at {hertz:,} Hz{other}, {length / hertz:.3g} s, "
        f"{'stereo' if channels == 2 else 'one channel'}.{said}"
    )
    return hertz, channels, length, (note,)


def _decoded(
    files: Files,
    names: tuple[str, ...],
    key: str,
    form: tuple[int, int, int],
    cache: bool,
    progress: Progress | None,
) -> tuple[np.ndarray, tuple[Broken, ...], tuple[str, ...]]:
    """Samples (N, C, L), the files that have none, and what was done; from the cache where nothing changed."""
    entry = recall(key) if cache else None
    if entry is not None:
        x, about = entry
        return x, tuple(Broken(*file) for file in about["broken"]), tuple(about["notes"])
    hertz, channels, length = form
    rows = Rows(key, (channels, length), cache, np.float32)
    try:
        with threads() as pool:
            read = partial(read_sound, rate=hertz, channels=channels, length=length)
            found = decode(files, names, read, rows, pool, progress)
        assert found is not None  # only pictures are given up for their colour
        broken, steps = found
        notes = tuple(text.format(count(steps[s], "sound")) for s, text in SENTENCES.items() if steps[s])
        x = rows.finish({"broken": [[file.path, file.reason] for file in broken], "notes": notes})
        return x, broken, notes + (() if rows.note is None else (rows.note,))
    finally:
        rows.drop()


def check(rate: int | None, seconds: float | None) -> None:
    """Raises ``UserError`` for a rate or a length that no sound has."""
    if rate is not None and not 100 <= rate <= 384_000:
        raise UserError(
            f"rate is in samples a second, from 100 to 384,000, got {rate}. rate=16000 is usual for speech."
        )
    if seconds is not None and not 0 < seconds <= 600:
        raise UserError(f"seconds must be above 0 and at most 600, got {seconds:g}.")

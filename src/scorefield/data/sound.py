"""One sound file becomes numbers between −1 and 1 at one rate: RIFF wave by hand, everything else by libsndfile."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import partial
from io import SEEK_CUR, SEEK_END
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from scorefield.data.decoding import Decoded
from scorefield.data.files import DAMAGE, Opener
from scorefield.errors import UserError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
CHUNK = 2**20  # products of one block of the resampler

# Kaiser window of the resampler: zero crossings on either side, share of the band that passes, β. The numbers are those
# of resampy's "kaiser_best" (McFee 2016), which has less than −100 dB of error in the band that passes.
CROSSINGS, ROLL_OFF, BETA = 64, 0.9475937167399596, 14.769656459379492


@dataclass(frozen=True)
class Header:
    """What a file says of itself: samples a second, channels, and samples in each."""

    rate: int
    channels: int
    length: int


@dataclass(frozen=True)
class _Wave:
    header: Header
    kind: int
    bits: int
    offset: int
    frame: int  # bytes


def header_of(opener: Opener) -> Header | str:
    """What a sound file holds, from its head alone; or why it cannot be read. Raises ``UserError`` where reading it
    needs a library that is not there."""
    try:
        with opener() as file:
            if _is_wave(file):
                return _wave(file).header
            with _soundfile().SoundFile(file) as sound:
                return Header(sound.samplerate, sound.channels, sound.frames)
    except DAMAGE as error:
        return _reason(opener, error)


def read_sound(opener: Opener, rate: int, channels: int, length: int) -> Decoded:
    """One file to float32 (C, L) at ``rate``: mixed to one channel or doubled to two where it has another number, cut
    or padded with silence at its end. Never raises for what it holds."""
    try:
        with opener() as file:
            values, own = _values(file, length, rate)
    except DAMAGE as error:
        return Decoded(None, reason=_reason(opener, error))
    if not np.isfinite(values).all():
        return Decoded(None, reason="holds nan or infinity")
    steps = []
    if len(values) != channels:
        steps.append("mixed" if channels == 1 else "doubled")
        values = np.repeat(values.mean(0, keepdims=True), channels, 0)
    if own != rate:
        steps.append("resampled")
        values = resample(values, own, rate)
    if values.shape[1] > length:
        steps.append("cut")
    if values.shape[1] < length:
        steps.append("padded")
        values = np.pad(values, ((0, 0), (0, length - values.shape[1])))
    return Decoded(np.ascontiguousarray(values[:, :length], np.float32), steps=tuple(steps))


def all_of(path: Path) -> tuple[np.ndarray, int]:
    """A whole file as float32 (C, T) in [−1, 1], and its rate. Raises ``UserError`` where it cannot be read."""
    opener = partial(open, path, "rb")
    head = header_of(opener)
    if isinstance(head, str):
        raise UserError(f"'{path}' {head}.")
    with opener() as file:
        return _values(file, head.length, head.rate)


def resample(x: np.ndarray, old: int, new: int) -> np.ndarray:
    """(C, T) sampled ``old`` times a second → (C, ⌈T new / old⌉) sampled ``new`` times, exact for what both can hold.

    y(t) = Σ_n x(n) c sinc(c (t − n)) w(c (t − n)), c = min(1, new/old) · roll-off: the ideal low-pass filter under a
    Kaiser window (Smith, Digital Audio Resampling, 1984), evaluated once for each phase that occurs.
    """
    common = math.gcd(old, new)
    down, up = old // common, new // common
    count = -(-x.shape[1] * up // down)
    cut = ROLL_OFF * min(1.0, up / down)
    reach = math.ceil(CROSSINGS / min(1.0, up / down))
    at = np.arange(count, dtype=np.int64) * down
    phases, which = np.unique(at % up, return_inverse=True)
    offsets = np.arange(-reach, reach + 1)
    distance = (phases[:, None] / up - offsets) * cut
    inside = np.clip(1 - np.square((phases[:, None] / up - offsets) / (reach + 1)), 0, None)
    weights = cut * np.sinc(distance) * np.i0(BETA * np.sqrt(inside)) / np.i0(BETA)
    padded = np.pad(x.astype(np.float64), ((0, 0), (reach, reach + 1)))
    first = at // up  # of the window in the padded signal, whose middle is the sample at or before t
    out = np.empty((len(x), count))
    step = max(1, CHUNK // len(offsets))
    for start in range(0, count, step):
        some = slice(start, start + step)
        taps = padded[:, first[some, None] + np.arange(len(offsets))]
        out[:, some] = np.einsum("ctk,tk->ct", taps, weights[which[some]])
    return out.astype(np.float32)


def wave_bytes(values: np.ndarray, rate: int) -> bytes:
    """(C, L) in [−1, 1] as a 16-bit PCM wave file; beyond that it is clipped."""
    frames = np.rint(np.clip(values, -1, 32767 / 32768) * 32768).astype("<i2").T.tobytes()
    channels = len(values)
    form = struct.pack("<HHIIHH", PCM, channels, rate, rate * channels * 2, channels * 2, 16)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(frames)) + frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _values(file: BinaryIO, length: int, rate: int) -> tuple[np.ndarray, int]:
    """(C, T) float32 and its own rate; of a long file only what ``length`` samples at ``rate`` need."""
    if _is_wave(file):
        wave = _wave(file)
        file.seek(wave.offset)
        most = _needed(length, rate, wave.header)
        return _numbers(file.read(most * wave.frame), wave), wave.header.rate
    with _soundfile().SoundFile(file) as sound:
        own = Header(sound.samplerate, sound.channels, sound.frames)
        return sound.read(_needed(length, rate, own), dtype="float32", always_2d=True).T, own.rate


def _needed(length: int, rate: int, own: Header) -> int:
    reach = 2 * CROSSINGS * max(1, -(-own.rate // rate))
    return min(own.length, -(-length * own.rate // rate) + (reach if own.rate != rate else 0) + 1)


def _is_wave(file: BinaryIO) -> bool:
    head = file.read(12)
    file.seek(0)
    if not head:
        raise EOFError("is empty (0 bytes)")
    return head[:4] in (b"RIFF", b"RF64")


def _wave(file: BinaryIO) -> _Wave:
    """The head of a wave file: its ``fmt`` chunk and where its ``data`` lie. A length that was never filled in, as
    streaming recorders leave it, means up to the end of the file."""
    end = file.seek(0, SEEK_END)
    file.seek(12)
    kind = channels = rate = frame = bits = 0
    while True:
        name, size = struct.unpack("<4sI", _exactly(file, 8))
        if name == b"fmt ":
            form = _exactly(file, size)
            kind, channels, rate, _, frame, bits = struct.unpack("<HHIIHH", form[:16])
            kind = struct.unpack("<H", form[24:26])[0] if kind == EXTENSIBLE and size >= 26 else kind
            file.seek(size & 1, SEEK_CUR)
        elif name == b"data":
            break
        else:
            file.seek(size + (size & 1), SEEK_CUR)
    if (kind, bits) not in SCALES or not channels or not rate or frame != channels * bits // 8:
        raise ValueError(f"its wave format {kind} of {bits} bits is not one of 8 to 32 bits PCM or float")
    offset = file.tell()
    there = max(0, end - offset)
    size = there if size in (0, 0xFFFFFFFF) else size
    if size > there:
        raise EOFError("is cut short")
    return _Wave(Header(rate, channels, size // frame), kind, bits, offset, frame)


def _exactly(file: BinaryIO, size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise EOFError("is cut short")
    return content


# (format, bits) → NumPy type and the value of full scale; 24 bits are widened first
SCALES: dict[tuple[int, int], tuple[str, float]] = {
    (PCM, 8): ("u1", 128.0),
    (PCM, 16): ("<i2", 2.0**15),
    (PCM, 24): ("<i4", 2.0**31),
    (PCM, 32): ("<i4", 2.0**31),
    (FLOAT, 32): ("<f4", 1.0),
    (FLOAT, 64): ("<f8", 1.0),
}


def _numbers(content: bytes, wave: _Wave) -> np.ndarray:
    kind, full = SCALES[wave.kind, wave.bits]
    content = content[: len(content) // wave.frame * wave.frame]
    if wave.bits == 24:
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        content = wide.tobytes()
    values = np.frombuffer(content, kind).astype(np.float64)
    values = values - 128 if wave.bits == 8 else values
    return (values / full).astype(np.float32).reshape(-1, wave.header.channels).T


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise UserError(
            'flac, ogg and other sounds than .wav need the library soundfile: pip install "scorefield[audio]".'
        ) from error
    return soundfile


def _reason(opener: Opener, error: BaseException) -> str:
    """Why a file cannot be used, in words that complete "'a.wav' ..."."""
    text = str(error)
    if type(error) is FileNotFoundError:
        return "does not exist"
    if type(error) is PermissionError:
        return "may not be read (permission denied)"
    if text.startswith(("is ", "its ")):
        return text if text.startswith("is ") else f"cannot be used: {text}"
    return f"cannot be decoded ({text or type(error).__name__})"

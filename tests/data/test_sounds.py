"""Sounds: every wave format with known values, exact resampling, folders as people have them."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from scorefield.data import codec_for, open_data
from scorefield.data.sound import header_of, read_sound, resample, wave_bytes
from scorefield.errors import UserError

VALUES = np.array([-1.0, -0.5, 0.0, 0.25, 0.75])


def riff(form: bytes, data: bytes, *, size: int | None = None, extra: bytes = b"") -> bytes:
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + extra
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def form(kind: int, bits: int, channels: int = 1, rate: int = 8000) -> bytes:
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits)


def whole(numbers: np.ndarray, dtype: str) -> bytes:
    return numbers.astype(dtype).tobytes()


def three_bytes(numbers: np.ndarray) -> bytes:
    return numbers.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


EXTENSIBLE = form(0xFFFE, 16) + struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes(14)
FORMATS = {
    "8 bits": riff(form(1, 8), whole(VALUES * 128 + 128, "u1")),
    "16 bits": riff(form(1, 16), whole(VALUES * 2**15, "<i2")),
    "24 bits": riff(form(1, 24), three_bytes(VALUES * 2**23)),
    "32 bits": riff(form(1, 32), whole(VALUES * 2**31, "<i4")),
    "float": riff(form(3, 32), whole(VALUES, "<f4")),
    "double": riff(form(3, 64), whole(VALUES, "<f8")),
    "extensible": riff(EXTENSIBLE, whole(VALUES * 2**15, "<i2")),
    "with a chunk of odd length before": riff(form(1, 16), whole(VALUES * 2**15, "<i2"), extra=b"LIST\3\0\0\0abc\0"),
    "length never filled in": riff(form(1, 16), whole(VALUES * 2**15, "<i2"), size=0xFFFFFFFF),
}


def stored(folder: Path, content: bytes):
    (folder / "a.wav").write_bytes(content)
    return partial(open, folder / "a.wav", "rb")


@pytest.mark.parametrize("name", FORMATS)
def test_every_wave_format_gives_the_same_numbers(tmp_path: Path, name: str):
    opener = stored(tmp_path, FORMATS[name])
    head = header_of(opener)
    assert not isinstance(head, str) and (head.rate, head.channels, head.length) == (8000, 1, 5)
    read = read_sound(opener, 8000, 1, 8)
    assert read.values is not None and read.steps == ("padded",)
    assert read.values.tolist() == [[*VALUES.tolist(), 0, 0, 0]]


FAULTS = {
    "empty": (b"", "is empty (0 bytes)"),
    "cut in its head": (FORMATS["16 bits"][:30], "is cut short"),
    "cut in its data": (FORMATS["16 bits"][:-3], "is cut short"),
    "compressed": (
        riff(form(2, 4), b"12"),
        "cannot be used: its wave format 2 of 4 bits is not one of 8 to 32 bits PCM or float",
    ),
    "nan": (riff(form(3, 32), whole(np.array([0.0, np.nan]), "<f4")), "holds nan or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_damaged_files_say_why(tmp_path: Path, name: str):
    content, reason = FAULTS[name]
    read = read_sound(stored(tmp_path, content), 8000, 1, 8)
    assert read.values is None and read.reason == reason


def test_stereo_is_mixed_and_mono_doubled(tmp_path: Path):
    frames = np.array([[0.5, -0.25, 0.0], [0.0, 0.25, 1.0 - 2**-15]])
    opener = stored(tmp_path, wave_bytes(frames, 8000))
    one, two = read_sound(opener, 8000, 1, 3), read_sound(opener, 8000, 2, 3)
    assert two.values is not None and np.array_equal(two.values, frames.astype(np.float32)) and not two.steps
    assert one.values is not None and np.allclose(one.values, frames.mean(0, keepdims=True), atol=1e-7)
    assert read_sound(stored(tmp_path, wave_bytes(frames[:1], 8000)), 8000, 2, 3).steps == ("doubled",)


@pytest.mark.parametrize("old, new", [(44_100, 16_000), (8_000, 11_025), (48_000, 8_000), (8_000, 8_001)])
def test_resampling_is_exact_for_what_both_rates_hold(old: int, new: int):
    """A sine well below both Nyquist frequencies becomes the same sine at the new times. The filter's error in the band
    that passes is under −100 dB, 1e-5; what is cut off at the ends of the file is left out of the comparison."""
    hertz, seconds = 1000.0, 0.1
    x = np.sin(2 * np.pi * hertz * np.arange(round(old * seconds)) / old)[None]
    y = resample(x, old, new)
    assert y.shape[1] == -(-x.shape[1] * new // old)
    times = np.arange(y.shape[1]) / new
    inside = (times > 0.02) & (times < seconds - 0.02)
    expected = np.sin(2 * np.pi * hertz * times)
    assert np.abs(y[0] - expected)[inside].max() < 2e-5


def test_resampling_removes_what_the_new_rate_cannot_hold():
    x = np.sin(2 * np.pi * 7000 * np.arange(4800) / 48_000)[None]
    assert np.abs(resample(x, 48_000, 8_000)[0, 100:-100]).max() < 1e-4


def sine(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)[None]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Two classes of two sounds each, of several lengths and one other rate."""
    lasting = [("no", 0.1, 8000), ("no", 0.2, 8000), ("yes", 0.15, 8000), ("yes", 0.2, 16000)]
    for i, (name, seconds, rate) in enumerate(lasting):
        (tmp_path / "words" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "words" / name / f"{i}.wav").write_bytes(wave_bytes(sine(seconds, rate), rate))
    return tmp_path / "words"


def test_a_folder_of_sounds(words: Path):
    (words / "yes" / "broken.wav").write_bytes(b"RIFF")
    data = open_data(words, holdout=0)
    assert (data.kind, data.rate, data.shape, data.classes) == ("signals", 8000, (1, 1600), ("no", "yes"))
    assert data.labels is not None and data.labels.tolist() == [0, 0, 1, 1]
    assert data.x.dtype == torch.float32 and data.notes[0] == (
        "Sounds of 0.1 … 0.2 s became 1,600 samples at 8,000 Hz (stored: 8,000, 16,000 Hz), 0.2 s, one channel. "
        "Write seconds= for another length."
    )
    assert [(file.path, file.reason) for file in data.broken] == [("yes/broken.wav", "is cut short")]
    # A sine of 440 Hz, whichever rate it was stored at; the ends of the resampled one are left out.
    torch.testing.assert_close(data.x[3, 0, 150:1450], data.x[1, 0, 150:1450], rtol=0, atol=1e-4)
    again = open_data(words, holdout=0)
    assert torch.equal(data.x, again.x) and data.fingerprint == again.fingerprint and data.notes == again.notes
    other = open_data(words, holdout=0, rate=4000, seconds=0.05, cache=False)
    assert other.shape == (1, 256) and other.rate == 4000  # 200 samples, up to the next multiple of 64
    z = codec_for(data).encode(data.x)
    assert z.mean().abs() < 1e-4 and abs(float(z.std(correction=0)) - 1) < 1e-4


def test_sounds_refuse_what_does_not_concern_them(words: Path):
    for options, sentence in (
        ({"size": 32}, "size= does not apply to sounds. Leave it out."),
        ({"window": 3}, r"window= cuts one long series in a .csv, .+ file into windows, and '.+' is none."),
        ({"rate": 5}, "rate is in samples a second, from 100 to 384,000, got 5"),
        ({"seconds": -1.0}, "seconds must be above 0 and at most 600, got -1"),
        ({"split": "test"}, "split= does not apply to sounds. Leave it out."),
    ):
        with pytest.raises(UserError, match=sentence):
            open_data(words, **options)  # pyrefly: ignore[bad-argument-type]


def test_compressed_sounds(tmp_path: Path):
    soundfile = pytest.importorskip("soundfile", reason="flac and ogg need the extra `audio`")
    (tmp_path / "set").mkdir()
    for name in ("a.flac", "b.ogg"):
        soundfile.write(tmp_path / "set" / name, sine(0.2, 8000)[0], 8000)
    data = open_data(tmp_path / "set", holdout=0)
    assert data.shape == (1, 1600) and not data.broken
    assert np.abs(data.x[0, 0].numpy() - sine(0.2, 8000)[0]).max() < 2**-14  # 16 bits without loss
    assert np.abs(data.x[1, 0, 200:1400].numpy() - sine(0.2, 8000)[0, 200:1400]).max() < 0.05  # with loss


def test_without_soundfile_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import sys

    (tmp_path / "a.flac").write_bytes(b"fLaC" + bytes(40))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(UserError, match=r'pip install "scorefield\[audio\]"'):
        open_data(tmp_path)

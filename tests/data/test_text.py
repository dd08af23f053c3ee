"""Text files as data: every character in a window, none in both parts, and files that cannot be learned."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from scorefield.data import codec_for, describe, open_data
from scorefield.data import text as reader
from scorefield.data.alphabet import ENDED
from scorefield.errors import UserError

TEXT = "".join(f"{i} bottles of beer on the wall,\n" for i in range(99, 59, -1))


def written(folder: Path, text: str | bytes, name: str = "beer.txt") -> Path:
    """The text in a file, packed where the name says so."""
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder / name


@pytest.mark.parametrize("name", ["beer.txt", "beer.txt.gz"])
def test_windows_slide_over_the_document_and_its_end_is_held_out(tmp_path: Path, name: str) -> None:
    data = open_data(written(tmp_path, TEXT, name), length=32)
    codec, cut = codec_for(data), len(TEXT) * 9 // 10
    assert (data.kind, data.name, data.x.dtype) == ("text", "beer", torch.int64)
    assert codec.text(codec.encode(data.x)) == [TEXT[i : i + 32] for i in range(cut - 31)]
    held_out = codec.text(codec.encode(data.held_out.x))
    assert held_out == [TEXT[i : i + 32] for i in range(cut, len(TEXT) - 31, 32)] and len(held_out) > 2
    assert codec.alphabet == "".join(sorted(set(TEXT))) and codec.classes == len(set(TEXT))
    assert data.notes[0].startswith(f"{len(TEXT):,} characters, {len(set(TEXT))} of them different, became")


def test_strides_holdouts_and_codecs_that_were_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT.replace("beer", "bière"))
    data = open_data(path, length=64, stride=64, holdout=0, codec="bytes")
    content = path.read_bytes()
    assert data.held_out is None and len(data) == len(content) // 64
    assert bytes(data.x.flatten().tolist()) == content[: 64 * len(data)]
    assert codec_for(data).classes == 256
    assert open_data(path, length=64).fingerprint != open_data(path, length=65).fingerprint


def test_a_list_is_told_that_it_may_be_read_by_lines(tmp_path: Path) -> None:
    """Many short lines and none empty; not prose, verse with empty lines, or what is read by lines already."""
    names, verse = tmp_path / "names.txt", tmp_path / "verse.txt"
    names.write_text("anna\nbert\n" * 60, encoding="utf-8")
    verse.write_text("shall I compare\nthee to a\n\n" * 60, encoding="utf-8")
    assert "a list of 120 lines: lines=yes makes" in " ".join(open_data(names).notes)
    for data in (open_data(names, lines=True), open_data(names, codec="bytes", length=8, holdout=0), open_data(verse)):
        assert ("looks like a list" in " ".join(data.notes)) == (data.shape == (8,))


def test_what_does_not_fit_into_memory_is_read_by_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = open_data(written(tmp_path, TEXT), length=32)
    monkeypatch.setattr(reader.cache, "IN_MEMORY", 1)
    lazy = open_data(tmp_path / "beer.txt", length=32)
    assert not torch.is_tensor(lazy.x) and lazy.shape == (32,) and lazy.x.dtype is torch.int64
    rows = torch.tensor([5, 0, 700])
    assert torch.equal(lazy.batch(rows)["x"], whole.x[rows]) and torch.equal(lazy.held_out.x[:], whole.held_out.x)
    assert lazy.fingerprint == open_data(tmp_path / "beer.txt", length=32).fingerprint
    assert lazy.fingerprint != open_data(tmp_path / "beer.txt", length=33).fingerprint
    assert describe(lazy)["categories"] == describe(whole)["categories"]


def test_lines_are_examples_that_end(tmp_path: Path) -> None:
    names = ["ada", "grace", "emmy"] * 10
    data = open_data(written(tmp_path, "\n".join(names) + "\n\n"), lines=True)
    codec = codec_for(data)
    assert data.shape == (5,) and data.x.min() == ENDED and codec.end
    both = torch.cat((data.x, data.held_out.x))
    assert sorted(codec.text(codec.encode(both))) == sorted(names) and len(data.held_out) == 3
    short = open_data(tmp_path / "beer.txt", lines=True, length=4, holdout=0)
    assert set(codec_for(short).text(codec_for(short).encode(short.x))) == {"ada", "emmy"}
    assert "10 lines longer than 4 left out" in short.notes[-1]


def test_the_guesses_suit_the_file(tmp_path: Path) -> None:
    assert open_data(written(tmp_path, TEXT * 3)).shape == (128,)
    assert open_data(written(tmp_path, TEXT[:500])).shape == (16,)  # twenty windows of the next longer do not fit
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    data = open_data(written(tmp_path, many))
    assert codec_for(data).classes == 256 and "300 different characters, so it is read as bytes" in data.notes[0]
    assert codec_for(open_data(tmp_path / "beer.txt", codec="characters")).classes == 300
    windows = open_data(written(tmp_path, "\ufeff" + TEXT.replace("\n", "\r\n")), length=32)
    assert codec_for(windows).alphabet == "".join(sorted(set(TEXT))) and "Windows" in windows.notes[0]


def test_a_text_is_described(tmp_path: Path) -> None:
    data = open_data(written(tmp_path, "abac" * 50), length=8, holdout=0)
    account = describe(data)
    assert account["range"] == [] and account["mean"] == [] and account["kind"] == "text"
    assert account["categories"]["count"] == 3 and account["categories"]["shown"][0] == "abacabac"
    assert list(account["categories"]["common"]) == ["'a'", "'b'", "'c'"]
    assert account["categories"]["entropy"] == pytest.approx(1.5, abs=1e-3)  # the ends are in fewer windows


@pytest.mark.parametrize(
    "text, how, error",
    [
        ("", {}, "beer.txt' is empty"),
        (" \n\n", {}, "is empty"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", {}, "repeats one character, 'a'"),
        ("short", {}, "holds 5 characters, too few to learn from. It needs 16 or more"),
        (TEXT, {"length": 5000}, r"holds 1,280 characters, fewer than length=5000. Write a smaller length"),
        (TEXT, {"length": 1000, "holdout": 0.8}, "leaves 256 characters, less than one window of 1000"),
        (TEXT, {"length": 100, "holdout": 0.01}, "Write at least holdout=0.08, a smaller length, or holdout=0"),
        (TEXT, {"holdout": 1.0}, "holdout is a fraction"),
        (TEXT, {"length": 1}, "length must be from 2"),
        (TEXT, {"codec": "byts"}, "codec=byts is not known.*Did you mean 'bytes'"),
        (TEXT, {"lines": True, "length": 3}, "Every line of .* is longer than length=3: the shortest has 31 character"),
        (TEXT, {"lines": True, "stride": 2}, "stride= is for windows of a document"),
        (TEXT, {"size": 32}, "size= does not apply to a text"),
        (TEXT, {"rate": 8000}, "rate= does not apply to a text"),
        (b"caf\xe9\nbar" * 9, {}, "is not UTF-8 text: byte 0xe9 in line 1 cannot be read.*codec=bytes"),
    ],
)
def test_texts_that_cannot_be_learned_get_a_sentence(tmp_path: Path, text: str, how: dict, error: str) -> None:
    with pytest.raises(UserError, match=f"(?s){error}"):
        open_data(written(tmp_path, text), **how)


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "beer.txt.gz"
    path.write_bytes(gzip.compress(TEXT.encode())[:-40])
    with pytest.raises(UserError, match="is damaged"):
        open_data(path)
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match="is damaged"):
        open_data(path)
    with pytest.raises(UserError, match=r"length= does not apply to an array"):
        open_data(torch.zeros(30, 2), length=3)
    with pytest.raises(UserError, match=r"nothing\.txt' does not exist"):
        open_data(tmp_path / "nothing.txt")


def test_tiny_shakespeare(shared_data: Path) -> None:
    """65 characters, and the split that everybody measures on: the first nine tenths, rounded down."""
    path = shared_data / "text" / "tinyshakespeare.txt.gz"
    if not path.is_file():
        pytest.skip(f"{path.name} is absent")
    data = open_data(path)
    codec, text = codec_for(data), gzip.decompress(path.read_bytes()).decode()
    assert codec.classes == 65 and data.shape == (128,) and len(text) == 1_115_394
    cut = int(len(text) * 0.9)
    assert codec.text(codec.encode(data.x[-1:])) == [text[cut - 128 : cut]]
    assert "".join(codec.text(codec.encode(data.held_out.x))) == text[cut : cut + 128 * len(data.held_out)]
    names = open_data(shared_data / "text" / "names.txt.gz", lines=True)
    assert names.shape == (15,) and codec_for(names).classes == 27 and len(names) + len(names.held_out) == 32_033

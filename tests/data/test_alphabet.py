"""Codecs of text: what was written comes back, and what cannot be written is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefield.data.alphabet import ENDED, UNKNOWN, Bytes, Characters
from scorefield.data.tokenizer import Tokens
from scorefield.errors import UserError
from scorefield.registry import from_config, to_config
from scorefield.testing import check_categories

LETTERS = st.characters(exclude_categories=("Cs",))  # all of Unicode but halves of surrogate pairs


@settings(deadline=None)
@given(st.text(LETTERS, min_size=2, max_size=60).filter(lambda text: len(set(text)) > 1), st.booleans())
def test_characters_give_every_text_back(text: str, end: bool) -> None:
    codec = Characters("".join(set(text)), end)
    z = codec.of_text(text)
    assert codec.text(z[None]) == [text] and z.max() < codec.classes == len(set(text)) + end
    raw = codec.decode(z[None])
    assert raw[0].tolist() == [ord(sign) for sign in text]
    check_categories(codec, raw)
    again = from_config(to_config(codec), "codec")
    assert torch.equal(again.encode(raw), z[None]) and again.classes == codec.classes


@settings(deadline=None)
@given(st.text(LETTERS, max_size=60), st.binary(min_size=1, max_size=40), st.booleans())
def test_bytes_give_every_text_and_every_byte_back(text: str, content: bytes, end: bool) -> None:
    codec = Bytes(end)
    assert codec.text(codec.of_text(text)[None]) == [text] and codec.classes == 256 + end
    check_categories(codec, torch.tensor([list(content)]))
    assert codec.text(torch.tensor([list(content)])) == [content.decode("utf-8", "replace")]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["", "to be", "ü_", "💡", "_", "__"]), max_size=6).map("".join))
def test_blanks_become_masks_and_masks_blanks(text: str) -> None:
    for codec in (Characters("to beü💡"), Bytes(), Bytes(end=True)):
        z = codec.of_text(text, blank="_")
        assert int((z == codec.classes).sum()) == text.count("_")
        assert codec.text(z[None], blank="_") == [text]
        assert (codec.decode(z) == UNKNOWN).sum() == text.count("_")


def test_an_example_reads_up_to_its_end() -> None:
    for codec in (Characters("abc", end=True), Bytes(end=True)):
        raw = torch.tensor([[97, 98, ENDED, 99], [99, 98, 97, 97], [ENDED] * 4])
        check_categories(codec, raw)
        z = codec.encode(raw)
        assert z[0, 2] == codec.classes - 1 and codec.text(z) == ["ab", "cbaa", ""]
        assert codec.text(torch.tensor([[codec.classes, 0, codec.classes - 1]]), blank="·")[0][0] == "·"


@pytest.mark.parametrize(
    "build, error",
    [
        (lambda: Characters("aba"), "alphabet must hold at least two different characters, each once; got 'aba'"),
        (lambda: Characters("a"), "at least two different characters"),
        (
            lambda: Characters("ab\n").of_text("ab\naéb"),
            r"The alphabet lacks 'é' \(U\+00E9\), at line 2, column 2 of the text. It has 3 characters, '\\nab': write",
        ),
        (
            lambda: Characters("ab").encode(torch.tensor([[97, 98], [98, 99]])),
            r"lacks 'c' \(U\+0063\), at place 2 of example 2",
        ),
        (lambda: Characters("ab").encode(torch.tensor([[ENDED]])), "lacks 'an end'"),
        (lambda: Bytes().encode(torch.tensor([[256]])), "from 0 to 255, got 256"),
        (lambda: Tokens("abc"), r"packed is not a packed tokenizer .* Tokens.read\(path\).packed"),
        (lambda: Tokens.read("none.json"), "codec=none.json: there is no such file"),
    ],
)
def test_what_cannot_be_written_is_named(build, error: str) -> None:
    with pytest.raises(UserError, match=error):
        build()


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """A byte-level tokenizer of the 256 bytes and a few joined ones, which gives every text back."""
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra [text]")
    from tokenizers import decoders, models, pre_tokenizers, trainers

    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(["to be or not to be, that is the question"] * 20, trainer)
    made.save(str(tmp_path / "tokens.json"))
    return tmp_path / "tokens.json"


def test_tokens_are_those_of_the_tokenizer_file(tokenizer: Path, tmp_path: Path) -> None:
    codec = Tokens.read(tokenizer, end=True)
    for text in ("to be, or not to be: 💡", "", " two  spaces\n"):
        z = codec.of_text(text)
        assert codec.text(z[None]) == [text]
    assert len(codec.of_text("to be or not to be")) < 10
    check_categories(codec, torch.cat((codec.of_text("not to be"), torch.tensor([ENDED])))[None])
    masked = codec.of_text("to be_", blank="_")
    assert masked[-1] == codec.classes and codec.text(masked[None]) == ["to be_"]
    tokenizer.unlink()  # the run needs no file but its own config
    again = from_config(json.loads(json.dumps(to_config(codec))), "codec")
    assert again.classes == codec.classes == codec.size + 1 > 257 and torch.equal(
        again.of_text("be"), codec.of_text("be")
    )
    with pytest.raises(UserError, match=f"has {codec.size} tokens, so there is no token {codec.size} "):
        codec.encode(torch.tensor([[codec.size]]))
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="not the JSON file of a tokenizer"):
        Tokens.read(tmp_path / "other.json")
    (tmp_path / "other.json").write_text("{")
    with pytest.raises(UserError, match=r"other\.json is not the JSON file of a tokenizer"):
        Tokens.read(tmp_path / "other.json")

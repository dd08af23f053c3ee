"""Sounds and series from end to end: trained, sampled, and written as what they are."""

from __future__ import annotations

import csv
import io
import wave
from pathlib import Path

import numpy as np
import pytest

import scorefield
from scorefield.cli.main import main
from scorefield.data.sound import wave_bytes
from scorefield.errors import UserError

TINY = {"channels": 8, "mult": [1, 1], "batch": 4, "evaluate": False, "preview": 0, "device": "cpu", "steps": 1}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> scorefield.Run:
    """A run of one step on two classes of sounds at 4,000 Hz."""
    root = tmp_path_factory.mktemp("sounds")
    for name, hertz in (("low", 100), ("high", 900)):
        (root / "words" / name).mkdir(parents=True)
        for i in range(6):
            tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(250 + i) / 4000)
            (root / "words" / name / f"{i}.wav").write_bytes(wave_bytes(tone[None], 4000))
    return scorefield.train(root / "words", runs=root / "runs", cache=False, **TINY)


def test_sampled_sounds_are_wave_files_at_the_rate_of_the_data(sounds: scorefield.Run, tmp_path: Path):
    assert (sounds.kind, sounds.rate, sounds.classes) == ("signals", 4000, ("high", "low"))
    samples = sounds.sample(4, steps=1)
    samples.save(tmp_path / "drawn")
    files = sorted(path.relative_to(tmp_path / "drawn").as_posix() for path in (tmp_path / "drawn").rglob("*.wav"))
    assert files == ["high/000000.wav", "high/000002.wav", "low/000001.wav", "low/000003.wav"]
    with wave.open(str(tmp_path / "drawn" / files[0])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (4000, 1, 2)
        stored = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    # Rounded to 1/32768 and clipped to what 16 bits hold.
    expected = np.clip(samples.x[0, 0].numpy(), -1, 32767 / 32768)
    assert len(stored) == samples.x.shape[-1] and np.abs(stored / 2**15 - expected).max() <= 2**-16 + 1e-7
    with pytest.raises(UserError, match=r"one\.wav holds one sound, and there are 4 samples\. Write a folder, out="):
        samples.save(tmp_path / "one.wav")
    assert sounds.sample(1, steps=1).save(tmp_path / "one.wav").is_file()


def test_the_command_writes_sounds_beside_the_picture(sounds: scorefield.Run, capsys: pytest.CaptureFixture[str]):
    assert sounds.folder is not None
    assert main(["sample", str(sounds.folder.path), "n=2", "steps=1", "--quiet"]) == 0
    picture, numbers, folder = capsys.readouterr().out.split()[:3]
    assert (picture[-4:], numbers[-4:]) == (".png", ".npz") and len(list(Path(folder).rglob("*.wav"))) == 2


def test_series_are_rows_of_numbers(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(300, 2)).cumsum(0))
    run = scorefield.train(tmp_path / "a.npy", runs=tmp_path / "runs", window=10, **TINY)
    samples = run.sample(3, steps=1)
    assert run.rate is None and samples.x.shape == (3, 2, 10)  # of the length of the data, though padded inside
    text = samples.save(tmp_path / "s.csv").read_text()
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["sample", "time", "x0", "x1"] and len(rows) == 1 + 3 * 10 and rows[11][:2] == ["1", "0"]
    assert float(rows[12][3]) == pytest.approx(samples.x[1, 1, 1].item(), rel=1e-6)
    with pytest.raises(UserError, match=r"s\.wav: a \.wav holds a sound, but these samples are signals"):
        samples.save(tmp_path / "s.wav")
    with pytest.raises(UserError, match="a folder of PNGs holds images, but these samples are signals"):
        samples.save(tmp_path / "folder")

"""Films and files: what is written can be read back, whole, or nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scorefield.errors import UserError
from scorefield.show import save_film, save_picture
from scorefield.show.files import write_aside


def grey(level: int) -> Image.Image:
    return Image.new("RGB", (32, 24), (level, level, level))


FRAMES = [grey(level) for level in (0, 60, 120, 180, 240)]


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
def test_frames_durations_and_loop(tmp_path: Path, suffix: str) -> None:
    path = save_film(tmp_path / f"film{suffix}", FRAMES, seconds=1.0, hold=0.8)
    with Image.open(path) as film:
        assert getattr(film, "n_frames", 1) == 5  # Pillow has it where the format can move
        durations, levels = [], []
        for index in range(5):
            film.seek(index)
            levels.append(int(np.asarray(film.convert("RGB"))[5, 5, 0]))
            durations.append(film.info["duration"])
        assert film.info.get("loop") == 0  # for ever
    assert levels == pytest.approx([0, 60, 120, 180, 240], abs=3)
    assert durations == [200, 200, 200, 200, 1000]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
def test_a_film_can_play_once_and_have_one_frame(tmp_path: Path, suffix: str) -> None:
    with Image.open(save_film(tmp_path / f"once{suffix}", FRAMES, loop=False)) as film:
        assert film.info.get("loop") in (1, None)
    with Image.open(save_film(tmp_path / f"one{suffix}", FRAMES[:1])) as film:
        assert film.size == (32, 24)


def test_film_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one frame"):
        save_film(tmp_path / "a.webp", [])
    with pytest.raises(UserError, match="one size"):
        save_film(tmp_path / "a.webp", [grey(0), Image.new("RGB", (3, 3))])
    with pytest.raises(UserError, match=r"'\.mp4'.*Known: \.apng, \.gif, \.png, \.webp"):
        save_film(tmp_path / "a.mp4", FRAMES)
    with pytest.raises(UserError, match="seconds > 0"):
        save_film(tmp_path / "a.webp", FRAMES, seconds=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg", ".JPEG", ".gif"])
def test_pictures_come_back(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(np.indices((16, 16)).sum(0).astype(np.uint8) * 8).convert("RGB")
    with Image.open(save_picture(tmp_path / "deep" / f"p{suffix}", image)) as back:
        difference = np.asarray(back.convert("RGB")).astype(int) - np.asarray(image)
    assert abs(difference).max() <= {".png": 0, ".webp": 0}.get(suffix, 12)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_aside(tmp_path / "page.html", "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"page\.html could not be written: No space left"):
        write_aside(path, "new")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_path_below_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="could not be written"):
        write_aside(tmp_path / "file" / "x.png", b"")

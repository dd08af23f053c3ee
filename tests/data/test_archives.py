"""Archives are read as the folders they were made of; nothing in them can lead anywhere or stop a run."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from scorefield.data import Dataset, open_data
from scorefield.data.archives import expanded
from scorefield.errors import UserError


def pack(folder: Path, path: Path, inside: str = "") -> Path:
    """An archive of everything below ``folder``, below ``inside`` in it."""
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.write(folder / name, inside + name)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name in names:
            archive.add(folder / name, inside + name)
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def same(a: Dataset, b: Dataset) -> bool:
    return torch.equal(a.x, b.x) and (a.classes, a.captions) == (b.classes, b.captions) and (
        a.labels is b.labels or (a.labels is not None and b.labels is not None and torch.equal(a.labels, b.labels))
    )  # fmt: skip


ENDINGS = ["a.zip", "a.tar", "a.tar.gz", "a.tgz"]


@pytest.mark.parametrize("inside", ["", "everything/", "./"])
@pytest.mark.parametrize("name", ENDINGS)
def test_an_archive_is_the_folder_it_was_made_of(photos: Path, tmp_path: Path, name: str, inside: str):
    packed = pack(photos, tmp_path / name, inside if name != "a.zip" or inside != "./" else "")
    data = open_data(packed, holdout=0)
    assert same(data, open_data(photos, holdout=0)) and data.name == "a" and data.classes == ("cat", "dog")
    assert same(data, open_data(packed, holdout=0))  # from the cache


@pytest.mark.parametrize("name", ENDINGS)
def test_metadata_inside_travels_with_the_examples(photos: Path, tmp_path: Path, name: str):
    lines = [
        {"file_name": f"{name}/{i}.png", "label": "ab"[i % 2], "caption": f"{name} {i}", "age": i}
        for name in ("cat", "dog")
        for i in range(3)
    ]
    (photos / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = open_data(pack(photos, tmp_path / name), holdout=0.34, condition="age")
    assert data.held_out is not None and data.captions is not None and data.labels is not None
    for part in (data, data.held_out):
        for caption, label, age in zip(part.captions, part.labels, part.conditions[:, 0], strict=True):  # pyrefly: ignore
            assert int(caption[-1]) == age and int(label) == age % 2
    assert len(data.captions) == 4


def samples(n: int, noise, start: int = 0) -> dict[str, bytes]:
    """WebDataset: 000003.png, .cls, .json and .txt of one key."""
    made = {}
    for i in range(start, start + n):
        buffer = io.BytesIO()
        noise(seed=i).save(buffer, "PNG")
        made[f"{i:06d}.png"] = buffer.getvalue()
        made[f"{i:06d}.cls"] = str(i % 3).encode()
        made[f"{i:06d}.json"] = json.dumps({"weight": i / 2, "caption": "from json"}).encode()
        made[f"{i:06d}.txt"] = f"picture {i}".encode()
    return made


def shard(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            add(archive, name, content)
    return path


@pytest.mark.parametrize("pattern", ["{000..002}.tar", "*.tar", "{000,001,002}.tar", "00[0-2].tar", ""])
def test_shards_of_webdataset(tmp_path: Path, noise, pattern: str):
    for k in range(3):
        shard(tmp_path / "shards" / f"{k:03d}.tar", samples(4, noise, start=4 * k))
    data = open_data(f"{tmp_path}/shards/{pattern}".rstrip("/"), holdout=0, condition="weight")
    assert (len(data), data.name, data.classes) == (12, "shards", ("0", "1", "2"))
    assert data.labels is not None and data.labels.tolist() == [i % 3 for i in range(12)]
    assert data.captions == tuple(f"picture {i}" for i in range(12))
    assert data.conditions is not None and data.conditions[:, 0].tolist() == [i / 2 for i in range(12)]


def test_shards_that_count_from_zero_each(tmp_path: Path, noise):
    for k in range(2):
        shard(tmp_path / "shards" / f"{k}.tar", samples(3, noise))
    data = open_data(f"{tmp_path}/shards/*.tar", holdout=0)
    assert len(data) == 6 and data.captions is not None and data.captions[3:] == data.captions[:3]
    assert torch.equal(data.x[:3], data.x[3:])


def test_broken_members_are_listed(tmp_path: Path, noise):
    members = samples(3, noise) | {
        "../../evil.png": b"x",
        "/etc/evil.png": b"x",
        "bad.png": b"no image",
        "empty.png": b"",
    }
    path = shard(tmp_path / "a.tar", members)
    data = open_data(path, holdout=0)
    assert len(data) == 3 and {file.path: file.reason for file in data.broken} == {
        "../../evil.png": "has a name that leads out of the archive, so it is not read",
        "/etc/evil.png": "has a name that leads out of the archive, so it is not read",
        "bad.png": "is not an image that Pillow can read",
        "empty.png": "is empty (0 bytes)",
    }
    with pytest.raises(UserError, match="strict=yes, and 4 files of"):
        open_data(path, strict=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "cache"]  # nothing was unpacked


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_an_archive_cut_short_gives_what_is_there(photos: Path, tmp_path: Path, name: str):
    path = pack(photos, tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    data = open_data(path, holdout=0)
    assert 0 < len(data) < 6 and any("is cut short" in file.reason for file in data.broken)
    path.write_bytes(content[:100])
    with pytest.raises(UserError, match="is damaged or no tar archive"):
        open_data(path)


def test_a_zip_with_a_damaged_member(photos: Path, tmp_path: Path):
    path = pack(photos, tmp_path / "a.zip")
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("cat/1.png").header_offset + 200
    content = bytearray(path.read_bytes())
    content[at] ^= 255
    path.write_bytes(content)
    data = open_data(path, holdout=0)
    assert len(data) == 5 and [file.path for file in data.broken] == ["cat/1.png"]


def test_a_bomb_is_not_unpacked(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from scorefield.data import files

    (photos / "cat" / "bomb.png").write_bytes(bytes(2**21))
    monkeypatch.setattr(files, "LARGEST", 2**20)
    for name in ("a.zip", "a.tar", "a.tar.gz"):
        data = open_data(pack(photos, tmp_path / name), holdout=0)
        assert len(data) == 6 and "bomb.png unpacks to 2 MiB; 1 are the most" in data.broken[0].reason


def test_patterns():
    here = {"a{0..2}.tar": ["a0.tar", "a1.tar", "a2.tar"], "{x,y}{1..2}.tar": ["x1.tar", "x2.tar", "y1.tar", "y2.tar"]}
    from scorefield.data.archives import _braces

    assert {pattern: _braces(pattern) for pattern in here} == here
    assert _braces("{008..010}")[1:] == ["009", "010"]
    with pytest.raises(UserError, match=r"No archive answers to 'none/\*\.tar'"):
        expanded("none/*.tar")
    with pytest.raises(UserError, match=r"names 3 archives, of which 3 do not exist; first: 'n0\.tar'"):
        expanded("n{0..2}.tar")


def test_captions_beside_images_of_a_folder(photos: Path):
    (photos / "cat" / "0.txt").write_text("a grey cat")
    data = open_data(photos, holdout=0)
    assert data.captions == ("a grey cat", "", "", "", "", "") and data.classes == ("cat", "dog")


def test_archives_of_sounds(tmp_path: Path):
    import numpy as np

    from scorefield.data.sound import wave_bytes

    for name in ("no", "yes"):
        (tmp_path / "words" / name).mkdir(parents=True)
        (tmp_path / "words" / name / "0.wav").write_bytes(wave_bytes(np.linspace(-0.5, 0.5, 640)[None], 8000))
    folder = open_data(tmp_path / "words", holdout=0)
    shutil.rmtree(tmp_path / "cache")
    assert same(folder, open_data(pack(tmp_path / "words", tmp_path / "a.zip"), holdout=0))

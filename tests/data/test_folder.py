"""Folders as people have them: nested, labelled, mixed, damaged, empty."""

from __future__ import annotations

import csv
import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scorefield.data import open_data
from scorefield.data.folder import choose_size
from scorefield.errors import UserError


def says(text: str):
    return pytest.raises(UserError, match=f"^{_literal(text)}$")


def _literal(text: str) -> str:
    import re

    return re.escape(text)


def test_first_level_folders_are_classes_and_order_is_sorted(photos: Path):
    (photos / "cat" / "deeper").mkdir()
    shutil.move(photos / "cat" / "2.png", photos / "cat" / "deeper" / "2.png")
    data = open_data(photos, holdout=0)
    assert (data.name, data.kind, data.shape, data.classes) == ("photos", "images", (3, 40, 40), ("cat", "dog"))
    assert data.labels is not None and data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    first = np.asarray(Image.open(photos / "cat" / "0.png")).transpose(2, 0, 1)
    assert torch.equal(data.x[0], torch.tensor(first))
    assert data.flip_ok and not data.notes and not data.broken
    assert data.batch(torch.tensor([4, 0]))["label"].tolist() == [1, 0]


def test_numbered_folders_are_in_number_order(tmp_path: Path, noise):
    for name in ("10", "9", "2"):
        (tmp_path / "set" / name).mkdir(parents=True)
        noise().save(tmp_path / "set" / name / "a.png")
    assert open_data(tmp_path / "set").classes == ("2", "9", "10")


def test_no_classes_without_folders_or_with_a_single_one(photos: Path):
    data = open_data(photos / "cat")
    assert data.labels is None and data.classes == ()
    shutil.rmtree(photos / "dog")
    assert open_data(photos).labels is None
    assert open_data(photos).notes == ("All images lie in one folder, 'cat', so they carry no class.",)


def test_loose_images_and_hidden_files(photos: Path, noise):
    noise().save(photos / "loose.png")
    (photos / ".DS_Store").write_bytes(b"x")
    (photos / "cat" / "._0.png").write_bytes(b"x")
    (photos / "notes.txt").write_text("mine")
    data = open_data(photos)
    assert data.labels is not None and data.labels.tolist() == [0, 0, 0, 1, 1, 1, -1]
    assert data.notes == ("1 image directly in the folder carry no class.",) and not data.broken


def test_a_split_is_pointed_out(photos: Path):
    (photos / "cat").rename(photos / "train")
    (photos / "dog").rename(photos / "test")
    note = "The classes test, train look like a split of the data. To train on one of them alone, give that folder."
    assert note in open_data(photos).notes


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_gives_labels_and_captions(photos: Path, noise, kind: str):
    rows = [
        {"file_name": "dog/1.png", "label": "good", "caption": "a good dog"},
        {"file_name": "cat/0.png", "label": "bad", "caption": "a cat, asleep"},
        {"file_name": "cat/9.png", "label": "bad", "caption": "not there"},
    ]
    if kind == "csv":
        with open(photos / "metadata.csv", "w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        (photos / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    data = open_data(photos)
    assert data.classes == ("bad", "good")
    assert data.labels is not None and data.labels.tolist() == [0, 1]
    assert data.captions == ("a cat, asleep", "a good dog")
    assert [(file.path, file.reason) for file in data.broken] == [
        ("cat/9.png", f"is named in metadata.{kind} but does not exist")
    ]
    assert data.notes == (f"4 images not named in metadata.{kind} left out.", "1 broken file skipped.")


@pytest.mark.parametrize(
    "name, text, label, error",
    [
        ("metadata.csv", "", None, "'{}' has no rows. It needs a line for each image, or can be deleted."),
        ("metadata.csv", "path\na\n", None, "'{}' has no column 'file_name' (or 'file'). Its columns: path."),
        ("metadata.csv", "file,kind\na,b\n", "knd", "'{}' has no column 'knd' for label=. Did you mean 'kind'?"),
        ("metadata.csv", "file\nzz.png\nyy.png", None, "'{}' names 2 files, none of which exists; first: 'yy.png'."),
        (
            "metadata.jsonl",
            '{"file": "cat/0.png"}\ncat',
            None,
            "'{}', line 2 is not a JSON object. Write one per line, such as "
            '{{"file_name": "cat.png", "label": "cat"}}.',
        ),
    ],
)
def test_metadata_errors(photos: Path, name: str, text: str, label: str | None, error: str):
    (photos / name).write_text(text)
    with says(error.format(photos / name)):
        open_data(photos, label=label)


def test_label_without_metadata(photos: Path):
    with says(
        f"label=kind needs a metadata.csv or metadata.jsonl in '{photos}', and there is none. "
        "Without one, classes are the names of the first-level folders: leave label= out."
    ):
        open_data(photos, label="kind")


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path):
    folder = tmp_path / "films"
    (folder / "old").mkdir(parents=True)
    looked = "png, jpg, jpeg, webp, avif, bmp, tif, tiff, gif, ppm, pgm"
    with says(f"'{folder}' has no images. Looked for {looked} in it; found nothing."):
        open_data(folder)
    for i in range(3):
        (folder / "old" / f"{i}.mp4").write_bytes(b"x")
    with says(f"'{folder}' has no images. Looked for {looked} in it and 1 folder below; found 3 .mp4 files."):
        open_data(folder)
    np.savez(folder / "a.npz", x=np.zeros(3))
    with pytest.raises(
        UserError, match=r"found 3 \.mp4 files, 1 \.npz file\. To train on a file, name the file itself"
    ):
        open_data(folder)


def bomb(path: Path) -> None:
    """A PNG whose header promises 100,000 × 100,000 pixels."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"0")) + part(b"IEND", b"")
    )


def test_broken_files_are_named_counted_and_skipped_or_refused(photos: Path):
    (photos / "cat" / "1.png").write_bytes(b"")
    bomb(photos / "dog" / "bomb.png")
    data = open_data(photos)
    limit = f"{Image.MAX_IMAGE_PIXELS:,}"
    assert [(file.path, file.reason) for file in data.broken] == [
        ("cat/1.png", "is empty (0 bytes)"),
        ("dog/bomb.png", f"has more than {limit} pixels, as decompression bombs do"),
    ]
    assert data.labels is not None and data.labels.tolist() == [0, 0, 1, 1, 1]
    assert data.notes == ("2 broken files skipped.",)
    again = open_data(photos)
    assert (again.broken, again.notes) == (data.broken, data.notes) and torch.equal(again.x, data.x)
    with says(
        f"strict=yes, and 2 files of '{photos}' cannot be used: 'cat/1.png' is empty (0 bytes). "
        "Remove or repair them, or leave strict=yes out to skip them."
    ):
        open_data(photos, strict=True)


def test_nothing_usable(tmp_path: Path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"")
    with says(f"None of the 1 images in '{tmp_path / 'set'}' can be used: 'a.png' is empty (0 bytes)."):
        open_data(tmp_path / "set")


@pytest.mark.parametrize(
    "sizes, size, chosen, note",
    [
        ({(28, 28)}, None, 28, None),
        ({(64, 64)}, None, 64, None),
        (
            {(96, 96)},
            None,
            64,
            "Images (96×96) are centre-cropped and resized to 64×64. Write size=128 for more detail.",
        ),
        (
            {(50, 40)},
            None,
            32,
            "Images (50×40) are centre-cropped and resized to 32×32. Write size=64 for more detail.",
        ),
        (
            {(640, 480), (1024, 768)},
            None,
            64,
            "Images (640×480 … 1024×768) are centre-cropped and resized to 64×64. Write size=128 for more detail.",
        ),
        ({(256, 384), (384, 256)}, 48, 48, "Images (256×384 … 384×256) are centre-cropped and resized to 48×48."),
        ({(16, 16)}, 16, 16, None),
    ],
)
def test_a_sensible_size(sizes, size, chosen, note):
    assert choose_size(iter([*sizes, None]), size) == (chosen, () if note is None else (note,))


def test_no_sensible_size(tmp_path: Path, noise):
    (tmp_path / "set").mkdir()
    noise(20, 24).save(tmp_path / "set" / "a.png")
    with says("Images are 20×24, not square. Add size=32 to resize and centre-crop."):
        open_data(tmp_path / "set")
    noise(64, 48).save(tmp_path / "set" / "b.png")
    with says("Images differ in size (20×24 … 64×48). Add size=32 to resize and centre-crop."):
        open_data(tmp_path / "set")
    assert open_data(tmp_path / "set", size=32).shape == (3, 32, 32)


def test_colour_is_kept_as_soon_as_one_image_has_some(tmp_path: Path, noise):
    folder = tmp_path / "set"
    folder.mkdir()
    Image.new("L", (40, 40), 7).save(folder / "a.png")
    Image.new("RGB", (40, 40), (9, 9, 9)).save(folder / "b.png")
    grey = open_data(folder)
    assert grey.shape == (1, 40, 40) and not grey.flip_ok
    assert grey.x[:, 0, 0, 0].tolist() == [7, 9]
    assert open_data(folder, color="rgb").shape == (3, 40, 40)
    noise().save(folder / "c.png")
    assert open_data(folder).shape == (3, 40, 40)
    assert open_data(folder).x[0, :, 0, 0].tolist() == [7, 7, 7]
    assert open_data(folder, color="gray").shape == (1, 40, 40)


def test_conversions_are_counted_in_notes(tmp_path: Path, noise):
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(2):
        noise(seed=i).convert("RGBA").rotate(30).save(folder / f"alpha{i}.png")
        noise(seed=i).convert("CMYK").save(folder / f"cmyk{i}.jpg")
    noise().quantize(16).save(folder / "palette.png")
    exif = Image.Exif()
    exif[0x0112] = 3
    noise().save(folder / "turned.jpg", exif=exif)
    assert open_data(folder).notes == (
        "Palette colours were written out in 1 image.",
        "Transparency was laid on white in 2 images.",
        "CMYK was converted to RGB in 2 images.",
        "EXIF orientation was applied to 1 image.",
    )


def test_progress_reaches_the_end(photos: Path):
    seen: list[tuple[int, int]] = []
    open_data(photos, color="rgb", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)]


def test_mnist_unpacked_to_a_folder(shared_data: Path, tmp_path: Path):
    with np.load(shared_data / "mnist" / "mnist.npz") as stored:
        images, labels = stored["test_images"][:300], stored["test_labels"][:300]
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / "mnist" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "mnist" / str(label) / f"{i:05}.png")
    data = open_data(tmp_path / "mnist", holdout=0)
    order = np.argsort(labels, kind="stable")
    assert np.array_equal(data.x[:, 0].numpy(), images[order])
    assert data.labels is not None and np.array_equal(data.labels.numpy(), labels[order])
    assert data.classes == tuple("0123456789") and not data.flip_ok and not data.notes


def test_emoji_unpacked_to_a_folder(shared_data: Path, tmp_path: Path):
    sheet = np.asarray(Image.open(shared_data / "emoji" / "emoji_64.webp").convert("RGB"))
    tiles = sheet.reshape(-1, 64, 40, 64, 3).swapaxes(1, 2).reshape(-1, 64, 64, 3)[:100]
    (tmp_path / "emoji").mkdir()
    for i, tile in enumerate(tiles):
        Image.fromarray(tile).save(tmp_path / "emoji" / f"{i:04}.png")
    data = open_data(tmp_path / "emoji", holdout=0)
    assert np.array_equal(data.x.numpy(), tiles.transpose(0, 3, 1, 2)) and data.flip_ok
    half = open_data(tmp_path / "emoji", size=32, holdout=0)
    area = tiles.reshape(100, 32, 2, 32, 2, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    assert np.abs(half.x.numpy() - area).max() < 0.6
    assert half.notes == ("Images (64×64) are centre-cropped and resized to 32×32.",)


def test_photographs_train_without_a_hand_on_the_options(shared_data: Path):
    data = open_data(shared_data / "kodak_half")
    assert data.shape == (3, 64, 64) and len(data) == 12 and data.flip_ok

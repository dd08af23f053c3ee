"""One ``.npz`` or ``.npy`` file, a NumPy array or a tensor becomes a data set. Nothing here ever unpickles."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from lzma import LZMAError
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scorefield.data.cache import IN_MEMORY
from scorefield.data.conditions import as_conditions
from scorefield.data.dataset import Dataset
from scorefield.data.labels import as_classes
from scorefield.data.layouts import Layout, adjust, read_layout
from scorefield.data.maps import open_maps
from scorefield.data.words import shape_of
from scorefield.errors import UserError, suggest

# What NumPy and zipfile raise on damaged archives; RuntimeError is zipfile's word for an encrypted one.
DAMAGE = (zipfile.BadZipFile, zlib.error, LZMAError, OSError, ValueError, EOFError, KeyError, RuntimeError)

# Names that say "these are the examples", in order of preference, each with its labels and its own held-out part.
PARTS = (
    ("x", ("y", "labels", "label"), None),
    ("images", ("labels", "label", "y"), None),
    ("data", ("labels", "label", "y", "target"), None),
    ("x_train", ("y_train",), "x_test"),
    ("train_x", ("train_y",), "test_x"),
    ("train_images", ("train_labels",), "test_images"),
    ("arr_0", ("labels", "label", "y", "arr_1"), None),
)
ANY_LABELS = ("y", "labels", "label")
CONDITION = "condition"  # what the conditions of an array are called
CLASS_NAMES = ("classes", "class_names", "label_names")


@dataclass(frozen=True)
class Roles:
    """Which stored array plays which part; names as stored."""

    examples: str
    labels: str | None
    held_out: str | None
    held_out_labels: str | None
    note: str | None


def open_npz(
    path: Path,
    *,
    size: int | None,
    color: str,
    label: str | None,
    columns: Sequence[str] | None,
    condition: Sequence[str] | None = None,
) -> Dataset:
    """An archive of arrays; ``columns`` names the array of examples, ``label`` that of classes and ``condition`` those
    of numbers to condition on.

    Otherwise the examples are ``x``, ``images``, ``data``, ``x_train``, ``train_images``, ``arr_0`` or else the largest
    array; labels are ``y``, ``labels`` or ``label`` or their training twin, and ``test_images`` and the like are held
    out. Raises ``UserError`` for a damaged archive, pickled objects, unknown names and unusable numbers.
    """
    arrays = _load(path)
    roles = _roles(path, arrays, label, columns)
    dataset = build(
        arrays[roles.examples],
        f"Array '{roles.examples}' in '{path}'",
        name=path.stem,
        source=str(path),
        size=size,
        color=color,
    )
    notes = dataset.notes if roles.note is None else (roles.note, *dataset.notes)
    dataset = replace(dataset, notes=notes)
    if roles.labels is not None:
        where, names = f"Array '{roles.labels}' in '{path}'", _class_names(arrays, roles.labels)
        dataset = _labelled(dataset, arrays[roles.labels], where, names, required=label is not None)
    if condition:
        dataset = _told(path, dataset, arrays, condition)
    if roles.held_out is None:
        return dataset
    return _with_own_held_out(path, dataset, arrays, roles, size, color, condition or ())


def open_npy(path: Path, *, size: int | None, color: str) -> Dataset:
    """One array; a large one is read from disk batch by batch. Raises ``UserError`` as ``open_npz`` does."""
    stored = map_npy(path)
    if stored.nbytes > IN_MEMORY:
        return open_maps([path], [stored], f"'{path}'", name=path.stem, source=str(path), size=size, color=color)
    return build(np.array(stored), f"'{path}'", name=path.stem, source=str(path), size=size, color=color)


def pick_array(path: Path, columns: Sequence[str] | None) -> tuple[str, np.ndarray, str | None]:
    """The array of a ``.npz`` that ``open_npz`` would train on: its name, its numbers, and what was chosen."""
    arrays = _load(path)
    roles = _roles(path, arrays, None, columns)
    return roles.examples, arrays[roles.examples], roles.note


def map_npy(path: Path) -> np.ndarray:
    """The array of a ``.npy`` on a map that only reads. Raises ``UserError`` for a damaged file and for a pickle."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        raise UserError(_unreadable(path, error)) from error


def open_array(
    array: np.ndarray | Tensor, *, size: int | None, color: str, label: object, condition: object = None
) -> Dataset:
    """A NumPy array or tensor that is already in memory, copied; ``label`` may be N whole numbers or words, and
    ``condition`` (N,) or (N, V) numbers."""
    data = np.array(_numpy(array))
    dataset = build(data, f"The array {shape_of(data.shape)}", name="array", source="array", size=size, color=color)
    if condition is not None:
        numbers, names = as_conditions(_numpy(condition), len(dataset), "condition=", CONDITION)
        dataset = replace(dataset, conditions=numbers, condition_names=names)
    if label is None:
        return dataset
    return _labelled(dataset, np.asarray(_numpy(label)), "label=", (), required=True)


def _numpy(array: object) -> np.ndarray:
    if torch.is_tensor(array):
        plain = array.detach().cpu()
        return (plain.float() if plain.dtype is torch.bfloat16 else plain).numpy()
    return np.asarray(array)


def build(x: np.ndarray, where: str, *, name: str, source: str, size: int | None, color: str) -> Dataset:
    """Numbers of any known layout to a data set; ``size`` concerns images alone and is refused for others."""
    layout = read_layout(x, where)
    if layout.kind == "images":
        layout = adjust(layout, size, color)
    elif size is not None:
        raise UserError(f"size={size} is for images, but {where} holds {layout.kind}. Leave size= out.")
    return Dataset(
        name=name,
        kind=layout.kind,
        x=torch.from_numpy(layout.x),
        columns=_columns(layout),
        notes=layout.notes,
        source=source,
        flip_ok=layout.kind == "images" and layout.x.shape[1] == 3,
    )


def _columns(layout: Layout) -> tuple[str, ...]:
    return tuple(f"x{i}" for i in range(layout.x.shape[1])) if layout.kind == "vectors" else ()


def _load(path: Path) -> dict[str, np.ndarray]:
    arrays = {}
    try:
        # Opened here, because NumPy leaves a damaged file open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = archive[name]
    except DAMAGE as error:
        raise UserError(_unreadable(path, error)) from error
    if not arrays:
        raise UserError(f"'{path}' holds no arrays. Save one with numpy.savez(path, x=...).")
    return arrays


def _unreadable(path: Path, error: Exception) -> str:
    if any(word in str(error).lower() for word in ("pickle", "object")):
        return (
            f"'{path}' holds Python objects (a pickle), which can run code. "
            "Save plain numbers instead: numpy.savez(path, x=...)."
        )
    return f"'{path}' is damaged or incomplete ({error}). Copy or download it again."


def _roles(path: Path, arrays: Mapping[str, np.ndarray], label: str | None, columns: Sequence[str] | None) -> Roles:
    stored = {name.lower(): name for name in arrays}
    for wanted in (*(columns or ()), *((label,) if label else ())):
        if wanted not in arrays:
            raise UserError(f"'{path}' has no array '{wanted}'.{suggest(wanted, arrays)}")
    if columns and len(columns) != 1:
        raise UserError(f"columns= names the one array to train on, got {len(columns)}: {', '.join(columns)}.")
    known = next((part for part in PARTS if part[0] in stored), None)
    if columns or known is None:
        examples, note = (columns[0], None) if columns else _largest(path, arrays)
        found = next((stored[name] for name in ANY_LABELS if name in stored and stored[name] != examples), None)
        return Roles(examples, label or found, None, None, note)
    examples, label_names, test = known
    found = next((stored[name] for name in label_names if name in stored), None)
    held_out = stored.get(test) if test else None
    twin = stored.get((found or "").lower().replace("train", "test")) if held_out and not label else None
    return Roles(stored[examples], label or found, held_out, twin, None)


def _largest(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[str, str | None]:
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "buif"}
    if not numbers:
        raise UserError(f"'{path}' holds no numbers, only: {', '.join(arrays)}.")
    name = max(numbers, key=lambda key: (numbers[key].ndim > 1, numbers[key].size))
    others = ", ".join(key for key in arrays if key != name)
    chosen = f"The largest array, '{name}' {shape_of(arrays[name].shape)}, is trained on"
    return name, f"{chosen}; columns=NAME takes another of: {others}." if others else None


def _class_names(arrays: Mapping[str, np.ndarray], labels: str) -> tuple[str, ...]:
    for name in (f"{labels}_names", *CLASS_NAMES):
        if name in arrays and arrays[name].ndim == 1 and arrays[name].dtype.kind == "U":
            return tuple(str(word) for word in arrays[name])
    return ()


def _labelled(dataset: Dataset, values: np.ndarray, where: str, names: Sequence[str], required: bool) -> Dataset:
    """With labels; what was found rather than asked for and turns out to be no classes is left out with a note."""
    try:
        labels, classes = as_classes(values, len(dataset), where, names)
    except UserError as error:
        if required:
            raise
        return replace(dataset, notes=(*dataset.notes, f"Not used as classes: {error}"))
    return replace(dataset, labels=labels, classes=classes)


def _told(path: Path, dataset: Dataset, arrays: Mapping[str, np.ndarray], wanted: Sequence[str]) -> Dataset:
    """With the numbers of the arrays ``wanted`` side by side as conditions."""
    found = []
    for name in wanted:
        if name not in arrays:
            raise UserError(f"'{path}' has no array '{name}' for condition=.{suggest(name, arrays)}")
        found.append(as_conditions(arrays[name], len(dataset), f"Array '{name}' in '{path}'", name))
    names = tuple(name for _, part in found for name in part)
    return replace(dataset, conditions=torch.cat([numbers for numbers, _ in found], 1), condition_names=names)


def _with_own_held_out(
    path: Path,
    dataset: Dataset,
    arrays: Mapping[str, np.ndarray],
    roles: Roles,
    size: int | None,
    color: str,
    condition: Sequence[str] = (),
) -> Dataset:
    """The archive's own test part, if it is of the same kind and shape, kept apart from training."""
    name = roles.held_out or ""
    chosen = {1: "gray", 3: "rgb"}.get(dataset.shape[0], color) if dataset.kind == "images" else color
    aside = build(arrays[name], f"Array '{name}' in '{path}'", name=name, source=str(path), size=size, color=chosen)
    if (aside.kind, aside.shape) != (dataset.kind, dataset.shape):
        raise UserError(
            f"In '{path}', '{roles.examples}' has examples of shape {shape_of(dataset.shape)} but '{name}' of "
            f"{shape_of(aside.shape)}. Name the array to train on with columns={roles.examples}."
        )
    if roles.held_out_labels is not None and dataset.labels is not None:
        where, names = f"Array '{roles.held_out_labels}' in '{path}'", _class_names(arrays, roles.labels or "")
        labels, classes = as_classes(arrays[roles.held_out_labels], len(aside), where, names)
        number = {word: i for i, word in enumerate(dataset.classes)}
        table = torch.tensor([number.get(word, -1) for word in classes] + [-1])  # index −1 finds the last: no class
        aside = replace(aside, labels=table[labels], classes=dataset.classes)
    twins = [name.replace("train", "test") for name in condition]
    if dataset.conditions is not None and all(twin in arrays for twin in twins):
        aside = replace(_told(path, aside, arrays, twins), condition_names=dataset.condition_names)
    note = f"Held out: the archive's own '{name}', {len(aside):,} examples."
    return replace(dataset, held_out=replace(aside, notes=()), notes=(*dataset.notes, note))

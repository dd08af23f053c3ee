"""Another file of the same table: its codes become those that a model knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from scorefield.data.dataset import Dataset
from scorefield.data.schema import Column, learned
from scorefield.errors import UserError

_PLURAL = {"number": "numbers", "date": "dates", "category": "words"}


def reading(schema: Sequence[Column]) -> dict[str, Any]:
    """The options of ``open_data`` under which another file is read as that of ``schema`` was."""
    label = next((column.name for column in schema if column.label), None)
    columns = learned(schema)
    worded = [column.name for column in columns if column.kind == "category"]
    return {"columns": [column.name for column in columns], "label": label, "categories": worded or None}


def conformed(dataset: Dataset, schema: Sequence[Column]) -> Dataset:
    """The same rows with the codes and classes of ``schema``; a word it does not know is a missing value, a class it
    does not know is none. Raises ``UserError`` for columns of other names or kinds."""
    own, wanted = learned(dataset.schema), learned(schema)
    if [column.name for column in own] != [column.name for column in wanted]:
        raise UserError(
            f"{dataset.name} has the columns {', '.join(column.name for column in own)}, but this run learned "
            f"{', '.join(column.name for column in wanted)}. Give a table with the same columns."
        )
    for column, other in zip(wanted, own, strict=True):
        if column.kind != other.kind and max(column.missing, other.missing) < 1:
            raise UserError(
                f"Column '{column.name}' of {dataset.name} holds {_PLURAL[other.kind]}, but this run learned "
                f"{_PLURAL[column.kind]}."
            )
    x = torch.stack([_recoded(dataset.x[:, j], own[j], column) for j, column in enumerate(wanted)], 1)
    classes = next((column.categories for column in schema if column.label), ())
    number = {name: code for code, name in enumerate(classes)}
    table = torch.tensor([*(number.get(name, -1) for name in dataset.classes), -1])  # index −1 finds the last: no class
    labels = None if dataset.labels is None or not classes else table[dataset.labels]
    return replace(
        dataset, x=x, labels=labels, classes=classes if labels is not None else (), schema=tuple(schema), key=None
    )


def _recoded(values: Tensor, own: Column, wanted: Column) -> Tensor:
    if not wanted.categories:
        return values
    number = {name: float(code) for code, name in enumerate(wanted.categories)}
    table = torch.tensor(
        [*(number.get(name, float("nan")) for name in own.categories), float("nan")], dtype=values.dtype
    )
    return table[values.nan_to_num(len(own.categories)).long()]


def same_table(dataset: Dataset, schema: Sequence[Column]) -> bool:
    """Whether a file still holds the columns, kinds and categories it was trained with."""
    return [(c.name, c.kind, c.categories) for c in dataset.schema] == [(c.name, c.kind, c.categories) for c in schema]

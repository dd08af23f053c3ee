"""What samples are asked to be, classes and numbers, as the network wants to hear it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from scorefield.data import Dataset
from scorefield.data.conditions import Scale, of_rows
from scorefield.data.table import read_table
from scorefield.errors import UserError
from scorefield.runs.labels import asked_labels, forgets

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

UNKNOWN = "none"  # the word for a number that is left open


@dataclass(frozen=True)
class Asked:
    """``labels`` (n,) int64 classes and raw ``numbers`` (n, V), NaN where open; None where nothing is asked."""

    labels: Tensor | None = None
    numbers: Tensor | None = None
    scale: Scale | None = None

    def part(self, indices: range, device: torch.device) -> dict[str, Tensor]:
        """The conditions of the examples ``indices``, for a denoiser."""
        rows = slice(indices.start, indices.stop)
        labels = {} if self.labels is None else {"label": self.labels[rows].to(device)}
        if self.numbers is None or self.scale is None:
            return labels
        return labels | {"condition": self.scale(self.numbers[rows]).to(device)}

    @property
    def note(self) -> str:
        """Says which numbers lie outside what training saw; "" where none does."""
        if self.numbers is None or self.scale is None:
            return ""
        for i, column in enumerate(self.numbers.double().unbind(1)):
            low, high = self.scale.low[i], self.scale.high[i]
            outside = column[(column < low) | (column > high)]
            if len(outside):
                return (
                    f"condition {self.scale.names[i]}={float(outside[0]):g} lies outside of what training saw, "
                    f"{low:g} … {high:g}: the network has to guess."
                )
        return ""


def asked(run: Run, label: Any, condition: Any, n: int) -> Asked:
    """What ``sample`` was asked for. ``condition`` is a number, a row of them, rows that are taken in turn, a tensor,
    words of the command line ("0.3,none"), or a .csv file with the columns of the run's conditions.

    Nothing asked of a run with conditions leaves them open: the samples then follow the law of all the data. Raises
    UserError for what the run did not learn, and for another count of numbers."""
    return Asked(asked_labels(label, run.classes, n), _numbers(run, condition, n), run.conditions)


def usual(run: Run, count: int, dataset: Dataset | None) -> dict[str, Any]:
    """The options of ``sample`` under which ``count`` samples look like the data: conditions of held-out examples
    where the run has some and ``dataset`` is known."""
    if run.conditions is None or dataset is None:
        return {}
    real = dataset if dataset.held_out is None else dataset.held_out
    if real.conditions is None or real.condition_names != run.conditions.names:
        return {}
    found: dict[str, Any] = {"condition": turns(real.conditions, count)}
    if run.classes and real.labels is not None and real.classes == run.classes:
        found["label"] = turns(real.labels, count)
    return found


def turns(rows: Tensor, count: int) -> Tensor:
    """``count`` rows, those given taken in turn."""
    return rows.repeat(-(-count // len(rows)), *[1] * (rows.ndim - 1))[:count]


def standardised(dataset: Dataset, config: dict[str, Any]) -> Dataset:
    """The dataset with its conditions as the network wants them; without any where it learns none."""
    scale = scale_of(config)
    if scale is None:
        return dataset if dataset.conditions is None else replace(dataset, conditions=None, condition_names=())
    if dataset.conditions is None or dataset.condition_names != scale.names:
        raise UserError(
            f"{dataset.name} no longer holds the conditions {', '.join(scale.names)} that this run was trained with. "
            "Give the data back, or train a new run with fresh=yes."
        )
    return replace(dataset, conditions=scale(dataset.conditions))


def scale_of(config: dict[str, Any]) -> Scale | None:
    """Names, moments and ranges of a run's conditions; None where its network learns none."""
    if not config["net"].get("condition"):
        return None
    found = config["data"]["found"]["conditions"]
    return Scale(**{name: tuple(found[name]) for name in Scale.__dataclass_fields__})


def _numbers(run: Run, condition: Any, n: int) -> Tensor | None:
    scale = run.conditions
    if scale is None:
        if condition is not None:
            raise UserError(
                "condition= was asked for, but this run learned no conditions. Leave it out, or train with condition=…"
            )
        return None
    if condition is None:
        if not forgets(run.config):
            raise UserError(
                "This run was trained with label_dropout=0, so it knows no samples without a condition. "
                f"Write condition={','.join(f'{mean:.3g}' for mean in scale.mean)} or the like."
            )
        return None
    return turns(_rows(condition, scale), n)


def _rows(condition: Any, scale: Scale) -> Tensor:
    """(R, V) raw numbers, float32."""
    if isinstance(condition, str) and condition.lower().endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")):
        return _file(Path(condition).expanduser(), scale)
    if isinstance(condition, str):
        condition = condition.split(",")
    try:
        if torch.is_tensor(condition):
            values = condition.detach().cpu().double().numpy()
        else:
            values = np.array([_row(part) for part in _listed(condition)], np.float64)
    except (TypeError, ValueError):
        values = np.empty((0, 0))
    width, names = len(scale.names), ", ".join(scale.names)
    fits = values.size and (values.shape[-1] == width if values.ndim > 1 else values.size % width == 0)
    if not fits or np.isinf(values).any():
        raise UserError(
            f"condition={_shown(condition)} does not fit: this run takes {width} number{'s' * (width > 1)} a sample "
            f"({names}), such as condition={','.join(f'{mean:.3g}' for mean in scale.mean)}; {UNKNOWN} leaves one open."
        )
    return torch.from_numpy(values.reshape(-1, width)).float()


def _listed(condition: Any) -> Any:
    return [condition] if isinstance(condition, int | float) else condition


def _row(part: Any) -> Any:
    """A number, or a list of them; ``none`` is NaN."""
    if part is None or (isinstance(part, str) and part.strip().lower() in (UNKNOWN, "nan")):
        return math.nan
    return float(part) if isinstance(part, str | int | float) else [_row(number) for number in part]


def _file(path: Path, scale: Scale) -> Tensor:
    if not path.is_file():
        raise UserError(f"condition={path} does not exist. Give numbers, or a .csv with {', '.join(scale.names)}.")
    table = read_table(path)
    for name in scale.names:
        table.column(name, "condition")
    rows = [dict(zip(table.header, cells, strict=True)) for cells in table.rows]
    if not rows:
        raise UserError(f"'{path}' has no rows below its header.")
    return of_rows(rows, scale.names, path)


def _shown(condition: Any) -> str:
    if torch.is_tensor(condition) or isinstance(condition, np.ndarray):
        return f"an array of shape {tuple(condition.shape)}"
    return ",".join(map(str, _listed(condition)))

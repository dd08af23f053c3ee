"""One file that is a model: safetensors weights with the whole config in their metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from scorefield.errors import UserError
from scorefield.runs.folder import check_format
from scorefield.show.files import write_aside

KEY = "scorefield"  # in the metadata: {"config": …, "step": …} as JSON


class Weights(NamedTuple):
    """What such a file holds; ``step`` is 0 where it does not say."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    step: int


def metadata(config: dict[str, Any], step: int = 0) -> dict[str, str]:
    """The header of a weights file. The path of the data stays behind: published files should not tell it."""
    data = config["data"] | {"source": Path(config["data"]["source"]).name}
    return {"format": "pt", KEY: json.dumps({"config": config | {"data": data}, "step": step})}


def write(path: Path, tensors: dict[str, Tensor], config: dict[str, Any], step: int) -> Path:
    """Replace ``path`` as a whole. Raises UserError on a full disk."""
    plain = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    return write_aside(path, save(plain, metadata(config, step)))


def read(path: Path) -> Weights:
    """Raises UserError for a file that is truncated, is no safetensors, or was written by somebody else."""
    with _opened(path) as file:
        config, step = _stored(path, file.metadata())
        return Weights(config, {name: file.get_tensor(name) for name in file.keys()}, step)  # noqa: SIM118


def read_step(path: Path) -> int:
    """The step of a weights file. Raises UserError as ``read`` does."""
    with _opened(path) as file:
        return _stored(path, file.metadata())[1]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:  # pyrefly: ignore[not-callable]
            yield file
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is damaged or incomplete ({error}). Copy it again, or load one of the run's checkpoints/ instead."
        ) from error


def _stored(path: Path, header: dict[str, str] | None) -> tuple[dict[str, Any], int]:
    """(config, step) of a file that scorefield wrote."""
    if not header or KEY not in header:
        raise UserError(
            f"{path} holds weights but no scorefield config, so the network they belong to is not known. "
            "Only files written by scorefield can be loaded alone."
        )
    stored = json.loads(header[KEY])
    check_format(stored["config"], path)
    return stored["config"], stored.get("step", 0)


def fill(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Put the tensors into ``module``. Raises UserError where they belong to another network."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"The weights in {path} do not fit the network of its config: {reason}") from error

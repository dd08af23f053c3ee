"""The files: how a program is written and how a written one is run. What differs between versions of torch is here."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError

Inputs = Mapping[str, Tensor]
Runner = Callable[[Inputs], Tensor]
BATCH = 2  # of the examples that a graph is traced with: 0 and 1 would be taken for constants
ONNX_NEEDS = ("onnx", "onnxscript", "onnxruntime")
LOGGERS = ("torch", "torch.onnx", "torch.export", "torch._subclasses.fake_tensor", "onnxscript")


class Format(NamedTuple):
    """One kind of file: its ending, what must be installed, how it is written from a program, how it is run."""

    ending: str
    check: Callable[[], None]
    write: Callable[[Any, Path], None]
    load: Callable[[Path], Runner]
    runtime: str


def traced(module: nn.Module, inputs: Inputs) -> Any:
    """The program of ``module`` for any batch size, traced with ``inputs`` of a batch of 2 or more.

    Raises UserError where torch cannot write the network down as a graph."""
    if any(len(tensor) < BATCH for tensor in inputs.values()):
        raise UserError(f"a graph is traced with a batch of {BATCH} or more.")
    shapes = {name: {0: torch.export.Dim("batch")} for name in inputs}
    with _quiet():
        try:
            program = torch.export.export(module.eval(), (), kwargs=dict(inputs), dynamic_shapes=shapes, strict=False)
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"torch {torch.__version__} cannot write this network down as a graph: {reason} "
                "A network of your own must do without Python branches on the values of tensors."
            ) from error
    return program


def _write_pt2(program: Any, path: Path) -> None:
    program.example_inputs = None  # torch would store them in a pickle
    with _quiet():
        torch.export.save(program, path)


def _load_pt2(path: Path) -> Runner:
    with _quiet():
        module = torch.export.load(path).module()
    return lambda inputs: module(**inputs)


def _write_onnx(program: Any, path: Path) -> None:
    with _quiet():
        written = torch.onnx.export(program, dynamo=True, verbose=False)
        assert written is not None
        written.save(path)


def _load_onnx(path: Path) -> Runner:
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    known = {it.name for it in session.get_inputs()}

    def run(inputs: Inputs) -> Tensor:
        given = {name: tensor.numpy() for name, tensor in inputs.items() if name in known}
        return torch.from_numpy(session.run(None, given)[0])

    return run


def _nothing() -> None:
    pass


def _onnx_there() -> None:
    """Raises UserError, with what to install, where a library is missing."""
    from importlib.util import find_spec

    missing = [name for name in ONNX_NEEDS if find_spec(name) is None]
    if missing:
        raise UserError(
            f'to=onnx needs {" and ".join(missing)}, which is not installed: pip install "scorefield[export]". '
            "to=pt2 needs nothing but torch."
        )


FORMATS = {
    "pt2": Format(".pt2", _nothing, _write_pt2, _load_pt2, "torch.export.load"),
    "onnx": Format(".onnx", _onnx_there, _write_onnx, _load_onnx, "onnxruntime"),
}


@contextmanager
def _quiet() -> Iterator[None]:
    """What the exporters say to developers of torch is kept from users; their errors are not."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)

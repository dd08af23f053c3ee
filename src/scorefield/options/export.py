"""The options of `scorefield export`."""

from __future__ import annotations

from .ema import AVERAGE
from .shared import GRIDS, RUN_HELP, WALK, WHERE, Command
from .tune import TABLE
from .values import Option

TARGETS = ("pt2", "onnx")
WHATS = ("denoiser", "sampler")
_SHARED = {option.name: option for option in WALK}
_RUNS = {option.name: option for option in WHERE}

EXPORT = Command(
    "export",
    "RUN",
    RUN_HELP,
    "Write the model as a program that runs without scorefield, and check that it gives the same.",
    (
        ("the denoiser for torch: x and the noise level in, x0 out", "scorefield export last"),
        (
            "a sampler of ten steps for ONNX: noise in, samples out",
            "scorefield export last to=onnx what=sampler steps=10",
        ),
        ("with guidance inside", "scorefield export last what=sampler guidance=2 out=digits.pt2"),
    ),
    (
        (
            "export",
            (
                Option(
                    "to",
                    "choice",
                    "pt2",
                    "Kind of file: pt2 is read by torch.export.load, onnx by onnxruntime and others.",
                    choices=TARGETS,
                    common=True,
                ),
                Option(
                    "what",
                    "choice",
                    "denoiser",
                    "One evaluation of the network, or a whole sampler as one graph.",
                    choices=WHATS,
                    common=True,
                ),
                _SHARED["steps"]._replace(help="sampler: steps of the solver, all of them in the graph."),
                _SHARED["solver"]._replace(help="sampler: how to walk from noise to data; one that has a table."),
                Option(
                    "grid",
                    "choice",
                    "auto",
                    "sampler: spacing of the solver's steps in time.",
                    choices=("auto", *GRIDS),
                ),
                Option("eta", "float", None, "sampler: fresh noise in each step, which becomes an input.", low=0),
                TABLE._replace(help="sampler: tuned sampler to walk: a file, or `no`; otherwise as `sample` does."),
                _SHARED["guidance"],
                AVERAGE,
                Option(
                    "decode",
                    "choice",
                    "auto",
                    "sampler: give data as stored (images: uint8) rather than what the network works on.",
                    choices=("auto", "yes", "no"),
                ),
                Option(
                    "out",
                    "path",
                    None,
                    "File to write; otherwise export/ in the run folder. A .json that describes it lies beside it.",
                    common=True,
                ),
            ),
        ),
        ("where", (_RUNS["runs"],)),
    ),
)

"""A run as a file that needs no scorefield: written, read again, compared with the library, and described."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorefield.core import Rng, as_time
from scorefield.denoisers.preconditioned import LEVEL_BOUND
from scorefield.errors import UserError, suggest
from scorefield.export import FORMATS, DenoiserProgram, Format, Input, Parity, SamplerProgram, compare
from scorefield.export.formats import traced
from scorefield.runs.disk import explained, write_json
from scorefield.runs.draft import settled
from scorefield.runs.sample import course_of, guided
from scorefield.runs.tokens import refuse, refuse_mixed

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

BATCHES = 2, 1, 5  # of the check; the first is also what the graph is traced with
SEED = 0
DECODED = ("images", "vectors", "signals")  # kinds whose codec is arithmetic on tensors
Case = tuple[Mapping[str, Tensor], Tensor]  # inputs, and what the library makes of them


@dataclass(frozen=True)
class Exported:
    """The file, what lies beside it, its inputs, and how its output compares with the library's."""

    path: Path
    description: Path
    what: str
    inputs: tuple[Input, ...]
    output: Input
    parity: tuple[Parity, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "file": str(self.path),
            "description": str(self.description),
            "what": self.what,
            "inputs": [it._asdict() for it in self.inputs],
            "output": self.output._asdict(),
            "parity": [it._asdict() for it in self.parity],
        }


def export(
    run: Run,
    to: str = "pt2",
    what: str = "denoiser",
    *,
    out: str | Path | None = None,
    steps: int | None = None,
    solver: str | None = None,
    grid: str | None = None,
    eta: float | None = None,
    table: Any = None,
    guidance: float | None = None,
    decode: Any = None,
) -> Exported:
    """Write the denoiser (x = x₀ + e^level ε and level in, x̂₀ out) or a sampler (noise in, samples out) as one program.

    ``to`` is pt2 or onnx, the batch is free, guidance and the average of the weights are inside. A sampler is what
    ``sample`` would walk with the same options, all its rows in the graph; a solver that draws noise takes it as the
    input ``fresh``. ``decode`` None gives data as stored where the codec is arithmetic. The file is read again and
    compared with the library before it takes its name. Raises UserError: onnx without its libraries, a solver without a
    table, options of a sampler given for a denoiser, a network that cannot be traced, a program that gives something
    else than the library.
    """
    refuse_mixed(run, "export writes networks of numbers alone")
    refuse(run, "export writes networks of numbers", "Load it in Python with scorefield.load.")
    _refuse_more(run)
    for name, value, known in (("to", to, FORMATS), ("what", what, PROGRAMS)):
        if value not in known:
            raise UserError(f"{name}={value!r} is not known.{suggest(value, known)}")
    walk = {"steps": steps, "solver": settled(solver), "grid": settled(grid), "eta": eta, "table": settled(table)}
    asked = {name: value for name, value in (walk | {"decode": settled(decode)}).items() if value is not None}
    if what == "denoiser" and asked:
        raise UserError(f"{' and '.join(asked)} belong to a sampler. Write what=sampler, or leave that out.")
    form = FORMATS[to]
    form.check()
    path = _path(run, form, what, out, steps)
    here = replace(run, denoiser=deepcopy(run.denoiser).cpu(), device=torch.device("cpu"))
    made = PROGRAMS[what](here, guidance, walk, settled(decode))
    aside = path.with_name(f".{path.stem}.{os.getpid()}.aside{form.ending}")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            program = traced(made.module, made.cases[0][0])
            form.write(program, aside)
            torch_parity = compare("torch program", what, lambda given: program.module()(**given), made.cases)
            parity = torch_parity, compare(form.runtime, what, form.load(aside), made.cases)
            _insist(parity, path)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    done = Exported(path, path.with_suffix(f"{form.ending}.json"), what, made.inputs, made.output, parity)
    write_json(done.description, _described(here, done, made, to))
    return done


@dataclass(frozen=True)
class Made:
    """A module with its inputs, its output, cases to compare it on, and what the description says of it alone."""

    module: torch.nn.Module
    inputs: tuple[Input, ...]
    output: Input
    cases: list[Case]
    told: dict[str, Any]


def _denoiser(run: Run, guidance: float | None, walk: dict[str, Any], decode: bool | None) -> Made:
    asked, scale = guided(run, run.denoiser, guidance)
    shape, bound = run.encoded, LEVEL_BOUND
    inputs = (
        Input("x", "float32", shape, None, None, "x0 + e^level eps: a state x_t of the schedule divided by alpha"),
        Input("level", "float32", (), -bound, bound, "log sigma/alpha; beyond these ends the network hears the end"),
        *_conditions(run),
    )
    output = Input("x0", "float32", shape, None, None, "the belief about the clean data, on the scale of the codec")
    return Made(DenoiserProgram(run.denoiser, scale), inputs, output, _denoiser_cases(run, asked), {"guidance": scale})


def _denoiser_cases(run: Run, asked: Any) -> list[Case]:
    """The library's own denoiser, at times of the run's own schedule."""
    cases: list[Case] = []
    for batch in BATCHES:
        t = as_time(torch.linspace(0.9, 0.1, batch, dtype=torch.float64))
        alpha = run.process.schedule(t).alpha.float().view(-1, *[1] * len(run.encoded))
        x0 = Rng.each(SEED, range(batch)).normal(torch.empty(batch, *run.encoded))
        x = run.process.corrupt(x0, t, Rng(SEED))
        cond = _told(run, batch)
        with torch.no_grad():
            expected = asked(x, t, **cond).mean
        cases.append(({"x": x / alpha, "level": (-run.process.log_ratio(t)).float(), **cond}, expected))
    return cases


def _sampler(run: Run, guidance: float | None, walk: dict[str, Any], decode: bool | None) -> Made:
    given = walk["steps"], walk["solver"], walk["grid"], walk["eta"]
    course, choice = course_of(run, *given, guidance, SEED, None, walk["table"], False)
    _, scale = guided(run, run.denoiser, guidance)
    if course.table is None:
        raise UserError(
            f"solver={walk['solver'] or run.config['sample']['solver']} decides its steps while it walks, so it is no "
            "fixed graph. Export one that has a table, such as solver=dpmpp2m or flow2pc."
        )
    decoded = run.kind in DECODED if decode is None else decode
    module = SamplerProgram(run.denoiser, course.table, scale, run.codec.decode if decoded else None)
    noise = Input("noise", "float32", run.encoded, None, None, "standard normal")
    drawn = Input("fresh", "float32", (module.draws, *run.encoded), None, None, "standard normal, used on the way")
    inputs = (noise, *([drawn] if module.draws else []), *_conditions(run))
    cases = [_sampler_case(run, course.denoiser, module, batch) for batch in BATCHES]
    kind = str(cases[0][1].dtype).removeprefix("torch.")
    ends = (0.0, 255.0) if kind == "uint8" else (None, None)
    meaning = "samples, as the data are stored" if decoded else "samples, on the scale of the codec"
    output = Input("x", kind, tuple(cases[0][1].shape[1:]), *ends, meaning)
    told = {"guidance": scale, "evaluations": course.table.nfe, "decoded": decoded, "table_file": choice.path or None}
    return Made(module, inputs, output, cases, told | {"sampler": course.table.made})


def _sampler_case(run: Run, asked: Any, module: SamplerProgram, batch: int) -> Case:
    """The library's own loop over the same table, with the noise that it drew."""
    rng = _Remembering(Rng.each(SEED, range(batch)))
    noise, cond = rng.normal(torch.empty(batch, *run.encoded)), _told(run, batch)
    with torch.no_grad():
        rng.drawn.clear()
        expected = module.table.run(asked, noise * module.scale, rng, **cond)  # pyrefly: ignore[bad-argument-type]
        expected = expected if module.decode is None else module.decode(expected)
    fresh = {"fresh": torch.stack(rng.drawn, 1)} if rng.drawn else {}
    return {"noise": noise, **fresh, **cond}, expected


class _Remembering:
    """An Rng that keeps its draws."""

    def __init__(self, rng: Rng) -> None:
        self.rng, self.drawn = rng, list[Tensor]()

    def normal(self, like: Tensor) -> Tensor:
        """Drawn, and kept."""
        self.drawn.append(self.rng.normal(like))
        return self.drawn[-1]


PROGRAMS = {"denoiser": _denoiser, "sampler": _sampler}


def _conditions(run: Run) -> list[Input]:
    """The inputs that say what is wanted."""
    found = []
    if run.classes:
        top = len(run.classes) - 1
        found.append(Input("label", "int64", (), -1, top, "the class by its place in `classes`; -1 for none"))
    if run.conditions is not None:
        count = len(run.conditions.names)
        words = "the numbers of `conditions`, standardised by its mean and std; NaN for one that is left open"
        found.append(Input("condition", "float32", (count,), None, None, words))
    return found


def _told(run: Run, batch: int) -> dict[str, Tensor]:
    """Labels and conditions of a check: classes in turn, the last one "no class", and numbers with one left open."""
    cond: dict[str, Tensor] = {}
    if run.classes:
        cond["label"] = (torch.arange(batch) + 1) % (len(run.classes) + 1) - 1
    if run.conditions is not None:
        numbers = Rng.each(SEED + 1, range(batch)).normal(torch.empty(batch, len(run.conditions.names)))
        numbers[-1, 0] = float("nan")
        cond["condition"] = numbers
    return cond


def _path(run: Run, form: Format, what: str, out: str | Path | None, steps: int | None) -> Path:
    if out is not None:
        path = Path(out).expanduser()
        if path.suffix.lower() != form.ending:
            raise UserError(f"out={path} must end in {form.ending} for this kind of file, or write to= another.")
        return path
    folder = Path() if run.folder is None else run.folder.path / "export"
    count = f"-{steps or run.config['sample']['steps']}" if what == "sampler" else ""
    return folder / f"{what}{count}{form.ending}"


def _refuse_more(run: Run) -> None:
    """Raises UserError where the belief is more than a prediction: has a variance, is the gradient of an energy."""
    made = run.config["denoiser"]["type"]
    if made not in ("preconditioned", "classifying"):
        raise UserError(
            f"export writes networks with a prediction and nothing else, but the denoiser of {run.name} is of the type "
            f"{made}. Load it in Python with scorefield.load."
        )


def _insist(parity: tuple[Parity, ...], path: Path) -> None:
    for it in parity:
        if not it.holds:
            raise UserError(
                f"{path.name} was not written: {it.program} differs from the library by {it.difference:.3g}, where "
                f"rounding explains {it.bound:.3g}. Another version of torch or of the runtime may do better."
            )


def _described(run: Run, done: Exported, made: Made, to: str) -> dict[str, Any]:
    """Everything that somebody without scorefield has to know."""
    scale = run.conditions
    return {
        "format": "scorefield export 1",
        "kind": to,
        **done.to_json(),
        "file": done.path.name,
        "description": done.description.name,
        "run": run.name,
        "step": run.step,
        "ema": run.ema,
        "data": {"name": run.data_name, "fingerprint": run.config["data"]["found"]["fingerprint"]},
        "weights_sha256": _fingerprint(run.denoiser),
        "classes": list(run.classes),
        "conditions": {} if scale is None else {"names": scale.names, "mean": scale.mean, "std": scale.std},
        "codec": run.config["codec"],
        "schedule": run.config["process"]["schedule"],
        "sigma_data": run.config["denoiser"]["sigma_data"],
        "torch": torch.__version__,
        **made.told,
    }


def _fingerprint(module: torch.nn.Module) -> str:
    """SHA-256 of the weights, in the order of their names."""
    total = sha256()
    for name, tensor in sorted(module.state_dict().items()):
        total.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()

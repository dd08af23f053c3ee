"""Operators and noises by name, as the command line writes them: ``super=4``, ``blur=2.5``, ``mask=brush.png``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core import Rng
from ..errors import UserError, suggest
from .compressed import Compressed
from .dense import Function
from .frequencies import Blur, Fourier
from .linear_algebra import check_linear
from .mask import SIDES, Mask
from .measurement import GaussianNoise, LaplaceNoise, Noise, PoissonNoise
from .nonlinear import HighDynamicRange, Jpeg, PhaseRetrieval, Quantise
from .radon import Radon
from .separable import Downsample, Grey

Event = tuple[int, ...]


class Name(NamedTuple):
    """How a word of the command line makes an operator: what its value is, in words, and what it does."""

    build: Callable[[Event, str], Any]
    value: str
    says: str


class Numbers(NamedTuple):
    """``3`` or ``15,45`` → ``make(event, 15.0, 45.0)``: one to ``most`` numbers, whole ones where ``whole``."""

    make: Callable[..., Any]
    most: int = 1
    whole: bool = False

    def __call__(self, event: Event, value: str) -> Any:
        try:
            numbers = [(int if self.whole else float)(part) for part in value.split(",")]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= self.most:
            kind = "a whole number" if self.whole else "a number"
            more = f", or up to {self.most} with commas between them" if self.most > 1 else ""
            raise UserError(f"{value!r} was given where {kind} is needed{more}.")
        return self.make(event, *numbers)


def _grey(event: Event, value: str) -> Any:
    if value.lower() not in ("yes", "true", "1"):
        raise UserError(f"grey={value}: write grey=yes, or leave it out.")
    return Grey(event)


def _box(event: Event, *numbers: int) -> Mask:
    if len(numbers) != 4:
        raise UserError("a box is top,left,height,width in pixels, such as box=8,8,16,16.")
    return Mask.box(event, *numbers)


def _share(event: Event, share: float) -> Compressed:
    if not 0 < share <= 1:
        raise UserError(f"compressed={share:g}: the share of combinations to measure lies between 0 and 1.")
    size = 1
    for n in event:
        size *= n
    return Compressed(event, max(1, round(share * size)))


def _straight(build: Callable[..., Any]) -> Callable[[Event, int], Any]:
    """The straight-through form: on a command line, one that no method could use would be of no use."""
    return lambda event, value: build(event, value, straight_through=True)


def load(event: Event, value: str) -> Any:
    """``file.py:A`` → the operator ``A`` of that file, or ``Function(A, event)`` where A is a plain function. The file
    is run. Raises UserError for a file without such a name, for another event, and for a false claim to be linear."""
    path, _, name = value.rpartition(":")
    if not path or not Path(path).is_file():
        raise UserError("write FILE.py:NAME with a file that exists.")
    spec = importlib.util.spec_from_file_location("scorefield_operator", path)
    if spec is None or spec.loader is None:
        raise UserError(f"'{path}' is no Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if name not in vars(module):
        raise UserError(f"'{path}' has no {name!r}.{suggest(name, [k for k in vars(module) if k[0] != '_'])}")
    found = vars(module)[name]
    if getattr(found, "measured", None) is None:
        found = Function(found, event)
    if tuple(found.event) != tuple(event):
        raise UserError(f"{value} measures events {tuple(found.event)}, but the model makes {tuple(event)}.")
    if found.linear:
        check_linear(found, Rng(0))
    return found


OPERATORS: dict[str, Name] = {
    "mask": Name(Mask.brush, "PICTURE", "fill in what is white in this picture"),
    "box": Name(Numbers(_box, 4, True), "TOP,LEFT,HEIGHT,WIDTH", "fill in a box, in pixels"),
    "half": Name(Mask.half, "|".join(SIDES), "fill in this half"),
    "random": Name(Numbers(Mask.random), "SHARE", "fill in this share of the pixels, random ones"),
    "super": Name(Numbers(Downsample, whole=True), "FACTOR", "super-resolution of averages"),
    "bicubic": Name(Numbers(lambda e, f: Downsample(e, f, "bicubic"), whole=True), "FACTOR", "the same, bicubic"),
    "blur": Name(Numbers(Blur.gaussian), "STD", "undo a Gaussian blur of so many pixels"),
    "motion": Name(Numbers(Blur.motion, 2), "LENGTH[,ANGLE]", "undo a motion blur, pixels and degrees"),
    "kernel": Name(Blur.file, "FILE", "undo a blur whose kernel is a picture or .npy file"),
    "grey": Name(_grey, "yes", "colour a grey picture"),
    "fourier": Name(Numbers(Fourier.lines), "ACCELERATION", "from some columns of the Fourier transform (MRI)"),
    "radon": Name(Numbers(Radon.views, whole=True), "ANGLES", "from projections (CT)"),
    "compressed": Name(Numbers(_share), "SHARE", "from few random combinations of all pixels"),
    "jpeg": Name(Numbers(_straight(Jpeg), whole=True), "QUALITY", "undo JPEG compression"),
    "levels": Name(Numbers(_straight(Quantise), whole=True), "LEVELS", "undo rounding to so few levels"),
    "hdr": Name(Numbers(HighDynamicRange), "SCALE", "undo overexposure"),
    "phase": Name(Numbers(PhaseRetrieval), "OVERSAMPLE", "from the moduli of the Fourier transform"),
    "operator": Name(load, "FILE.py:NAME", "your own operator, or function of a batch"),
}

NOISES: dict[str, Callable[[float], Noise]] = {
    "gaussian": GaussianNoise,
    "laplace": LaplaceNoise,
    "poisson": PoissonNoise,
}


def operator(words: str | Sequence[str], event: Iterable[int]) -> Any:
    """``operator("super=4", (3, 64, 64))``; of several words the first is done first: ``["blur=2", "super=4"]`` makes
    the blurred picture small. Raises UserError for an unknown name or a value that does not do."""
    shape, found = tuple(event), None
    for word in [words] if isinstance(words, str) else words:
        name, equals, value = word.partition("=")
        if name not in OPERATORS:
            raise UserError(f"no operator is called {name!r}.{suggest(name, OPERATORS)}")
        if not equals or not value:
            raise UserError(f"{name} needs a value: {name}={OPERATORS[name].value}.")
        try:
            next_one = OPERATORS[name].build(shape, value)
        except UserError as error:
            raise UserError(f"{word}: {error}") from error
        found, shape = next_one if found is None else next_one @ found, tuple(next_one.measured)
    if found is None:
        raise UserError(f"an operator is needed.{suggest('', OPERATORS)}")
    return found


def noise(word: str | float) -> Noise:
    """``0.05`` or ``gaussian:0.05``, ``laplace:0.1``, ``poisson:30`` (counts per unit of x). Raises UserError for
    another name or no number."""
    name, colon, value = str(word).rpartition(":")
    name = name if colon else "gaussian"
    if name not in NOISES:
        raise UserError(f"no noise is called {name!r}.{suggest(name, NOISES)}")
    try:
        return NOISES[name](float(value))
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"noise={word}: {value!r} is no number. Write noise=0.05, or noise=poisson:30.") from error

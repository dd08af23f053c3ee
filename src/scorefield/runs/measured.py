"""What was measured of a picture: words of a command line → an operator, its noise and y."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from scorefield.core import Rng
from scorefield.data.pixels import DAMAGE, flatten
from scorefield.errors import UserError
from scorefield.operators import Function, GaussianNoise, Measurement
from scorefield.operators.names import noise as noise_named
from scorefield.operators.names import operator as named

if TYPE_CHECKING:
    from scorefield.runs.loading import Run

NOISE = 0.02  # deviation when nobody says: two and a half of 255 levels, about what rounding and JPEG leave
NOISY = 17  # folded with the seed for the noise on a picture that is measured first
IN_TURN = ("grey", "blur", "super", "operator", "mask")  # what is done to a picture, in this order
CHANNELS = {1: "L", 3: "RGB"}
KERNELS = (".png", ".npy", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
OWN_FAULTS = (  # what the code in a user's file may raise
    *(OSError, SyntaxError, ArithmeticError, LookupError, RuntimeError),
    *(ImportError, NameError, AttributeError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Given:
    """A measurement and how it came about: ``words`` as typed, ``truth`` (1, *D) encoded where it is known, ``seen``
    uint8 (C, H, W) where y can be looked at (RGBA where a part is hidden), ``note`` what to know about it; the noise of
    a y that was not simulated is ``assumed`` where nobody said it."""

    measurement: Measurement
    words: str
    truth: Tensor | None = None
    seen: Tensor | None = None
    note: str = ""
    assumed: bool = False


def operator_of(run: Run, asked: dict[str, Any]) -> tuple[Any, str]:
    """(the operator, its words), composed in the order of ``IN_TURN``. Raises UserError where none was asked for, and
    whatever the operators refuse."""
    words = {name: asked[name] for name in IN_TURN if asked.get(name) not in (None, False)}
    if not words:
        raise UserError(
            "nothing says what was measured. Write mask=mask.png, super=4, blur=1.5, grey=yes or operator=FILE.py:NAME."
        )
    made, event = None, run.encoded
    for name, value in words.items():
        one = _one(name, value, event)
        made, event = (one if made is None else one @ made), tuple(one.measured)
    return made, " ".join(f"{name}={_called_for(value)}" for name, value in words.items())


def _called_for(value: Any) -> str:
    """A value as one writes it."""
    if value is True or isinstance(value, str | int | float | Path):
        return "yes" if value is True else str(value)
    return str(getattr(value, "__name__", type(value).__name__))


def _one(name: str, value: Any, event: tuple[int, ...]) -> Any:
    if name == "operator" and not isinstance(value, str):  # from Python: an operator, or any function
        return value if getattr(value, "measured", None) is not None else Function(value, event)
    word = WORDS.get(name, lambda given: f"{name}={given}")(value)
    if not word.startswith("operator="):
        return named(word, event)
    try:
        return named(word, event)
    except UserError:
        raise
    except OWN_FAULTS as error:  # the code in there is the user's
        raise UserError(f"{word} cannot be used ({type(error).__name__}: {error}).") from error


WORDS: dict[str, Callable[[Any], str]] = {  # option → the word of operators.names that it means
    "grey": lambda given: "grey=yes",
    "blur": lambda given: f"kernel={given}" if Path(str(given)).suffix in KERNELS else f"blur={given}",
    "operator": lambda given: f"operator={given}" if ".py" in given else given,
}


def noise_of(word: Any) -> tuple[Any, str]:
    """(the noise, "" or what was chosen): a deviation, ``poisson:30``, ``laplace:0.1``, or any ``Noise``. Raises
    UserError for what is none of these."""
    if word in (None, "auto"):
        return GaussianNoise(NOISE), f"noise={NOISE:g} was chosen: noise= says how exact the measurement is"
    return (noise_named(word) if isinstance(word, str | int | float) else word), ""


def noise_said(word: Any) -> str:
    """The noise as one writes it, chosen or not."""
    return f"noise={NOISE:g}" if word in (None, "auto") else f"noise={word}"


def given_of(run: Run, picture: Any, y: Any, taken: str | None, seed: int, noise: Any, asked: dict[str, Any]) -> Given:
    """The measurement that the options mean. ``picture`` is a path, an array or None; ``y`` what was measured, which
    ``picture`` then is the truth of. Raises UserError for what does not fit, saying both shapes."""
    operator, words = operator_of(run, asked)
    law, note = noise_of(noise)
    all_words = f"{words} {noise_said(noise)}"
    if y is not None:
        truth = None if picture is None else encoded_picture(run, picture, words)
        return Given(Measurement(operator, _array(y, operator), law), all_words, truth, None, note, bool(note))
    if picture is None:
        raise UserError("edit needs a picture after the run, or what was measured: y=y.npy.")
    if only_hides(operator):
        x = encoded_picture(run, picture, words)
        known = Measurement(operator, operator(x), law)
        return Given(known, all_words, None, _with_holes(run, operator, x), note, bool(note))
    pixels = read_picture(picture)
    fits = {"measured": _fits(pixels, tuple(operator.measured)), "clean": _fits(pixels, run.shape)}
    order = ("clean", "measured") if operator.measured[0] == 1 and _coloured(pixels) else ("measured", "clean")
    how = taken if taken not in (None, "auto") else next((name for name in order if fits[name]), "")
    if not fits.get(how):
        raise _strange(picture, pixels, run, operator, words)
    if how == "measured":
        told = f"{_called(picture)} is what was measured"
        told += " (taken=clean would measure it first)" if fits["clean"] and taken != how else ""
        raw = _pixels(pixels, operator.measured[0])
        seen = Measurement(operator, run.codec.encode(raw), law)
        return Given(seen, all_words, None, raw[0], _joined(told, note), bool(note))
    truth = run.codec.encode(_pixels(pixels, run.shape[0]))
    simulated = Measurement.of(truth, operator, law, Rng(Rng.fold(seed, NOISY)))
    told = f"{_called(picture)} is clean: it was measured first, and what comes back is compared with it"
    return Given(simulated, all_words, truth, _looked_at(run, simulated.y), _joined(told, note))


def only_hides(operator: Any) -> bool:
    """Whether it is a mask and nothing else: then the picture is what is known, and no noise is added to it."""
    return getattr(operator, "where", None) is not None


def read_picture(picture: Any) -> Image.Image:
    """A path, a PIL picture or an array uint8 (C, H, W) → a picture, L or RGB. Raises UserError for what is none."""
    if torch.is_tensor(picture) or isinstance(picture, np.ndarray):
        values = np.asarray(picture)
        if values.dtype != np.uint8 or values.ndim != 3 or values.shape[0] not in CHANNELS:
            raise UserError(f"a picture is uint8 (1 or 3, H, W), got {values.dtype} {values.shape}.")
        return Image.fromarray(values[0] if len(values) == 1 else np.moveaxis(values, 0, -1))
    if not isinstance(picture, str | Path):
        return flatten(picture)[0]
    path = Path(picture).expanduser()
    if not path.is_file():
        raise UserError(f"{path} does not exist. Give a picture after the run, such as photo.png.")
    try:
        with Image.open(path) as image:
            return flatten(ImageOps.exif_transpose(image))[0]
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as a picture ({error}).") from error


def _fits(pixels: Image.Image, shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] in CHANNELS and pixels.size == (shape[2], shape[1])


def _coloured(pixels: Image.Image) -> bool:
    """Whether it is no grey picture: then it is not what grey=yes gives."""
    values = np.asarray(pixels.convert("RGB"))
    return bool((values != values[..., :1]).any())


def _pixels(pixels: Image.Image, channels: int) -> Tensor:
    """uint8 (1, C, H, W)."""
    values = np.asarray(pixels.convert(CHANNELS[channels]))
    return torch.from_numpy(np.array(values if channels == 3 else values[..., None])).permute(2, 0, 1)[None]


def encoded_picture(run: Run, picture: Any, words: str) -> Tensor:
    """A picture (1, *D) as the run's network sees it. Raises UserError where it has another size, naming ``words``."""
    pixels = read_picture(picture)
    if not _fits(pixels, run.shape):
        raise UserError(
            f"{_called(picture)} has {pixels.height}×{pixels.width} pixels, but {words} is about a picture of this "
            f"run, {run.shape[1]}×{run.shape[2]}. Resize it first."
        )
    return run.codec.encode(_pixels(pixels, run.shape[0]))


def _array(y: Any, operator: Any) -> Tensor:
    """(1, *M) float32 of a .npy, a .npz with ``y``, or an array."""
    shown, values = "y", y
    if isinstance(y, str | Path):
        path, shown = Path(y).expanduser(), str(y)
        if path.suffix not in (".npy", ".npz"):
            raise UserError(f"y={y} should be numbers: a .npy, or a .npz that holds y. A picture is given without y=.")
        try:
            loaded: Any = np.load(path)
            values = loaded if isinstance(loaded, np.ndarray) else loaded["y"]
        except FileNotFoundError as error:
            raise UserError(f"y={y} does not exist. Give a .npy, or a .npz that holds y.") from error
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"y={y} cannot be read as numbers. It should be a .npy, or a .npz that holds y.") from error
    array, measured = np.asarray(values), tuple(operator.measured)
    if array.dtype.kind not in "fiu":
        raise UserError(f"{shown} holds {array.dtype}, but real numbers are needed.")
    if array.shape not in (measured, (1, *measured)):
        raise UserError(f"{shown} has shape {array.shape}, but the operator gives {measured}. Give y of that shape.")
    return torch.from_numpy(np.array(array, np.float32)).reshape(1, *measured)


def _strange(picture: Any, pixels: Image.Image, run: Run, operator: Any, words: str) -> UserError:
    measured = operator.measured
    small = f"{measured[1]}×{measured[2]} (what {words} gives) or " if len(measured) == 3 else ""
    return UserError(
        f"{_called(picture)} has {pixels.height}×{pixels.width} pixels, but {small}{run.shape[1]}×{run.shape[2]} (what "
        f"{run.name} makes) is needed. Resize it first, or give numbers: y=y.npy of shape {tuple(measured)}."
    )


def _with_holes(run: Run, operator: Any, x: Tensor) -> Tensor:
    """The picture with nothing where it is hidden, RGBA uint8 (4, H, W)."""
    pixels = run.codec.decode(x)[0].expand(3, -1, -1)
    known = operator.where.reshape(run.shape).any(0, keepdim=True)
    return torch.cat([pixels, 255 * known.to(torch.uint8)])


def _looked_at(run: Run, y: Tensor) -> Tensor | None:
    return run.codec.decode(y)[0] if y.ndim == 4 and y.shape[1] in CHANNELS else None


def _called(picture: Any) -> str:
    return Path(picture).name if isinstance(picture, str | Path) else "the picture"


def _joined(*sentences: str) -> str:
    return ". ".join(sentence for sentence in sentences if sentence)

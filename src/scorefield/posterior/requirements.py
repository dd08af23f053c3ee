"""What a method asks of a measurement, and the sentence that says so where it lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import UserError
from ..operators import Measurement


def _positive(measurement: Measurement) -> bool:
    std = measurement.noise.std
    return std is None or std > 0


NEEDS: dict[str, tuple[Callable[[Measurement], bool], str]] = {  # need: whether it is met, what to say where it is not
    "linear": (
        lambda m: m.operator.linear,
        "a linear operator, and {operator} is not. Use dps, sda or tds, which take any that is differentiable",
    ),
    "differentiable": (
        lambda m: m.operator.differentiable,
        "an operator that can be differentiated, and {operator} cannot. Write it with torch functions that have a "
        "gradient, or ask for a straight-through form",
    ),
    "gaussian noise": (
        lambda m: m.noise.gaussian,
        "Gaussian noise, and this measurement has {noise}. Use dps or tds-likelihood, which take any likelihood",
    ),
    "noise > 0": (
        _positive,
        "noise, and this measurement is exact (std 0). Give a small std, such as 0.01, or use pigdm, mmps or ddnm",
    ),
    "deviation": (
        lambda m: m.noise.std is not None,
        "noise of one standard deviation, and this measurement has {noise}. Use dps or tds-likelihood, which take any "
        "likelihood",
    ),
    "mask": (
        lambda m: getattr(m.operator, "where", None) is not None,
        "a Mask as operator, and {operator} is none. Use a method for linear operators, such as mmps or ddnm",
    ),
    "spectrum": (
        lambda m: m.operator.linear,
        "the singular values of a linear operator, and {operator} is not linear. Use dps, sda or tds",
    ),
}


def require(measurement: Measurement, asker: Any, *needs: str) -> None:
    """Raise UserError, in one sentence, for the first of ``needs`` (see ``NEEDS``) that the measurement lacks.
    ``asker`` is the method, or its name."""
    for need in needs:
        met, sentence = NEEDS[need]
        if not met(measurement):
            name = asker if isinstance(asker, str) else type(asker).__name__
            operator = type(measurement.operator).__name__
            words = sentence.format(operator=operator, noise=type(measurement.noise).__name__)
            raise UserError(f"{name} needs {words}.")


def std_of(measurement: Measurement) -> float:
    """The deviation of Gaussian noise. Raises UserError for noise that has none."""
    std = measurement.noise.std
    if std is None:
        raise UserError(
            f"this method needs Gaussian noise, and the measurement has {type(measurement.noise).__name__}."
        )
    return std

"""Samplers by the names users know; each is one composition of the parts beside this file."""

from __future__ import annotations

from collections.abc import Callable

from ..core import Solver
from ..errors import UserError, suggest
from .ancestral import Ancestral
from .exponential import Exponential
from .runge_kutta import RungeKutta

NAMES: dict[str, Callable[[float | None], Solver]] = {
    "ddpm": lambda eta: Ancestral(),
    "ddim": lambda eta: Exponential(1, eta or 0.0),
    "exponential2": lambda eta: Exponential(2, eta or 0.0),
    "exponential3": lambda eta: Exponential(3, eta or 0.0),
    "euler": lambda eta: RungeKutta("euler"),
    "heun": lambda eta: RungeKutta("heun"),
    "midpoint": lambda eta: RungeKutta("midpoint"),
    "rk4": lambda eta: RungeKutta("rk4"),
}
TAKES_ETA = frozenset({"ddim", "exponential2", "exponential3"})


def named(name: str, eta: float | None = None) -> Solver:
    """The solver called ``name``; ``eta`` in [0, 1] is how much fresh noise a step draws, for those that can.

    Raises UserError for an unknown name, or an eta that the solver has no use for.
    """
    if name not in NAMES:
        raise UserError(f"no solver is called {name!r}.{suggest(name, NAMES)}")
    if eta is not None and name not in TAKES_ETA:
        raise UserError(f"solver {name!r} takes no eta. Those that do: {', '.join(sorted(TAKES_ETA))}.")
    return NAMES[name](eta)

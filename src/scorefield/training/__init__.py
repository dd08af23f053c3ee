"""The training loop, torch-native: one loop for a CPU, a GPU and many of either.

``settings``     everything a run can be told
``events``       what a run tells
``fit``          the loop: ``training_steps`` yields events, ``fit`` runs it to its end
``trainer``      one optimiser step, and what a checkpoint holds
``feed``, ``order``     which examples come when
``optim``, ``precision``, ``ema``     AdamW and its guard; dtypes, layout, compiling; averages of the weights
``checkpoint``   whole or not there
``stopping``, ``distributed``     signals; several processes
"""

from .checkpoint import Checkpoint, newest
from .distributed import World, check_devices, choose_device, current_world, launch
from .ema import PowerEMA, gamma_of, width_of
from .events import Event, FitResult, Logged, PreviewDue, Saved, Started, Stopped
from .fit import fit, training_steps
from .settings import Settings

__all__ = [
    "Checkpoint",
    "Event",
    "FitResult",
    "Logged",
    "PowerEMA",
    "PreviewDue",
    "Saved",
    "Settings",
    "Started",
    "Stopped",
    "World",
    "check_devices",
    "choose_device",
    "current_world",
    "fit",
    "gamma_of",
    "launch",
    "newest",
    "training_steps",
    "width_of",
]

"""The training loop, torch-native: one loop for a CPU, a GPU and many of either.

``settings``     everything a run can be told
``events``       what a run tells
``fit``          the loop: ``training_steps`` yields events, ``fit`` runs it to its end
``trainer``      one optimiser step, and what a checkpoint holds
``feed``, ``order``     which examples come when
``optim``, ``precision``, ``ema``     AdamW and its guard; dtypes, layout, compiling; averages of the weights
``snapshots``, ``posthoc``     averages kept on the way, and any other average rebuilt from them
``checkpoint``   whole or not there
``stopping``     signals
``distributed``, ``joining``     several processes: our own, or a launcher's
``draws``    random numbers that belong to the examples of a batch, not to who computes them
``layout``, ``sharding``     who holds which weights: every process all of them, or each a part
``saving``, ``shards``     what a checkpoint holds
``memory``   what is done when it runs out
"""

from .checkpoint import Checkpoint, newest
from .distributed import World, check_devices, choose_device, current_world, launch
from .ema import PowerEMA, gamma_of, width_of
from .events import Event, FitResult, Logged, PreviewDue, Saved, Squeezed, Started, Stopped
from .fit import fit, training_steps
from .joining import check_launched, join, launched
from .posthoc import Fit, Profile, fit_profile
from .settings import Settings

__all__ = [
    "Checkpoint",
    "Event",
    "Fit",
    "FitResult",
    "Logged",
    "PowerEMA",
    "PreviewDue",
    "Profile",
    "Saved",
    "Settings",
    "Squeezed",
    "Started",
    "Stopped",
    "World",
    "check_devices",
    "check_launched",
    "choose_device",
    "current_world",
    "fit",
    "fit_profile",
    "gamma_of",
    "join",
    "launch",
    "launched",
    "newest",
    "training_steps",
    "width_of",
]

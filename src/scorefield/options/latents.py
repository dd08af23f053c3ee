"""The options of `scorefield encode`, `decode` and `interpolate`."""

from __future__ import annotations

from .ema import AVERAGE
from .shared import RUN_HELP, WHERE, Command
from .values import Option

_OF = Option(
    "class", "words", None, "The class that the flow is told, by number or name; none leaves it open.", common=True
)
_TOL = Option(
    "tol",
    "float",
    1e-4,
    "Error that a step may make; smaller is slower and more exact.",
    above=0,
    high=0.5,
    common=True,
)
_OUT = Option("out", "path", None, "What to write; otherwise a new file in the run folder.", common=True)

ENCODE = Command(
    "encode",
    "RUN",
    f"{RUN_HELP}; after it the data, an embedded set, a folder or a file; without any, what the run held out",
    "Find the noise that a run makes each example of, along its probability flow.",
    (
        ("held-out examples of the newest run", "scorefield encode last n=32"),
        ("pictures of your own", "scorefield encode last photos/ out=latents.npz"),
        ("as the flow of another class", "scorefield encode last class=3 out=latents.safetensors"),
    ),
    (
        ("latents", (Option("n", "int", None, "How many; otherwise all, at most 256.", low=1, common=True), _OF, _TOL)),
        ("output", (_OUT, AVERAGE)),
        ("where", WHERE),
    ),
    most=2,
)
DECODE = Command(
    "decode",
    "RUN",
    f"{RUN_HELP}; after it the latents: .npz or .safetensors of `encode`, or .npy (N, *D) of deviation 1",
    "Make examples of latents: what `encode` undoes.",
    (
        ("what was encoded", "scorefield decode last latents.npz"),
        ("as numbers", "scorefield decode last latents.npz out=back.npz"),
        ("as another class, with the same style", "scorefield decode last latents.npz class=3"),
    ),
    (("latents", (_OF, _TOL)), ("output", (_OUT, AVERAGE)), ("where", WHERE)),
    most=2,
)
INTERPOLATE = Command(
    "interpolate",
    "RUN",
    f"{RUN_HELP}; after it two examples: each a picture, or the number of a held-out example",
    "Draw what lies between two examples, along the great circle between their latents.",
    (
        ("eight pictures from the first held-out example to the second", "scorefield interpolate last 0 1"),
        ("between two pictures of your own", "scorefield interpolate last a.png b.png n=12"),
        ("numbers instead of a strip", "scorefield interpolate last 0 1 out=between.npz"),
    ),
    (
        (
            "between",
            (Option("n", "int", 8, "How many, both ends among them.", low=2, common=True), _OF, _TOL),
        ),
        ("output", (_OUT, AVERAGE)),
        ("where", WHERE),
    ),
    most=3,
)

"""The options of `scorefield edit`, and those of every walk over tokens."""

from __future__ import annotations

from .ema import AVERAGE
from .measurement import MEASUREMENT, POSTERIOR
from .shared import WALK, WHERE, Command
from .values import Option

_SHARED = {option.name: option._replace(common=option.name == "steps") for option in WALK}

SHARPER = (
    Option("temperature", "float", None, "Text: below 1 surer than the model, above 1 bolder.", above=0),
    Option("top_k", "int", None, "Text: draw among so many of the likeliest tokens only.", low=1),
    Option(
        "top_p",
        "float",
        None,
        "Text: draw among the likeliest tokens that hold this probability only.",
        above=0,
        high=1,
    ),
)
GRID_OF = Option("class", "words", None, "Classes to ask for, by number or name, taken in turn; one for a picture.")
GIVEN = ("auto", "clean", "measured")

# Options of the Python call that go with one kind of run; all others go with both.
OF_TEXT = ("blank", "length", "solver", "temperature", "top_k", "top_p", "trajectory")
OF_PICTURES = (*(option.name for option in (*MEASUREMENT, *POSTERIOR)), "y", "taken")

EDIT = Command(
    "edit",
    "RUN",
    "a run folder, a unique prefix of its name, a .safetensors file, or `last`; after it what is edited: for a run on "
    "images a picture; for a run on text the text itself in quotes, with a `_` for every character to fill in, or a "
    ".txt file that holds it",
    "Keep what is given and make up the rest: parts of a picture, detail, colours; blanks in a text, or what follows.",
    (
        ("paint what is white in mask.png, eight ways", "scorefield edit last photo.png mask=mask.png n=8"),
        ("four times the size", "scorefield edit last small.png super=4"),
        ("fill in four characters", 'scorefield edit last "To be, ____"'),
    ),
    (
        (
            "pictures: what was measured",
            (*MEASUREMENT, Option("y", "path", None, "What was measured, where IMAGE is not it: .npy.", common=True)),
        ),
        (
            "pictures: how",
            (
                *POSTERIOR,
                Option(
                    "taken",
                    "choice",
                    "auto",
                    "What the picture is: clean (it is measured first, to see how well it comes back) or measured.",
                    choices=GIVEN,
                ),
            ),
        ),
        (
            "text",
            (
                Option("blank", "str", None, "The sign for what is to be filled in; otherwise _.", common=True),
                Option(
                    "length",
                    "int",
                    None,
                    "Go on until the text has so many tokens (characters, where the run knows characters).",
                    low=1,
                    common=True,
                ),
                *SHARPER,
            ),
        ),
        (
            "drawing",
            (
                Option(
                    "n",
                    "int",
                    None,
                    "How many different ways; otherwise 8 of a picture, 1 of a text.",
                    low=1,
                    common=True,
                ),
                *(_SHARED[name] for name in ("steps", "solver", "guidance", "seed")),
                GRID_OF,
                AVERAGE,
            ),
        ),
        (
            "output",
            (
                Option(
                    "out",
                    "path",
                    None,
                    "What to write. Pictures: a folder, otherwise in the run folder; or one .png, .npz or .html. "
                    "Text: .txt, .npz or .html (a film); otherwise only shown.",
                ),
                Option("film", "bool", False, "Text: show on the terminal how it is written, and write a page of it."),
            ),
        ),
        ("where", WHERE),
    ),
    most=2,
)

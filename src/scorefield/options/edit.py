"""The options of `scorefield edit`, and those of every walk over tokens."""

from __future__ import annotations

from .ema import AVERAGE
from .shared import WALK, WHERE, Command
from .values import Option

_SHARED = {option.name: option for option in WALK}

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
GRID_OF = Option("class", "words", None, "Classes to ask for, by number or name, taken in turn.")

EDIT = Command(
    "edit",
    "RUN",
    "a run folder, a unique prefix of its name, a .safetensors file, or `last`; after it what is edited: for a run on "
    "text the text itself in quotes, with a `_` for every character to fill in, or a .txt file that holds it",
    "Fill in what is left open, and keep the rest as it is: blanks in a text, or what follows its beginning.",
    (
        ("fill in four characters", 'scorefield edit last "To be, ____"'),
        ("go on until there are 200 characters, three times", 'scorefield edit last "ROMEO:" length=200 n=3'),
        ("another sign for blanks, and more care", 'scorefield edit last "snake_case_??" blank=? temperature=0.8'),
    ),
    (
        (
            "editing",
            (
                Option("n", "int", 1, "How many different ways to fill it in.", low=1, common=True),
                Option("blank", "str", "_", "The sign that stands for what is to be filled in.", common=True),
                Option(
                    "length",
                    "int",
                    None,
                    "Go on until the text has so many tokens (characters, where the run knows characters).",
                    low=1,
                    common=True,
                ),
                *(_SHARED[name] for name in ("steps", "solver", "guidance", "seed")),
                *SHARPER,
                GRID_OF,
                AVERAGE,
            ),
        ),
        (
            "output",
            (
                Option("out", "path", None, "File to write: .txt, .npz or .html (a film); otherwise only shown."),
                Option("film", "bool", False, "Show on the terminal how it is written, and write a page of it."),
            ),
        ),
        ("where", WHERE),
    ),
    most=2,
)

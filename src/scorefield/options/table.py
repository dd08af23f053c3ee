"""Every option of every command, in one table: the command line, its help, the reference page and the Python calls
`scorefield.train(...)`, `run.sample(...)` and `run.evaluate(...)` all read it.

A default of None (written `auto`) means "chosen for you": the plan decides from the data and says why.
"""

from __future__ import annotations

from .bits import BITS
from .calibrate import CALIBRATE
from .compare import COMPARE
from .edit import EDIT, SHARPER
from .ema import AVERAGE, EMA
from .export import EXPORT
from .latents import DECODE, ENCODE, INTERPOLATE
from .shared import DATA_HELP, GRIDS, READING, RUN_HELP, SCHEDULES_OF_ALL, SPREAD, WALK, WHERE, Command
from .tools import CONFIG, DOCTOR, RECIPES
from .train import TRAIN
from .tune import TABLE, TUNE
from .values import Option

SAMPLE = Command(
    "sample",
    "RUN",
    RUN_HELP,
    "Draw new samples from a trained model.",
    (
        ("64 samples of the newest run", "scorefield sample last"),
        ("16 threes, insisting on the class", "scorefield sample last n=16 class=3 guidance=2"),
        ("an animated picture of noise becoming data", "scorefield sample last film=yes out=film.webp"),
    ),
    (
        (
            "sampling",
            (
                Option("n", "int", 64, "How many samples.", low=1, common=True),
                *WALK,
                Option(
                    "class",
                    "words",
                    None,
                    "Classes to sample, by number or name, taken in turn; otherwise all of them.",
                    common=True,
                ),
                Option(
                    "condition",
                    "str",
                    None,
                    "Numbers to sample for, such as 0.3,none; or a .csv with a row for each. Otherwise left open.",
                    common=True,
                ),
                Option(
                    "classifier",
                    "str",
                    None,
                    "A classifier run (train ... classifier=yes) that steers toward the class.",
                ),
                Option(
                    "classifier_scale",
                    "float",
                    None,
                    "Strength of the classifier; otherwise 1, Bayes' rule; more insists.",
                    low=0,
                ),
                Option("grid", "choice", "auto", "Spacing of the solver's steps in time.", choices=("auto", *GRIDS)),
                Option("eta", "float", None, "Fresh noise in each step: 0 is deterministic, 1 ancestral.", low=0),
                *SHARPER,
                TABLE,
                Option(
                    "schedule",
                    "choice",
                    "auto",
                    "Walk along another noise schedule than that of training.",
                    choices=("auto", *SCHEDULES_OF_ALL),
                ),
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
                    "File to write: .png, .npz, .npy, .csv, .parquet, .txt or .webp; otherwise in the run folder.",
                    common=True,
                ),
                Option(
                    "film", "bool", False, "Also write a film of noise becoming data; of text, a page.", common=True
                ),
            ),
        ),
        ("where", (*WHERE, SPREAD)),
    ),
)

EVALUATE = Command(
    "evaluate",
    "RUN",
    RUN_HELP + "; or samples that anybody made: a folder of images, or one .npz, .npy, .csv or .txt file",
    "Measure samples against data they were not trained on, each figure with its floor (real against real).",
    (
        ("against the held-out part of its own data", "scorefield evaluate last"),
        ("two metrics only, more samples", "scorefield evaluate last metrics=frechet,kernel n=5000"),
        ("any two sets of images", "scorefield evaluate samples/ against=photos/"),
    ),
    (
        (
            "evaluation",
            (
                Option("against", "str", None, "Data to compare with; otherwise the run's held-out data.", common=True),
                Option(
                    "n",
                    "int",
                    None,
                    "How many samples; otherwise as many as there are held-out examples.",
                    low=2,
                    common=True,
                ),
                Option(
                    "metrics",
                    "words",
                    None,
                    "Which metrics, separated by commas; otherwise all that apply.",
                    common=True,
                ),
                Option(
                    "features",
                    "str",
                    None,
                    "Features the metrics compare: pixels, standardised, pca:64, random-conv:0, or inception:PATH with "
                    "the FID weights as .safetensors.",
                    common=True,
                ),
                Option(
                    "reference",
                    "path",
                    None,
                    "A .npz with mu and sigma, as pytorch-fid, ADM and EDM write: adds the Fréchet distance to it.",
                    common=True,
                ),
                Option(
                    "bits_per_dim",
                    "bool",
                    False,
                    "Measure the likelihood of n held-out examples instead of samples: a bound and the flow's density.",
                    common=True,
                ),
                Option(
                    "judge",
                    "str",
                    None,
                    "Of a run on text: another run on the same text, under which samples cost bits.",
                ),
                Option(
                    "save_stats",
                    "path",
                    None,
                    "A .npz to write: mu and sigma of the training data (or of against=...) in these features.",
                ),
                *WALK,
                TABLE,
                AVERAGE,
                Option("out", "path", None, "JSON file to write; otherwise evaluation.json in the run folder."),
            ),
        ),
        ("where", (*WHERE, SPREAD)),
    ),
)

DATA = Command(
    "data",
    "DATA",
    DATA_HELP + "; without it, the embedded sets are listed",
    "Show what would be trained on: count, shape, range, classes, duplicates, broken files, a picture.",
    (
        ("look at an embedded set", "scorefield data digits"),
        ("look at your photos as the model would see them", "scorefield data photos/ size=64"),
        ("save the picture", "scorefield data photos/ size=64 out=grid.png"),
    ),
    (
        ("data", READING),
        (
            "output",
            (
                Option("n", "int", 32, "How many examples in the picture.", low=1, common=True),
                Option("out", "path", None, "PNG file to write the picture to.", common=True),
            ),
        ),
    ),
)

_RUNS = (("where", (Option("runs", "path", "runs", "Folder that holds the run folders.", common=True),)),)
INFO = Command(
    "info",
    "RUN",
    RUN_HELP,
    "Say what a run is, how it was made, how to load it in Python and how to cite its parts.",
    (
        ("the newest run", "scorefield info last"),
        ("as one JSON object", "scorefield info last --json"),
        ("a run elsewhere", "scorefield info /data/runs/2026-11-22_digits_unet"),
    ),
    _RUNS,
)
REPORT = Command(
    "report",
    "RUN",
    RUN_HELP,
    "Write report.html of a run again: one file that opens offline.",
    (
        ("the newest run", "scorefield report last"),
        ("to another place", "scorefield report last out=report.html"),
        ("print only the path", "scorefield report last --quiet"),
    ),
    (
        (
            "output",
            (
                Option("out", "path", None, "File to write; otherwise report.html in the run folder.", common=True),
                *_RUNS[0][1],
            ),
        ),
    ),
)
LIST = Command(
    "list",
    "",
    "",
    "List the runs of a folder: state, step, data, best figure.",
    (
        ("the runs here", "scorefield list"),
        ("the runs of another folder", "scorefield list runs=/data/runs"),
        ("for scripts", "scorefield list --json"),
    ),
    _RUNS,
)
_ALL = (TRAIN, SAMPLE, EDIT, ENCODE, DECODE, INTERPOLATE, CALIBRATE, EVALUATE, BITS, COMPARE, TUNE, EMA, EXPORT)
_ALL += (DATA, INFO, REPORT, LIST, RECIPES, CONFIG, DOCTOR)
COMMANDS = {c.name: c for c in _ALL}

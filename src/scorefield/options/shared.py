"""What several commands have in common: the words they know and the options they share."""

from __future__ import annotations

from typing import NamedTuple

from .values import Option

SECTIONS = ("codec", "net", "process", "denoiser", "objective")  # sections of config.toml that describe objects
SCHEDULES = ("vp", "cosine", "sub-vp", "ve", "edm", "flow", "ddpm")
KEEPS = ("cosine", "geometric", "linear", "polynomial", "sine")  # schedules of noise on tokens
SCHEDULES_OF_ALL = tuple(dict.fromkeys((*SCHEDULES, *KEEPS)))
NOISES = ("masking", "uniform", "mask-and-replace", "argmax")
PREDICTIONS = ("eps", "x0", "v", "score", "ncsn", "flow", "edm")
# fmt: off
SOLVERS = (
    "adaptive", "ancestral", "annealed-langevin", "consistent-annealed", "ddim", "ddpm", "ddpm-large", "deis2",
    "deis3", "dpm1", "dpm2", "dpm2m", "dpm3", "dpm3m", "dpmpp1", "dpmpp2m", "dpmpp2m-published", "dpmpp2s",
    "dpmpp3m", "dpmpp3m-published", "dpmpp3s", "dpmpp4m", "edm", "edm-heun", "er-sde", "euler",
    "euler-maruyama", "flow2m", "flow2pc", "flow3m", "flow3pc", "flow4m", "gotta-go-fast", "heun", "lms2",
    "lms3", "lms4", "midpoint", "pc", "pc-ancestral", "restart", "reverse-diffusion", "rk4", "sa-solver",
    "sde-dpmpp1", "sde-dpmpp2m", "sde-dpmpp2m-published", "sde-dpmpp3m", "sde-dpmpp3m-published", "unipc1",
    "unipc1-bh1", "unipc2", "unipc2-bh1", "unipc3", "unipc3-bh1",
)
TOKEN_SOLVERS = (  # of text and categories
    "analytic", "analytic-product", "ancestral", "corrected", "corrected-many", "discrete-flow", "first-hitting",
    "maskgit", "maskgit-margin", "remasking", "remasking-cap", "remasking-conf", "sundae", "tau-leaping",
)
ORDERED_SOLVERS = ("in-order",)  # of models that draw pixel after pixel
GRIDS = (
    "beta", "exponential", "karras", "knots", "leading", "linspace", "log-snr", "optimised", "quadratic", "rectified",
    "shifted", "trailing", "uniform",
)
# fmt: on
SWITCH = ("auto", "yes", "no")
DEVICES = ("auto", "cpu", "cuda", "mps")


class Command(NamedTuple):
    """One command: its one positional argument, its options by group, and three examples to copy."""

    name: str
    argument: str  # "DATA", "RUN" or "" for none
    argument_help: str
    summary: str
    examples: tuple[tuple[str, str], ...]  # (what it does, command line)
    groups: tuple[tuple[str, tuple[Option, ...]], ...]
    dotted: bool = False  # accepts net.channels=64 and the like
    most: int = 1  # words that may stand where the argument stands

    @property
    def options(self) -> dict[str, Option]:
        """All options by name, in the order of the help."""
        return {option.name: option for _, group in self.groups for option in group}


DATA_HELP = "an embedded set (digits, glyphs, moons ...), a folder of images, or one .npz, .npy, .csv or .txt file"
RUN_HELP = "a run folder, a unique prefix of its name, a .safetensors file, or `last`"

READING = (
    Option(
        "size", "int", None, "Edge length to which images are resized and centre-cropped.", "pixels", low=1, common=True
    ),
    Option(
        "color",
        "choice",
        "auto",
        "Colour of the images: grey, RGB, or as most files are.",
        choices=("auto", "gray", "rgb"),
    ),
    Option("label", "str", None, "Column of a table or of metadata.csv that holds the class; `none` ignores classes."),
    Option(
        "condition",
        "words",
        None,
        "Columns of a table or of metadata.csv, or arrays of a .npz, that hold numbers to condition on.",
    ),
    Option("columns", "words", None, "Columns of a table to learn, separated by commas; otherwise all."),
    Option("categories", "words", None, "Columns of a table to take as words although they look like numbers."),
    Option(
        "holdout",
        "float",
        None,
        "Fraction kept out of training, for evaluation; otherwise 0.1 (digits 0.5).",
        low=0,
        high=0.9,
    ),
    Option("rate", "int", None, "Samples a second that sounds are brought to; otherwise as most are.", "Hz", low=100),
    Option(
        "seconds",
        "float",
        None,
        "Length that sounds are cut or padded to; otherwise what holds most of them whole.",
        "seconds",
        above=0,
    ),
    Option(
        "window", "int", None, "Cut one long series (csv, npy, npz, wav) into windows of so many rows.", "rows", low=2
    ),
    Option(
        "stride", "int", None, "Rows from the beginning of one window to that of the next; otherwise 1.", "rows", low=1
    ),
    Option("length", "int", None, "Characters (bytes, tokens) in a window of text; otherwise 128.", low=2, common=True),
    Option("lines", "bool", False, "Every line of a text is an example of its own, such as a name."),
    Option(
        "codec",
        "str",
        None,
        "What text is made of: characters, bytes, or a tokenizer's .json file; images of categories: palette, binary. "
        "To train on codes of images: vq, or a run that has such a codec.",
    ),
    Option("split", "str", None, "Part of a Hugging Face data set; otherwise train."),
    Option("config", "str", None, "Configuration of a Hugging Face data set that has several."),
    Option("streaming", "bool", False, "Read a Hugging Face data set over the network without storing all of it."),
    Option("examples", "int", None, "Examples to read from the front of a stream; otherwise 50,000.", low=2),
    Option("strict", "bool", False, "Stop at the first broken file instead of skipping it."),
    Option("cache", "bool", True, "Keep decoded images between runs."),
)
WALK = (
    Option("steps", "int", None, "Steps of the solver; more is slower and more exact.", low=1, common=True),
    Option(
        "solver",
        "choice",
        "auto",
        "How to walk from noise to data.",
        choices=("auto", *dict.fromkeys((*SOLVERS, *TOKEN_SOLVERS, *ORDERED_SOLVERS))),
        common=True,
    ),
    Option(
        "guidance",
        "float",
        None,
        "Strength of classifier-free guidance; 1 is none, 1.5 to 4 insists on the class.",
        low=0,
        common=True,
    ),
    Option("seed", "int", 0, "Sample i of a seed is the same whatever n and batch are.", low=0, common=True),
)
WHERE = (
    Option("device", "choice", "auto", "Where to compute; otherwise the best one found.", choices=DEVICES),
    Option("batch", "int", None, "Examples computed at once.", low=1),
    Option("runs", "path", "runs", "Folder in which `last` and prefixes of run names are looked up."),
)
SPREAD = Option(
    "devices", "int", None, "How many devices (processes) share the work; their number changes no sample.", low=1
)

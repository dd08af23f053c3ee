"""Data of any source, opened the same way: ``open_data`` gives a ``Dataset``, ``codec_for`` the scaling it needs."""

from scorefield.data.codecs import Pixels, Standardise, codec_for
from scorefield.data.dataset import Broken, Dataset
from scorefield.data.describe import describe
from scorefield.data.embedded import EMBEDDED
from scorefield.data.glyphs import glyphs
from scorefield.data.source import open_data
from scorefield.data.toys import toy

__all__ = [
    "EMBEDDED",
    "Broken",
    "Dataset",
    "Pixels",
    "Standardise",
    "codec_for",
    "describe",
    "glyphs",
    "open_data",
    "toy",
]

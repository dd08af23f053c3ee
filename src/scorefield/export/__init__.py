"""A denoiser, or a whole sampler, as a program that runs without scorefield: ``torch.export`` archives and ONNX.

``programs``    the modules that are exported: one evaluation, or all rows of a sampler's table unrolled
``formats``     how they are written and read again, .pt2 and .onnx
``parity``      what a written program gives, beside what the library gives
"""

from .formats import FORMATS, Format
from .parity import Parity, compare
from .programs import DenoiserProgram, Input, SamplerProgram

__all__ = ["FORMATS", "DenoiserProgram", "Format", "Input", "Parity", "SamplerProgram", "compare"]

"""Functions with weights: networks that map (x, level, label) to a tensor like x. They know nothing of diffusion."""

from .layers import parameters_millions
from .mlp import MLP
from .presets import adm, ddpm, ddpmpp
from .unet import UNet

__all__ = ["MLP", "UNet", "adm", "ddpm", "ddpmpp", "parameters_millions"]

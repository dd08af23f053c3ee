"""Functions with weights: networks that map (x, level, label, condition) to a tensor like x. They know nothing of
diffusion."""

from .categories import TokenGrid
from .classifier import ClassifierNet
from .dequantising import Couplings
from .dit import DiT
from .edm2 import EDM2
from .layers import parameters_millions
from .mlp import MLP
from .pixelcnn import PixelCNN
from .pixelcnn_pp import PixelCNNpp
from .presets import adm, ddpm, ddpmpp, dit, edm2
from .quantised import Codebook, Quantised
from .sequence import TokenTransformer
from .transformer import Transformer
from .unet import UNet

__all__ = [
    "EDM2", "MLP", "ClassifierNet", "Codebook", "Couplings", "DiT", "PixelCNN", "PixelCNNpp", "Quantised", "TokenGrid",
    "TokenTransformer", "Transformer", "UNet", "adm", "ddpm", "ddpmpp", "dit", "edm2", "parameters_millions",
]  # fmt: skip

"""A network that classifies noisy data, on a Gaussian process."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..belief import Logits
from ..core import as_time, like
from ..errors import UserError
from ..noise.gaussian import Gaussian
from ..registry import register
from .preconditioned import LEVEL_BOUND


@register("classifying", "denoiser")
class Classifying(nn.Module):
    """Turns ``net(x, level)`` → (B, K) into p(class | x_t), the belief that classifier guidance differentiates (Song et
    al. 2021, eq. 14; Dhariwal and Nichol 2021, section 4): logits = b + ρ net, ρ = α σ_data / √(α² σ_data² + σ²).

    ρ is what is left of the signal. With it the logits fall back to the class frequencies b where x_t says nothing, and
    what guidance adds to x̂₀, σ²/α ∇ log p, stays of the size of the data at every noise level, whatever the network
    does. The network sees x_t scaled to unit root mean square and the clamped log σ/α, never the time, so it serves
    under every schedule (``under``). Raises UserError for sigma_data ≤ 0.
    """

    def __init__(self, net: Any, process: Gaussian, sigma_data: float = 1.0) -> None:
        super().__init__()
        if not sigma_data > 0:
            raise UserError(f"sigma_data must be greater than 0, got {sigma_data}.")
        self.net, self.process, self.sigma_data = net, process, sigma_data
        self.bias = nn.Parameter(torch.zeros(net.classes))

    def forward(self, x: Tensor, t: Tensor) -> Logits:
        """x_t (B, *D), t () or (B,) → the belief about the class, logits (B, K). The network runs in its own dtype."""
        alpha, sigma = self.process.schedule(as_time(t))
        size = (alpha**2 * self.sigma_data**2 + sigma**2).sqrt()
        level = (-self.process.log_ratio(t)).clamp(-LEVEL_BOUND, LEVEL_BOUND)
        dtype = self.bias.dtype
        told = level.to(x.device, dtype).expand(x.shape[0])
        logits = self.net((like(1 / size, x) * x).to(dtype), told)
        rest = (alpha * self.sigma_data / size).to(x.device, dtype).reshape(-1, 1)
        return Logits(self.bias + rest * logits.to(dtype))

    def under(self, process: Gaussian) -> Classifying:
        """The same network and frequencies on another process."""
        other = Classifying(self.net, process, self.sigma_data)
        other.bias = self.bias
        return other

    def extra_repr(self) -> str:
        return f"{self.process}, sigma_data={self.sigma_data:.4g}"

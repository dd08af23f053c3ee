"""Networks that learn a density up to its constant: log p_t is a function, and the belief follows from its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from ..belief import Moments
from ..core import as_time
from ..errors import UserError, suggest
from ..noise.gaussian import Gaussian
from ..registry import register
from .preconditioned import LEVEL_BOUND

Form = Callable[[Tensor, Tensor, Tensor], Tensor]  # (y, F, r) ↦ log p (B,), see ``Energy``


def _sum(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


def _quadratic(y: Tensor) -> Tensor:
    return -0.5 * _sum(y.square())


def residual(y: Tensor, out: Tensor, ratio: Tensor) -> Tensor:
    """−‖u − f‖²/2σ², f the data that EDM's network would believe in: a denoising autoencoder's error is the energy
    (Salimans and Ho 2021, section 3)."""
    return -0.5 * _sum((y - ratio * out).square() / (1 + ratio.square()))


def square(y: Tensor, out: Tensor, ratio: Tensor) -> Tensor:
    """−½ ‖f‖² r with f = y − F, plus the quadratic that makes F = 0 a Gaussian (Du et al. 2023, section 4)."""
    return _quadratic(y) + _scaled(ratio, _sum(y * out - 0.5 * out.square()))


def dot(y: Tensor, out: Tensor, ratio: Tensor) -> Tensor:
    """y · F r and that quadratic (Du et al. 2023, appendix; Wang and Du 2025)."""
    return _quadratic(y) + _scaled(ratio, _sum(y * out))


def total(y: Tensor, out: Tensor, ratio: Tensor) -> Tensor:
    """Σ F r and that quadratic: a network with one number as its answer."""
    return _quadratic(y) + _scaled(ratio, _sum(out))


def _scaled(ratio: Tensor, value: Tensor) -> Tensor:
    return ratio.reshape(-1) * value


class _Written(TorchFunctionMode):
    """Layer norm in elementary operations. torch's own has a wrong third derivative (seen with 2.13), which the trace
    in score matching needs of an energy."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_layer_norm if func is F.layer_norm else func)(*args, **(kwargs or {}))


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    axes = tuple(range(-len(shape), 0))
    off = x - x.mean(axes, keepdim=True)
    y = off * (off.square().mean(axes, keepdim=True) + eps).rsqrt()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


FORMS: dict[str, Form] = {"residual": residual, "square": square, "dot": dot, "total": total}


@register("energy", "denoiser")
class Energy(nn.Module):
    """x̂₀ = (x_t + σ² ∇ log p_t)/α with log p_t the output of a network up to a constant, so that the score has a
    symmetric Jacobian and densities at one noise level can be compared: for Metropolis steps, and for products.

    ``net(y, level, **cond)`` sees y = x_t/√(α² σ_data² + σ²) and the level log σ/α, as ``Preconditioned`` shows them,
    and answers F (B, *D). ``form`` makes log p of y, F and r = σ_data α/σ; all give N(0, σ_data²) data their density
    where F = 0, but ``residual``, which does so in the limit of much noise. In ``dot`` and ``total`` the gradient of
    y · F, or of Σ F, stands where EDM's F stands. Training differentiates twice, at a price in time and memory: no
    network with ReLU, no compiling, and attention without its fused kernels.
    Raises UserError for an unknown form or sigma_data ≤ 0, and for a schedule whose terminal signal is zero.
    """

    def __init__(self, net: nn.Module, process: Gaussian, form: str = "dot", sigma_data: float = 1.0) -> None:
        super().__init__()
        if form not in FORMS:
            raise UserError(f"no form of an energy is called {form!r}.{suggest(form, FORMS)}")
        if not sigma_data > 0:
            raise UserError(f"sigma_data must be greater than 0, got {sigma_data}.")
        if process.schedule(as_time(1.0)).alpha < 1e-8:
            raise UserError(
                f"an energy divides by α, which is 0 at t = 1 on {process.schedule}. Use a schedule that keeps some "
                "signal, such as edm, vp or ddpm."
            )
        self.net, self.process, self.form, self.sigma_data = net, process, form, sigma_data

    def log_density(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """log p_t(x) of x (B, *D) up to a constant that depends on t alone (and on ``cond``), (B,), differentiable."""
        alpha, sigma = self.process.scales(as_time(t), x)
        y = x * (alpha**2 * self.sigma_data**2 + sigma**2).rsqrt()
        dtype = next((p.dtype for p in self.net.parameters()), x.dtype)
        level = (-self.process.log_ratio(t)).clamp(-LEVEL_BOUND, LEVEL_BOUND)
        with sdpa_kernel(SDPBackend.MATH), _Written():  # the fused kernels of attention have no second derivative
            out = self.net(y.to(dtype), level.to(x.device, dtype).expand(x.shape[0]), **cond).to(x.dtype)
        ratio = (self.sigma_data * alpha / sigma).to(x)
        return FORMS[self.form](y, out, ratio)

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Moments:
        """x_t (B, *D), t () or (B,) → the belief about x₀, also where gradients are switched off."""
        alpha, sigma = self.process.scales(as_time(t), x)
        slope = torch.func.grad(lambda u: self.log_density(u, t, **cond).sum())(x)
        return Moments((x + sigma**2 * slope) / alpha)

    def under(self, process: Gaussian) -> Energy:
        """The same network on another process: train under one schedule, sample under another."""
        return Energy(self.net, process, self.form, self.sigma_data)

    def extra_repr(self) -> str:
        return f"{self.process}, form={self.form!r}, sigma_data={self.sigma_data:.4g}"

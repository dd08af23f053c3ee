"""A network on a discrete process."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..belief import Logits
from ..errors import UserError
from ..registry import register
from .preconditioned import LEVEL_BOUND


@register("categorical", "denoiser")
class Categorical(nn.Module):
    """Turns ``net(x, level, **cond)`` → (B, *D, K) into a denoiser on categories; ``level`` (B,) is log (1 − α)/α, the
    log-odds that a token was destroyed, never the time.

    What x_t says of its own site is known and not learned: belief ∝ exp(net) · q(x_t | x₀), so that the network tells
    what the other sites say, in logits that need not grow as t → 0. Where everything destroyed is masked, this is the
    carry-over of MDLM (Sahoo et al. 2024, section 3.2.3): what is not masked is believed as it stands.
    With ``timed`` False the network is told level 0 always (MDLM without time), and where tokens may be wrong its
    logits stand alone, as in SUNDAE.
    Raises UserError when the network's last dimension is not the number of classes.
    """

    def __init__(self, net: nn.Module, process: Any, timed: bool = True) -> None:
        super().__init__()
        self.net, self.process, self.timed = net, process, timed

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Logits:
        """x_t int64 (B, *D), t () or (B,) → the belief about x₀, in float32 at least."""
        dtype = next((p.dtype for p in self.net.parameters()), torch.float32)
        logits = self.net(x, self.level(t).to(x.device, dtype).expand(x.shape[0]), **cond)
        classes = self.process.classes
        if logits.shape != (*x.shape, classes):
            raise UserError(
                f"the network answers {tuple(logits.shape)} to tokens {tuple(x.shape)}; a process of {classes} classes "
                f"needs {(*x.shape, classes)}."
            )
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        alone = not self.timed and self.process.masked < 1
        return Logits(logits if alone else self.process.informed(logits, x, t))

    def level(self, t: Tensor) -> Tensor:
        """What the network is told of the noise: log (1 − α)/α of t, clamped, in the shape of t."""
        level = (-self.process.log_ratio(t)).clamp(-LEVEL_BOUND, LEVEL_BOUND)
        return level if self.timed else torch.zeros_like(level)

    def under(self, process: Any) -> Categorical:
        """The same network on another process: train under one schedule, sample under another."""
        return Categorical(self.net, process, self.timed)

    def extra_repr(self) -> str:
        return f"{self.process}{'' if self.timed else ', timed=False'}"

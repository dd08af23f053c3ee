"""The same functions, computed with less work on a CPU. What they return differs from the plain form by rounding."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

WORTH = 300_000  # numbers of a batch of images, below which single steps cost more than passes over memory


class Pointwise(nn.Conv2d):
    """A 1×1 convolution, (B, inputs, H, W) → (B, outputs, H, W): a matrix product over channels, and computed as one
    where they lie last in a CPU's memory, because oneDNN's convolution of that kind runs at half the speed of its
    product."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, input: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H, W), channels last when the input is."""
        if input.device.type != "cpu" or not input.is_contiguous(memory_format=torch.channels_last):
            return super().forward(input)
        flat = F.linear(input.permute(0, 2, 3, 1).flatten(0, 2), self.weight.flatten(1), self.bias)
        return flat.view(input.shape[0], *input.shape[2:], self.out_channels).permute(0, 3, 1, 2)


def convolve_doubled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Every pixel repeated to 2×2, then a 3×3 convolution that keeps the edge, (B, C, H, W) → (B, O, 2H, 2W), without
    making the repeated image.

    Among the 9 pixels that meet an output only 4 differ, so the weights of equal ones are added beforehand: a
    transposed convolution of stride 2 whose 4×4 kernel is the 3×3 one convolved with 2×2 ones. It multiplies 4/9 as
    often (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?").
    """
    wide = F.pad(weight, (0, 1)) + F.pad(weight, (1, 0))
    wide = F.pad(wide, (0, 0, 0, 1)) + F.pad(wide, (0, 0, 1, 0))
    return F.conv_transpose2d(x, wide.flip(2, 3).transpose(0, 1), bias, stride=2, padding=1)


def modulated(
    norm: nn.GroupNorm, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None, *, silu: bool = True
) -> Tensor:
    """silu(norm(x)·(1 + scale) + shift), or without ``silu`` what is inside, (B, C, *S) → the same shape; scale and
    shift (B or 1, C, 1, …), both or none.

    Large images whose channels lie last on a CPU go through ``_Modulated``, which keeps nothing but x for the
    gradients; the plain form keeps an image for each of its three steps."""
    if _laid_last(x):
        given = (None, None) if scale is None or shift is None else (scale.flatten(1), shift.flatten(1))
        return _Modulated.apply(x, norm.weight, norm.bias, *given, norm.num_groups, norm.eps, silu)
    return _plain(x, norm.weight, norm.bias, scale, shift, norm.num_groups, norm.eps, silu)


def _laid_last(x: Tensor) -> bool:
    """Whether x are large images whose channels lie last in a CPU's memory, and nothing but plain torch looks on: a
    compiler, an exporter, autocast, vmap and forward mode want the plain form."""
    return (
        not torch.compiler.is_compiling()  # first: what is traced has no sizes to ask for
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and x.ndim == 4
        and x.numel() >= WORTH
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_contiguous()
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


def _plain(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    groups: int,
    eps: float,
    silu: bool,
) -> Tensor:
    normed = F.group_norm(x, groups, weight, bias, eps)
    if scale is not None and shift is not None:
        normed = torch.addcmul(shift, normed, 1 + scale)
    return F.silu(normed) if silu else normed


class _Modulated(torch.autograd.Function):
    """``modulated`` in one buffer, and its gradients from x alone: what stands inside silu is a·x + b, with one a and b
    for each channel of each image, and is computed again.

    x (B, C, H, W) with channels last, weight and bias (C,), scale and shift (B or 1, C) or None. Gradients that are to
    be differentiated themselves are those of the plain form.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        groups: int,
        eps: float,
        silu: bool,
    ) -> Tensor:
        batch, channels, *edges = x.shape
        out, mean, rate = torch.native_group_norm(x, weight, bias, batch, channels, edges[0] * edges[1], groups, eps)
        if scale is not None and shift is not None:
            torch.addcmul(shift[:, :, None, None], out, 1 + scale[:, :, None, None], out=out)
        ctx.save_for_backward(x, weight, bias, scale, shift, mean, rate)
        ctx.how = groups, eps, silu
        return F.silu(out, inplace=True) if silu else out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (given,) = grad_outputs
        x, weight, bias, scale, shift, mean, rate = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (*_plain_gradients(given, (x, weight, bias, scale, shift), ctx.how), None, None, None)
        if scale is None or shift is None:
            return (*_norm_gradients(given, x, weight, bias, mean, rate, ctx.how), *[None] * 5)
        return (*_modulated_gradients(given, x, weight, bias, scale, shift, mean, rate, ctx.how), None, None, None)


def _norm_gradients(
    given: Tensor, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, rate: Tensor, how: tuple[int, float, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Of x, weight and bias, by torch's kernels."""
    if how[2]:
        a = _channels(rate, weight) * weight
        given = _inside_silu(given, x, a, torch.addcmul(bias, _channels(mean, weight), a, value=-1))
    given = given.contiguous(memory_format=torch.channels_last)
    sizes = *x.shape[:2], x.shape[2] * x.shape[3], how[0]
    return torch.ops.aten.native_group_norm_backward(given, x, mean, rate, weight, *sizes, [True] * 3)


def _modulated_gradients(
    given: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    rate: Tensor,
    how: tuple[int, float, bool],
) -> tuple[Tensor, ...]:
    """Of x, weight, bias, scale and shift, from two sums over each channel's pixels."""
    groups, pixels = how[0], x.shape[2] * x.shape[3]
    mean, rate, more = _channels(mean, weight), _channels(rate, weight), 1 + scale
    gain = weight * more
    a = gain * rate
    if how[2]:
        given = _inside_silu(given, x, a, torch.addcmul(torch.addcmul(shift, bias, more), mean, a, value=-1))
    work = torch.mul(given, x)
    total, along = given.sum((2, 3)), work.sum((2, 3))
    along = torch.addcmul(along, mean, total, value=-1) * rate  # Σ given·x̂, x̂ = (x − mean)·rate
    # ∂x̂/∂x takes the mean and the part along x̂ away: rate·(g − E[g] − x̂·E[g·x̂]) for g = gain·given
    level, lean = (_channels((gain * sums).unflatten(1, (groups, -1)).mean(2), weight) for sums in (total, along))
    lean = lean * rate.square() / -pixels
    level = torch.addcmul(level * rate / pixels, lean, mean).neg_()
    dx = torch.addcmul(_wide(level), x, _wide(lean), out=work).addcmul_(given, _wide(a))
    told = torch.addcmul(bias * total, weight, along).sum_to_size(scale.shape), total.sum_to_size(shift.shape)
    return dx, (along * more).sum(0), (total * more).sum(0), *told


def _inside_silu(given: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The gradient of what stands inside silu, a·x + b with one a and b for each channel of each image."""
    inside = torch.addcmul(_wide(b), x, _wide(a))
    return torch.ops.aten.silu_backward.grad_input(given, inside, grad_input=inside)


def _channels(value: Tensor, like: Tensor) -> Tensor:
    """The value of each group for each of its channels, (B, groups) → (B, C)."""
    batch, groups = value.shape
    return value.unsqueeze(2).expand(batch, groups, like.shape[0] // groups).reshape(batch, like.shape[0])


def _wide(value: Tensor) -> Tensor:
    """(B, C) → (B, C, 1, 1)."""
    return value[:, :, None, None]


def _plain_gradients(
    given: Tensor, inputs: tuple[Tensor | None, ...], how: tuple[int, float, bool]
) -> list[Tensor | None]:
    """The gradients of the plain form, in a graph of their own."""
    x, weight, bias, scale, shift = inputs
    assert x is not None and weight is not None and bias is not None
    with torch.enable_grad():
        wide = (None, None) if scale is None or shift is None else (_wide(scale), _wide(shift))
        out = _plain(x, weight, bias, *wide, *how)
    wanted = [value for value in inputs if value is not None and value.requires_grad]
    found = iter(torch.autograd.grad(out, wanted, given, create_graph=True))
    return [next(found) if value is not None and value.requires_grad else None for value in inputs]

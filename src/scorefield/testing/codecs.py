"""Laws of codecs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core import Codec


def check_codec(codec: Codec, raw: Tensor) -> None:
    """decode ∘ encode is the identity on data (exact for integers, to float32 rounding otherwise); encoded data are
    finite, float32, and keep the batch dimension. ``raw`` (B, *D) is data as stored."""
    z = codec.encode(raw)
    assert z.dtype == torch.float32 and len(z) == len(raw), f"{codec}: encodes to {z.dtype} {tuple(z.shape)}"
    assert z.isfinite().all(), f"{codec}: an encoded value is not finite"
    back = codec.decode(z)
    assert back.dtype == raw.dtype and back.shape == raw.shape, f"{codec}: decodes to {back.dtype} {tuple(back.shape)}"
    if raw.dtype.is_floating_point:
        torch.testing.assert_close(back, raw, rtol=1e-5, atol=1e-6 * raw.abs().max().item())
    else:
        assert torch.equal(back, raw), f"{codec}: decode(encode(x)) differs from x"


def check_categories(codec: Any, raw: Tensor) -> None:
    """Laws of codecs of text and of images of categories: encoded data are int64 in 0 … classes − 1, of the shape of
    ``raw`` (B, *D), whole numbers as stored, and decode ∘ encode is the identity on them."""
    z = codec.encode(raw)
    assert z.dtype == torch.int64 and z.shape == raw.shape, f"{codec}: encodes to {z.dtype} {tuple(z.shape)}"
    assert z.min() >= 0 and z.max() < codec.classes, f"{codec}: {z.min()} … {z.max()} are not 0 … {codec.classes - 1}"
    back = codec.decode(z)
    assert back.dtype == raw.dtype and torch.equal(back, raw), f"{codec}: decode(encode(x)) differs from x"

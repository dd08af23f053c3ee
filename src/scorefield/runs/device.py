"""The device in words."""

from __future__ import annotations

import torch


def describe(device: str) -> str:
    """``cpu, 2 threads`` or the name of the GPU."""
    count = torch.get_num_threads()
    if device.startswith("cuda") and torch.cuda.is_available():
        return f"{device}, {torch.cuda.get_device_name(0)}"
    return f"cpu, {count} thread{'s' * (count != 1)}" if device == "cpu" else device

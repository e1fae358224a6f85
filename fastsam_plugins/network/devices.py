"""Where PyTorch runs: a device's name to the device."""

from __future__ import annotations

from typing import Any


def pick_device(name: str) -> Any:
    """The torch device that a name stands for; ``auto`` is an accelerator if there is one.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device must be auto, cpu, mps, cuda or cuda:N, got {name!r}") from None
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.type == "mps" and not torch.backends.mps.is_available():
        count = 0
    if device.type not in ("cpu", "cuda", "mps") or (device.index or 0) >= count:
        raise ValueError(f"there is no device {name!r} here: use auto or cpu")
    return device

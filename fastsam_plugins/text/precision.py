"""In what numbers a CLIP looks at images: full precision, or half where that is shorter work.

Texts are always read in full precision: that takes little time.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from fastsam_plugins.options import Precision

if TYPE_CHECKING:
    import torch

_NATIVE = ("avx512_bf16", "amx_bf16")


def is_half(precision: Precision, device: torch.device) -> bool:
    """Whether half precision is meant on a device.

    ``auto`` asks for what was measured to be faster (``benchmarks/text.py``): processors that
    multiply bfloat16 themselves. Others emulate it and take longer.
    """
    if precision == "auto":
        return device.type == "cpu" and multiplies_bfloat16()
    return precision == "half"


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16."""
    import torch

    ask = getattr(torch.cpu, "get_capabilities", None)  # older PyTorch has none
    return ask is not None and any(ask().get(name, False) for name in _NATIVE)


def halved(model: Any, device: torch.device) -> Any:
    """An open_clip model whose image tower is a copy in half precision; the rest is shared.

    All of the tower, not ``torch.autocast``: that converts every weight anew for every batch, and
    keeps PyTorch from using its fused attention.
    """
    import torch

    kind = torch.bfloat16 if device.type == "cpu" else torch.float16
    other = copy.copy(model)
    other._modules = dict(model._modules)
    other.visual = copy.deepcopy(model.visual).to(kind)
    return other

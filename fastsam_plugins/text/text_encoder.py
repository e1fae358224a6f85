"""The text tower, run no further than to the end of the text."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def encode(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """What ``model.encode_text`` gives for token ids (T, L), for less.

    A CLIP reads 77 tokens, whatever it is told; "a red car" has five, the first and the last mark
    its ends. Its features are taken from the last, and its attention is causal: what stands behind
    cannot change them, and is left away. Towers of another kind read everything.

    Returns
    -------
    tensor (T, D)
        Not unit vectors.
    """
    tower = getattr(model, "text", model)
    features: torch.Tensor
    if not _stops_at_the_end(tower):
        features = model.encode_text(tokens)
        return features
    last = tokens  # the end has the highest number
    if _setting(tower, "pool_type") == "eos":
        last = tokens == _setting(tower, "eos_id")
    length = int(last.int().argmax(1).max()) + 1
    features = _shortened(model, tower, length).encode_text(tokens[:, :length])
    return features


def _stops_at_the_end(tower: Any) -> bool:
    """Whether a tower is open_clip's own, causal, and takes its features from the end of a text."""
    import torch

    mask = getattr(tower, "attn_mask", None)
    if mask is None or getattr(tower, "cls_emb", None) is not None:
        return False
    if _setting(tower, "pool_type") not in ("argmax", "eos"):
        return False
    ahead = torch.ones_like(mask, dtype=torch.bool).triu(1)
    return bool((mask[ahead] == -torch.inf).all()) and hasattr(tower, "positional_embedding")


def _setting(tower: Any, name: str) -> Any:
    """A setting of a text tower; where it is part of a CLIP, its name begins with ``text_``."""
    return getattr(tower, f"text_{name}", getattr(tower, name, None))


def _shortened(model: Any, tower: Any, length: int) -> Any:
    """A model that reads texts of so many tokens; all weights are shared."""
    import torch

    short = copy.copy(tower)
    short._parameters, short._buffers = dict(tower._parameters), dict(tower._buffers)
    places = tower.positional_embedding[:length]
    short.positional_embedding = torch.nn.Parameter(places, requires_grad=False)
    short.attn_mask = tower.attn_mask[:length, :length]
    if tower is model:
        return short
    whole = copy.copy(model)
    whole._modules = {**model._modules, "text": short}
    return whole

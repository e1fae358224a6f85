"""Instances seen all at once: one pass over the whole image, its tokens pooled under each mask.

The cost is that of one image, however many masks there are. A token is what a CLIP's image tower
knows about one cell of the image, carried to where images and words are compared by the tower's
own last norm and projection. Without the attention that would mix the cells, that is the feature
map of MaskCLIP (Zhou, Loy and Dai 2022, "Extract Free Dense Labels from CLIP", arXiv:2112.01071).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import limits as L
from fastsam_plugins.masks import runs as R

if TYPE_CHECKING:
    import torch

Grid = tuple[int, int]


def own_size(visual: Any) -> tuple[int, int]:
    """Size (h, w) of the images that a tower was trained with."""
    return _pair(visual.image_size)


def input_size(visual: Any, shape: R.Shape, longest: int | None) -> tuple[int, int]:
    """Size (h, w) at which a tower sees a whole image: whole cells, aspect ratio kept otherwise.

    Parameters
    ----------
    visual : torch.nn.Module
        Image tower of an open_clip model.
    shape : (H, W)
        Of the image.
    longest : int, optional
        Longest side in pixels; by default twice the side that the network was trained with.

    Raises
    ------
    ValueError
        If the tower would take more memory than :class:`LimitOptions` allow.
    """
    own = own_size(visual)
    if hasattr(visual, "trunk"):  # timm's towers take no other size
        return own
    step = _pair(getattr(visual, "patch_size", _RESNET_STRIDE))
    scale = (longest or 2 * max(own)) / max(shape)
    h, w = (max(round(side * scale / s), 1) * s for side, s in zip(shape, step, strict=True))
    if problem := L.too_much_memory(_attention(visual, (h // step[0]) * (w // step[1])), L.DEFAULT):
        raise ValueError(f"dense_size: looking at {w} x {h} pixels {problem}: lower it")
    return h, w


CELLS = 2  # that an object wants to span, and
MOST = 24  # cells across the image at most: see docs/text.md


def fitting_size(visual: Any, shape: R.Shape, side: float) -> int:
    """The longest side in pixels at which what is ``side`` pixels wide spans two cells.

    No less than twice what the tower was trained with; no more than that and 24 cells either.
    """
    step = max(_pair(getattr(visual, "patch_size", _RESNET_STRIDE)))
    least = 2 * max(own_size(visual))
    return int(np.clip(CELLS * step * max(shape) / max(side, 1), least, max(least, MOST * step)))


def _attention(visual: Any, tokens: int) -> int:
    """About the bytes that a tower takes: every token's attention to every other, in each head."""
    if hasattr(visual, "attnpool"):  # convolutions: attention only pools, which is left out here
        return 0
    heads = max((m.num_heads for m in visual.modules() if hasattr(m, "num_heads")), default=1)
    return int(4 * heads * tokens**2)


class NoTokensError(ValueError):
    """A tower has no tokens that can be compared with words."""


def tokens(visual: Any, batch: torch.Tensor) -> torch.Tensor:
    """Tokens (B, D, h, w) of images (B, 3, H, W) that are prepared as the network wants them.

    Raises
    ------
    NoTokensError
        If the tower has no such tokens.
    """
    if hasattr(visual, "attnpool"):
        cells = _last(visual, batch)
        pool = visual.attnpool
        return _by_cell(cells, lambda c: pool.c_proj(pool.v_proj(c)))
    if hasattr(visual, "trunk"):
        return _by_cell(_last(visual, batch), lambda c: _timm_head(visual, c))
    if getattr(visual, "ln_post", None) is None or getattr(visual, "attn_pool", None) is not None:
        raise NoTokensError(
            f"{type(visual).__name__} pools its tokens by attention, so that none can be compared "
            "with words: use features=crops"
        )
    grid = batch.shape[2] // visual.patch_size[0], batch.shape[3] // visual.patch_size[1]
    cells = _last(_with_grid(visual, grid), batch)
    return _by_cell(cells, lambda c: c if visual.proj is None else c @ visual.proj)


def coverage(mask: R.Runs, shape: R.Shape, grid: Grid) -> NDArray[np.float64]:
    """Area of a mask, in pixels, inside every cell of a grid (h, w) laid over the image.

    Exact, also where cells end within a pixel; the sum is the mask's area. No bitmap is made.
    """
    height, width = shape
    x, top, bottom = R.columns(mask, height)
    down = np.linspace(0, height, grid[0] + 1)
    across = np.linspace(0, width, grid[1] + 1)
    # Height of every span within every row of cells, added up from left to right.
    spans = np.minimum(bottom[:, None], down[1:]) - np.maximum(top[:, None], down[:-1])
    total = np.zeros((len(x) + 1, grid[0]))
    np.cumsum(np.maximum(spans, 0), axis=0, out=total[1:])
    # At an edge between cells: all pixel columns before it, and part of the one it lies in.
    column = np.floor(across)
    before, with_it = np.searchsorted(x, column), np.searchsorted(x, column, "right")
    part = (across - column)[:, None]
    return np.diff(total[before] + part * (total[with_it] - total[before]), axis=0).T


# --- towers -------------------------------------------------------------------------------------

_RESNET_STRIDE = 32


def _pair(side: Any) -> tuple[int, int]:
    return (side, side) if isinstance(side, int) else (int(side[0]), int(side[1]))


def _last(visual: Any, batch: torch.Tensor) -> torch.Tensor:
    """What the tower's last block gives, after its norm, (B, C, h, w)."""
    outputs = visual.forward_intermediates(
        batch, indices=1, normalize_intermediates=True, intermediates_only=True
    )
    cells: torch.Tensor = outputs["image_intermediates"][-1]
    return cells


def _by_cell(cells: torch.Tensor, project: Any) -> torch.Tensor:
    """A function of vectors (..., C) applied to every cell of (B, C, h, w)."""
    projected: torch.Tensor = project(cells.permute(0, 2, 3, 1))
    return projected.permute(0, 3, 1, 2)


def _with_grid(visual: Any, grid: Grid) -> Any:
    """A vision transformer for another grid of patches: shared weights, positions interpolated."""
    if grid == tuple(visual.grid_size):
        return visual
    import torch

    known = visual.positional_embedding
    whole, places = known[:1], known[1:].unflatten(0, visual.grid_size)
    # As open_clip does when it loads weights for another size.
    moved = torch.nn.functional.interpolate(
        places.permute(2, 0, 1)[None].float(), grid, mode="bicubic", antialias=True
    )
    positions = torch.cat([whole, moved[0].flatten(1).T.to(known.dtype)])
    tower = copy.copy(visual)
    tower._parameters = dict(visual._parameters)
    tower.positional_embedding = torch.nn.Parameter(positions, requires_grad=False)
    return tower


def _timm_head(visual: Any, cells: torch.Tensor) -> torch.Tensor:
    """timm's own pooling and projection of (B, h, w, C), as if every cell were an image.

    Pooling equal tokens, by whatever means, gives what that token stands for.
    """
    flat = cells.flatten(0, 2)
    prefix = getattr(visual.trunk, "num_prefix_tokens", None)
    try:
        if prefix is None:  # a map
            alone = flat[:, :, None, None]
        else:  # a sequence, where the tokens of the class and the like come first
            alone = flat[:, None].expand(-1, prefix + 1, -1)
        out = visual.head(visual.trunk.forward_head(alone))
    except (RuntimeError, TypeError, AttributeError, IndexError, AssertionError) as error:
        raise NoTokensError(
            f"the tokens of this timm network ({type(visual.trunk).__name__}) cannot be compared "
            "with words: use features=crops"
        ) from error
    result: torch.Tensor = out.reshape(*cells.shape[:3], -1)
    return result

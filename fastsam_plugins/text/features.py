"""What instances look like to a CLIP: computed when somebody asks, and kept with the image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.masks.sources import MaskSource, Rows
from fastsam_plugins.options import TextOptions
from fastsam_plugins.text import dense
from fastsam_plugins.text.clip import Clip, Floats, pooled
from fastsam_plugins.text.precision import is_half


class ImageFeatures:
    """An image, and the features of instances in it, kept for the next text.

    Features belong to rows of a mask source, so that all views of a segmentation share them, in
    whatever order and however few. Masks merged or cleaned later have a source of their own, and
    the tokens of the whole image serve them as well.

    Parameters
    ----------
    image : uint8 array (H, W, 3), or WindowedImage
        RGB; kept, not copied: it must not be changed.
    device : str
        Where CLIP is to run.
    """

    def __init__(self, image: NDArray[np.uint8] | WindowedImage, device: Any = "auto") -> None:
        self.image, self.device = image, device
        self._forget()

    def _forget(self) -> None:
        self._tokens: dict[Any, Floats] = {}
        self._tables: WeakKeyDictionary[MaskSource, dict[Any, _Table]] = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return {"image": self.image, "device": self.device}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def of(self, source: MaskSource, rows: Rows, clip: Clip, options: TextOptions) -> Floats:
        """Features (len(rows), D) of masks; those asked for before are not computed again.

        Unit vectors; NaN for masks of less than ``options.min_pixels``. With ``features="auto"``
        they are those of crops, as what it picks is decided by them.
        """
        dense_size = (
            self._dense_size(source, clip, options) if options.features == "dense" else None
        )
        how = (clip, is_half(options.clip_precision, clip.device),
               options.background if dense_size is None else dense_size)  # fmt: skip
        return self.remembered(
            source, rows, how, options.min_pixels,
            lambda missing: self._compute(source, missing, clip, options, dense_size),
        )  # fmt: skip

    def remembered(
        self,
        source: MaskSource,
        rows: Rows,
        how: Any,
        min_pixels: int,
        compute: Callable[[Rows], Floats],
    ) -> Floats:
        """Features (len(rows), D) by a way of looking; ``compute`` gives those not known yet.

        NaN for masks of less than ``min_pixels``, which are not looked at.
        """
        table = self._tables.setdefault(source, {}).setdefault(how, _Table(len(source)))
        looked_at = source.areas(rows) >= min_pixels
        missing = np.unique(rows[looked_at & ~table.known[rows]])
        if len(missing):
            table.put(missing, compute(missing))
        out = np.full((len(rows), table.width), np.nan, np.float32)
        out[looked_at] = table.values[rows[looked_at]]
        return out

    def of_heads(self, source: MaskSource, rows: Rows) -> dict[str, Floats]:
        """What heads said of masks, by their SHA-256; NaN where they were not asked."""
        tables = self._tables.get(source, {})
        return {how: t.values[rows] for how, t in tables.items() if isinstance(how, str)}

    def _dense_size(self, source: MaskSource, clip: Clip, options: TextOptions) -> int:
        """The longest side at which the image is seen whole: the same for all views of a source."""
        if options.dense_size is not None:
            return options.dense_size
        areas = source.areas(np.arange(len(source)))
        areas = areas[areas >= options.min_pixels]
        smallest = float(np.quantile(areas, _SMALL)) if len(areas) else 1.0
        return dense.fitting_size(clip.model.visual, source.shape, math.sqrt(smallest))

    def _compute(
        self,
        source: MaskSource,
        rows: Rows,
        clip: Clip,
        options: TextOptions,
        dense_size: int | None,
    ) -> Floats:
        masks = (source.runs(row) for row in rows.tolist())
        if dense_size is None:
            return clip.crop_features(self.image, masks, options)
        how = clip, is_half(options.clip_precision, clip.device), dense_size
        if how not in self._tokens:
            self._tokens[how] = clip.image_tokens(self.image, dense_size, options.clip_precision)
        return pooled(self._tokens[how], masks, source.shape)


_SMALL = 0.1  # share of masks that may be too small for a look at the whole image


class _Table:
    """Features by row of a mask source, where they are known."""

    def __init__(self, count: int) -> None:
        self.known = np.zeros(count, np.bool_)
        self.values: Floats = np.empty((count, 0), np.float32)

    @property
    def width(self) -> int:
        return self.values.shape[1]

    def put(self, rows: Rows, features: Floats) -> None:
        if not self.width:
            self.values = np.full((len(self.known), features.shape[1]), np.nan, np.float32)
        self.values[rows] = features
        self.known[rows] = True

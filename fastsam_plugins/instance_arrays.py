"""What a ``Segmentation`` holds: arrays of length N over a mask source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins import indices
from fastsam_plugins.decoder import worth
from fastsam_plugins.decoder.encoding import Encoding
from fastsam_plugins.geometry import Window
from fastsam_plugins.images.contrast import to_rgb
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.masks import quality, rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.local import joined
from fastsam_plugins.masks.sources import MaskSource, RunMasks
from fastsam_plugins.options import Ranking
from fastsam_plugins.text.features import ImageFeatures

MASK_BUDGET = 1 << 30  # bytes of dense masks handed out without asking


@dataclass(frozen=True, eq=False, repr=False)
class InstanceArrays:
    """The instances of one image, and how to make, index, order and decode them.

    Its attributes, and the names in its examples, are those of
    :class:`fastsam_plugins.Segmentation`, which adds what can be asked of them.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    source: MaskSource
    rows: NDArray[np.int64]
    prompts: NDArray[np.int64]
    image_features: ImageFeatures | None = None
    encoding: Encoding | None = None

    def __post_init__(self) -> None:
        for array in (self.boxes, self.scores, self.rows, self.prompts):
            array.setflags(write=False)

    # --- making one -------------------------------------------------------------------------

    @classmethod
    def from_source(
        cls, source: MaskSource, boxes: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> Self:
        """All masks of a source, with a box (N, 4) and a score (N,) each.

        >>> Segmentation.from_source(seg.source, seg.boxes, seg.scores)
        Segmentation(2 instances, image 6 x 4)
        """
        n = len(source)
        return cls(
            np.array(boxes, np.float32).reshape(n, 4),
            np.array(scores, np.float32).reshape(n),
            source,
            np.arange(n),
            np.full(n, -1),
        )

    @classmethod
    def from_runs(
        cls, masks: Sequence[R.Runs], shape: R.Shape, scores: ArrayLike | None = None
    ) -> Self:
        """Instances from run arrays; boxes are the tight ones, scores 1 by default, NaN unknown.

        ValueError if a mask is no run array of an image of ``shape`` (H, W), or a score no number.

        >>> Segmentation.from_runs([np.array([[0, 8]])], (4, 6)).tight_boxes().tolist()
        [[0.0, 0.0, 2.0, 4.0]]
        """
        shape = R.check_shape(shape)
        masks = [R.check(m, shape) for m in masks]
        boxes = np.array([R.bounds(m, shape[0]) for m in masks], np.float32)
        given = np.ones(len(masks)) if scores is None else np.asarray(scores)
        if given.shape != (len(masks),) or given.dtype.kind not in "biuf":
            raise ValueError(f"scores must be a number for each of {len(masks)} masks")
        return cls.from_source(RunMasks(masks, shape), boxes, given.astype(np.float32))

    @classmethod
    def from_rles(
        cls, rles: Sequence[dict[str, Any]], shape: R.Shape, scores: ArrayLike | None = None
    ) -> Self:
        """Instances from COCO RLE (compressed or not) of an image of ``shape`` (H, W).

        >>> Segmentation.from_rles(seg.rles(), (4, 6)).areas.tolist()
        [16, 4]
        """
        decoded = [rle.decode(r) for r in rles]
        for _, size in decoded:
            if size != tuple(shape):
                raise ValueError(f"an RLE of size {size} does not fit an image of {tuple(shape)}")
        return cls.from_runs([m for m, _ in decoded], shape, scores)

    @classmethod
    def from_masks(cls, masks: ArrayLike, scores: ArrayLike | None = None) -> Self:
        """Instances from bitmaps (N, H, W).

        >>> Segmentation.from_masks(masks).scores.tolist()
        [1.0, 1.0]
        """
        stack = np.asarray(masks)
        if stack.ndim != 3:
            raise ValueError(f"masks must be an array (N, H, W), got shape {stack.shape}")
        return cls.from_runs([R.from_bitmap(m) for m in stack], stack.shape[1:], scores)

    @classmethod
    def empty(cls, shape: R.Shape) -> Self:
        """No instance, in an image of ``shape`` (H, W).

        >>> len(Segmentation.empty((4, 6)))
        0
        """
        return cls.from_runs([], shape)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """The instances of several segmentations of one image, in order.

        Views of one segmentation keep sharing its prototypes, and predicted masks among themselves
        their logits; other masks of different origin are decoded and keep none. :meth:`predict`
        goes on where all came from one look of the network.

        >>> Segmentation.concatenate([seg, seg[1]])
        Segmentation(3 instances, image 6 x 4)
        """
        if not parts:
            raise ValueError("concatenate needs at least one segmentation")
        if not all(isinstance(p, InstanceArrays) for p in parts):
            raise ValueError("concatenate takes segmentations")
        if len({p.shape for p in parts}) > 1:
            raise ValueError("concatenate needs segmentations of images of one size")
        source, rows = parts[0].source, np.concatenate([p.rows for p in parts])
        pictured = [p.image_features for p in parts if p.image_features is not None]
        if any(p.source is not source for p in parts):
            source, rows = joined([(p.source, p.rows) for p in parts])
        return cls(
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.scores for p in parts]),
            source,
            rows,
            np.concatenate([p.prompts for p in parts]),
            pictured[0] if pictured else None,
            parts[0].encoding if len({id(p.encoding) for p in parts}) == 1 else None,
        )

    def with_image(self, image: ArrayLike | WindowedImage, device: Any = "auto") -> Self:
        """The same instances with their image, at which text prompts look.

        :meth:`FastSAM.segment` has added it already. ``device`` is where CLIP is to run. Of a
        :class:`fastsam_plugins.WindowedImage` only those parts are read that are looked at.

        >>> seg.with_image(np.zeros((4, 6, 3), np.uint8)).image.shape
        (4, 6, 3)
        """
        rgb = image if isinstance(image, WindowedImage) else to_rgb(image)
        if rgb.shape[:2] != tuple(self.shape):
            raise ValueError(f"the image is {rgb.shape[:2]}, that of the instances {self.shape}")
        return replace(self, image_features=ImageFeatures(rgb, device))

    def with_picture(self, image: NDArray[np.uint8]) -> Self:
        """The same with an RGB image (h, w, 3), maybe smaller, for :meth:`predict` alone.

        >>> seg.with_picture(np.zeros((2, 3, 3), np.uint8)) is seg  # nothing to predict from
        True
        """
        if self.encoding is None:
            return self
        seen = np.asarray(image)
        if seen.dtype != np.uint8 or seen.ndim != 3 or seen.shape[2] != 3 or not seen.size:
            raise ValueError(
                f"an image for predict is uint8 (h, w, 3), not {seen.dtype} {seen.shape}"
            )
        ratios = [a / b for a, b in zip(seen.shape[:2], self.shape, strict=True)]
        if abs(ratios[0] - ratios[1]) > 1.5 * max(ratios) / min(seen.shape[:2]):
            raise ValueError(
                f"the image is {seen.shape[:2]}, no smaller copy of {self.shape} (H, W)"
            )
        return replace(self, encoding=replace(self.encoding, picture=image))

    # --- a sequence of instances ------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"Segmentation({len(self)} instances, image {width} x {height})"

    def __getitem__(self, index: int | slice | ArrayLike) -> Self:
        """The instances at an int, a slice, int indices or a bool mask (N,).

        IndexError if there is no such instance, ValueError if it is no index.
        """
        where = indices.several(index, len(self))
        return self._take(where, self.prompts[where])

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def _take(self, index: Any, prompts: NDArray[np.int64]) -> Self:
        return type(self)(
            self.boxes[index], self.scores[index], self.source, self.rows[index], prompts,
            self.image_features, self.encoding,
        )  # fmt: skip

    @property
    def image(self) -> NDArray[np.uint8] | WindowedImage | None:
        """The image as RGB (H, W, 3), or one that is read window by window; None if unknown.

        >>> seg.image is None
        True
        """
        return None if self.image_features is None else self.image_features.image

    @property
    def shape(self) -> R.Shape:
        """(height, width) of the image in pixels.

        >>> seg.shape
        (4, 6)
        """
        return self.source.shape

    # --- numbers per instance ---------------------------------------------------------------

    @property
    def areas(self) -> NDArray[np.int64]:
        """Mask areas (N,) in pixels.

        >>> seg.areas.tolist()
        [16, 4]
        """
        return self.source.areas(self.rows)

    @property
    def stability(self) -> NDArray[np.float64]:
        """Stability scores (N,); NaN without logits. See :func:`masks.quality.stability`.

        >>> bool(coins.stability.max() <= 1), seg.stability.tolist()
        (True, [nan, nan])
        """
        return quality.stability(self.source, self.rows)

    @property
    def box_leak(self) -> NDArray[np.float64]:
        """Share (N,) of each mask that its box cuts off; NaN without logits.

        See :func:`masks.quality.box_leak`.

        >>> bool(coins.box_leak.max() <= 1), seg.box_leak.tolist()
        (True, [nan, nan])
        """
        return quality.box_leak(self.source, self.rows)

    @property
    def iou_pred(self) -> NDArray[np.float64]:
        """IoU with an object that each mask is expected to have (N,); NaN where it is not known.

        Known of masks as the network gave them. It orders them better than :attr:`scores` do, which
        are about boxes; see :mod:`fastsam_plugins.decoder.worth`.

        >>> bool(coins.iou_pred.max() <= 1), seg.iou_pred.tolist()
        (True, [nan, nan])
        """
        return worth.iou_pred(self.encoding, self.source, self.rows, self.scores)

    def ranking(self, by: Ranking, among: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """The numbers to rank all instances by, or some; higher first, NaN counts lowest.

        >>> seg.ranking("areas").tolist()
        [16.0, 4.0]
        """
        if by not in get_args(Ranking):
            raise ValueError(f"rank must be one of {', '.join(get_args(Ranking))}, got {by!r}")
        values = np.asarray(getattr(self if among is None else self[among], by), np.float64)
        return np.where(np.isnan(values), -np.inf, values)

    def sort(self, by: Ranking = "scores", descending: bool = True) -> Self:
        """Instances ordered by a score; ties keep their order.

        >>> seg.sort("scores").scores.tolist()
        [0.75, 0.5]
        """
        values = self.ranking(by)
        return self[np.argsort(-values if descending else values, kind="stable")]

    # --- masks ------------------------------------------------------------------------------

    def runs(self, i: int) -> R.Runs:
        """Run array (K, 2) of instance i; see :mod:`fastsam_plugins.masks.runs`.

        >>> seg.runs(1).tolist()
        [[5, 7], [9, 11]]
        """
        return self.source.runs(int(self.rows[indices.one(i, len(self))]))

    def mask(self, i: int, window: Window | None = None) -> NDArray[np.bool_]:
        """Bitmap (H, W) of instance i, or of a window ``(x0, y0, x1, y1)`` of it.

        >>> seg.mask(1, window=(0, 0, 3, 2)).astype(int).tolist()
        [[0, 0, 0], [0, 1, 1]]
        """
        return R.to_bitmap(self.runs(i), self.shape, window)

    def masks(self, budget: int = MASK_BUDGET) -> NDArray[np.bool_]:
        """All bitmaps, (N, H, W); ValueError if they would take more than ``budget`` bytes.

        >>> seg.masks().shape
        (2, 4, 6)
        """
        height, width = self.shape
        size = len(self) * height * width
        if size > budget:
            raise ValueError(
                f"{len(self)} masks of {width} x {height} take {size / 1e9:.1f} GB, more than the "
                f"budget of {budget / 1e9:.1f} GB: use mask(i), rles() or labels() instead, or "
                "pass a larger budget"
            )
        out = np.zeros((len(self), height, width), np.bool_)
        for i in range(len(self)):
            out[i] = self.mask(i)
        return out

    def rles(self) -> list[dict[str, Any]]:
        """COCO compressed RLE of every instance: ``{"size": [H, W], "counts": str}``.

        >>> seg.rles()[1]["size"]
        [4, 6]
        """
        return rle.encode([self.source.runs(r) for r in self.rows.tolist()], self.shape)

    def logits(self, i: int, window: Window | None = None) -> NDArray[np.float32]:
        """Logits (H, W) of instance i before the crop to its box, or of a window of it.

        ValueError if the instance keeps none (it was merged, cleaned or loaded).

        >>> coins.logits(0, window=(0, 0, 9, 5)).shape
        (5, 9)
        """
        return self.source.logits(int(self.rows[indices.one(i, len(self))]), window)

    def tight_boxes(self) -> NDArray[np.float32]:
        """Boxes (N, 4) around the masks' own pixels, xyxy; all zero for an empty mask.

        >>> seg.tight_boxes().tolist()
        [[0.0, 0.0, 4.0, 4.0], [1.0, 1.0, 3.0, 3.0]]
        """
        height = self.shape[0]
        boxes = [R.bounds(self.runs(i), height) for i in range(len(self))]
        return np.array(boxes, np.float32).reshape(-1, 4)

"""``Segmentation``: the one value that flows through every room.

N instances of one image, as arrays of length N over a mask source. Immutable: filtering, sorting,
indexing and concatenation return a new value that shares the masks. An image without instances
is an empty ``Segmentation``, never ``None``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins import exemplars, indices, prompts, selection
from fastsam_plugins.decoder import prediction
from fastsam_plugins.decoder.encoding import Encoding
from fastsam_plugins.geometry import Window
from fastsam_plugins.images.contrast import to_rgb
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.masks import quality, rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.cleaning import clean, filtered
from fastsam_plugins.masks.edge_map import edges
from fastsam_plugins.masks.label_image import Overlap, labels
from fastsam_plugins.masks.local import joined
from fastsam_plugins.masks.sources import MaskSource, MergedMasks, RunMasks
from fastsam_plugins.options import (
    CleanOptions,
    EdgeOptions,
    ExemplarOptions,
    FilterOptions,
    PromptOptions,
    Ranking,
    TextOptions,
)
from fastsam_plugins.prompts import Texts
from fastsam_plugins.text import selection as texts
from fastsam_plugins.text.features import ImageFeatures

if TYPE_CHECKING:
    from fastsam_plugins.text.clip import Clip

MASK_BUDGET = 1 << 30  # bytes of dense masks handed out without asking


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """Instances of one image.

    Attributes
    ----------
    boxes : float32 array (N, 4)
        xyxy in pixels of the original image.
    scores : float32 array (N,)
        Detector confidence. Other scores stay apart: :attr:`stability`, :attr:`box_leak`.
    source : MaskSource
        Where the masks come from.
    rows : int64 array (N,)
        The row of each instance in it.
    prompts : int64 array (N,)
        The prompt (its place in the list given to :meth:`select`) that each instance answers;
        -1 where no prompt was involved.
    image_features : ImageFeatures or None
        The image, and what CLIP saw in it, where text prompts are to be answered.
    encoding : Encoding or None
        What :meth:`predict` answers from, where a network made it.

    Examples
    --------
    Those of the methods go on with this, and with ``model`` and ``image`` of
    :class:`fastsam_plugins.FastSAM`.

    >>> masks = np.zeros((2, 4, 6), bool)
    >>> masks[0, :, :4] = True
    >>> masks[1, 1:3, 1:3] = True
    >>> seg = Segmentation.from_masks(masks, scores=[0.5, 0.75])
    >>> coins = model.segment(image, conf=0.25)
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
    ) -> Segmentation:
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
    ) -> Segmentation:
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
    ) -> Segmentation:
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
    def from_masks(cls, masks: ArrayLike, scores: ArrayLike | None = None) -> Segmentation:
        """Instances from bitmaps (N, H, W).

        >>> Segmentation.from_masks(masks).scores.tolist()
        [1.0, 1.0]
        """
        stack = np.asarray(masks)
        if stack.ndim != 3:
            raise ValueError(f"masks must be an array (N, H, W), got shape {stack.shape}")
        return cls.from_runs([R.from_bitmap(m) for m in stack], stack.shape[1:], scores)

    @classmethod
    def empty(cls, shape: R.Shape) -> Segmentation:
        """No instance, in an image of ``shape`` (H, W).

        >>> len(Segmentation.empty((4, 6)))
        0
        """
        return cls.from_runs([], shape)

    @classmethod
    def concatenate(cls, parts: Sequence[Segmentation]) -> Segmentation:
        """The instances of several segmentations of one image, in order.

        Views of one segmentation keep sharing its prototypes, and predicted masks among themselves
        their logits; other masks of different origin are decoded and keep none. :meth:`predict`
        goes on where all came from one look of the network.

        >>> Segmentation.concatenate([seg, seg[1]])
        Segmentation(3 instances, image 6 x 4)
        """
        if not parts:
            raise ValueError("concatenate needs at least one segmentation")
        if not all(isinstance(p, Segmentation) for p in parts):
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

    def with_image(self, image: ArrayLike | WindowedImage, device: Any = "auto") -> Segmentation:
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

    def with_picture(self, image: NDArray[np.uint8]) -> Segmentation:
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

    def with_encoding(self, other: Segmentation) -> Segmentation:
        """The same instances with what the network made of their image, as another one keeps it.

        Masks from a file or a person then have :attr:`embeddings`, and :meth:`predict` goes on
        from them. ValueError if the other has none, or is of an image of another size.

        >>> masked = Segmentation.from_runs([coins.runs(0)], coins.shape).with_encoding(coins)
        >>> bool(np.allclose(masked.embeddings, coins[0].embeddings))
        True
        """
        encoding = exemplars.encoding_of(other)
        if tuple(other.shape) != tuple(self.shape):
            raise ValueError(f"the image is {other.shape}, that of the instances {self.shape}")
        return replace(self, encoding=encoding)

    # --- a sequence of instances ------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"Segmentation({len(self)} instances, image {width} x {height})"

    def __getitem__(self, index: int | slice | ArrayLike) -> Segmentation:
        """The instances at an int, a slice, int indices or a bool mask (N,).

        IndexError if there is no such instance, ValueError if it is no index.
        """
        where = indices.several(index, len(self))
        return self._take(where, self.prompts[where])

    def __iter__(self) -> Iterator[Segmentation]:
        return (self[i] for i in range(len(self)))

    def _take(self, index: Any, prompts: NDArray[np.int64]) -> Segmentation:
        return Segmentation(
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

    def ranking(self, by: Ranking, among: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """The numbers to rank all instances by, or some; higher first, NaN counts lowest.

        >>> seg.ranking("areas").tolist()
        [16.0, 4.0]
        """
        if by not in ("scores", "stability", "areas"):
            raise ValueError(f"rank must be scores, stability or areas, got {by!r}")
        values = np.asarray(getattr(self if among is None else self[among], by), np.float64)
        return np.where(np.isnan(values), -np.inf, values)

    def sort(self, by: Ranking = "scores", descending: bool = True) -> Segmentation:
        """Instances ordered by a score; ties keep their order.

        >>> seg.sort("scores").scores.tolist()
        [0.75, 0.5]
        """
        values = self.ranking(by)
        return self[np.argsort(-values if descending else values, kind="stable")]

    def filter(self, options: FilterOptions | None = None, **changes: Any) -> Segmentation:
        """Instances within all bounds of :class:`FilterOptions`.

        Which masks lie inside one another is judged among those that the other bounds keep.

        >>> seg.filter(min_area=10).areas.tolist()
        [16]
        """
        return filtered(self, FilterOptions.of(options, **changes))

    def diversify(self, strength: float = 0.6) -> Segmentation:
        """The same instances, so ordered that the first ones are different objects.

        Scores of instances that overlap better ones are lowered; see
        :func:`masks.quality.diverse`. ValueError if ``strength`` is not between 0 and 1.

        >>> seg.diversify(1.0).scores.round(3).tolist()
        [0.75, 0.375]
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must be between 0 and 1, got {strength!r}")
        masks = [self.runs(i) for i in range(len(self))]
        scores = quality.diverse(masks, self.tight_boxes(), self.scores, strength)
        return replace(self, scores=scores).sort()

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

    def labels(self, overlap: Overlap = "small_on_top") -> NDArray[np.int32]:
        """Label image (H, W): 0 is background, i + 1 is instance i.

        Parameters
        ----------
        overlap : str
            Which instance a shared pixel goes to: ``small_on_top`` (smaller area), or
            ``high_score_on_top``, or ``first`` (lower index).

        >>> seg.labels()[1].tolist()
        [1, 2, 2, 1, 0, 0]
        """
        return labels(self, overlap)

    def tight_boxes(self) -> NDArray[np.float32]:
        """Boxes (N, 4) around the masks' own pixels, xyxy; all zero for an empty mask.

        >>> seg.tight_boxes().tolist()
        [[0.0, 0.0, 4.0, 4.0], [1.0, 1.0, 3.0, 3.0]]
        """
        height = self.shape[0]
        boxes = [R.bounds(self.runs(i), height) for i in range(len(self))]
        return np.array(boxes, np.float32).reshape(-1, 4)

    # --- questions --------------------------------------------------------------------------

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Which instances contain which points, (N, P).

        ``points`` (P, 2) are (x, y) in pixels: a point belongs to the pixel it lies in.

        >>> seg.contains([(1.5, 1.5), (3.5, 0.5)]).tolist()
        [[True, True], [True, False]]
        """
        pixels = prompts.to_pixels(prompts.check_points(points))
        return self.source.contains(self.rows, pixels)

    def similarity(
        self,
        text: Texts,
        options: TextOptions | None = None,
        clip: Clip | str | None = None,
        **changes: Any,
    ) -> NDArray[np.float32]:
        """How well instances fit a text (N,), or several (N, T): cosines of CLIP's features.

        Instances are looked at once; a second text only has to be read. NaN for masks of less than
        ``min_pixels``. Parameters and errors are as in :meth:`select`.

        >>> coins.similarity(["a coin", "a dog"], clip="support/tiny_clip").shape == (len(coins), 2)
        True
        """
        return texts.similarity(self, text, *texts.settle(options, clip, changes))

    def select(
        self,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        boxes: ArrayLike | None = None,
        options: PromptOptions | TextOptions | None = None,
        text: Texts | None = None,
        negatives: Texts | None = None,
        clip: Clip | str | None = None,
        **changes: Any,
    ) -> Segmentation:
        """Select instances by prompts; nothing is computed anew by the network.

        Parameters
        ----------
        points : array (P, 2), optional
            (x, y) in pixels.
        labels : array (P,), optional
            1 for foreground (the default), 0 for background. An instance hit by any background
            point is never selected.
        boxes : array (B, 4), optional
            xyxy in pixels. The result for box i has ``prompts == i``; results are in the order of
            the boxes, and a box that matches nothing has none. With points as well, both hold.
        options : PromptOptions, or TextOptions with a text
        text : str or list of str, optional
            What to look for; with points or boxes, select twice. The results for text i have
            ``prompts == i``, the most similar first.
        negatives : str or list of str, optional
            An instance more similar to one of these than to the text is not selected.
        clip : Clip or str, optional
            A loaded CLIP, or a name instead of that in the options.
        **changes
            Fields of the options by name, for example ``points_mode="smallest"`` or ``top_k=3``.

        Returns
        -------
        Segmentation
            Empty if nothing matches.

        Raises
        ------
        ValueError
            If a prompt is not finite, empty or has the wrong shape (the message names the
            argument), or if a text has no image to be compared with.
        WeightsError
            If CLIP cannot be loaded.

        >>> seg.select(points=[(1.5, 1.5)], points_mode="smallest").areas.tolist()
        [4]
        >>> coins.select(text="a coin", top_k=3, clip="support/tiny_clip")
        Segmentation(3 instances, image 384 x 303)
        """
        if text is not None or negatives is not None:
            wanted = texts.check_alone(text, points, labels, boxes)
            found = texts.select(self, wanted, negatives, *texts.settle(options, clip, changes))
            return self._take(found.chosen, found.prompts)
        prompting = selection.settle(options, changes)
        found = selection.select(self, points, labels, boxes, prompting)
        if found.merge:
            return self.merge(found.chosen, prompting.smoothing)
        return self._take(found.chosen, found.prompts)

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """A vector of length one for every instance, (N, C): the nearer two, the more alike.

        Of the network's features under the mask, and its size and form; see
        :mod:`fastsam_plugins.exemplars`. ValueError without an :attr:`encoding`.

        >>> coins.embeddings.shape == (len(coins), 67)
        True
        """
        return exemplars.embeddings(self)

    def likeness(self, like: Any) -> NDArray[np.float32]:
        """How like an example every instance is (N,): cosines of :attr:`embeddings`.

        See :meth:`similar` for what may be an example, and for errors.

        >>> coins.likeness(0)[0].round(3).item()
        1.0
        """
        return exemplars.likeness(self, like)

    def similar(
        self, like: Any, options: ExemplarOptions | None = None, **changes: Any
    ) -> Segmentation:
        """All instances like an example, the most like first; itself too, if it is one of them.

        Parameters
        ----------
        like : int, point, box, Segmentation or vectors
            An instance by its number; what is at a point (x, y) or in a box (x0, y0, x1, y1), which
            is predicted if no instance is there; instances of another image that the same network
            saw; or their :attr:`embeddings`, (C,) or (K, C). Of several, the most like counts.
        options : ExemplarOptions
        **changes
            Fields of the options by name: ``top_k=10`` or ``threshold=0.8``.

        Returns
        -------
        Segmentation
            ``prompts`` says which of several examples each is most like.

        Raises
        ------
        ValueError
            If the example is none, or there is nothing to compare by: see :attr:`embeddings`.

        >>> coins.similar(0, top_k=5)
        Segmentation(5 instances, image 384 x 303)
        >>> other = model.segment(image[:150], conf=0.25)
        >>> len(other.similar(coins[0])) == len(other.similar(coins.embeddings[0]))
        True
        """
        chosen, which = exemplars.similar(self, like, ExemplarOptions.of(options, **changes))
        return self._take(chosen, which)

    def predict(
        self,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        boxes: ArrayLike | None = None,
        mask: ArrayLike | Segmentation | None = None,
        scribbles: Sequence[Any] | None = None,
        multimask: bool = True,
    ) -> Segmentation:
        """Masks for one object that prompts mean, also where :meth:`select` has none to choose.

        Every point corrects the answer to those before it and is obeyed at its pixel (but where
        points of both kinds lie within a sixty-fourth of the answer's window); the network is not
        run again. Answers are masks like any other, with logits and a stability.

        Parameters
        ----------
        points : array (P, 2), optional
            (x, y) in pixels, of one object, in the order in which they were given.
        labels : array (P,), optional
            1 for foreground (the default), 0 for background, which carves.
        boxes : array (B, 4), optional
            xyxy in pixels. Each asks for an object: the answer to box i has ``prompts == i``.
            With points, a mask or scribbles there may be one.
        mask : bool array (H, W), or Segmentation of one instance, optional
            What is there already: a rough mask, or the last answer.
        scribbles : sequence of arrays (K, 2), or of pairs of one and a label, optional
            Lines (x, y); each becomes up to 24 points along it, all at once.
        multimask : bool
            Whether a first point may have up to three answers (part, object, whole), instead of
            the best one.

        Returns
        -------
        Segmentation
            ``scores`` are what IoU with the object each is expected to have, the highest first for
            each box. Empty if no foreground prompt lies in the image.

        Raises
        ------
        ValueError
            If a prompt is not finite or has the wrong shape (the message names the argument), or
            if this has no :attr:`encoding`: what came from windows of a large image, from a file
            of masks or from several looks of the network has none; or if it does not know its
            image, as after reading it from disk: see :meth:`with_image`.

        >>> answer = coins.predict([(70, 90)], multimask=False)
        >>> coins.predict([(70, 90), (5, 5)], [1, 0], multimask=False).contains([(5, 5)]).tolist()
        [[False]]
        """
        if self.encoding is None:
            raise ValueError(
                "predict needs what the network made of the image, and these instances came "
                "without it (from windows, a file of masks, or merged, cleaned or predicted ones "
                "that were kept on disk): use select, or segment a part"
            )
        given = prediction.given(mask)
        picture = self.encoding.picture if self.image is None else self.image
        if picture is None:
            raise ValueError("predict looks at the image: add it with with_image(image)")
        source, ious, which = prediction.predict(
            self.encoding, picture, points, labels, boxes, given, scribbles, multimask
        )
        found = Segmentation.from_source(source, np.zeros((len(source), 4), np.float32), ious)
        return replace(
            found, boxes=found.tight_boxes(), prompts=which, image_features=self.image_features,
            encoding=self.encoding,
        )  # fmt: skip

    def predict_each(self, points: ArrayLike, labels: ArrayLike | None = None) -> Segmentation:
        """One predicted mask for every foreground point, which no background point is in.

        ``prompts`` are the places of the points; see :meth:`predict`.

        >>> coins.predict_each([(70, 90), (150, 90)]).prompts.tolist()
        [0, 1]
        """
        xy = prompts.check_points(points)
        foreground = prompts.check_labels(labels, len(xy))
        unwanted = xy[~foreground].tolist()
        parts = []
        for i in np.flatnonzero(foreground).tolist():
            clicks = [xy[i].tolist(), *unwanted]
            answer = self.predict(clicks, [1] + [0] * len(unwanted), multimask=False)
            parts.append(replace(answer, prompts=np.full(len(answer), i)))
        return Segmentation.concatenate(parts) if parts else self[:0]

    def candidates(self, points: ArrayLike, labels: ArrayLike | None = None) -> Segmentation:
        """Every instance that could be the one object points mean, smallest first.

        Those that no background point hits and that hold the most of the foreground points; see
        :meth:`select` for the arguments.

        >>> seg.candidates([(1.5, 1.5)]).areas.tolist()
        [4, 16]
        """
        chosen = selection.candidates(self, points, labels)
        order = np.argsort(self.source.areas(self.rows[chosen]), kind="stable")
        return self._take(chosen[order], np.zeros(len(chosen), np.int64))

    def merge(self, index: ArrayLike, smoothing: float = 0.0) -> Segmentation:
        """One instance that is the union of those at int indices or a bool mask, if there are any.

        Its score is their best, its box the one around theirs. For ``smoothing`` see
        :class:`PromptOptions`.

        >>> seg.merge([0, 1]).areas.tolist()
        [16]
        """
        chosen = np.arange(len(self))[indices.several(index, len(self))]
        if not len(chosen):
            return self._take(chosen, chosen)
        boxes = self.boxes[chosen]
        return Segmentation(
            np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])[None],
            self.scores[chosen].max(keepdims=True),
            MergedMasks(self.source, [self.rows[chosen]], smoothing),
            np.zeros(1, np.int64),
            np.zeros(1, np.int64),
            self.image_features,
            self.encoding,
        )

    def clean(self, options: CleanOptions | None = None, **changes: Any) -> Segmentation:
        """Fill holes, remove islands, drop small and near-duplicate masks; see CleanOptions.

        Near-duplicates are judged on the cleaned masks, higher scores first. Cleaned masks keep
        no logits; where the options leave every mask's pixels alone, logits stay.

        >>> seg.clean(min_area=10)
        Segmentation(1 instances, image 6 x 4)
        """
        return clean(self, CleanOptions.of(options, **changes))

    def edges(self, options: EdgeOptions | None = None, **changes: Any) -> NDArray[np.float32]:
        """Edge strength (H, W) in [0, 1] of every pixel.

        See :mod:`fastsam_plugins.masks.edge_map`.

        >>> coins.edges().shape
        (303, 384)
        """
        return edges(self, EdgeOptions.of(options, **changes))

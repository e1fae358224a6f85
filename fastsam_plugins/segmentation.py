"""``Segmentation``: the one value that flows through every room.

N instances of one image, as arrays of length N over a mask source. Immutable: filtering, sorting,
indexing and concatenation return a new value that shares the masks. An image without instances
is an empty ``Segmentation``, never ``None``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins import exemplars, indices, prompts, selection
from fastsam_plugins.decoder import prediction
from fastsam_plugins.instance_arrays import InstanceArrays
from fastsam_plugins.masks import quality
from fastsam_plugins.masks.cleaning import clean, filtered
from fastsam_plugins.masks.edge_map import edges
from fastsam_plugins.masks.label_image import Overlap, labels
from fastsam_plugins.masks.sources import MergedMasks
from fastsam_plugins.options import (
    CleanOptions,
    EdgeOptions,
    ExemplarOptions,
    FilterOptions,
    PromptOptions,
    TextOptions,
)
from fastsam_plugins.prompts import Texts
from fastsam_plugins.text import selection as texts

if TYPE_CHECKING:
    from fastsam_plugins.text.clip import Clip


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation(InstanceArrays):
    """Instances of one image.

    Attributes
    ----------
    boxes : float32 array (N, 4)
        xyxy in pixels of the original image.
    scores : float32 array (N,)
        Detector confidence. Other scores stay apart: :attr:`iou_pred`, :attr:`stability`,
        :attr:`box_leak`.
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

    # --- fewer, or others -------------------------------------------------------------------

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

    def filter(self, options: FilterOptions | None = None, **changes: Any) -> Segmentation:
        """Instances within all bounds of :class:`FilterOptions`.

        Which masks lie inside one another is judged among those that the other bounds keep.

        >>> seg.filter(min_area=10).areas.tolist()
        [16]
        """
        return filtered(self, FilterOptions.of(options, **changes))

    def clean(self, options: CleanOptions | None = None, **changes: Any) -> Segmentation:
        """Fill holes, remove islands, drop small and near-duplicate masks; see CleanOptions.

        Near-duplicates are judged on the cleaned masks, higher scores first. Cleaned masks keep
        no logits; where the options leave every mask's pixels alone, logits stay.

        >>> seg.clean(min_area=10)
        Segmentation(1 instances, image 6 x 4)
        """
        return clean(self, CleanOptions.of(options, **changes))

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
        parts = []
        for i, clicks, kinds in prompts.each_alone(points, labels):
            answer = self.predict(clicks, kinds, multimask=False)
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

    # --- pictures of all of them ------------------------------------------------------------

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

    def edges(self, options: EdgeOptions | None = None, **changes: Any) -> NDArray[np.float32]:
        """Edge strength (H, W) in [0, 1] of every pixel.

        See :mod:`fastsam_plugins.masks.edge_map`.

        >>> coins.edges().shape
        (303, 384)
        """
        return edges(self, EdgeOptions.of(options, **changes))

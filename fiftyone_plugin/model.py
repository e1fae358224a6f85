"""FastSAM as a FiftyOne model: ``dataset.apply_model(FastSAMModel(), label_field="proposals")``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
import fiftyone.core.models as fom
import fiftyone.utils.torch as fout
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import FastSAM, ImageError
from fastsam_plugins.batch import Outcome, segment_images
from fastsam_plugins.images.reduced_image import ReducedImage
from fastsam_plugins.io import read_for_network
from fastsam_plugins.options import (
    LimitOptions,
    PromptOptions,
    ReadOptions,
    SegmentOptions,
    TextOptions,
    WeightsOptions,
)
from fiftyone_plugin import prompts
from fiftyone_plugin.labels import detections

ERROR = "fastsam_error"
"""A sample that could not be segmented gets the reason in ``FIELD_fastsam_error``.

``FIELD_error`` may be the user's: what FiftyOne calls has no dataset to ask.
"""


@dataclass
class Item:
    """One sample as a data loader hands it over: an image, or why there is none."""

    image: NDArray | ReducedImage | None
    boxes: Any = None
    points: Any = None
    prompted: bool = False
    error: str = ""


class FastSAMGetItem(fout.GetItem):
    """Loads a sample's image and prompts, in the processes of a data loader.

    An image that cannot be read is passed on as such: it costs that sample, not its batch.
    """

    def __init__(
        self,
        field_mapping: dict[str, str] | None = None,
        reading: ReadOptions | None = None,
        limits: LimitOptions | None = None,
        side: int = 0,
        whole: bool = True,
    ) -> None:
        mapping = dict(field_mapping or {})
        either = mapping.pop(prompts.EITHER, None)
        if either is not None:
            mapping.setdefault(prompts.BOXES, either)
            mapping.setdefault(prompts.POINTS, either)
        self._either = either is not None
        self._keys = ["filepath", *(k for k in (prompts.BOXES, prompts.POINTS) if k in mapping)]
        self._reading, self._limits = reading or ReadOptions(), limits
        self._side, self._whole = side, whole
        super().__init__(field_mapping=mapping)

    @property
    def required_keys(self) -> list[str]:
        """Names of what a sample is asked for."""
        return self._keys

    def __call__(self, d: dict[str, Any]) -> Item:
        """Read the image of a sample."""
        boxes, points = d.get(prompts.BOXES), d.get(prompts.POINTS)
        if self._either:  # one field for both: it is what it is
            boxes = None if isinstance(boxes, fo.Keypoints) else boxes
            points = None if isinstance(points, fo.Detections) else points
            if points is boxes:  # neither: complain of it once
                points = None
        try:
            image = read_for_network(
                d["filepath"], lambda: self._side, self._reading, self._limits, self._whole
            )
        except (ImageError, OSError) as error:
            return Item(None, error=str(error))
        return Item(image, boxes, points, prompted=len(self._keys) > 1)


class FastSAMConfig:
    """What FiftyOne sets while a model is applied."""

    def __init__(self, confidence_thresh: float | None = None) -> None:
        self.confidence_thresh = confidence_thresh


class FastSAMModel(fom.Model, fom.SupportsGetItem):
    """Everything mode and prompts on FiftyOne samples.

    Prompts are named as for FiftyOne's SAM models: ``box_prompt_field`` (Detections),
    ``point_prompt_field`` (Keypoints, polarity in ``sam_labels``), or ``prompt_field`` for either.

    Parameters
    ----------
    model : FastSAM or str
        A loaded network, or a name or file.
    segmenting, prompting, reading : options
    device : str
    text, negatives : str or sequence of str, optional
        What to look for in every image, instead of prompt fields; see
        :meth:`fastsam_plugins.Segmentation.select`. The texts become the labels.
    wording : TextOptions, optional
        How.
    weights : WeightsOptions, optional
        What of a file of weights is trusted.
    limits : LimitOptions, optional
        What images, weights and inputs may ask of the machine.

    Raises
    ------
    ValueError, WeightsError
        If a text is empty, or there is no such network or CLIP.
    """

    def __init__(
        self,
        model: FastSAM | str = "FastSAM-n",
        segmenting: SegmentOptions | None = None,
        prompting: PromptOptions | None = None,
        reading: ReadOptions | None = None,
        device: str = "auto",
        text: str | Sequence[str] | None = None,
        negatives: str | Sequence[str] | None = None,
        wording: TextOptions | None = None,
        weights: WeightsOptions | None = None,
        limits: LimitOptions | None = None,
    ) -> None:
        self.words = prompts.Words.of(text, negatives, wording)
        if not isinstance(model, FastSAM):
            model = FastSAM(model, device, options=weights, limits=limits)
        self.engine = model
        self.limits = limits or self.engine.limits
        self.segmenting = segmenting or SegmentOptions()
        self.prompting = prompting or PromptOptions()
        self.reading = reading or ReadOptions()
        self.config = FastSAMConfig()

    @property
    def media_type(self) -> str:
        """FiftyOne's word for what it takes."""
        return "image"

    @property
    def ragged_batches(self) -> bool:
        """Batches are of items, which go together whatever the sizes of their images.

        Where this is true, FiftyOne leaves ``batch_size`` aside and asks image by image.
        """
        return False

    @property
    def transforms(self) -> None:
        """The engine prepares images itself."""
        return None

    @property
    def preprocess(self) -> bool:
        """Whether transforms are applied: there are none."""
        return False

    @preprocess.setter
    def preprocess(self, value: bool) -> None:
        pass

    @property
    def has_collate_fn(self) -> bool:
        """Items are handed over as they are."""
        return False

    def build_get_item(self, field_mapping: dict[str, str] | None = None) -> FastSAMGetItem:
        """What loads the samples."""
        side = (self.segmenting.imgsz or self.engine.imgsz) if self.reading.reduced else 0
        whole = bool(self.words) or self.prompting.predict
        return FastSAMGetItem(field_mapping, self.reading, self.limits, side, whole)

    def predict(self, arg: Any) -> Any:
        """Detections of one image (H, W[, C]) or item."""
        return self.predict_all([arg])[0]

    def predict_all(self, args: Any) -> list[Any]:
        """Detections of each image or item; of one that failed, a dict with the reason."""
        items = [a if isinstance(a, Item) else Item(np.asarray(a)) for a in args]
        options = self.segmenting
        if self.config.confidence_thresh is not None:
            options = options.replace(conf=float(self.config.confidence_thresh))
        outcomes = segment_images(self.engine, items, _image, options, batch=max(len(items), 1))
        return [self._labels(outcome) for outcome in outcomes]

    def _labels(self, outcome: Outcome[Item]) -> Any:
        item, seg = outcome.item, outcome.segmentation
        if seg is None:
            return {ERROR: outcome.error}
        if self.words and item.prompted:
            return {ERROR: "a text goes alone: leave out the prompt fields"}
        if self.words:
            chosen, similar = self.words.select(seg)
            return detections(chosen, self.words.texts, similarity=similar)
        if not item.prompted:
            return detections(seg)
        try:
            given = prompts.read(item.boxes, item.points, seg.shape)
        except ValueError as error:
            return {ERROR: str(error)}
        return detections(given.select(seg, self.prompting), given.labels, given.sources)


def _image(item: Item) -> Any:
    if item.image is None:
        raise ImageError(item.error)
    return item.image

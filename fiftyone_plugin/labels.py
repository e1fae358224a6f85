"""FiftyOne labels to masks, and instances to FiftyOne labels."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R
from fastsam_plugins.segmentation import Segmentation
from fiftyone_plugin.mask_codec import unpacked

KINDS = (fo.Detections, fo.Detection, fo.Polylines, fo.Polyline, fo.Segmentation)
LISTS = {fo.Detections: "detections", fo.Polylines: "polylines"}
"""What holds the objects of a label."""

OBJECT = "object"  # the label of an instance that nobody named
CROWD = "iscrowd"  # the attribute that COCO's readers set
CROWDS, LINES = "crowd regions", "lines that enclose nothing"

Object: TypeAlias = "fo.Detection | fo.Polyline | dict[str, Any]"
"""One instance: FiftyOne's object, or the dictionary that the database holds of it.

FiftyOne's objects take longer to make and to save than all else that is done with an instance.
"""


def fields(dataset: fo.Dataset, kinds: tuple[type, ...] = KINDS) -> list[str]:
    """The fields of a dataset that are of some kind, by default of instances."""
    schema = dataset.get_field_schema(ftype=fo.EmbeddedDocumentField)
    return [name for name, field in schema.items() if issubclass(field.document_type, kinds)]


def check_fields(dataset: fo.Dataset, *names: str | None) -> None:
    """Refuse fields that hold no instances.

    Raises
    ------
    ValueError
        Naming the field, and those there are.
    """
    usable = fields(dataset)
    for name in names:
        if name and name not in usable:
            there = ", ".join(usable) or "none"
            raise ValueError(f"{name} is no field of detections or polylines (there are: {there})")


def kind(dataset: fo.Dataset, field: str) -> type[fo.Label]:
    """What kind of labels a field holds.

    Raises
    ------
    ValueError
        If it holds none.
    """
    known = dataset.get_field(field)
    if not isinstance(known, fo.EmbeddedDocumentField):
        raise ValueError(f"{field} is no field of labels")
    return known.document_type


def path(dataset: fo.Dataset, field: str) -> str:
    """The path of a field's objects."""
    name = LISTS.get(kind(dataset, field))
    return f"{field}.{name}" if name else field


def shape_of(sample: fo.Sample) -> R.Shape | None:
    """(H, W) of a sample's image; None if FiftyOne could not read it."""
    metadata = sample.metadata
    return None if metadata is None else (metadata.height, metadata.width)


def value(label: Object, name: str) -> Any:
    """An attribute of a label; None if it has none."""
    return label[name] if name in label else None  # noqa: SIM401


def id_of(label: Object) -> str:
    """The id of a label."""
    return str(label["_id"]) if isinstance(label, dict) else str(label.id)


def confidence(label: Object) -> float:
    """The confidence of a label; 1 if it has none."""
    given = value(label, "confidence")
    return 1.0 if given is None else float(given)


def numbered(masks: Sequence[R.Runs], shape: R.Shape, scores: Sequence[float]) -> Segmentation:
    """Instances from masks, each the answer to a prompt of its own number: names go by that."""
    seg = Segmentation.from_runs(masks, shape, scores)
    return dataclasses.replace(seg, prompts=np.arange(len(seg)))


def masks(label: Any, shape: R.Shape) -> Iterator[R.Runs]:
    """The instances of a label field's value.

    Parameters
    ----------
    label : Detections, Detection, Polylines, Polyline, Segmentation or None
        A detection without a mask is its box. Every connected part of a class of a segmentation is
        an instance.
    shape : (H, W)
        Of the image.

    Returns
    -------
    iterator of run arrays
        Empty where a label covers no pixel.
    """
    return (mask(one, shape) for one in objects(label))


def objects(label: Any) -> list[Any]:
    """The detections or polylines of a label field's value."""
    if isinstance(label, fo.Segmentation):
        label = label.to_detections(mask_types="thing")
    if isinstance(label, fo.Detections):
        return list(label.detections)
    if isinstance(label, fo.Polylines):
        return list(label.polylines)
    return [] if label is None else [label]


def mask(label: Object, shape: R.Shape) -> R.Runs:
    """The pixels of one detection or polyline, in an image of ``shape`` (H, W).

    A closed polyline is what it encloses, whether it is drawn filled or not; an open one is a line.

    Raises
    ------
    ValueError
        If it has points, or a box, that are no finite numbers.
    """
    if not is_polyline(label):
        return _detection(label, shape)
    drawn = fo.Polyline(
        points=[finite("a polyline's points", part).tolist() for part in label["points"] or []],
        closed=bool(value(label, "closed")),
        filled=not is_line(label),
    )
    return R.from_bitmap(
        np.asarray(drawn.to_segmentation(frame_size=(shape[1], shape[0])).mask) != 0
    )


def is_polyline(label: Object) -> bool:
    """Whether a label is a polyline, not a detection."""
    return (
        label["_cls"] == "Polyline" if isinstance(label, dict) else isinstance(label, fo.Polyline)
    )


def is_line(label: Object) -> bool:
    """Whether a label is a polyline that encloses nothing: neither closed nor filled."""
    return is_polyline(label) and not (value(label, "closed") or value(label, "filled"))


def finite(what: str, numbers: Any) -> NDArray[np.float64]:
    """Numbers as an array, if they can say where something is."""
    array = np.asarray(numbers, np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} are no finite numbers: {numbers}")
    return array


def box(label: Object, mask: R.Runs, shape: R.Shape) -> list[float]:
    """``x, y, width, height`` in pixels: a detection's own box, or that of a polyline's pixels."""
    own = value(label, "bounding_box")
    if own is not None:
        x, y, width, height = own
        return [x * shape[1], y * shape[0], width * shape[1], height * shape[0]]
    x0, y0, x1, y1 = R.bounds(mask, shape[0])
    return [float(v) for v in (x0, y0, x1 - x0, y1 - y0)]


def is_crowd(label: Object) -> bool:
    """Whether a label is a crowd region, as COCO calls what is not labelled one by one."""
    flag = value(label, CROWD)
    if flag is None:  # where FiftyOne's datasets of old have it
        flag = (value(label, "attributes") or {}).get(CROWD)
        flag = value(flag, "value") if flag is not None else None
    if isinstance(flag, str):  # as some programs write yes and no
        return flag.strip().lower() not in ("", "0", "false", "no")
    return bool(flag)


def whole(labels: Sequence[Any]) -> tuple[list[Any], Counter[str]]:
    """The labels that stand for one object each, and how many do not, by reason."""
    left_out = Counter[str]()
    kept = []
    for one in labels:
        reason = CROWDS if is_crowd(one) else LINES if is_line(one) else ""
        if reason:
            left_out[reason] += 1
        else:
            kept.append(one)
    return kept, left_out


def _detection(detection: fo.Detection | dict[str, Any], shape: R.Shape) -> R.Runs:
    """A mask where its box says, to the nearest pixel.

    FiftyOne's own ``to_segmentation`` cuts the corner off to a whole number, and 56.999999 to 56:
    masks come out shifted by a pixel, or stretched.
    """
    x0, y0, x1, y1 = _corners(detection["bounding_box"], shape)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, shape[1]), min(y1, shape[0])
    if left >= right or top >= bottom:
        return R.EMPTY
    mask = _bitmap(detection)
    if mask is None:
        inside = np.ones((bottom - top, right - left), np.bool_)
    else:  # stretched to the box, then cut at the image's edges
        mask = mask[..., 0] if mask.ndim == 3 else mask
        if not mask.size:
            return R.EMPTY
        rows = np.arange(top - y0, bottom - y0) * mask.shape[0] // (y1 - y0)
        columns = np.arange(left - x0, right - x0) * mask.shape[1] // (x1 - x0)
        inside = mask[np.ix_(rows, columns)] != 0
    return R.from_bitmap(inside, shape, (left, top))


def _bitmap(detection: fo.Detection | dict[str, Any]) -> NDArray | None:
    """The mask of a detection within its box."""
    if isinstance(detection, dict):
        if detection.get("mask") is not None:
            return unpacked(detection["mask"])
        detection = fo.Detection(mask_path=detection.get("mask_path"))
    return detection.get_mask() if detection.has_mask else None


def _corners(box: list[float], shape: R.Shape) -> tuple[int, int, int, int]:
    """Corners of a relative box in whole pixels, which may lie outside: x0, y0, x1, y1."""
    height, width = shape
    x, y, w, h = finite("a box's numbers", box).tolist()
    x0, x1 = (round(v * width) for v in (x, x + w))
    y0, y1 = (round(v * height) for v in (y, y + h))
    return x0, y0, x1, y1


@dataclass(frozen=True)
class Instance:
    """One instance as FiftyOne describes it.

    Attributes
    ----------
    runs : run array
        The mask.
    shape : (H, W)
        Of the image.
    label : str
    confidence, stability : float
    area : int
        In pixels.
    source : str or None
        Id of the label that was its prompt.
    similarity : float or None
        How well it fits the text that was its prompt.
    is_crowd : bool
        Whether it is a crowd region, not one object.
    iou_pred : float or None
        The IoU with an object that its mask is expected to have.
    """

    runs: R.Runs
    shape: R.Shape
    label: str
    confidence: float
    stability: float
    area: int
    source: str | None = None
    similarity: float | None = None
    is_crowd: bool = False
    iou_pred: float | None = None

    @functools.cached_property
    def _corners(self) -> tuple[int, int, int, int]:
        return R.bounds(self.runs, self.shape[0])

    @property
    def bounding_box(self) -> list[float]:
        """``x, y, width, height`` in parts of the image.

        It is that of the mask's pixels, so that FiftyOne, which stretches a mask to its box, shows
        every pixel where it is.
        """
        height, width = self.shape
        x0, y0, x1, y1 = self._corners
        return [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The bitmap within the box."""
        return R.to_bitmap(self.runs, self.shape, self._corners)

    @property
    def attributes(self) -> dict[str, Any]:
        """What is said of it; nothing of a prompt where there was none."""
        own = {"label": self.label, "confidence": self.confidence, "stability": self.stability,
               "area": self.area}  # fmt: skip
        of_prompt = {"source": self.source, "similarity": self.similarity,
                     "iou_pred": self.iou_pred}  # fmt: skip
        crowd = {CROWD: 1} if self.is_crowd else {}
        return own | {k: v for k, v in of_prompt.items() if v is not None} | crowd


def instances(
    seg: Segmentation,
    labels: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    label: str = OBJECT,
    similarity: NDArray[np.float32] | None = None,
    crowds: Sequence[bool] | None = None,
    iou_pred: NDArray[np.float64] | None = None,
) -> Iterator[Instance]:
    """Instances of a segmentation; those without pixels are left out.

    Parameters
    ----------
    seg : Segmentation
    labels, sources : sequence of str, optional
        By prompt: the label that an instance takes over from its prompt, and the prompt's id.
    label : str
        Of instances without prompt.
    similarity : float array (N,), optional
        Of each instance to the text that was its prompt.
    crowds : sequence of bool, optional
        By prompt: whether the instance is a crowd region.
    iou_pred : float array (N,), optional
        What IoU each is expected to have; NaN where that is not known.
    """
    areas, stability = seg.areas.tolist(), seg.stability.tolist()
    for i, (prompt, area) in enumerate(zip(seg.prompts.tolist(), areas, strict=True)):
        if area:
            yield Instance(
                seg.runs(i),
                seg.shape,
                labels[prompt] if labels is not None and prompt >= 0 else label,
                float(seg.scores[i]),
                float(stability[i]),
                int(area),
                sources[prompt] if sources is not None and prompt >= 0 else None,
                None if similarity is None else float(similarity[i]),
                crowds is not None and prompt >= 0 and crowds[prompt],
                None if iou_pred is None or np.isnan(iou_pred[i]) else float(iou_pred[i]),
            )


def detections(
    seg: Segmentation,
    labels: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    similarity: NDArray[np.float32] | None = None,
) -> fo.Detections:
    """The :func:`instances` of a segmentation as FiftyOne's objects."""
    return fo.Detections(
        detections=[
            fo.Detection(
                bounding_box=instance.bounding_box, mask=instance.mask, **instance.attributes
            )
            for instance in instances(seg, labels, sources, similarity=similarity)
        ]
    )

"""FiftyOne labels to masks, and instances to FiftyOne labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import fiftyone as fo
import fiftyone.core.utils as fou
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.polygons import keyhole_polygon
from fastsam_plugins.segmentation import Segmentation

KINDS = (fo.Detections, fo.Detection, fo.Polylines, fo.Polyline, fo.Segmentation)
OBJECT = "object"  # the label of an instance that nobody named
OTHERS = 600  # bytes of a detection beside its mask


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


def shape_of(sample: fo.Sample) -> R.Shape | None:
    """(H, W) of a sample's image; None if FiftyOne could not read it."""
    metadata = sample.metadata
    return None if metadata is None else (metadata.height, metadata.width)


def confidence(label: fo.Detection | fo.Polyline) -> float:
    """The confidence of a label; 1 if it has none."""
    return 1.0 if label.confidence is None else float(label.confidence)


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


def mask(label: fo.Detection | fo.Polyline, shape: R.Shape) -> R.Runs:
    """The pixels of one detection or polyline, in an image of ``shape`` (H, W)."""
    if isinstance(label, fo.Polyline):
        drawn = label.to_segmentation(frame_size=(shape[1], shape[0])).mask
        return R.from_bitmap(np.asarray(drawn) != 0)
    return _detection(label, shape)


def box(label: fo.Detection | fo.Polyline, mask: R.Runs, shape: R.Shape) -> list[float]:
    """``x, y, width, height`` in pixels: a detection's own box, or that of a polyline's pixels."""
    if isinstance(label, fo.Detection):
        x, y, width, height = label.bounding_box
        return [x * shape[1], y * shape[0], width * shape[1], height * shape[0]]
    x0, y0, x1, y1 = R.bounds(mask, shape[0])
    return [float(v) for v in (x0, y0, x1 - x0, y1 - y0)]


def is_crowd(label: Any) -> bool:
    """Whether a label is a crowd region, as COCO calls what is not labelled one by one."""
    return bool(label["iscrowd"]) if "iscrowd" in label else False


def _detection(detection: fo.Detection, shape: R.Shape) -> R.Runs:
    """A mask where its box says, to the nearest pixel.

    FiftyOne's own ``to_segmentation`` cuts the corner off to a whole number, and 56.999999 to 56:
    masks come out shifted by a pixel, or stretched.
    """
    x0, y0, x1, y1 = _corners(detection.bounding_box, shape)
    mask = detection.get_mask() if detection.has_mask else np.ones((y1 - y0, x1 - x0), np.bool_)
    if mask.ndim == 3:
        mask = mask[..., 0]
    if mask.shape != (y1 - y0, x1 - x0):
        import cv2

        size = max(x1 - x0, 1), max(y1 - y0, 1)
        mask = cv2.resize((mask != 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return R.from_bitmap(mask[: shape[0] - y0, : shape[1] - x0] != 0, shape, (x0, y0))


def _corners(box: list[float], shape: R.Shape) -> tuple[int, int, int, int]:
    """Corners of a relative box in whole pixels: x0, y0, x1, y1."""
    height, width = shape
    x0, x1 = (round(min(max(v, 0), 1) * width) for v in (box[0], box[0] + box[2]))
    y0, y1 = (round(min(max(v, 0), 1) * height) for v in (box[1], box[1] + box[3]))
    return x0, y0, x1, y1


def detections(
    seg: Segmentation,
    labels: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    label: str = OBJECT,
    similarity: NDArray[np.float32] | None = None,
) -> fo.Detections:
    """Instances as detections with masks.

    Boxes are those of the masks' pixels, so that FiftyOne, which stretches a mask to its box, shows
    every pixel where it is. Instances without pixels are left out.

    Parameters
    ----------
    seg : Segmentation
    labels, sources : sequence of str, optional
        By prompt: the label that an instance takes over from its prompt, and the prompt's id.
    label : str
        Of instances without prompt.
    similarity : float array (N,), optional
        Of each instance to the text that it answers.
    """
    height, width = seg.shape
    found = []
    areas, stability = seg.areas.tolist(), seg.stability.tolist()
    for i, (prompt, area) in enumerate(zip(seg.prompts.tolist(), areas, strict=True)):
        if not area:
            continue
        x0, y0, x1, y1 = R.bounds(seg.runs(i), height)
        found.append(
            fo.Detection(
                label=labels[prompt] if labels is not None and prompt >= 0 else label,
                bounding_box=[x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
                mask=seg.mask(i, (x0, y0, x1, y1)),
                confidence=float(seg.scores[i]),
                stability=float(stability[i]),
                area=int(area),
                **({"source": sources[prompt]} if sources is not None and prompt >= 0 else {}),
                **({"similarity": float(similarity[i])} if similarity is not None else {}),
            )
        )
    return fo.Detections(detections=found)


def polylines(found: fo.Detections, shape: R.Shape) -> fo.Polylines:
    """Detections as filled outlines, one of each; parts and holes are joined to it by bridges."""
    size = np.array([shape[1], shape[0]])
    drawn = []
    for detection in found.detections:
        # FiftyOne rounds to whole pixels when it fills them: halves would go either way.
        outline = (keyhole_polygon(mask(detection, shape), shape) - 0.25) / size
        own = {
            name: detection[name]
            for name in ("stability", "area", "source", "similarity")
            if name in detection
        }
        drawn.append(
            fo.Polyline(
                label=detection.label,
                points=[[tuple(point) for point in outline.tolist()]],
                confidence=detection.confidence,
                closed=True,
                filled=True,
                **own,
            )
        )
    return fo.Polylines(polylines=drawn)


def stored_bytes(found: fo.Detections, enough: int) -> int:
    """Bytes that detections take in the database; at least an estimate where they take little.

    Parameters
    ----------
    found : fo.Detections
    enough : int
        Masks that are smaller even before they are compressed are not compressed to find out.
    """
    masks = [d.mask for d in found.detections]
    raw = sum(m.nbytes for m in masks) + OTHERS * len(masks)
    if raw <= enough:
        return raw
    return sum(len(fou.serialize_numpy_array(m)) + OTHERS for m in masks)

"""Operator forms from ``options.py``: fields of a form, and the options that were filled in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from fiftyone.operators import types

from fastsam_plugins.parameters import Options, Parameter, parameters

O = TypeVar("O", bound=Options)  # noqa: E741

WORDS = {
    "imgsz": "Look at images at this size",
    "conf": "Least confidence",
    "iou": "Most overlap of two boxes",
    "max_det": "Most objects per image",
    "full_frame": "Boxes may fill the image",
    "border_tolerance": "Near to the border is within",
    "min_area": "Smallest object",
    "max_area": "Largest object",
    "min_score": "Least confidence",
    "mask_iou": "Most overlap of two masks",
    "containment": "Most of a mask inside another",
    "max_hole": "Fill holes up to",
    "max_island": "Remove loose parts up to",
    "min_truth_iou": "Least overlap with the ground truth",
    "max_truth_iou": "Most overlap with the ground truth",
    "points_mode": "What points select",
    "boxes_mode": "How boxes find objects",
    "min_iou": "Least overlap with the box",
    "rank": "What decides between objects",
    "storage": "Masks are stored in",
    "keep": "Keep for prompts",
    "diverse": "Different objects first",
    "min_stability": "Least stability",
    "max_box_leak": "Most that a box may cut off its mask",
    "shortlist": "Objects cut out for each text",
    "clip_precision": "Precision of CLIP",
    "background": "Around what is cut out",
    "chunk": "Cut out together",
    "dense_size": "Look for texts at this size",
    "nested": "Of objects inside one another keep",
    "border": "Keep objects at the border",
    "min_pixels": "Smallest object to compare with a text",
    "iou_pred": "Expected IoU of each mask",
    "batch": "Images saved together",
    "tiled": "Look in windows (large images)",
    "tile": "Side of the windows",
    "overlap": "Overlap of the windows",
    "seam_iou": "One object across a seam from this overlap on",
    "whole": "Look at the whole image too",
    "allow_unknown_weights": "Trust unknown weights",
    "agnostic": "Any class is an object",
    "label": "Label to give",
    "top_k": "Most objects",
    "threshold": "Least similarity",
    "features": "What is compared with the text",
    "head": "File of the head",
    "clip": "CLIP",
    "across": "Look in all samples",
    "cluster": "Ray cluster",
    "results": "Results of the cluster",
    "brain_key": "Name of the index",
    "eval_key": "Name of the evaluation",
    "max_proposals": "Proposals of an image that count",
    "overwrite": "Replace what is there",
    "page": "Page of a TIFF",
    "bands": "Bands to show",
    "percentile": "Saturate",
    "nan": "Shown in place of NaN",
    "reduced": "Read large JPEG files smaller",
    "low": "Black is",
    "high": "White is",
    "max_pixels": "Most pixels of an image",
    "max_memory": "Most memory",
    "max_windows": "Most windows",
    "max_seconds": "Longest time for a file",
}
"""What a form calls parameters, where their names are those of the command and of Python."""


def add(inputs: types.Object, options: type[Options], leave_out: Collection[str] = ()) -> None:
    """Add a field for every parameter of an options class to a form.

    Parameters
    ----------
    inputs : types.Object
        The form.
    options : type
        An options class.
    leave_out : collection of str
        Parameters that the operator sets itself.
    """
    for p in parameters(options):
        if p.name not in leave_out:
            _add(inputs, p)


def _add(inputs: types.Object, p: Parameter) -> None:
    words = {
        "label": WORDS.get(p.name, p.name.replace("_", " ").capitalize())
        + (f" [{p.unit}]" if p.unit else ""),
        "description": p.help,
        "default": p.default,
        "required": False,
    }
    if p.choices:
        inputs.enum(p.name, list(p.choices), **words)
    elif p.type is bool:
        inputs.bool(p.name, **words)
    elif p.type in (int, float):
        field = inputs.int if p.type is int else inputs.float
        field(p.name, min=p.ge, max=p.le, **words)
    else:
        inputs.str(p.name, **words)


def read(params: Mapping[str, Any], options: type[O]) -> O:
    """The options that a form or a program gave; what was left empty keeps its default.

    Raises
    ------
    ValueError
        Naming the parameter that is out of range.
    """
    given = {}
    for p in parameters(options):
        value = params.get(p.name)
        if value is None or value == "":
            continue
        # A browser sends 1 for 1.0, and the other way round.
        if p.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        elif p.type is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        given[p.name] = value
    return options(**given)

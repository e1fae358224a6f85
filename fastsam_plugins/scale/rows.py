"""What was found in one image as a row of a table, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.segmentation import Segmentation

Row = dict[str, Any]

FORMAT = 1
"""Of the table: rises when a reader of before would misunderstand it."""


def schema() -> Any:
    """The columns.

    ``image`` is the path or address; ``width`` and ``height`` are in pixels; ``boxes`` are x1, y1,
    x2, y2 in pixels; ``rles`` are the counts of COCO's compressed RLE, of size (height, width);
    ``areas`` are in pixels; ``stability`` is null where it is not known; ``prompt`` is what was
    asked in JSON, empty for everything; ``answers`` is the place of the prompt that an instance
    answers, -1 without one; ``texts`` and ``similarity`` are what was asked for in words, and how
    well the instance fits it; ``error`` is why nothing is known, or null.
    """
    from fastsam_plugins.scale.places import arrow

    pa = arrow()
    columns = {
        "image": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "boxes": pa.list_(pa.list_(pa.float32())),
        "scores": pa.list_(pa.float32()),
        "stability": pa.list_(pa.float32()),
        "areas": pa.list_(pa.int64()),
        "rles": pa.list_(pa.string()),
        "prompt": pa.string(),
        "answers": pa.list_(pa.int32()),
        "texts": pa.list_(pa.string()),
        "similarity": pa.list_(pa.float32()),
        "error": pa.string(),
    }
    return pa.schema(columns.items(), metadata={"fastsam": str(FORMAT)})


def of_error(image: str, prompt: str, error: str) -> Row:
    """The row of an image of which nothing is known."""
    empty: dict[str, Any] = dict.fromkeys(
        ("boxes", "scores", "stability", "areas", "rles", "answers"), ()
    )
    known = {"image": image, "width": None, "height": None, "prompt": prompt}
    return {**empty, **known, "texts": None, "similarity": None, "error": error}


def of_instances(
    image: str,
    prompt: str,
    seg: Segmentation,
    stability: Sequence[float],
    texts: Sequence[str] | None = None,
    similarity: Sequence[float] | None = None,
) -> Row:
    """The row of an image, and of what was found in it."""
    height, width = seg.shape
    return {
        "image": image,
        "width": width,
        "height": height,
        "boxes": seg.boxes.tolist(),
        "scores": seg.scores.tolist(),
        "stability": [None if np.isnan(s) else float(s) for s in stability],
        "areas": seg.areas.tolist(),
        "rles": [r["counts"] for r in seg.rles()],
        "prompt": prompt,
        "answers": seg.prompts.tolist(),
        "texts": texts,
        "similarity": similarity,
        "error": None,
    }


def in_order(images: Iterable[str], kept: Mapping[str, Row], made: Iterable[Row]) -> list[Row]:
    """Rows of images: those that were kept, and of the others those that were made, in order."""
    new = iter(made)
    return [kept[image] if image in kept else next(new) for image in images]


def unanswered(row: Row) -> int:
    """How many of the prompts that came with an image no instance answers.

    Points mean one object, or, answered each by itself, as many as have an answer.
    """
    if row["error"] is not None or not row["prompt"]:
        return 0
    said = json.loads(row["prompt"])
    answered = len({a for a in row["answers"] if a >= 0})
    asked = len(said.get("boxes") or said.get("texts") or ())
    if not asked and said.get("points"):
        return int(not len(row["scores"]))
    return max(asked - answered, 0)


def masks(row: Row) -> list[dict[str, Any]]:
    """COCO's RLE of every instance of a row."""
    size = [int(row["height"]), int(row["width"])]
    return [{"size": size, "counts": counts} for counts in row["rles"]]


def segmentation(row: Row) -> Segmentation:
    """The instances of a row.

    Raises
    ------
    ValueError
        If it has an error instead, or what it holds is damaged.
    """
    if isinstance(row["error"], str):  # pandas has NaN for null
        raise ValueError(row["error"])
    shape = (int(row["height"]), int(row["width"]))
    found = Segmentation.from_rles(masks(row), shape, np.array(row["scores"], np.float32))
    boxes = np.array([list(box) for box in row["boxes"]], np.float32).reshape(-1, 4)
    made = Segmentation.from_source(found.source, boxes, found.scores)
    found.source.know("stability", np.array(row["stability"], np.float64))  # null is NaN
    answers = np.array(row["answers"], np.int64)
    return Segmentation(made.boxes, made.scores, made.source, made.rows, answers)


def similarity(row: Row) -> NDArray[np.float32]:
    """How well each instance of a row fits its text (N,); NaN without one."""
    given = row["similarity"] or [None] * len(row["rles"])
    return np.array(given, np.float32)

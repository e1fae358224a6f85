"""A session as JSON: objects as COCO RLE, what they were picked with, and what is open.

Nothing in a file is run. The history of steps is not kept: what was done stays done.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from napari_plugin.edits import Key
from napari_plugin.scene import Prompts, Window
from napari_plugin.session import Object, Session, SessionError

FORMAT = "fastsam napari session"
VERSION = 1

_NOTHING: Mapping[Key, dict[int, R.Runs]] = {}


@dataclass(frozen=True)
class ImageRecord:
    """The image that a session is of.

    Attributes
    ----------
    name : str
        Of its layer.
    path : str, optional
        The file it was read from.
    shape : tuple of int
        Of its array, without the colours of RGB.
    plane : (rows, columns)
        The axes that a slice spans.
    """

    name: str
    path: str | None
    shape: tuple[int, ...]
    plane: tuple[int, int]


@dataclass
class Saved:
    """What a session file holds.

    Attributes
    ----------
    image : ImageRecord
    labels : dict
        By slice and id: run arrays.
    objects : dict of Object
    prompts : dict of Prompts
        By slice, those not committed yet.
    scenes : dict
        By slice: the digest of the kept segmentation, and its window.
    next_id : int
    pictures : dict
        By slice: the file with its pixels, as the network saw them, beside the session's; for
        images that are not files of one slice.
    """

    image: ImageRecord
    labels: dict[Key, dict[int, R.Runs]] = field(default_factory=dict)
    objects: dict[int, Object] = field(default_factory=dict)
    prompts: dict[Key, Prompts] = field(default_factory=dict)
    scenes: dict[Key, tuple[str, Window]] = field(default_factory=dict)
    next_id: int = 1
    pictures: dict[Key, str] = field(default_factory=dict)

    @property
    def shape(self) -> R.Shape:
        """(H, W) of a slice."""
        return self.image.shape[self.image.plane[0]], self.image.shape[self.image.plane[1]]


def snapshot(
    session: Session, image: ImageRecord, known: Mapping[Key, dict[int, R.Runs]] = _NOTHING
) -> tuple[Saved, dict[Key, NDArray[np.integer]]]:
    """What there is to save, but for the labels: copies of those slices that have any.

    Quick; :func:`write` does the slow part, and may do it in another thread.

    Parameters
    ----------
    session : Session
    image : ImageRecord
    known : mapping
        Labels that :func:`write` gave before, of slices that have not changed since.
    """
    objects, canvas = session.objects, session.objects.canvas
    saved = Saved(
        image,
        labels=dict(known),
        objects=dict(objects.known),
        prompts={k: p for k in session.slices() if (p := session.prompts(k))},
        scenes={k: (s.digest, s.window) for k, s in session.scenes.items() if s.digest},
        next_id=objects.next_id,
    )
    planes = {}
    if canvas is not None:
        height, width = canvas.shape
        for key in objects.labelled - known.keys():
            planes[key] = canvas.read(key, (0, 0, width, height)).copy()
    return saved, planes


def write(
    saved: Saved, planes: Mapping[Key, NDArray[np.integer]], path: str | Path
) -> dict[Key, dict[int, R.Runs]]:
    """Write a session file, in one move: a kill leaves no half of it.

    Returns
    -------
    dict
        The labels of all slices.
    """
    objects = [
        {
            "id": o.id,
            "score": _number(o.score),
            "stability": _number(o.stability),
            "prompts": {_text(k): p.to_json() for k, p in o.prompts.items()},
            "outline": o.outline
            and {"slice": _text(o.outline[0]), **rle.encode([o.outline[1]], saved.shape)[0]},
        }
        for o in saved.objects.values()
    ]
    labels: dict[str, list[dict[str, Any]]] = {}
    every = {**saved.labels, **{k: R.from_labels(p) for k, p in planes.items()}}
    for key, found in every.items():
        texts = rle.encode(list(found.values()), saved.shape)
        labels[_text(key)] = [{"id": i, **t} for i, t in zip(found, texts, strict=True)]
    content = {
        "format": FORMAT,
        "version": VERSION,
        "image": asdict(saved.image),
        "next_id": saved.next_id,
        "objects": objects,
        "labels": labels,
        "prompts": {_text(k): p.to_json() for k, p in saved.prompts.items()},
        "scenes": {_text(k): {"digest": d, "window": w} for k, (d, w) in saved.scenes.items()},
        "pictures": {_text(k): name for k, name in saved.pictures.items()},
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content))
    os.replace(part, path)
    return every


def read(path: str | Path) -> Saved:
    """Read a session file.

    Raises
    ------
    SessionError
        If there is none, or it is something else; one line.
    """
    try:
        content = json.loads(Path(path).read_text())
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}")
        if content["version"] != VERSION:
            raise ValueError(f"it is of version {content['version']}, this reads {VERSION}")
        return _saved(content)
    except OSError as error:
        raise SessionError(f"cannot read {path}: {error.strerror}") from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise SessionError(f"no session of FastSAM is in {path}: {error}") from None


def _saved(content: dict[str, Any]) -> Saved:
    image = content["image"]
    rows, columns = image["plane"]
    record = ImageRecord(
        str(image["name"]), image["path"], tuple(int(n) for n in image["shape"]), (rows, columns)
    )
    saved = Saved(record, next_id=int(content["next_id"]))
    for text, found in content["labels"].items():
        here = saved.labels[_key(text)] = {}
        for one in found:
            here[int(one["id"])] = _mask(one, saved.shape)
    for one in content["objects"]:
        asked = {_key(k): Prompts.from_json(p) for k, p in one["prompts"].items()}
        score, stability = (
            math.nan if one[n] is None else float(one[n]) for n in ("score", "stability")
        )
        outline = None
        if one["outline"] is not None:
            outline = _key(one["outline"]["slice"]), _mask(one["outline"], saved.shape)
        saved.objects[int(one["id"])] = Object(int(one["id"]), score, stability, asked, outline)
    saved.prompts = {_key(k): Prompts.from_json(p) for k, p in content["prompts"].items()}
    for text, scene in content["scenes"].items():
        x0, y0, x1, y1 = (int(v) for v in scene["window"])
        saved.scenes[_key(text)] = (str(scene["digest"]), (x0, y0, x1, y1))
    saved.pictures = {_key(k): str(name) for k, name in content["pictures"].items()}
    return saved


def _mask(one: dict[str, Any], shape: R.Shape) -> R.Runs:
    runs, size = rle.decode({"size": one["size"], "counts": one["counts"]})
    if size != shape:
        raise ValueError(f"a mask of {size} does not fit slices of {shape}")
    return runs


def restore(session: Session, saved: Saved) -> None:
    """Put what was saved into a session whose canvas is empty."""
    objects, canvas = session.objects, session.objects.canvas
    assert canvas is not None
    if canvas.shape != saved.shape:
        raise SessionError(
            f"the session is of an image of {saved.shape}, this one has {canvas.shape}"
        )
    there = set(canvas.keys())
    if not saved.labels.keys() <= there:
        raise SessionError("the session is of a stack with other slices")
    for key, found in saved.labels.items():
        if not found:
            continue
        height, width = canvas.shape
        block = canvas.read(key, (0, 0, width, height)).copy()
        for label, runs in found.items():
            x0, y0, x1, y1 = R.bounds(runs, height)
            block[y0:y1, x0:x1][R.to_bitmap(runs, canvas.shape, (x0, y0, x1, y1))] = label
            objects.areas[label] += R.area(runs)
        canvas.write(key, (0, 0, width, height), block, block != 0)
        objects.labelled.add(key)
    objects.known = dict(saved.objects)
    objects.next_id = max(objects.next_id, saved.next_id)
    for key, prompts in saved.prompts.items():
        session.open(key, prompts)


def _text(key: Key) -> str:
    return ",".join(str(k) for k in key)


def _key(text: str) -> Key:
    return tuple(int(k) for k in text.split(",")) if text else ()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value

"""A session as training data: ``fastsam train napari:SESSION.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fastsam_plugins.datasets.sources import Labelled
from fastsam_plugins.masks import runs as R
from napari_plugin.model import saving
from napari_plugin.model.edits import Key


def read(name: str) -> Iterator[Labelled]:
    """Every slice of a session that has objects, with its image.

    The image is the file that the session's layer was opened from; for stacks and images that were
    no file, the picture that Save put beside the session.

    Parameters
    ----------
    name : str
        A session file, as Save in napari wrote it.

    Raises
    ------
    ValueError
        If it is none, or has no objects, or knows no image of them.
    """
    path = Path(name).expanduser()
    saved = saving.read(path)
    masks: dict[Key, list[R.Runs]] = {k: list(m.values()) for k, m in saved.labels.items()}
    for known in saved.objects.values():
        if known.outline is not None:
            masks.setdefault(known.outline[0], []).append(known.outline[1])
    if not any(masks.values()):
        raise ValueError(f"{path} has no objects: commit some in napari first")
    for key, here in sorted(masks.items()):
        if not here:
            continue
        if key in saved.pictures:
            image = path.parent / saved.pictures[key]
        elif saved.image.path is not None and not key:
            image = Path(saved.image.path)
        else:
            raise ValueError(f"{path} knows no image of its objects: save it with Save in napari")
        if not image.is_file():
            raise ValueError(f"{path}: the image of its objects, {image}, is no file any more")
        out = Labelled(image, saved.shape, labels=[path])
        for mask in here:
            out.keep(mask)
        yield out

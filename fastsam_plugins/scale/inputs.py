"""Which images a run is about, and what is asked of each: from what a person named."""

from __future__ import annotations

import fnmatch
import glob
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fastsam_plugins import prompts as P
from fastsam_plugins.datasets import coco, sources
from fastsam_plugins.io import typed_json
from fastsam_plugins.messages import install
from fastsam_plugins.scale import places

IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".ppm", ".pgm")
LISTS = (".txt", ".lst", ".list")
TABLES = (".csv", ".tsv", ".jsonl", ".xlsx", ".feather")  # of which none is read
COLUMNS = ("image", "path", "filepath", "file_path", "file_name", "filename", "url")
GROUP = "fastsam_plugins.images"
"""Entry points: functions that take a name, and give the paths of the images that it stands for."""


class Item(NamedTuple):
    """An image of a run.

    Attributes
    ----------
    image : str
        A path, or an address.
    prompt : str
        What is asked of it, as :func:`spelled` writes it; empty for everything.
    """

    image: str
    prompt: str = ""


def spelled(boxes: Any = None, points: Any = None, texts: Any = None) -> str:
    """Prompts as a text that is the same for the same prompts; empty if there are none."""
    given = {"boxes": boxes, "points": points, "texts": texts}
    said = {name: value for name, value in given.items() if value}
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False) if said else ""


def asked(prompt: str, negatives: Sequence[str] = ()) -> P.Prompt | None:
    """What :func:`spelled` wrote, as a prompt; None if nothing is asked.

    Raises
    ------
    ValueError
        If it is no prompt.
    """
    if not prompt:
        return None
    said = json.loads(prompt)
    if "texts" in said:
        if len(said) > 1:
            raise ValueError(P.ALONE)
        return P.TextPrompt.parse(said["texts"], list(negatives))
    points = said.get("points", [])
    if not all(isinstance(p, list) and len(p) in (2, 3) for p in points):
        raise ValueError("points must be lists of x, y and, maybe, 0 or 1")
    labels = tuple(int(p[2]) if len(p) > 2 else 1 for p in points)
    spot = P.PointPrompt(tuple((p[0], p[1]) for p in points), labels) if points else None
    boxes = said.get("boxes", [])
    if not all(isinstance(b, list) and len(b) == 4 for b in boxes):
        raise ValueError("boxes must be lists of x1, y1, x2, y2")
    return P.BoxPrompt(tuple(map(tuple, boxes)), spot) if "boxes" in said else spot


def items(
    inputs: Sequence[str],
    prompts: str | Path | None = None,
    column: str | None = None,
    least: float = 0.0,
) -> Iterator[Item]:
    """The images that inputs name.

    Parameters
    ----------
    inputs : sequence of str
        Each an image, a folder (with all below it), a pattern such as ``"photos/*.jpg"``, a
        ``.txt`` with a path a line, a COCO ``.json``, a ``.parquet`` with a column of paths (and
        perhaps ``boxes``, ``points`` or ``text``), or ``fiftyone:DATASET`` or
        ``fiftyone:DATASET/VIEW``; here or at an address. Paths in a list, a COCO file or a Parquet
        start where that file lies.
    prompts : path, optional
        A detector's COCO results: their boxes are what is asked of the images of a COCO file.
    column : str, optional
        The column of a Parquet file that names the images.
    least : float
        Boxes of ``prompts`` with a lower score are left out.

    Raises
    ------
    ValueError
        If there is nothing of that name, or what is there cannot be used.
    """
    if column and not any(text.lower().endswith(".parquet") for text in inputs):
        raise ValueError("--image-column is of a Parquet file, and no input is one")
    boxes = _boxes(Path(prompts), least) if prompts else None
    for text in inputs:
        yield from _of(text, boxes, column)


_Boxes = dict[Any, list[list[float]]]


def _boxes(path: Path, least: float) -> _Boxes:
    """The boxes of results by image: x1, y1, x2, y2, in the order of the file."""
    found: _Boxes = defaultdict(list)
    for place, record in enumerate(coco.read_results(path).records):
        if record.bbox is None:
            raise ValueError(f"{path}: record {place} has no bbox")
        if (record.score if record.score is not None else 1.0) >= least:
            x, y, width, height = record.bbox
            found[record.image_id].append([x, y, x + width, y + height])
    return found


def _of(text: str, boxes: _Boxes | None, column: str | None) -> Iterator[Item]:
    program, colon, name = text.partition(":")
    if colon and program in (readers := entry_points(group=GROUP)).names:
        try:
            reader = readers[program].load()
        except ImportError as error:
            raise ValueError(f"{text} needs {program} ({error}): {install(program)}") from None
        yield from map(Item, map(places.local, reader(name)))
        return
    files = _at_address(text) if places.is_address(text) else _here(places.local(text), text)
    for file in files:
        ending = os.path.splitext(file)[1].lower()
        if ending == ".json":
            yield from _coco(file, boxes)
        elif boxes is not None:
            raise ValueError(f"--prompts go by the ids of a COCO file, and {text} is none")
        elif ending == ".parquet":
            yield from _parquet(file, column)
        elif ending in LISTS:
            yield from _list(file)
        elif ending in TABLES:
            raise ValueError(
                f"{file}: paths are read from a list ({LISTS[0]}, one a line) or a table (.parquet)"
            )
        else:
            yield Item(file)


def _here(path: str, text: str) -> list[str]:
    if os.path.isdir(path):
        return _images(places.files(path), text)
    if os.path.exists(path):
        return [path]
    if not glob.has_magic(path):
        raise ValueError(f"there is no {text}")
    found = sorted(f for f in glob.glob(path, recursive=True) if os.path.isfile(f))
    if not found:
        raise ValueError(f"no file is called like {text}")
    return found


def _at_address(address: str) -> list[str]:
    if glob.has_magic(address) and not places.is_file(address):
        start = address[: min(address.index(c) for c in "*?[" if c in address)].rpartition("/")[0]
        found = [f for f in places.files(start) if fnmatch.fnmatchcase(f, address)]
        if not found:
            raise ValueError(f"no file is called like {address}")
        return found
    if address.endswith("/") or places.is_folder(address):
        return _images(places.files(address), address)
    return [address]


def _images(files: Sequence[str], text: str) -> list[str]:
    found = [f for f in files if f.lower().endswith(IMAGES)]
    if not found:
        raise ValueError(f"{text} holds no images ({', '.join(IMAGES)})")
    return found


def _beside(name: str, file: str) -> str:
    """A path that a file names, which starts where the file lies unless it says otherwise."""
    if places.is_address(name):
        return name
    if places.is_address(file):
        return places.join(file.rpartition("/")[0], name)
    if name.lower().startswith("file://"):
        return places.local(name)
    return os.path.abspath(os.path.join(os.path.dirname(file), os.path.expanduser(name)))


def _list(file: str) -> Iterator[Item]:
    try:
        text = places.read_bytes(file).decode("utf-8-sig")  # as Windows' editors begin a file
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no list of paths: it is not text ({error})") from None
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror or error}") from None
    yield from (Item(_beside(line.strip(), file)) for line in text.splitlines() if line.strip())


class _Listed(msgspec.Struct):
    """What is read of a COCO file: some, as COCO's own of its test sets, have no annotations."""

    images: list[coco.Named]


def _coco(file: str, boxes: _Boxes | None) -> Iterator[Item]:
    if places.is_address(file):
        content = typed_json.decode(places.read_bytes(file), _Listed, file, "a COCO file")
        folders: list[Path] = []
    else:
        content = typed_json.read(Path(file), _Listed, "a COCO file")
        folders = sources.image_places(Path(file), None)
    known = {image.id for image in content.images}
    if boxes and len(known) < len(content.images):
        raise ValueError(f"{file} has several images of one id, by which --prompts go")
    if boxes and (strange := [i for i in boxes if i not in known]):
        raise ValueError(
            f"--prompts have boxes of image {strange[0]!r}, which {file} does not list"
        )
    for place, image in enumerate(content.images):
        if not image.name:
            raise ValueError(f"{file}: images[{place}] has no file_name")
        tried = [os.path.abspath(folder / image.name) for folder in folders]
        found = next((p for p in tried if sources.is_file(Path(p))), None)
        of_image = boxes.get(image.id, []) if boxes is not None else None
        # Where nothing is asked because the detector found nothing, nothing is the answer.
        prompt = "" if of_image is None else spelled(of_image) or NOTHING
        yield Item(found or _beside(image.name, file), prompt)


NOTHING = '{"boxes":[]}'
"""What is asked of an image for which there are prompts, but none of it."""


def _parquet(file: str, column: str | None) -> Iterator[Item]:
    pa = places.arrow()
    try:
        source: Any = io.BytesIO(places.read_bytes(file)) if places.is_address(file) else file
        table = pa.parquet.ParquetFile(source)
    except (pa.ArrowInvalid, FileNotFoundError) as error:
        raise ValueError(f"{file} is no Parquet file that can be read: {error}") from None
    names = table.schema_arrow.names
    column = column or next((c for c in COLUMNS if c in names), None)
    if column not in names:
        there = ", ".join(names)
        raise ValueError(
            f"{file} has no column {column or 'of images'}: name it with --image-column (there "
            f"are: {there})"
        )
    own = b"fastsam" in (table.schema_arrow.metadata or {})  # results: their boxes are no prompts
    asking = [] if own else [c for c in ("boxes", "points", "text") if c in names]
    place = 0
    for batch in table.iter_batches(columns=[column, *asking]):
        for row in batch.to_pylist():
            if not isinstance(row[column], str):
                raise ValueError(f"{file}: row {place} has no path in {column}")
            texts = row.get("text")
            given = [texts] if isinstance(texts, str) and texts else texts
            try:
                prompt = spelled(row.get("boxes"), row.get("points"), given)
            except TypeError as error:
                raise ValueError(f"{file}: what row {place} asks is no prompt ({error})") from None
            if not prompt and any(row[c] is not None for c in asking):
                prompt = NOTHING  # asked, of no place
            yield Item(_beside(row[column], file), prompt)
            place += 1

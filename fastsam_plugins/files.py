"""Read images; write overlays, COCO JSON, label TIFF and CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images import ImageError, to_rgb
from fastsam_plugins.options import ReadOptions
from fastsam_plugins.segmentation import Segmentation

TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class Segmented:
    """An image, where it came from, and what was found in it.

    ``texts`` are what was asked for in words, if so, and ``similarity`` (N,) is how well each
    instance fits the text that it answers.
    """

    path: Path
    image: NDArray[np.uint8]
    segmentation: Segmentation
    texts: Sequence[str] = ()
    similarity: NDArray[np.float32] | None = None

    def text(self, i: int) -> str | None:
        """The text that instance i answers."""
        return self.texts[self.segmentation.prompts[i]] if self.texts else None

    def similar(self, i: int) -> float | None:
        """How well instance i fits it."""
        return None if self.similarity is None else round(float(self.similarity[i]), 6)

    @property
    def captions(self) -> list[str]:
        """Both as words, for each instance; empty if nothing was asked for in words."""
        if not self.texts:
            return []
        count = len(self.segmentation)
        return [f"{self.text(i)} {self.similar(i):.2f}" for i in range(count)]


# --- reading ------------------------------------------------------------------------------------


def read_image(path: str | Path, options: ReadOptions | None = None) -> NDArray[np.uint8]:
    """Read an image file as RGB, upright.

    Gray, RGB, RGBA, palette, 16-bit and float images, EXIF orientation, and pages of TIFF files
    are understood; see :class:`ReadOptions` for bands and contrast.

    Returns
    -------
    uint8 array (H, W, 3)

    Raises
    ------
    ImageError
        If the file is missing, empty, truncated or no image; one line saying which.
    """
    options = options or ReadOptions()
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image")
    if not path.is_file():
        raise ImageError(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty")
    is_tiff = path.suffix.lower() in TIFF
    if options.page and not is_tiff:
        raise ImageError(f"{path} has one page: page counts the pages of TIFF files")
    array = _read_tiff(path, options.page) if is_tiff else _read_pil(path)
    try:
        return to_rgb(array, options)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def open_image(path: Path) -> Any:
    """PIL's ``Image.open``.

    Importing ultralytics replaces it by one that pip-installs a HEIF decoder when a file is no
    image: this is the real one.
    """
    from PIL import Image

    patches = sys.modules.get("ultralytics.utils.patches")
    return getattr(patches, "_image_open", Image.open)(path)


def _read_pil(path: Path, page: int = 0) -> NDArray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with open_image(path) as opened:
            if page:
                opened.seek(page)
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("1", "LA", "La"):
                image = image.convert("L")
            elif image.mode not in ("L", "RGB", "F") and not image.mode.startswith("I"):
                image = image.convert("RGB")
            return np.asarray(image)
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not an image this can read") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise ImageError(
            f"{path} has more than {limit:.0f} million pixels: cut it into parts, or save it as "
            "uncompressed TIFF"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path} is damaged or truncated ({error})") from None


# What tifffile hands out as stored and Pillow turns into RGB.
_COLOR_SPACES = ("PALETTE", "SEPARATED", "YCBCR", "CIELAB")


def _read_tiff(path: Path, page: int) -> NDArray:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            if page >= len(tiff.pages):
                raise ImageError(f"{path} has {len(tiff.pages)} pages, counted from 0: no {page}")
            found = tiff.pages[page]
            kind = found.photometric
            if kind in [tifffile.PHOTOMETRIC[name] for name in _COLOR_SPACES]:
                return _read_pil(path, page)
            array = found.asarray()
            if found.axes.startswith("S"):  # bands stored one after another
                array = np.moveaxis(array, 0, -1)
            if kind == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype.kind in "bu":
                array = np.invert(array)
            if found.samplesperpixel == 2 and {1, 2}.intersection(found.extrasamples):
                array = array[..., 0]  # gray; the other is alpha
            orientation = found.tags.get("Orientation")
            return _upright(array, int(orientation.value) if orientation else 1)
    except ImageError:
        raise
    except tifffile.TiffFileError:
        raise ImageError(f"{path} is not an image this can read") from None
    except Exception as error:  # damaged bytes break the parser in any way
        if "imagecodecs" in str(error):  # a compression tifffile has no decoder for
            try:
                return _read_pil(path, page)
            except ImageError as second:
                raise ImageError(f"{second} ({error})") from None
        raise ImageError(f"{path} is damaged or truncated ({error})") from error


def _upright(array: NDArray, orientation: int) -> NDArray:
    """Undo an EXIF or TIFF orientation (1 to 8)."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 7, 6):
        array = array[:, ::-1]
    if orientation in (4, 3, 7, 8):
        array = array[::-1]
    return array


# --- writing ------------------------------------------------------------------------------------


def coco(results: Sequence[Segmented]) -> dict[str, Any]:
    """Results as a COCO dataset: one category, or one of each text that was asked for.

    Detector confidence is each annotation's ``score``, and CLIP's ``similarity`` another number.
    """
    names = list(dict.fromkeys(t for r in results for t in r.texts)) or ["object"]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, result in enumerate(results, 1):
        seg = result.segmentation
        height, width = seg.shape
        images.append(
            {"id": number, "file_name": result.path.name, "width": width, "height": height}
        )
        boxes = seg.tight_boxes().tolist()
        for i, text in enumerate(seg.rles()):
            x0, y0, x1, y1 = boxes[i]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": names.index(result.text(i) or "object") + 1,
                    "iscrowd": 0,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": int(seg.areas[i]),
                    "score": float(seg.scores[i]),
                    "segmentation": text,
                    **({} if result.similar(i) is None else {"similarity": result.similar(i)}),
                }
            )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for k, name in enumerate(names, 1)],
    }


COLUMNS = (
    "image", "instance", "prompt", "score", "area", "stability", "box_leak", "x1", "y1", "x2", "y2",
    "text", "similarity",
)  # fmt: skip


def table(results: Sequence[Segmented]) -> list[dict[str, Any]]:
    """One row per instance: scores, area in pixels, box; the instance's number in label images."""
    rows = []
    for result in results:
        seg = result.segmentation
        areas, stability, leak = seg.areas, seg.stability, seg.box_leak
        for i in range(len(seg)):
            values = (
                result.path.name,
                i + 1,
                int(seg.prompts[i]) if seg.prompts[i] >= 0 else None,
                float(seg.scores[i]),
                int(areas[i]),
                _number(stability[i]),
                _number(leak[i]),
                *(float(v) for v in seg.boxes[i]),
                result.text(i),
                result.similar(i),
            )
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def write(
    results: Sequence[Segmented], output: str | Path, points: Any = None, boxes: Any = None
) -> list[Path]:
    """Write results in the format that the output's ending names.

    ``.json`` (COCO) and ``.csv`` hold all images; ``.png`` (overlay) and ``.tif`` (labels) are one
    file per image, and for several the name needs ``{stem}``.

    Returns
    -------
    list of path
        The files written.

    Raises
    ------
    ValueError
        If the ending is unknown or names would collide.
    """
    output = Path(output)
    ending = output.suffix.lower()
    check_output(output, [r.path for r in results])
    output.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".json":
        output.write_text(json.dumps(coco(results)))
        return [output]
    if ending == ".csv":
        with open(output, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(table(results))
        return [output]
    written = []
    for result in results:
        path = target(output, result.path)
        if ending == ".png":
            from PIL import Image

            from fastsam_plugins.draw import overlay

            drawn = overlay(result.image, result.segmentation, points, boxes, result.captions)
            Image.fromarray(drawn).save(path)
        else:
            write_labels(result.segmentation, path)
        written.append(path)
    return written


def target(output: Path, image: Path) -> Path:
    """Where the result of an image goes: ``{stem}`` of the output's name is the image's name."""
    return output.with_name(output.name.replace("{stem}", image.stem))


def check_output(output: Path, images: Sequence[Path]) -> None:
    """Refuse an output that :func:`write` could not write for these images."""
    ending = output.suffix.lower()
    if ending not in (".png", ".json", ".csv", *TIFF):
        raise ValueError(
            f"{output}: the ending says what to write: .png overlay, .json COCO, .tif labels or "
            ".csv table"
        )
    if ending in (".json", ".csv"):
        return
    if len(images) > 1 and "{stem}" not in output.name:
        raise ValueError(
            f"{len(images)} images need {len(images)} files: put {{stem}} into the name, as in "
            f"{output.with_name('{stem}' + ending)}"
        )
    if len({i.stem for i in images}) < len(images):
        raise ValueError("two of the images have the same name: their results would collide")
    for image in images:
        if target(output, image).resolve() == image.resolve():
            raise ValueError(f"{output} would overwrite the image {image}: choose another name")


def write_labels(seg: Segmentation, path: Path) -> None:
    """Write a label TIFF: 16-bit if the instances fit, else 32-bit."""
    import tifffile

    labels = seg.labels()
    labels = labels.astype(np.uint16) if len(seg) < 1 << 16 else labels
    tifffile.imwrite(path, labels, compression="zlib")

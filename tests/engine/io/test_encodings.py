"""An image gives the very same pixels to the network, however it is stored."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins.images.contrast import ImageError, to_rgb
from fastsam_plugins.io import open_raster, read_image, read_stored
from fastsam_plugins.options import ReadOptions
from tests.engine.io.encoded import SIZE, expected, same, values

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")


@pytest.mark.parametrize("size", [{"tile": (32, 32)}, {"rowsperstrip": 16}], ids=str)
@pytest.mark.parametrize("compression", ["jpegxl", "webp", "png", "jpeg2000"])
def test_whatever_compresses_pictures_without_loss(compression, size, tmp_path):
    loss = {"level": 0} if compression == "jpeg2000" else {"lossless": True}
    more = {} if compression == "png" else {"compressionargs": loss}
    array = values("uint8", 3)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", metadata=None,
                     compression=compression, **more, **size)  # fmt: skip
    same(tmp_path / "a.tif", array)


@pytest.mark.parametrize("bands", [3, 4])
def test_bands_of_webp_that_lie_apart(bands, tmp_path):
    array = values("uint8", bands)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands,
        dtype="uint8", compress="webp", webp_lossless=True, interleave="band",
        photometric="RGB" if bands == 3 else "MINISBLACK",
        tiled=True, blockxsize=16, blockysize=32,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(array, 2, 0))
    same(tmp_path / "a.tif", array)


@pytest.mark.parametrize(
    ("photometric", "kind", "compression"),
    [(8, np.uint8, None), (9, np.uint8, None), (8, np.uint16, None), (9, np.uint16, "zlib"),
     (8, np.uint8, "jpeg")],
)  # fmt: skip
def test_lab_is_shown_as_colours(photometric, kind, compression, tmp_path):
    lab = np.array([54, 70, -60])  # a violet
    stored = lab * [2.55, 1, 1] + np.array([0, 128, 128]) * (photometric == 9)
    stored = np.rint(stored).astype(int) % 256 << 8 * (np.dtype(kind).itemsize - 1)
    array = np.broadcast_to(stored, (*SIZE, 3)).astype(kind)
    if compression == "jpeg":
        image = Image.frombytes("LAB", SIZE[::-1], array.tobytes(), "raw", "LAB")
        image.save(tmp_path / "a.tif", compression="jpeg")
    else:
        tifffile.imwrite(tmp_path / "a.tif", array, photometric=photometric, metadata=None,
                         compression=compression)  # fmt: skip
    from skimage.color import lab2rgb

    shown = read_image(tmp_path / "a.tif")
    assert np.abs(shown - lab2rgb(lab.astype(float)) * 255).max() < 15  # its white is another
    assert np.array_equal(open_raster(tmp_path / "a.tif")[5:60, 7:50], shown[5:60, 7:50])


# --- what values stand for ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.ppm", "a.jp2"])
def test_12_bits_in_16_are_stretched_whatever_the_format(name, tmp_path):
    import imagecodecs

    array = values("12 bit", 3)
    if name == "a.jp2":
        (tmp_path / name).write_bytes(imagecodecs.jpeg2k_encode(array, level=0, reversible=True))
    else:
        cv2.imwrite(str(tmp_path / name), np.ascontiguousarray(array[..., ::-1]))
    assert np.array_equal(read_image(tmp_path / name), expected(array))
    assert np.array_equal(read_stored(tmp_path / name).values, array)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "I"])
def test_pil_images_are_shown_as_their_files_are(mode, tmp_path):
    color = values("uint8", 3)
    if mode in ("I;16", "I", "F"):
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        image = Image.fromarray(values("12 bit", 1)[..., 0].astype(kind))
    else:
        image = Image.fromarray(color).convert(mode)
    assert image.mode == mode
    image.save(tmp_path / "a.tif")
    assert np.array_equal(to_rgb(image), read_image(tmp_path / "a.tif"))
    if mode in ("P", "CMYK", "LA", "RGBA"):
        assert np.array_equal(to_rgb(image), np.asarray(image.convert("RGB")))


# --- names, pages, numbers that are none --------------------------------------------------------


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_frames_of_an_animation_are_pages(ending, tmp_path):
    frames = [Image.fromarray(np.full((*SIZE, 3), v, np.uint8)) for v in (0, 85, 255)]
    how = {"lossless": True} if ending == "webp" else {}
    frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:], **how)
    for page, frame in enumerate(frames):
        out = read_image(tmp_path / f"a.{ending}", ReadOptions(page=page))
        assert np.array_equal(out, np.asarray(frame))
    with pytest.raises(ImageError, match="has 3 pages"):
        read_image(tmp_path / f"a.{ending}", ReadOptions(page=3))

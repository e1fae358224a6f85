"""An image gives the very same pixels to the network, however it is stored."""

from __future__ import annotations

import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins.images.contrast import ImageError, to_rgb
from fastsam_plugins.io import image_size, open_raster, raster, read_image, read_stored
from fastsam_plugins.options import LimitOptions, ReadOptions

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")

RNG = np.random.default_rng(0)
SIZE = 70, 52


def values(kind, bands):
    """An image (H, W, bands) whose neighbours differ."""
    array = RNG.integers(0, 4096, (*SIZE, bands))
    return {
        "uint8": (array >> 4).astype(np.uint8),
        "12 bit": array.astype(np.uint16),
        "uint16": (array * 15).astype(np.uint16),
        "int16": (array - 2000).astype(np.int16),
        "float32": (array / 7).astype(np.float32),
        "float64": array / 7,
    }[kind]


def expected(array):
    return to_rgb(array[..., 0] if array.shape[2] == 1 else array)


def same(path, array):
    """Read at once, in windows, as stored: the array."""
    shown = expected(array)
    assert np.array_equal(read_image(path), shown)
    view = open_raster(path)
    assert np.array_equal(view[:, :], shown)
    assert np.array_equal(view[9:61, 13:40], shown[9:61, 13:40])
    stored = read_stored(path).values
    assert np.array_equal(stored.reshape(array.shape), array)
    assert image_size(path) == SIZE


BY_TIFFFILE = [
    {},
    {"byteorder": ">"},
    {"bigtiff": True, "byteorder": ">"},
    {"rowsperstrip": 7},
    {"tile": (16, 32)},
    {"tile": (32, 16), "compression": "zlib", "byteorder": ">"},
    {"compression": "zlib", "rowsperstrip": 16},
    {"compression": "zlib", "predictor": True, "rowsperstrip": 16},
    {"compression": "zlib", "predictor": True, "byteorder": ">", "tile": (16, 16)},
    {"compression": "lzw", "rowsperstrip": 9},
    {"compression": "lzw", "predictor": True, "tile": (32, 32)},
    {"compression": "zstd", "rowsperstrip": 16},
    {"compression": "zstd", "predictor": True, "tile": (16, 16), "byteorder": ">"},
    {"compression": "packbits", "rowsperstrip": 8},
    {"compression": "lzma", "tile": (16, 16)},
    {"compression": "lerc", "rowsperstrip": 16},
]


@pytest.mark.parametrize(
    ("bands", "planar"),
    [(1, "contig"), (3, "contig"), (3, "separate"), (5, "contig"), (5, "separate")],
)
@pytest.mark.parametrize("kind", ["uint8", "12 bit", "uint16", "float32"])
@pytest.mark.parametrize("how", BY_TIFFFILE, ids=str)
def test_whatever_tifffile_writes(how, kind, bands, planar, tmp_path):
    array = values(kind, bands)
    if kind == "float32" and how.get("predictor"):
        how = how | {"predictor": 3}
    if bands == 1:
        stored, more = array[..., 0], {"photometric": "minisblack"}
    else:
        stored = np.moveaxis(array, 2, 0) if planar == "separate" else array
        more = {"photometric": "rgb" if bands == 3 else "minisblack", "planarconfig": planar}
    tifffile.imwrite(tmp_path / "a.tif", stored, metadata=None, **how, **more)
    same(tmp_path / "a.tif", array)


@pytest.mark.parametrize("size", [{"tile": (32, 32)}, {"rowsperstrip": 16}], ids=str)
@pytest.mark.parametrize("compression", ["jpegxl", "webp", "png", "jpeg2000"])
def test_whatever_compresses_pictures_without_loss(compression, size, tmp_path):
    loss = {"level": 0} if compression == "jpeg2000" else {"lossless": True}
    more = {} if compression == "png" else {"compressionargs": loss}
    array = values("uint8", 3)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", metadata=None,
                     compression=compression, **more, **size)  # fmt: skip
    same(tmp_path / "a.tif", array)


@pytest.mark.parametrize(
    "tiled", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 32}], ids=str
)
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize(
    ("compress", "photometric", "bands"),
    [("jpeg", "MINISBLACK", 1), ("jpeg", "MINISBLACK", 3), ("jpeg", "RGB", 3), ("jpeg", "RGB", 4),
     ("jpeg", "YCBCR", 3), ("webp", "RGB", 3), ("webp", "RGB", 4), ("webp", "MINISBLACK", 3)],
)  # fmt: skip
def test_pictures_in_a_tiff_have_the_colours_that_the_tiff_says(
    compress, photometric, bands, interleave, tiled, tmp_path
):
    if photometric == "YCBCR" or compress == "webp":
        interleave = "pixel"  # there is no other, or none that GDAL reads again
    color = np.array([200, 120, 40, 255][:bands], np.uint8)
    shown = []
    for crs in (None, "EPSG:32616"):
        path = tmp_path / f"{crs is None}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands, dtype="uint8",
            compress=compress, photometric=photometric, interleave=interleave, crs=crs,
            webp_lossless=True, **tiled,
        ) as file:  # fmt: skip
            file.write(np.broadcast_to(color[:, None, None], (bands, *SIZE)))
        shown.append(read_image(path))
        assert np.array_equal(open_raster(path)[5:60, 7:50], shown[-1][5:60, 7:50])
    assert np.abs(shown[0].astype(int) - (200 if bands == 1 else color[:3])).max() <= 2
    assert np.array_equal(*shown)


@pytest.mark.parametrize("photometric", [1, 2, 6])
@pytest.mark.parametrize("held", ["RGB", "YCBCR"])
def test_colours_of_a_jpeg_follow_the_tiff_whatever_its_markers(held, photometric, tmp_path):
    """RGB has Adobe's marker, YCBCR that of JFIF; GDAL is the oracle."""
    import imagecodecs

    color = np.full((*SIZE, 3), [200, 120, 40], np.uint8)
    jpeg = imagecodecs.jpeg_encode(color, colorspace="RGB", outcolorspace=held, subsampling="444")
    assert (b"Adobe" in jpeg, b"JFIF" in jpeg) == (held == "RGB", held == "YCBCR")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, color, photometric="rgb", compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        place = tiff.filehandle.seek(0, 2)
        tiff.filehandle.write(jpeg)
        given = {"StripOffsets": [place], "StripByteCounts": [len(jpeg)], "Compression": 7}
        for name, value in (given | {"PhotometricInterpretation": photometric}).items():
            tiff.pages[0].tags[name].overwrite(value)
    with rasterio.open(path) as file:
        by_gdal = np.moveaxis(file.read(), 0, -1)
    assert np.abs(read_image(path).astype(int) - by_gdal).max() <= 1


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


BY_GDAL = [
    {},
    {"endianness": "BIG"},
    {"tiled": True, "blockxsize": 16, "blockysize": 32},
    {"compress": "deflate", "predictor": 2, "tiled": True, "blockxsize": 32, "blockysize": 32},
    {"compress": "lzw", "blockysize": 7},
    {"compress": "lzw", "predictor": 2, "endianness": "BIG"},
    {"compress": "zstd", "predictor": 2},
    {"compress": "packbits", "blockysize": 5},
    {"compress": "lzma"},
    {"compress": "lerc"},
    {"compress": "lerc_deflate", "tiled": True, "blockxsize": 32, "blockysize": 32},
    {"compress": "lerc_zstd"},
    {"compress": "deflate", "predictor": 3, "kinds": ("float32", "float64")},
    {"nbits": 12, "kinds": ("12 bit",)},
    {"nbits": 12, "compress": "lzw", "kinds": ("12 bit",)},
]


@pytest.mark.parametrize("place", ["on the map", "on no map", "without rasterio"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("how", BY_GDAL, ids=str)
def test_whatever_gdal_writes(how, interleave, place, tmp_path, monkeypatch):
    how = dict(how)
    kinds = how.pop("kinds", ("uint8", "12 bit", "int16", "float32"))
    counts = how.pop("bands", (1, 3, 4))
    for kind in kinds:
        for bands in counts:
            array = values(kind, bands)
            if place != "on no map":
                how |= {"crs": "EPSG:32616", "transform": rasterio.Affine(2, 0, 9, 0, -2, 9)}
            more = {"photometric": "MINISBLACK"} if bands != 3 else {"photometric": "RGB"}
            if how.get("predictor") == 2 and array.dtype.kind == "f":
                continue
            path = tmp_path / f"{kind}{bands}.tif"
            with rasterio.open(
                path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands,
                dtype=array.dtype, interleave=interleave, **how, **more,
            ) as file:  # fmt: skip
                file.write(np.moveaxis(array, 2, 0))
            monkeypatch.setattr(raster, "available", lambda: place != "without rasterio")
            same(path, array)


# --- what values stand for ----------------------------------------------------------------------


def planet(path, roles, **more):
    """Bands of an RGB image in the order of their roles; what is no colour is red again."""
    color = values("uint16", 3)
    places = [{"red": 0, "green": 1, "blue": 2}.get(r, 0) for r in roles]
    with rasterio.open(
        path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=len(roles),
        dtype="uint16", photometric="MINISBLACK", **more,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(color[..., places], 2, 0))
        file.colorinterp = [rasterio.enums.ColorInterp[r] for r in roles]
    return expected(color)


@pytest.mark.parametrize("crs", ["EPSG:32616", None])
@pytest.mark.parametrize(
    "roles", [("blue", "green", "red", "undefined"), ("undefined", "green", "red", "blue"),
              ("green", "blue", "red")],
)  # fmt: skip
def test_bands_that_are_marked_with_colours_are_shown_so(roles, crs, tmp_path):
    shown = planet(tmp_path / "a.tif", roles, crs=crs)
    assert np.array_equal(read_image(tmp_path / "a.tif"), shown)
    assert np.array_equal(open_raster(tmp_path / "a.tif")[:, :], shown)
    first = read_image(tmp_path / "a.tif", ReadOptions(bands="0,1,2"))
    assert not np.array_equal(first, shown)  # who names bands gets those


@pytest.mark.parametrize("crs", ["EPSG:32616", None])
@pytest.mark.parametrize("bands", [1, 3])
def test_what_is_transparent_counts_for_no_contrast(bands, crs, tmp_path):
    array = values("12 bit", bands)
    array[:20] = 65_535
    alpha = np.where(np.arange(SIZE[0]) < 20, 0, 65_535)[:, None].repeat(SIZE[1], 1)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands + 1,
        dtype="uint16", crs=crs, photometric="RGB" if bands == 3 else "MINISBLACK", alpha="YES",
    ) as file:  # fmt: skip
        file.write(np.concatenate([np.moveaxis(array, 2, 0), alpha[None].astype(np.uint16)]))
    out = read_image(tmp_path / "a.tif")
    assert not out[:20].any()
    assert np.array_equal(out[20:], expected(array[20:]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_windows_of_what_lies_turned_are_upright(orientation, tmp_path):
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "a.tif", values("uint8", 3), photometric="rgb", tile=(16, 16),
                     compression="lzw", extratags=[tag])  # fmt: skip
    whole, view = read_image(tmp_path / "a.tif"), open_raster(tmp_path / "a.tif")
    assert view.shape == whole.shape
    assert image_size(tmp_path / "a.tif") == whole.shape[:2]
    assert np.array_equal(view[3:40, 20:51], whole[3:40, 20:51])
    assert np.array_equal(to_rgb(read_stored(tmp_path / "a.tif").values), whole)


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


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("crs", ["EPSG:32616", None])
def test_few_bits_reach_white(bits, crs, tmp_path):
    array = RNG.integers(0, 1 << bits, SIZE).astype(np.uint8)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=1,
        dtype="uint8", nbits=bits, crs=crs, compress="lzw",
    ) as file:  # fmt: skip
        file.write(array[None])
    shown = read_image(tmp_path / "a.tif")
    assert np.array_equal(shown[..., 0], array * (255 // ((1 << bits) - 1)))


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


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff"])
@pytest.mark.parametrize("name", ["a.tif", "a.png", "a"])
def test_a_file_is_what_is_in_it(kind, name, tmp_path):
    gray = values("uint8", 1)[..., 0]
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, kind)
    (tmp_path / name).write_bytes(stream.getvalue())
    shown = np.asarray(Image.open(stream).convert("RGB"))
    assert np.array_equal(read_image(tmp_path / name), shown)
    assert np.array_equal(open_raster(tmp_path / name)[:, :], shown)


@pytest.mark.parametrize("imagej", [True, False])
def test_planes_of_a_stack_in_one_directory_are_pages(imagej, tmp_path):
    stack = values("12 bit", 5).transpose(2, 0, 1).copy()
    how = {"imagej": True, "metadata": {"axes": "ZYX"}} if imagej else {}
    tifffile.imwrite(tmp_path / "a.tif", stack, truncate=True, **how)
    for page, plane in enumerate(stack):
        options = ReadOptions(page=page)
        assert np.array_equal(read_image(tmp_path / "a.tif", options), to_rgb(plane))
        assert np.array_equal(open_raster(tmp_path / "a.tif", options)[:, :], to_rgb(plane))
    with pytest.raises(ImageError, match="has 5 pages, counted from 0: no 5"):
        read_image(tmp_path / "a.tif", ReadOptions(page=5))


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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("crs", ["EPSG:32616", None])
def test_values_that_are_no_numbers_are_told_and_can_be_given(value, crs, tmp_path):
    array = values("float32", 3)
    array[:9, :, 1] = value
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=3,
        dtype="float32", photometric="RGB", crs=crs,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(array, 2, 0))
    with pytest.warns(UserWarning, match=r"a\.tif: values that are NaN.*--nan VALUE"):
        out = read_image(tmp_path / "a.tif")
    assert not out[:9].any()
    assert np.array_equal(out[9:], to_rgb(array[9:]))
    given = ReadOptions(nan=77)
    filled = np.where(np.isfinite(array), array, np.float32(77))
    assert np.array_equal(read_image(tmp_path / "a.tif", given), to_rgb(filled))
    assert np.array_equal(to_rgb(array, given), to_rgb(filled))
    with pytest.raises(ImageError, match="--nan 0"):
        to_rgb(array)


def test_a_transform_without_crs_is_kept_in_label_images(tmp_path):
    from fastsam_plugins import io
    from fastsam_plugins.segmentation import Segmentation

    place = rasterio.Affine(2, 0, 5, 0, -2, 8)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=9, width=8, count=1, dtype="uint8",
        transform=place,
    ) as file:  # fmt: skip
        file.write(np.zeros((1, 9, 8), np.uint8))
    Image.new("L", (8, 9)).save(tmp_path / "b.jpg")
    (tmp_path / "b.jgw").write_text("2\n0\n0\n-2\n6\n7\n")
    for name in ("a.tif", "b.jpg"):
        path, out = tmp_path / name, tmp_path / "{stem}" / "m.tif"
        found = io.georeference(out, path)
        io.write_results([io.ImageResult(path, None, Segmentation.empty((9, 8)), found)], out)
        with rasterio.open(tmp_path / path.stem / "m.tif") as file:
            assert file.transform == place
            assert file.crs is None
        assert io.georeference(tmp_path / "a.geojson", path) is None
        with pytest.raises(ImageError, match="has no CRS"):
            io.georeference(tmp_path / "a.gpkg", path)


# --- large ones ---------------------------------------------------------------------------------


def test_a_slide_is_read_by_windows_and_takes_little(tmp_path):
    """As docs/large.md has it: tiles of JPEG, of no map, more pixels than are read at once."""
    path = tmp_path / "slide.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=24_000, width=24_000, count=3, dtype="uint8",
        tiled=True, blockxsize=512, blockysize=512, compress="jpeg", photometric="YCBCR",
        SPARSE_OK=True,
    ) as file:  # fmt: skip
        file.write(np.full((3, 512, 512), 200, np.uint8), window=((512, 1024), (0, 512)))
    with pytest.raises(ImageError, match="max_pixels"):
        read_image(path)
    code = (
        "import resource, sys; from fastsam_plugins.io import open_raster\n"
        "view = open_raster(sys.argv[1]); before = resource.getrusage(0).ru_maxrss\n"
        "out = [view[y:y + 1024, x:x + 1024].max() for y in (0, 20000) for x in (0, 23000)]\n"
        "print(out[0], resource.getrusage(0).ru_maxrss - before)"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    brightest, taken = run.stdout.split()
    assert abs(int(brightest) - 200) <= 1
    assert int(taken) < 300_000  # kB; the image has 1.7 GB


def test_a_picture_in_a_tile_is_not_larger_than_the_tile(tmp_path):
    import imagecodecs

    for kind in ("jpeg", "webp"):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64, 3), np.uint8), photometric="rgb",
                         compression=kind)  # fmt: skip
        big = getattr(imagecodecs, f"{kind}_encode")(np.zeros((6000, 6000, 3), np.uint8))
        with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
            tiff.filehandle.seek(0, 2)
            place = tiff.filehandle.tell()
            tiff.filehandle.write(big)
            tiff.pages[0].tags["StripOffsets"].overwrite([place])
            tiff.pages[0].tags["StripByteCounts"].overwrite([len(big)])
        with pytest.raises(ImageError, match="damaged"):
            read_image(tmp_path / "a.tif", limits=LimitOptions(max_memory=100))

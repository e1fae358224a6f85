"""Label images: the same instances whatever a file is written as; a stated rule for the rest."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins.datasets import label_images
from fastsam_plugins.masks import runs as R
from tests.command import done
from tests.engine.datasets.drawn import SHAPE, blocks, outlined, photo, save


def read(path, labels="auto"):
    found = label_images.read(path, labels)
    return [R.to_bitmap(m, found.shape) for m in found.masks], str(found)


def check(path, labels, *values, kind="auto"):
    """The instances are those where the labels have these values."""
    masks, said = read(path, kind)
    assert len(masks) == len(values), said
    for mask, value in zip(masks, values, strict=True):
        assert np.array_equal(mask, labels == value), said
    return said


# --- lossless encodings -------------------------------------------------------------------------


def by_tifffile(path, labels, compression, tiled, order, predictor):
    extra = {"tile": (16, 32)} if tiled else {"rowsperstrip": 13}
    tifffile.imwrite(
        path, labels.astype(labels.dtype.newbyteorder(order)), byteorder=order, predictor=predictor,
        compression=compression, photometric="minisblack", **extra,
    )  # fmt: skip


def by_gdal(path, labels, compression, tiled, order, predictor):
    rasterio = pytest.importorskip("rasterio")
    options = {"tiled": True, "blockxsize": 32, "blockysize": 16} if tiled else {}
    options |= {"predictor": 2} if predictor else {}
    endianness = {"<": "LITTLE", ">": "BIG"}[order]
    with rasterio.open(
        path, "w", driver="GTiff", height=labels.shape[0], width=labels.shape[1], count=1,
        dtype=labels.dtype, compress=compression, endianness=endianness, **options,
    ) as file:  # fmt: skip
        file.write(labels, 1)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32"])
def test_label_tiffs_are_the_same_however_they_are_written(tmp_path, dtype, order, tiled):
    """Two writers; every compression that has no loss."""
    labels = blocks([3, 1, 120, 7, 7, 9], dtype=dtype)
    path = tmp_path / "a.tif"
    written = 0
    for writer, compressions in (
        (by_tifffile, (None, "zlib", "lzma")),
        (by_gdal, (None, "deflate", "lzw", "zstd", "packbits")),
    ):
        for compression in compressions:
            predictors = (False, True) if compression in ("zlib", "deflate", "lzw") else (False,)
            for predictor in predictors:
                if writer is by_tifffile and predictor:
                    continue  # needs imagecodecs to write
                writer(path, labels, compression, tiled, order, predictor)
                check(path, labels, 1, 3, 7, 9, 120)
                written += 1
    assert written == 10


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "zstd"])
def test_colour_tiffs_are_the_same_planar_or_not(tmp_path, interleave, compression):
    rasterio = pytest.importorskip("rasterio")
    labels = blocks([1, 2, 3, 4, 5])
    colors = np.array([(0, 0, 0), (255, 0, 0), (0, 90, 0), (0, 0, 70), (9, 9, 9), (0, 90, 9)])
    image = colors[labels].astype(np.uint8)
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=SHAPE[0], width=SHAPE[1], count=3, dtype="uint8",
        photometric="RGB", interleave=interleave, compress=compression,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(image, 2, 0))
    masks, said = read(path)
    assert said == "colors"
    assert sorted(map(tuple, np.stack([image[m][0] for m in masks]).tolist())) == sorted(
        map(tuple, colors[1:].tolist())
    )
    assert all(m.sum() == 64 for m in masks)


def test_other_formats_are_the_same(tmp_path):
    labels = blocks([3, 1, 12, 7, 7, 9])
    small = np.where(labels == 12, 2, np.where(labels > 3, 3, labels)).astype(np.uint8)
    palette = list(range(256)) * 3
    written = []
    for ending in ("png", "bmp", "gif", "webp"):
        path = tmp_path / f"gray.{ending}"
        Image.fromarray(labels).save(path, **({"lossless": True} if ending == "webp" else {}))
        written.append(path)
        if ending in ("png", "bmp", "gif"):
            path = tmp_path / f"palette.{ending}"
            image = Image.fromarray(labels).convert("P")
            image.putpalette(palette)
            image.save(path)
            written.append(path)
    for name, array in (("16", labels.astype(np.uint16)), ("32", labels.astype(np.int32))):
        np.save(tmp_path / f"{name}.npy", array)
        written.append(tmp_path / f"{name}.npy")
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "16.png")
    written.append(tmp_path / "16.png")
    np.save(tmp_path / "float.npy", labels.astype(np.float32))
    tifffile.imwrite(tmp_path / "float.tif", labels.astype(np.float32))
    tifffile.imwrite(tmp_path / "big.tif", labels, bigtiff=True)
    Image.fromarray(labels).save(tmp_path / "png_named.tif", "PNG")
    written += [tmp_path / n for n in ("float.npy", "float.tif", "big.tif", "png_named.tif")]
    for path in written:
        check(path, labels, 1, 3, 7, 9, 12)
    for bits in (2, 4):  # of which Pillow makes 85, 170, 255, or 17, 34, 51
        Image.fromarray(small).save(tmp_path / f"{bits}.png", bits=bits)
        small_masks, _ = read(tmp_path / f"{bits}.png")
        assert len(small_masks) == 3, bits


def test_small_gray_png_hold_their_ids_and_no_void(tmp_path):
    """A PNG of 4 bits: 15 is an id, which readers hand out as 255."""
    labels = blocks([1, 2, 15])
    packed = (labels[:, ::2] << 4 | labels[:, 1::2]).astype(np.uint8)
    write_png(tmp_path / "a.png", packed, SHAPE, 4)
    assert check(tmp_path / "a.png", labels, 1, 2, 15) == "ids"


def write_png(path, packed, shape, bits):
    """A gray PNG of few bits, which Pillow does not write."""
    import struct
    import zlib

    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content
            + struct.pack(">I", zlib.crc32(name + content))
        )  # fmt: skip

    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", shape[1], shape[0], bits, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def test_sixteen_bit_colours_keep_their_low_bits(tmp_path):
    image = np.zeros((*SHAPE, 3), np.uint16)
    image[..., 0] = blocks([1, 2, 3, 4], dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    masks, said = read(tmp_path / "a.png")
    assert (len(masks), said) == (4, "colors")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_labels_are_turned_upright(tmp_path, orientation):
    from fastsam_plugins import read_image

    labels = blocks([1, 2, 3, 4, 5])
    tifffile.imwrite(
        tmp_path / "a.tif", labels, extratags=[(274, "H", 1, orientation, True)], metadata=None
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(labels).save(tmp_path / "a.png", exif=exif)
    for name in ("a.tif", "a.png"):
        upright = read_image(tmp_path / name, contrast_none())[..., 0]
        check(tmp_path / name, upright, 1, 2, 3, 4, 5)


def contrast_none():
    from fastsam_plugins.options import ReadOptions

    return ReadOptions(contrast="none")


# --- the rule -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "void"),
    [
        ([1, 2, 3], True),
        ([3, 7], True),
        ([1], True),
        (range(1, 31), True),
        ([85, 170], False),
        ([51, 102, 153, 204], False),
        ([127], False),
        ([64, 128], False),
    ],
)
def test_255_is_void_where_it_stands_apart(tmp_path, values, void):
    labels = blocks([*values, 255])
    path = save(tmp_path / "a.png", labels)
    wanted = sorted(values) if void else [*sorted(values), 255]
    said = check(path, labels, *wanted)
    assert said == ("ids; 255 taken as void" if void else "ids")
    check(path, labels, *sorted(values), 255, kind="ids")
    check(path, labels, *sorted(values), kind="void255")


def test_as_many_ids_as_there_are_numbers_are_all_read(tmp_path):
    labels = blocks(range(1, 256), (200, 200))
    labels[labels == 255] = 0
    big = np.zeros((400, 200), np.uint8)
    big[:200] = labels
    big[220:390, 10:190] = 255
    values = np.unique(big)[1:]
    assert check(save(tmp_path / "a.png", big), big, *values) == "ids"


@pytest.mark.parametrize("values", [[1, 2, 3], [130, 131, 140], [85, 170, 254]])
@pytest.mark.parametrize("palette", [None, list(range(256)) * 3])
def test_an_outline_of_255_is_void(tmp_path, values, palette):
    if palette and 254 in values:
        values = [85, 170, 253]
    labels = outlined(blocks(values), 255)
    said = check(save(tmp_path / "a.png", labels, palette), labels, *values)
    assert said == "ids; 255 taken as void"


def test_an_object_of_two_parts_beside_void_stays_one(tmp_path):
    labels = outlined(blocks([1, 1]), 255)
    assert len(read(save(tmp_path / "a.png", labels, list(range(256)) * 3))[0]) == 1


def test_the_last_number_of_other_types_is_void_as_well(tmp_path):
    for dtype in ("uint16", "uint32", "int32"):
        labels = outlined(blocks([1, 2, 3], dtype=dtype), np.iinfo(dtype).max)
        np.save(tmp_path / "a.npy", labels)
        said = check(tmp_path / "a.npy", labels, 1, 2, 3)
        assert said.endswith(f"{np.iinfo(dtype).max} taken as void")


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 255), ("uint8", 9), ("uint16", 65535), ("int16", -9999), ("int32", -1),
     ("int32", -(2**31)), ("float32", -9999), ("float32", float("nan")),
     ("float32", -3.4028234663852886e38)],
)  # fmt: skip
def test_no_data_is_no_instance(tmp_path, dtype, nodata):
    rasterio = pytest.importorskip("rasterio")
    labels = blocks([1, 2, 2, 3], dtype=dtype, background=nodata)
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=SHAPE[0], width=SHAPE[1], count=1, dtype=dtype,
        nodata=nodata, compress="lzw",
    ) as file:  # fmt: skip
        file.write(labels, 1)
    for kind in ("auto", "ids", "void255"):
        assert "taken as void" in check(path, labels, 1, 2, 3, kind=kind)
    assert len(read(path, "mask")[0]) == 4, "squares that touch no other"


def test_numbers_below_zero_are_no_instances(tmp_path):
    labels = blocks([1, 2, -7], dtype=np.int32, background=-1)
    np.save(tmp_path / "a.npy", labels)
    assert check(tmp_path / "a.npy", labels, 1, 2) == "ids; numbers below 0 taken as void"


def test_masks_have_their_parts_as_instances(tmp_path):
    labels = blocks([1, 1, 1])
    for name, array in (
        ("one.png", labels), ("white.png", labels * 255), ("bits.png", labels != 0),
        ("red.png", np.stack([labels * 255, labels * 0, labels * 0], -1)),
        ("gray_as_rgb.png", np.repeat(labels[..., None] * 255, 3, 2)),
    ):  # fmt: skip
        masks, said = read(save(tmp_path / name, array))
        assert (len(masks), said) == (3, "a mask"), name
    for ending in ("jpg", "png"):
        soft = cv2.GaussianBlur(np.kron(labels, np.ones((4, 4), np.uint8)) * 255, (0, 0), 1.5)
        masks, said = read(save(tmp_path / f"soft.{ending}", soft))
        assert (len(masks), said) == (3, "a mask"), ending
    tifffile.imwrite(tmp_path / "bits.tif", labels != 0)
    assert len(read(tmp_path / "bits.tif")[0]) == 3
    tifffile.imwrite(tmp_path / "fax.tif", labels == 0, photometric="miniswhite", software="fax")
    assert len(read(tmp_path / "fax.tif")[0]) == 3
    tifffile.imwrite(tmp_path / "odds.tif", (labels * 0.9).astype(np.float32))
    assert read(tmp_path / "odds.tif")[1] == "a mask"


COLORS = [(255, 0, 0), (0, 255, 0), (76, 76, 76), (0, 130, 0), (255, 255, 0)]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255)])
def test_each_colour_is_an_instance(tmp_path, background, alpha):
    """Two of these have the same luminance."""
    labels = blocks([1, 2, 3, 4, 5])
    image = np.array([background, *COLORS], np.uint8)[labels]
    if alpha:
        image = np.dstack([image, np.where(labels == 5, 0, 255).astype(np.uint8)])
    masks, said = read(save(tmp_path / "a.png", image))
    assert said == "colors"
    assert len(masks) == (4 if alpha else 5)
    assert all(m.sum() == 64 for m in masks)


@pytest.mark.parametrize(("line", "name"), [((255,) * 3, "white"), ((224, 224, 192), "(224, ")])
def test_outlines_of_colours_are_void(tmp_path, line, name):
    labels = outlined(blocks([1, 2, 3, 4]), 9)
    table = np.zeros((10, 3), np.uint8)
    table[1:5], table[9] = COLORS[:4], line
    masks, said = read(save(tmp_path / "a.png", table[labels]))
    assert len(masks) == 4
    assert name in said


def test_white_beside_other_colours_is_an_instance(tmp_path):
    table = np.array([(0, 0, 0), *COLORS[:3], (255, 255, 255)], np.uint8)
    assert len(read(save(tmp_path / "a.png", table[blocks([1, 2, 3, 4])]))[0]) == 4


def test_a_palette_that_a_program_chose_is_read_by_its_colours(tmp_path):
    labels = blocks([1, 2, 3])
    image = Image.fromarray(np.array([(0, 0, 0), *COLORS[:3]], np.uint8)[labels])
    image = image.quantize(8, dither=Image.Dither.NONE)
    numbers = np.asarray(image)
    if numbers[0, 0] == 0:  # the background has to be another entry
        image = image.remap_palette([3, 1, 2, 0])
    image.save(tmp_path / "a.png")
    masks, _ = read(tmp_path / "a.png")
    assert [int(m.sum()) for m in masks] == [64] * 3


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("a.npy", np.full(SHAPE, 0.5) + blocks([3, 4]), "holds numbers with fractions"),
        ("a.npy", np.zeros((*SHAPE, 5), np.uint8), "one number or one colour"),
        ("a.jpg", np.dstack([blocks([9]) * 9, blocks([1, 8]) * 20, blocks([2])]), "JPEG changed"),
        ("a.png", np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8), "photographs"),
        ("a.tif", np.zeros((4, *SHAPE), np.uint8), "pages"),
    ],
)
def test_what_does_not_say_which_pixel_is_whose_is_refused(tmp_path, name, array, said):
    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, array)
    elif name.endswith("tif"):
        tifffile.imwrite(path, array, photometric="minisblack")
    else:
        save(path, array)
    with pytest.raises(ValueError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_seventy_thousand_ids_are_as_many_instances(tmp_path):
    labels = np.kron(
        np.arange(1, 70_001).reshape(250, 280), np.pad(np.ones((3, 3), np.int32), ((0, 1), (0, 1)))
    ).astype(np.uint32)
    tifffile.imwrite(tmp_path / "a.tif", labels, compression="zlib")
    found = label_images.read(tmp_path / "a.tif")
    assert len(found.masks) == 70_000
    assert {R.area(m) for m in found.masks} == {9}
    code = labels.astype(np.int64)
    colors = np.stack([code % 256, code // 256 % 256, code // 65536], -1).astype(np.uint8)
    assert len(label_images.read(save(tmp_path / "a.png", colors)).masks) == 70_000


def test_the_command_says_what_it_read_and_does_as_it_is_told(tmp_path):
    photo(tmp_path / "images" / "a.png")
    save(tmp_path / "labels" / "a.png", outlined(blocks([1, 2, 3]), 255))
    words = ["evaluate", "everything", str(tmp_path), "--imgsz", "64"]
    result = done(*words)
    said = "3 instances of 1 images; label images read: 1 as ids; 255 taken as void"
    assert said in result.stderr
    result = done(*words, "--labels", "ids")
    assert "4 instances of 1 images; label images read: 1 as ids\n" in result.stderr

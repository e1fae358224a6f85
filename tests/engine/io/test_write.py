"""files.py: every kind of image read, every format written, judged by other people's readers."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fastsam_plugins import io
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import ImageResult, read_image, write_results
from fastsam_plugins.options import ReadOptions
from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks

rng = np.random.default_rng(0)
COLOR = np.kron(rng.integers(0, 256, (3, 5, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
GRAY = COLOR[..., 0]
RAMP = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100


def rgb(gray):
    return np.stack([gray] * 3, axis=2)


def saved(path, array, mode=None, **how):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **how)
    return path


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "tif", "bmp", "webp"])
def test_color_is_read_as_it_was_written(ending, tmp_path):
    how = {"lossless": True} if ending == "webp" else {}
    assert np.array_equal(read_image(saved(tmp_path / f"a.{ending}", COLOR, **how)), COLOR)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_every_mode_looks_as_pillow_shows_it(mode, ending, tmp_path):
    path = saved(tmp_path / f"a.{ending}", COLOR, mode)
    assert np.array_equal(read_image(path), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_tiff_of_other_color_spaces_is_turned_into_rgb(mode, tmp_path):
    from PIL import ImageCms

    image = Image.fromarray(COLOR)
    if mode == "LAB":
        ends = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, *ends, outputMode="LAB")
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.tif")
    off = np.abs(read_image(tmp_path / "a.tif").astype(int) - COLOR)
    assert np.median(off) <= 2
    assert off.max() <= 15  # Lab in 8 bits is coarse


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_of_any_mode_is_close(mode, tmp_path):
    path = saved(tmp_path / "a.jpg", COLOR, mode, quality=100, subsampling=0)
    expected = rgb(np.asarray(Image.fromarray(COLOR).convert("L"))) if mode == "L" else COLOR
    assert np.abs(read_image(path).astype(int) - expected).mean() < 3


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_stretched(ending, tmp_path):
    out = read_image(saved(tmp_path / f"a.{ending}", RAMP))
    assert (out.min(), out.max()) == (0, 255)
    fixed = ReadOptions(contrast="fixed", low=0, high=59_900)
    expected = np.rint(RAMP / 59_900 * 255).astype(np.uint8)
    assert np.array_equal(read_image(tmp_path / f"a.{ending}", fixed), rgb(expected))


def test_float_tiff_is_stretched(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", (RAMP / 7e4).astype(np.float32))
    expected = np.rint(RAMP / 59_900 * 255).astype(np.uint8)
    assert np.array_equal(
        read_image(tmp_path / "a.tif", ReadOptions(contrast="minmax")), rgb(expected)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_images_are_read_upright(ending, orientation, tmp_path):
    """Stored turned or mirrored in each of the eight ways, the image comes out the same."""
    undone = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
              6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    image = Image.fromarray(COLOR)
    if orientation > 1:
        image = image.transpose(Image.Transpose[undone[orientation]])
    path = tmp_path / f"a.{ending}"
    if ending == "tif":
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(path, np.asarray(image), photometric="rgb", extratags=[tag])
    else:
        how = {"quality": 100, "subsampling": 0} if ending == "jpg" else {}
        exif = Image.Exif()
        exif[274] = orientation
        image.save(path, exif=exif, **how)
    out = read_image(path)
    assert out.shape == COLOR.shape
    assert np.abs(out.astype(int) - COLOR).max() <= 3


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_pages_of_a_tiff_are_counted_from_0(compression, tmp_path):
    pages = [Image.fromarray(np.full((16, 16, 3), v, np.uint8)) for v in (10, 100, 200)]
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression)
    for page, value in enumerate((10, 100, 200)):
        assert np.abs(read_image(path, ReadOptions(page=page)).astype(int) - value).max() <= 1
    with pytest.raises(ImageError, match="has 3 pages, counted from 0: no 3"):
        read_image(path, ReadOptions(page=3))


def test_pages_of_a_palette_tiff_keep_their_colors(tmp_path):
    pages = [Image.fromarray(a).convert("P") for a in (COLOR, COLOR[::-1])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    shown = np.asarray(pages[1].convert("RGB"))
    assert np.array_equal(read_image(tmp_path / "a.tif", ReadOptions(page=1)), shown)


def test_a_page_of_what_has_none_is_refused(tmp_path):
    with pytest.raises(ImageError, match="has one page"):
        read_image(saved(tmp_path / "a.png", COLOR), ReadOptions(page=1))


def test_bands_stored_one_after_another_are_put_last(tmp_path):
    bands = np.moveaxis(COLOR, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", bands, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_image(tmp_path / "a.tif"), COLOR)


@pytest.mark.parametrize("planar", ["separate", "contig"])
def test_a_triple_of_many_bands_is_chosen(planar, tmp_path):
    many = np.concatenate([COLOR, 255 - COLOR], axis=2)
    stored = np.moveaxis(many, 2, 0) if planar == "separate" else many
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=planar)
    out = read_image(tmp_path / "a.tif", ReadOptions(bands="5,0,3"))
    assert np.array_equal(out, many[..., [5, 0, 3]])


def test_two_bands_that_are_not_gray_and_alpha_need_a_choice(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", COLOR[..., :2], photometric="minisblack", planarconfig="contig"
    )
    with pytest.raises(ImageError, match=r"a\.tif: the image has 2 channels"):
        read_image(tmp_path / "a.tif")


def test_white_is_white_where_zero_means_white(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GRAY, photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "a.tif"), rgb(255 - GRAY))


def test_upper_case_endings_are_the_same(tmp_path):
    tifffile.imwrite(tmp_path / "a.TIFF", np.stack([GRAY, GRAY // 2]))
    assert np.array_equal(read_image(tmp_path / "a.TIFF", ReadOptions(page=1)), rgb(GRAY // 2))


# --- writing ------------------------------------------------------------------------------------


@pytest.fixture
def results(dummy, tmp_path):
    """Two images with instances, one without."""
    shapes = {"one": (90, 130), "two": (60, 40)}
    segs = {name: dummy(shape, count=6, seed=len(name)) for name, shape in shapes.items()}
    segs["none"] = Segmentation.empty((20, 30))
    return [
        ImageResult(
            tmp_path / f"{name}.jpg", rng.integers(0, 256, (*s.shape, 3), dtype=np.uint8), s
        )
        for name, s in segs.items()
    ]


def test_coco_is_what_pycocotools_reads(results, tmp_path, capsys):
    assert write_results(results, tmp_path / "new" / "a.json") == [tmp_path / "new" / "a.json"]
    coco = COCO(tmp_path / "new" / "a.json")
    assert [i["file_name"] for i in coco.loadImgs(coco.getImgIds())] == [
        "one.jpg", "two.jpg", "none.jpg"
    ]  # fmt: skip
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["object"]
    for image_id, result in enumerate(results, 1):
        seg = result.segmentation
        image = coco.imgs[image_id]
        assert (image["height"], image["width"]) == seg.shape
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        assert len(annotations) == len(seg)
        for i, a in enumerate(annotations):
            mask = coco.annToMask(a).astype(bool)
            assert np.array_equal(mask, seg.mask(i))
            assert a["area"] == mask.sum() == coco_mask.area(a["segmentation"])
            assert a["bbox"] == coco_mask.toBbox(a["segmentation"]).tolist()
            assert a["score"] == pytest.approx(seg.scores[i])
    scores = [{**a, "id": None} for a in coco.dataset["annotations"]]
    assert len(coco.loadRes(scores).anns) == 12  # it is a file of results, too


def test_label_tiff_is_the_label_image(results, tmp_path):
    written = write_results(results, tmp_path / "{stem}_labels.tif")
    assert [p.name for p in written] == ["one_labels.tif", "two_labels.tif", "none_labels.tif"]
    for path, result in zip(written, results, strict=True):
        labels = tifffile.imread(path)
        assert labels.dtype == np.uint16
        assert np.array_equal(labels, result.segmentation.labels())
        assert np.array_equal(np.asarray(Image.open(path)), labels)
    assert tifffile.imread(written[0]).max() > 0


def test_csv_has_a_row_per_instance(results, tmp_path):
    one = results[0].segmentation
    boxes = [(0, 0, 130, 90)]
    picked = ImageResult(results[1].path, results[1].image, results[1].segmentation[[2]])
    answered = ImageResult(results[0].path, results[0].image, one.select(boxes=boxes))
    write_results([results[0], picked, results[2], answered], tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == io.COLUMNS
    assert [r["image"] for r in rows] == ["one.jpg"] * 6 + ["two.jpg", "one.jpg"]
    assert [r["instance"] for r in rows] == ["1", "2", "3", "4", "5", "6", "1", "1"]
    assert [r["prompt"] for r in rows] == [""] * 7 + ["0"]
    for i in range(6):
        assert float(rows[i]["score"]) == pytest.approx(one.scores[i])
        assert int(rows[i]["area"]) == one.mask(i).sum()
        assert [float(rows[i][k]) for k in ("x1", "y1", "x2", "y2")] == one.boxes[i].tolist()
        assert float(rows[i]["stability"]) == pytest.approx(one.stability[i], abs=1e-6)
        assert float(rows[i]["box_leak"]) == pytest.approx(one.box_leak[i], abs=1e-6)


def test_overlay_changes_instances_and_leaves_the_rest(tmp_path):
    masks = disks((80, 120), [(30, 40, 20), (90, 40, 15), (28, 40, 8)])
    image = rng.integers(0, 256, (80, 120, 3), dtype=np.uint8)
    before = image.copy()
    result = ImageResult(tmp_path / "in.png", image, Segmentation.from_masks(masks))
    (path,) = write_results([result], tmp_path / "out.png")
    changed = (np.asarray(Image.open(path)) != image).any(2)
    covered = masks.any(0)
    assert changed.shape == covered.shape
    assert not changed[~covered].any()
    assert changed[covered].mean() > 0.99
    assert np.array_equal(image, before)


def test_overlay_shows_prompts_and_nothing_else(tmp_path):
    image = np.full((80, 120, 3), 100, np.uint8)
    result = ImageResult(tmp_path / "in.png", image, Segmentation.empty((80, 120)))
    points, boxes = [(20, 20, 1), (100, 60, 0)], [(40, 10, 70, 50)]
    (path,) = write_results([result], tmp_path / "out.png", points, boxes)
    out = np.asarray(Image.open(path))
    changed = (out != image).any(2)
    near = np.zeros_like(changed)
    near[14:27, 14:27] = near[54:67, 94:107] = near[9:52, 39:72] = True
    near[14:47, 44:67] = False  # inside the box
    assert not changed[~near].any()
    assert out[20, 20].tolist() == [0, 220, 0]
    assert out[60, 100].tolist() == [230, 0, 0]
    assert out[10, 55].tolist() == [255, 255, 0]


@pytest.mark.parametrize("ending", ["png", "json", "tif", "tiff", "csv", "PNG", "JSON"])
def test_no_instances_can_be_written_in_every_format(ending, results, tmp_path):
    none = results[2]
    (path,) = write_results([none], tmp_path / f"a.{ending}")
    if ending.lower() == "png":
        assert np.array_equal(np.asarray(Image.open(path)), none.image)
    elif ending.lower() == "json":
        assert json.loads(path.read_text())["annotations"] == []
    elif ending == "csv":
        assert path.read_text().strip() == ",".join(io.COLUMNS)
    else:
        assert not tifffile.imread(path).any()


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_a_stem_in_the_name_asks_for_a_file_each(ending, results, tmp_path):
    written = write_results(results, tmp_path / f"{{stem}}.{ending}")
    assert [p.name for p in written] == [f"{stem}.{ending}" for stem in ("one", "two", "none")]
    for path, result in zip(written, results, strict=True):
        write_results([result], tmp_path / f"alone.{ending}")
        assert path.read_text() == (tmp_path / f"alone.{ending}").read_text()


@pytest.mark.parametrize("ending", ["", ".jpg", ".txt", ".shp"])
def test_an_unknown_ending_lists_the_known_ones(ending, results, tmp_path):
    with pytest.raises(ValueError, match=r"\.png overlay, .* \.geojson or \.gpkg polygons$"):
        write_results(results[:1], tmp_path / f"a{ending}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_several_images_need_several_names(ending, results, tmp_path):
    with pytest.raises(ValueError, match=r"3 images need 3 files: .*\{stem\}\." + ending):
        write_results(results, tmp_path / f"a.{ending}")
    assert list(tmp_path.iterdir()) == []


def test_images_of_one_name_are_not_written_over_each_other(results, tmp_path):
    twin = ImageResult(tmp_path / "other" / "one.png", results[0].image, results[0].segmentation)
    with pytest.raises(ValueError, match="same name"):
        write_results([results[0], twin], tmp_path / "{stem}.png")


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_nor_are_files_that_could_hold_several(ending, results, tmp_path):
    with pytest.raises(ValueError, match="same name"):
        write_results([results[0], results[0]], tmp_path / f"{{stem}}.{ending}")


@pytest.mark.parametrize("name", ["{stem}.png", "photo.png", "sub/../photo.png"])
def test_an_image_is_never_overwritten_by_its_overlay(name, tmp_path):
    (tmp_path / "sub").mkdir()
    path = saved(tmp_path / "photo.png", COLOR)
    result = ImageResult(path, COLOR, Segmentation.empty(COLOR.shape[:2]))
    with pytest.raises(ValueError, match="would overwrite the input"):
        write_results([result], tmp_path / name)
    assert np.array_equal(read_image(path), COLOR)

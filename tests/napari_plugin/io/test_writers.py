"""writers.py through a viewer's layer list, read back by other people's readers."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
import shapely
import tifffile
from pycocotools.coco import COCO

components = pytest.importorskip("napari.components", reason="napari is not installed")
pyogrio = pytest.importorskip("pyogrio.raw", reason="pyogrio is not installed")
rasterio = pytest.importorskip("rasterio.features").rasterio

from napari import layers  # noqa: E402

from fastsam_plugins.io import raster  # noqa: E402
from fastsam_plugins.messages import install  # noqa: E402
from napari_plugin.io.writers import WriteError  # noqa: E402
from tests.conftest import UTM, disks  # noqa: E402

PLACE = {"path": "/data/field.tif", "crs": "EPSG:32616", "transform": UTM}
ON_MAP = rasterio.Affine(*UTM)
RING, PARTS = (
    disks((40, 60), [(20, 20, 12)])[0] & ~disks((40, 60), [(20, 20, 5)])[0],
    disks((40, 60), [(45, 8, 6)])[0] | disks((40, 60), [(50, 30, 7)])[0],
)
LABELS = RING * 7 + PARTS * 70_001
SCORES = pd.DataFrame(
    {"index": [70_001, 7, 5], "score": [0.5, 0.75, 0.1], "kind": ["b", None, "x"]}
)


def saved(layer, path):
    viewer = components.ViewerModel()
    viewer.add_layer(layer)
    assert viewer.layers.save(str(path), plugin="fastsam-plugins") == [str(path)]
    return path


def labels(data=LABELS, **how):
    return layers.Labels(data, **{"name": "found", "features": SCORES} | how)


def read(path):
    meta, _, wkb, columns = pyogrio.read(path)
    return meta, dict(zip(meta["fields"], columns, strict=True)), shapely.from_wkb(wkb)


def filled(shape, size, transform):
    return rasterio.features.rasterize([shape], size, transform=transform).astype(np.bool_)


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 60), (3, 40, 60), (2, 3, 40, 60)])
@pytest.mark.parametrize("ending", ["tif", "tiff"])
def test_label_tiff_is_the_layer(ending, shape, tmp_path):
    data = np.broadcast_to(LABELS, shape)
    found = tifffile.imread(saved(labels(data), tmp_path / f"a.{ending}"))
    assert np.array_equal(found, data)
    assert found.dtype == np.uint32
    small = tifffile.imread(saved(labels(data % 1000), tmp_path / f"b.{ending}"))
    assert small.dtype == np.uint16


def test_label_tiff_lies_where_its_image_lies(tmp_path):
    with rasterio.open(saved(labels(metadata=PLACE), tmp_path / "a.tif")) as file:
        assert file.crs.to_string() == "EPSG:32616"
        assert file.transform == ON_MAP
        assert np.array_equal(file.read(1), LABELS)


def test_coco_is_what_pycocotools_reads(tmp_path, capsys):
    coco = COCO(saved(labels(metadata=PLACE), tmp_path / "a.json"))
    assert sorted(coco.anns) == [7, 70_001]
    assert coco.imgs[1]["file_name"] == "field.tif"
    for number, annotation in coco.anns.items():
        assert np.array_equal(coco.annToMask(annotation), number == LABELS)
    assert (coco.anns[7]["score"], coco.anns[70_001]["score"]) == (0.75, 0.5)


def test_scores_nobody_knows_are_left_out(tmp_path, capsys):
    coco = COCO(saved(labels(features=None), tmp_path / "a.json"))
    assert all("score" not in a for a in coco.anns.values())
    rows = table(saved(labels(features=None), tmp_path / "a.csv"))
    assert [r["score"] for r in rows] == ["", ""]


def table(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_csv_has_the_features_of_each_label(tmp_path):
    rows = table(saved(labels(metadata=PLACE), tmp_path / "a.csv"))
    assert [r["instance"] for r in rows] == ["7", "70001"]
    assert [r["score"] for r in rows] == ["0.75", "0.5"]
    assert [r["kind"] for r in rows] == ["", "b"]
    assert [int(r["area"]) for r in rows] == [RING.sum(), PARTS.sum()]
    assert [float(r["area_m2"]) for r in rows] == [RING.sum() / 4, PARTS.sum() / 4]
    assert [r["image"] for r in rows] == ["field.tif"] * 2


def test_without_an_index_row_i_is_label_i(tmp_path):
    features = pd.DataFrame({"score": [0, 0.1, 0.2]})
    rows = table(saved(labels(RING * 2 + PARTS * 9, features=features), tmp_path / "a.csv"))
    assert [(r["instance"], r["score"]) for r in rows] == [("2", "0.2"), ("9", "")]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"scale": (0.5, 0.25), "units": ("um", "um")}, ("area_um2", 0.125)),
        ({"scale": (2, 2), "units": ("um", "um"), "rotate": 30}, ("area_um2", 4)),
        ({"affine": np.diag([3, 2, 1]), "units": ("mm", "mm")}, ("area_mm2", 6)),
        ({"scale": (2, 2)}, None),
    ],
)
def test_areas_in_the_layer_s_units(how, expected, tmp_path):
    row = table(saved(labels(**how), tmp_path / "a.csv"))[0]
    assert [name for name in row if name.startswith("area_")] == ([expected[0]] if expected else [])
    if expected:
        assert float(row[expected[0]]) == pytest.approx(RING.sum() * expected[1])


@pytest.mark.parametrize("ending", ["geojson", "gpkg"])
def test_polygons_lie_where_their_image_lies(ending, tmp_path):
    layer = labels(metadata=PLACE, scale=(3, 3), translate=(100, 7))
    meta, values, shapes = read(saved(layer, tmp_path / f"a.{ending}"))
    assert meta["crs"] == "EPSG:32616"
    assert values["instance"].tolist() == [7, 70_001]
    assert values["score"].tolist() == [0.75, 0.5]
    assert values["kind"].tolist() == [None, "b"]
    for shape, mask in zip(shapes, (RING, PARTS), strict=True):
        assert np.array_equal(filled(shape, mask.shape, ON_MAP), mask)


def test_geojson_without_crs_is_for_qupath(tmp_path):
    content = json.loads(saved(labels(), tmp_path / "a.geojson").read_text())
    assert "crs" not in content
    for feature, (number, mask) in zip(
        content["features"], ((7, RING), (70_001, PARTS)), strict=True
    ):
        assert feature["id"] == number
        assert feature["properties"]["name"] == str(number)
        assert feature["properties"]["objectType"] == "detection"
        shape = shapely.geometry.shape(feature["geometry"])
        assert np.array_equal(filled(shape, mask.shape, rasterio.Affine.identity()), mask)


def test_stacks_are_written_slice_by_slice(tmp_path, capsys):
    stack = np.zeros((2, 3, 40, 60), int)
    stack[1, 2], stack[0, 1] = LABELS, RING * 7
    content = json.loads(saved(labels(stack), tmp_path / "a.geojson").read_text())
    planes = [(f["id"], f["geometry"]["plane"]) for f in content["features"]]
    assert planes == [
        (7, {"c": -1, "z": 1, "t": 0}),
        (7, {"c": -1, "z": 2, "t": 1}),
        (70_001, {"c": -1, "z": 2, "t": 1}),
    ]
    rows = table(saved(labels(stack), tmp_path / "a.csv"))
    assert [(r["instance"], r["t"], r["z"], r["score"]) for r in rows] == [
        ("7", "0", "1", "0.75"), ("7", "1", "2", "0.75"), ("70001", "1", "2", "0.5")
    ]  # fmt: skip
    coco = COCO(saved(labels(stack), tmp_path / "a.json"))
    assert [(i["t"], i["z"]) for i in coco.dataset["images"]] == [*np.ndindex(2, 3)]
    assert [a["instance"] for a in coco.dataset["annotations"]] == [7, 7, 70_001]
    assert len(coco.anns) == 3
    named = labels(stack[0], axis_labels=("year", "y", "x"), metadata=PLACE)
    _, values, _ = read(saved(named, tmp_path / "a.gpkg"))
    assert values["year"].tolist() == [1]


@pytest.mark.parametrize("ending", ["tif", "json", "csv", "geojson", "gpkg"])
def test_lazy_multiscale_and_empty_layers_are_written(ending, tmp_path):
    da = pytest.importorskip("dask.array")
    levels = [da.from_array(LABELS), da.from_array(LABELS[::2, ::2])]
    lazy = saved(labels(levels, multiscale=True, metadata=PLACE), tmp_path / f"a.{ending}")
    eager = saved(labels(metadata=PLACE), tmp_path / f"b.{ending}")
    if ending == "gpkg":
        assert np.array_equal(read(lazy)[2], read(eager)[2])
    else:
        assert lazy.read_bytes() == eager.read_bytes()
    empty = labels(LABELS * 0, features=None, metadata=PLACE)
    assert saved(empty, tmp_path / f"none.{ending}").is_file()


def test_geopackage_without_crs_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(WriteError, match=r"^layer found has no CRS.*write \.geojson"):
        saved(labels(), tmp_path / "a.gpkg")
    monkeypatch.setattr(raster, "available", lambda: False)
    with pytest.raises(WriteError, match=re.escape(install("geo")) + "$"):
        saved(labels(metadata=PLACE), tmp_path / "a.gpkg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("transform", [(1, 2), "north", (1, 0, None, 0, 1, 0), 5])
def test_metadata_that_make_no_sense_are_one_line(transform, tmp_path):
    wrong = {"crs": "EPSG:32616", "transform": transform}
    with pytest.raises(WriteError, match="of layer found has to be six numbers"):
        saved(labels(metadata=wrong), tmp_path / "a.geojson")


# --- shapes -------------------------------------------------------------------------------------


def test_a_polygon_drawn_around_pixels_covers_them(tmp_path):
    """napari draws pixel (row 3, column 10) around that point: its corners are half a pixel off."""
    square = np.array([[2.5, 9.5], [2.5, 13.5], [6.5, 13.5], [6.5, 9.5]])
    drawn = layers.Shapes([square, square[::-1]], shape_type=["polygon", "rectangle"])
    content = json.loads(saved(drawn, tmp_path / "a.geojson").read_text())
    for k, feature in enumerate(content["features"]):
        assert feature["id"] == k + 1
        assert feature["properties"]["objectType"] == "annotation"
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.equals(shapely.box(10, 3, 14, 7))
        mask = filled(shape, (20, 20), rasterio.Affine.identity())
        assert np.argwhere(mask).min(0).tolist() == [3, 10]
        assert np.argwhere(mask).max(0).tolist() == [6, 13]


def test_shapes_lie_where_their_image_lies_and_keep_features(tmp_path):
    corners = np.array([[0, 0], [0, 10], [20, 10], [20, 0]]) - 0.5
    drawn = layers.Shapes(
        [corners, corners],
        shape_type=["polygon", "ellipse"],
        features={"index": [12, 4], "kind": ["roof", "pond"]},
        metadata=PLACE,
    )
    meta, values, shapes = read(saved(drawn, tmp_path / "a.gpkg"))
    assert meta["crs"] == "EPSG:32616"
    assert values["instance"].tolist() == [12, 4]
    assert values["kind"].tolist() == ["roof", "pond"]
    left, top = ON_MAP * (0, 0)
    box = shapely.box(left, top - 10, left + 5, top)
    assert shapes[0].equals(box)
    assert shapes[1].area == pytest.approx(np.pi / 4 * box.area, rel=0.01)
    assert shapes[1].bounds == pytest.approx(box.bounds)
    assert all(s.geoms[0].exterior.is_ccw for s in shapes)


def test_shapes_of_a_stack_know_their_slice(tmp_path):
    corners = np.array([[4, 0, 0], [4, 0, 10], [4, 20, 10]])
    drawn = layers.Shapes([corners], shape_type="polygon")
    content = json.loads(saved(drawn, tmp_path / "a.geojson").read_text())
    assert content["features"][0]["geometry"]["plane"] == {"c": -1, "z": 4, "t": 0}


def test_lines_have_no_area_and_say_so(tmp_path):
    corners = np.array([[0, 0], [0, 10], [20, 10]])
    drawn = layers.Shapes([corners[:2], corners, corners], shape_type=["line", "path", "polygon"])
    with pytest.warns(UserWarning, match="2 of 3 shapes are left out"):
        path = saved(drawn, tmp_path / "a.geojson")
    assert [f["id"] for f in json.loads(path.read_text())["features"]] == [3]


def test_no_shapes_are_no_features(tmp_path):
    path = saved(layers.Shapes(ndim=2), tmp_path / "a.geojson")
    assert json.loads(path.read_text())["features"] == []


@pytest.mark.parametrize("ending", ["tif", "json", "csv", "geojson", "gpkg"])
@pytest.mark.parametrize("link", [None, "symlink_to", "hardlink_to"])
@pytest.mark.parametrize("known", ["path", "image"])
def test_a_layer_is_not_saved_over_the_file_of_its_image(ending, link, known, tmp_path):
    image = tmp_path / f"image.{ending}"
    image.write_bytes(b"pixels")
    target = image
    if link:
        target = tmp_path / f"other.{ending}"
        getattr(target, link)(image)
    shapes = layers.Shapes(np.zeros((1, 4, 2)), name="s", metadata={**PLACE, known: str(image)})
    made = [labels(metadata={**PLACE, known: str(image)})]
    for layer in [*made, shapes] if ending in ("geojson", "gpkg") else made:
        with pytest.raises(WriteError, match="would overwrite the input"):
            saved(layer, target)
    assert image.read_bytes() == b"pixels"


@pytest.mark.timeout(600)
def test_a_layer_is_not_saved_over_the_file_of_any_open_layer(window, tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.zeros((40, 60), np.uint8))
    before = path.read_bytes()
    window.viewer.open(str(path), plugin="napari")
    mine = window.viewer.add_labels(LABELS, name="mine")
    with pytest.raises(WriteError, match="would overwrite the input"):
        mine.save(str(path), plugin="fastsam-plugins")
    assert path.read_bytes() == before


# --- names of axes, shapes that cross themselves, and where an image came from -------------------


@pytest.mark.parametrize(
    ("names", "plane"),
    [
        (("T", "Z"), {"c": -1, "z": 2, "t": 1}),
        (("time", "z"), {"c": -1, "z": 2, "t": 1}),
        (("Time (s)", "Z [um]"), {"c": -1, "z": 2, "t": 1}),
        (("depth", "frames"), {"c": -1, "z": 1, "t": 2}),
        (("z", "t"), {"c": -1, "z": 1, "t": 2}),
        (("timepoint", "slices"), {"c": -1, "z": 2, "t": 1}),
        (("T", "channel"), {"c": 2, "z": 0, "t": 1}),
        (("T", "site"), {"c": -1, "z": 2, "t": 1}),
        (("position", "replicate"), {"c": -1, "z": 2, "t": 1}),
    ],
)
@pytest.mark.parametrize("kind", ["labels", "shapes"])
def test_planes_of_qupath_whatever_the_axes_are_called(names, plane, kind, tmp_path):
    stack = np.zeros((2, 3, 20, 30), np.uint16)
    stack[1, 2, 5:10, 5:10] = 5
    layer = labels(stack, features=None, axis_labels=(*names, "y", "x"))
    if kind == "shapes":
        corners = [(1, 2, *c) for c in ((5, 5), (5, 10), (10, 10), (10, 5))]
        layer = layers.Shapes([corners], axis_labels=(*names, "y", "x"), name="drawn")
    content = json.loads(saved(layer, tmp_path / "it.geojson").read_text())
    assert content["features"][0]["geometry"]["plane"] == plane


def test_more_axes_than_qupath_knows_are_refused_and_not_laid_on_each_other(tmp_path):
    stack = np.zeros((2, 2, 2, 20, 30), np.uint16)
    stack[:, 1, 1, 5:10, 5:10] = 5
    layer = labels(stack, features=None, axis_labels=("position", "T", "Z", "Y", "X"))
    with pytest.raises(WriteError, match="axis 'position' is one more"):
        saved(layer, tmp_path / "it.geojson")
    stack[0] = 0  # one place along it alone
    content = json.loads(saved(layer, tmp_path / "it.geojson").read_text())
    assert content["features"][0]["geometry"]["plane"] == {"c": -1, "z": 1, "t": 1}


def star():
    turn = np.arange(5) * 4 * np.pi / 5
    return np.stack([30 + 20 * np.sin(turn), 30 + 20 * np.cos(turn)], axis=1)


CROSSING = {
    "bow tie": [(0, 0), (20, 20), (20, 0), (0, 20)],
    "star": star().tolist(),
    "loop": [(0, 0), (0, 20), (20, 20), (20, 10), (-5, 10), (-5, 5), (10, 5), (10, 0)],
    "spike": [(0, 0), (0, 20), (0, 40), (0, 20), (20, 20), (20, 0)],
    "bridge": [(0, 0), (0, 20), (20, 20), (20, 0), (0, 0), (5, 5), (5, 10), (10, 10), (10, 5),
               (5, 5)],
}  # fmt: skip


@pytest.mark.parametrize("corners", CROSSING.values(), ids=CROSSING.keys())
@pytest.mark.parametrize("ending", ["geojson", "gpkg"])
def test_shapes_that_cross_themselves_become_valid_polygons(corners, ending, tmp_path):
    layer = layers.Shapes([corners], shape_type="polygon", name="drawn")
    if ending == "gpkg":
        layer.metadata.update(PLACE)
        _, _, (made,) = read(saved(layer, tmp_path / "it.gpkg"))
        transform = ON_MAP
    else:
        content = json.loads(saved(layer, tmp_path / "it.geojson").read_text())
        made = shapely.from_geojson(json.dumps(content["features"][0]["geometry"]))
        transform = rasterio.Affine.identity()
    assert made.is_valid
    assert made.area > 0
    # What napari itself fills, but for pixels on an edge.
    mask = layer.to_masks((60, 60))[0]
    inside = filled(made, (60, 60), transform)
    edge = shapely.LineString(np.array([*corners, corners[0]])[:, ::-1] + 0.5)
    y, x = np.nonzero(mask != inside)
    centres = shapely.points(x + 0.5, y + 0.5)
    assert not len(y) or shapely.distance(centres, edge).max() < 1.1


def test_shapes_without_area_are_left_out_and_counted(tmp_path):
    flat = [[(0, 0), (0, 10), (0, 20)], [(3, 3), (9, 3), (9, 9)]]
    layer = layers.Shapes(flat, shape_type=["polygon", "polygon"], name="drawn")
    with pytest.warns(UserWarning, match="1 of 2 shapes are left out"):
        content = json.loads(saved(layer, tmp_path / "it.geojson").read_text())
    assert [f["id"] for f in content["features"]] == [2]


def test_the_image_column_names_the_file_of_the_image(tmp_path):
    for metadata, name in (
        ({"image": "/data/plate1/a.tif"}, "a.tif"),
        ({"path": "/data/b.tif"}, "b.tif"),
        ({"image_name": "third"}, "third"),
        ({}, "found"),
    ):
        path = saved(labels(metadata=metadata), tmp_path / "it.csv")
        with path.open() as stream:
            assert {row["image"] for row in csv.DictReader(stream)} == {name}
        path = saved(labels(metadata=metadata), tmp_path / "it.json")
        assert json.loads(path.read_text())["images"][0]["file_name"] == name

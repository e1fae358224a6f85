"""vectors.py and georeferenced labels and tables, read back by GDAL (rasterio, pyogrio)."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastsam_plugins.cli import main
from fastsam_plugins.io import (
    Georeference,
    ImageResult,
    Raster,
    features,
    geojson,
    georeference,
    raster,
    read_image,
    write_labels,
    write_results,
)
from fastsam_plugins.messages import install
from fastsam_plugins.segmentation import Segmentation
from tests.command import run
from tests.conftest import UTM, disks

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")

pyogrio = pytest.importorskip("pyogrio.raw", reason="pyogrio is not installed")
list_layers = pytest.importorskip("pyogrio").list_layers
shapely = pytest.importorskip("shapely", reason="shapely is not installed")
raster_features = pytest.importorskip("rasterio.features")

TURNED = rasterio.Affine.translation(500_000, 4_000_000) * rasterio.Affine.rotation(30)
NORTH_UP = Georeference("EPSG:32616", UTM)
PLACES = {
    "north up": NORTH_UP,
    "turned": Georeference("EPSG:32617", tuple(TURNED)[:6]),
    "degrees": Georeference("EPSG:4326", (1e-5, 0, -84.5, 0, -1e-5, 33.6)),
    "south up": Georeference("EPSG:3857", (30, 0, 1e6, 0, 30, 2e6)),
}

RING = disks((40, 60), [(30, 20, 15)])[0] & ~disks((40, 60), [(30, 20, 7)])[0]
TWO_PARTS = disks((40, 60), [(8, 8, 6)])[0] | disks((40, 60), [(50, 30, 8)])[0]
CORNER = np.zeros((40, 60), np.bool_)
CORNER[0, 0] = CORNER[1, 1] = CORNER[39, 59] = True
MASKS = np.stack([RING, TWO_PARTS, CORNER])


def result(tmp_path, masks=MASKS, place=None, name="a.tif", **more):
    seg = Segmentation.from_masks(masks, np.linspace(0.25, 0.75, len(masks)))
    return ImageResult(tmp_path / name, None, seg, place, **more)


def read(path, layer=None):
    """CRS, fields as a dict, and geometries, as GDAL reads them."""
    meta, _, wkb, columns = pyogrio.read(path, layer=layer)
    return meta, dict(zip(meta["fields"], columns, strict=True)), shapely.from_wkb(wkb)


def filled(geometry, shape, transform=None):
    transform = rasterio.Affine.identity() if transform is None else rasterio.Affine(*transform)
    return raster_features.rasterize([geometry], shape, transform=transform).astype(np.bool_)


# --- GeoJSON and GeoPackage ---------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["geojson", "gpkg"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_polygons_overlay_the_raster_in_its_crs(place, ending, tmp_path):
    (path,) = write_results([result(tmp_path, place=place)], tmp_path / f"out.{ending}")
    meta, values, shapes = read(path)
    assert rasterio.crs.CRS.from_user_input(meta["crs"]) == rasterio.crs.CRS.from_user_input(
        place.crs
    )
    assert values["instance"].tolist() == [1, 2, 3]
    for shape, mask in zip(shapes, MASKS, strict=True):
        assert shape.is_valid
        assert np.array_equal(filled(shape, mask.shape, place.transform), mask)
        assert shape.area == pytest.approx(mask.sum() * abs(place.determinant), rel=1e-4)
        parts = shape.geoms if shape.geom_type == "MultiPolygon" else [shape]
        for part in parts:  # as RFC 7946 wants them
            assert part.exterior.is_ccw
            assert not any(hole.is_ccw for hole in part.interiors)


@given(arrays(np.bool_, (7, 9), fill=st.nothing()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_any_mask_comes_back_from_a_geopackage(tmp_path, mask):
    (path,) = write_results([result(tmp_path, mask[None], NORTH_UP)], tmp_path / "out.gpkg")
    _, _, shapes = read(path)
    assert len(shapes) == mask.any()
    for shape in shapes:
        assert np.array_equal(filled(shape, mask.shape, NORTH_UP.transform), mask)


def test_without_a_crs_geojson_is_in_pixels_for_qupath(tmp_path):
    (path,) = write_results([result(tmp_path, ids=[7, 3, 900])], tmp_path / "out.geojson")
    content = json.loads(path.read_text())
    assert content["type"] == "FeatureCollection"
    assert "crs" not in content
    assert [f["id"] for f in content["features"]] == [7, 3, 900]
    kinds = [f["geometry"]["type"] for f in content["features"]]
    assert kinds == ["Polygon", "MultiPolygon", "MultiPolygon"]
    for feature, mask in zip(content["features"], MASKS, strict=True):
        shape = shapely.geometry.shape(feature["geometry"])
        assert np.array_equal(filled(shape, mask.shape), mask)  # y down, whole pixels
        corners = shapely.get_coordinates(shape)
        assert np.array_equal(corners, np.rint(corners))
        own = feature["properties"]
        assert own["objectType"] == "detection"
        assert own["name"] == str(feature["id"])
        assert own["measurements"]["area"] == mask.sum()
        assert all(isinstance(v, int | float) for v in own["measurements"].values())
        assert all(isinstance(v, str) for v in own["metadata"].values())
    assert content["features"][0]["properties"]["measurements"]["score"] == 0.25


def test_qupath_is_told_the_plane_and_what_to_make_of_it(tmp_path):
    found = features(result(tmp_path, plane={"t": 1, "z": 4}))
    content = geojson(found, object_type="annotation")
    assert content["features"][0]["geometry"]["plane"] == {"c": -1, "z": 4, "t": 1}
    assert content["features"][0]["properties"]["objectType"] == "annotation"


def test_attributes_keep_their_types(tmp_path):
    extra = {
        "stability": [0.5, None, 0.75],
        "checked": [True, False, True],
        "kind": ["roof", None, "Straße"],
        "storeys": [1, None, 3],
    }
    (path,) = write_results(
        [result(tmp_path, place=NORTH_UP, ids=[5, 9, 2], extra=extra)], tmp_path / "out.gpkg"
    )
    meta, values, _ = read(path)
    types = dict(zip(meta["fields"], meta["ogr_types"], strict=True))
    assert types["instance"] == types["area"] == types["storeys"] == "OFTInteger64"
    assert types["score"] == types["area_m2"] == types["stability"] == "OFTReal"
    assert types["kind"] == types["image"] == "OFTString"
    assert meta["geometry_type"] == "MultiPolygon"
    assert values["instance"].tolist() == [5, 9, 2]
    assert values["score"].tolist() == [0.25, 0.5, 0.75]
    assert values["area"].tolist() == MASKS.sum((1, 2)).tolist()
    assert values["area_m2"].tolist() == (MASKS.sum((1, 2)) / 4).tolist()
    assert values["checked"].tolist() == [True, False, True]
    assert values["kind"].tolist() == ["roof", None, "Straße"]
    assert np.isnan(values["stability"]).tolist() == [False, True, False]
    assert np.isnan(values["storeys"]).tolist() == [False, True, False]
    assert "box_leak" not in values  # nobody knows it


def test_values_json_has_no_word_for_are_null(tmp_path):
    seg = Segmentation.from_masks(MASKS[:1], [np.nan])
    extra = {"size": [np.float32(2.5)], "ratio": [np.nan], "count": [np.int64(3)]}
    for place in (None, NORTH_UP):
        one = ImageResult(tmp_path / "a.tif", None, seg, place, extra=extra)
        (path,) = write_results([one], tmp_path / "out.geojson")
        own = json.loads(path.read_text(), parse_constant=pytest.fail)["features"][0]["properties"]
        own = own if place else own["measurements"]
        assert (own["size"], own["count"], own.get("ratio")) == (2.5, 3, None)
        assert own.get("score") is None


def test_a_geopackage_holds_a_layer_per_image_and_keeps_others(tmp_path):
    path = tmp_path / "out.gpkg"
    two = PLACES["turned"]
    write_results(
        [result(tmp_path, place=NORTH_UP), result(tmp_path, MASKS[:1], two, "b.tif")], path
    )
    write_results([result(tmp_path, MASKS[1:2], NORTH_UP)], path)
    assert sorted(name for name, _ in list_layers(path)) == ["a", "b"]
    assert len(read(path, "a")[2]) == 1
    meta, _, shapes = read(path, "b")
    assert (meta["crs"], len(shapes)) == ("EPSG:32617", 1)


@pytest.mark.parametrize("ending", ["geojson", "gpkg"])
def test_no_instances_are_no_features(ending, tmp_path):
    none = ImageResult(tmp_path / "a.tif", None, Segmentation.empty((9, 9)), NORTH_UP)
    (path,) = write_results([none], tmp_path / f"out.{ending}")
    meta, _, shapes = read(path)
    assert len(shapes) == 0
    assert meta["crs"] == "EPSG:32616"


def test_empty_masks_have_rows_but_no_polygon(tmp_path):
    masks = np.stack([RING, RING & False])
    (path,) = write_results([result(tmp_path, masks, NORTH_UP)], tmp_path / "out.gpkg")
    assert read(path)[1]["instance"].tolist() == [1]
    (path,) = write_results([result(tmp_path, masks, NORTH_UP)], tmp_path / "out.csv")
    assert len(path.read_text().splitlines()) == 3


def test_geopackage_without_crs_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"has no CRS.*write \.geojson"):
        write_results([result(tmp_path)], tmp_path / "out.gpkg")
    assert not list(tmp_path.iterdir())


# --- labels and tables --------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_labels_of_a_raster_are_a_geotiff(place, tmp_path):
    (path,) = write_results(
        [result(tmp_path, place=place, ids=[4, 70_000, 2])], tmp_path / "out.tif"
    )
    with rasterio.open(path) as file:
        labels = file.read(1)
        assert tuple(file.transform)[:6] == pytest.approx(place.transform, rel=1e-12)
        assert file.crs == rasterio.crs.CRS.from_user_input(place.crs)
        assert file.nodata == 0
    assert labels.dtype == np.uint32
    assert np.array_equal(labels, tifffile.imread(path))
    assert np.array_equal(labels == 4, RING & (labels == 4))
    assert set(np.unique(labels)) == {0, 4, 70_000, 2}


def test_numbers_that_no_label_tiff_holds_are_refused(tmp_path):
    for number in (-1, 1 << 32):
        with pytest.raises(ValueError, match="numbers from 0 to 4294967295"):
            write_labels(np.full((2, 2), number), tmp_path / "a.tif")


def test_csv_has_square_metres_where_they_are_known(tmp_path):
    one = result(tmp_path, place=NORTH_UP, extra={"kind": ["a", "b", "c"]}, plane={"z": 2})
    (path,) = write_results([one, result(tmp_path, name="b.tif")], tmp_path / "out.csv")
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [r["area_m2"] for r in rows] == [str(n / 4) for n in MASKS.sum((1, 2))] + [""] * 3
    assert [r["kind"] for r in rows] == ["a", "b", "c", "", "", ""]
    assert [r["z"] for r in rows] == ["2"] * 3 + [""] * 3


def test_what_is_measured_cannot_be_overwritten(tmp_path):
    extra = {"area": [0, 0, 0], "instance": [0, 0, 0], "stability": [0.5, 0.5, 0.5]}
    (path,) = write_results([result(tmp_path, extra=extra)], tmp_path / "out.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [int(r["area"]) for r in rows] == MASKS.sum((1, 2)).tolist()
    assert [r["instance"] for r in rows] == ["1", "2", "3"]
    assert [r["stability"] for r in rows] == ["0.5"] * 3


def test_coco_keeps_numbers_and_leaves_unknown_scores_out(tmp_path):
    seg = Segmentation.from_masks(MASKS, [np.nan, 0.5, np.nan])
    one = ImageResult(tmp_path / "a.tif", None, seg, ids=[7, 3, 900])
    (path,) = write_results([one], tmp_path / "out.json")
    found = json.loads(path.read_text())["annotations"]
    assert [a["id"] for a in found] == [7, 3, 900]
    assert [a.get("score") for a in found] == [None, 0.5, None]
    (path,) = write_results([one, one], tmp_path / "out.json")
    found = json.loads(path.read_text())["annotations"]
    assert [a["id"] for a in found] == [1, 2, 3, 4, 5, 6]
    assert [a["instance"] for a in found] == [7, 3, 900] * 2


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def coins_tif(geotiff, coins):
    """The coins in 16 bit and on the map, with a margin of no data."""
    gray = coins[..., 0].astype(np.uint16) * 100 + 1
    gray[:, :30] = 0
    return geotiff("coins.tif", gray[None], nodata=0, compress="deflate")


@pytest.mark.parametrize("ending", ["geojson", "gpkg"])
def test_segment_overlays_its_raster(ending, coins_tif, model, tmp_path):
    output = tmp_path / f"found.{ending}"
    done = run("segment", coins_tif, "-o", output, "--imgsz", 160, "--conf", 0.2, "--device", "cpu")
    assert done.exit_code == 0, done.output
    seg = model.segment(read_image(coins_tif), imgsz=160, conf=0.2)
    assert len(seg) > 3
    with rasterio.open(coins_tif) as file:
        bounds, transform, crs = file.bounds, file.transform, file.crs
    meta, values, shapes = read(output)
    assert rasterio.crs.CRS.from_user_input(meta["crs"]) == crs
    assert values["score"] == pytest.approx(seg.scores)
    assert values["area_m2"] == pytest.approx(seg.areas * 0.25)
    assert shapely.box(*bounds).covers(shapely.GeometryCollection(list(shapes)))
    for i, shape in enumerate(shapes):
        assert np.array_equal(filled(shape, seg.shape, transform), seg.mask(i))


def test_problems_are_one_line_before_the_network_is_loaded(coins_tif, tmp_path, monkeypatch):
    monkeypatch.setattr(main, "load", lambda values: pytest.fail("loaded"))
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((20, 30), np.uint8))
    refused = run("segment", tmp_path / "plain.tif", "-o", tmp_path / "a.gpkg")
    assert refused.exit_code == 1
    assert refused.stderr.strip().splitlines() == [
        f"Error: {tmp_path / 'plain.tif'} has no CRS, which .gpkg needs: write .geojson, in "
        "pixels then"
    ]
    monkeypatch.setattr(raster, "available", lambda: False)
    for ending in ("gpkg", "geojson"):
        refused = run("segment", coins_tif, "-o", tmp_path / f"a.{ending}")
        (line,) = refused.stderr.strip().splitlines()
        assert line.endswith(install("geo"))


# --- rasters on a map ---------------------------------------------------------------------------


def test_rasters_on_a_map_are_overlaid(map_image, model, tmp_path):
    path = map_image
    seg = model.segment(read_image(path), conf=0.05)
    assert len(seg) >= 5
    with rasterio.open(path) as file:
        bounds, transform, crs = file.bounds, file.transform, file.crs
    for output in (tmp_path / "found.gpkg", tmp_path / "found.geojson"):
        place = georeference(output, path)
        assert place == Raster(path).georeference
        write_results([ImageResult(path, None, seg, place)], output)
        meta, values, shapes = read(output)
        assert rasterio.crs.CRS.from_user_input(meta["crs"]) == crs
        assert values["instance"].tolist() == list(range(1, len(seg) + 1))
        assert values["area_m2"] == pytest.approx(seg.areas * abs(transform.determinant))
        assert shapely.box(*bounds).buffer(1e-6).covers(shapely.GeometryCollection(list(shapes)))
        for i, shape in enumerate(shapes):
            assert shape.is_valid
            assert np.array_equal(filled(shape, seg.shape, transform), seg.mask(i))

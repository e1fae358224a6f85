"""Read images and rasters; write overlays, COCO JSON, label TIFF, tables, GeoJSON, GeoPackage."""

from fastsam_plugins.io.atomic import OutputError
from fastsam_plugins.io.georeferencing import georeference
from fastsam_plugins.io.image_result import COLUMNS, ImageResult, coco, table
from fastsam_plugins.io.label_tiff import write_labels
from fastsam_plugins.io.raster import Georeference, Raster
from fastsam_plugins.io.raw_values import Stored, read_stored
from fastsam_plugins.io.read import (
    TIFF,
    image_size,
    open_image,
    open_raster,
    read_for_network,
    read_image,
)
from fastsam_plugins.io.vectors import Feature, Layer, features, geojson, write_geopackage
from fastsam_plugins.io.write import check_output, target, write_results

__all__ = [
    "COLUMNS",
    "TIFF",
    "Feature",
    "Georeference",
    "Layer",
    "OutputError",
    "Raster",
    "ImageResult",
    "Stored",
    "check_output",
    "coco",
    "features",
    "geojson",
    "georeference",
    "image_size",
    "open_image",
    "open_raster",
    "read_for_network",
    "read_image",
    "read_stored",
    "table",
    "target",
    "write_results",
    "write_geopackage",
    "write_labels",
]

"""Read images and rasters; write overlays, COCO JSON, label TIFF, tables, GeoJSON, GeoPackage."""

from fastsam_plugins.files.atomic import OutputError
from fastsam_plugins.files.geo import Georeference, Raster
from fastsam_plugins.files.labels import write_labels
from fastsam_plugins.files.place import georeference
from fastsam_plugins.files.reading import TIFF, image_size, open_image, open_raster, read_image
from fastsam_plugins.files.results import COLUMNS, Segmented, coco, table
from fastsam_plugins.files.stored import Stored, read_stored
from fastsam_plugins.files.vectors import Feature, Layer, features, geojson, write_geopackage
from fastsam_plugins.files.writing import check_output, target, write

__all__ = [
    "COLUMNS",
    "TIFF",
    "Feature",
    "Georeference",
    "Layer",
    "OutputError",
    "Raster",
    "Segmented",
    "Stored",
    "check_output",
    "coco",
    "features",
    "geojson",
    "georeference",
    "image_size",
    "open_image",
    "open_raster",
    "read_image",
    "read_stored",
    "table",
    "target",
    "write",
    "write_geopackage",
    "write_labels",
]

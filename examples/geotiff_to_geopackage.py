"""A map in windows, its objects as polygons in its CRS: python geotiff_to_geopackage.py [TIFF]."""

import sys
from pathlib import Path

import rasterio

from fastsam_plugins import FastSAM, open_raster
from fastsam_plugins.datasets.synthetic import scene
from fastsam_plugins.io import ImageResult, georeference, write_results

output = Path("roofs.gpkg")
if len(sys.argv) > 1:
    path = Path(sys.argv[1])
else:  # roofs seen from above, drawn, half a metre per pixel
    path, side = Path("roofs.tif"), 600
    place = rasterio.Affine(0.5, 0, 733601, 0, -0.5, 3725139)
    with rasterio.open(path, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8",
                       crs="EPSG:32616", transform=place) as file:  # fmt: skip
        file.write(scene(0, 1, side, "roofs").image.transpose(2, 0, 1))

where = georeference(output, path)  # first: what lies on no map is told before the work
seg = FastSAM("FastSAM-n").segment_tiled(open_raster(path), tile=320, imgsz=320, conf=0.1)
write_results([ImageResult(path, None, seg, where)], output)
print(f"{len(seg)} objects in {output}")

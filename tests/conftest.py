"""Shared fixtures: dummy instances where weights do not matter, FastSAM-n where they do."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

# What others than tests write: settings, a database of 300 MB.
os.environ["FASTSAM_TESTS"] = tempfile.mkdtemp(prefix="fastsam-tests-")
# Before ultralytics is imported anywhere: its settings file and auto-installer stay out of the
# user's home.
os.environ["YOLO_CONFIG_DIR"] = os.environ["FASTSAM_TESTS"] + "/ultralytics"
os.environ["YOLO_AUTOINSTALL"] = "false"
# Exact answers, from PyTorch: what runs fastest has tests of its own.
os.environ["FASTSAM_BACKEND"] = "torch"
os.environ["FASTSAM_CACHE_DIR"] = os.environ["FASTSAM_TESTS"] + "/cache"
os.environ.pop("FASTSAM_DEBUG", None)  # with which errors are shown otherwise
# Where Python is told to keep no bytecode, as in many containers, each of the many processes that
# tests start would compile some thousand files anew, which takes seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Beside other work OpenMP's threads would spin until they hardly got on: a training of twenty steps
# then takes minutes.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
# FiftyOne's database is one of these tests, never the user's.
os.environ["FIFTYONE_DATABASE_DIR"] = os.environ["FASTSAM_TESTS"] + "/database"
# Even if a process joins a service that runs already, whatever folder was named.
os.environ["FIFTYONE_DATABASE_NAME"] = f"fastsam-tests-{os.getpid()}"
os.environ["FIFTYONE_DEFAULT_DATASET_DIR"] = os.environ["FASTSAM_TESTS"] + "/files"
os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"

# A shell lets what it starts in the background (`scripts/test.sh &`) ignore Ctrl+C, and all that
# starts inherits that: tests that press it would wait without end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis
import numpy as np
import pytest
from PIL import Image

from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.segmentation import Segmentation

# When Python ends, after FiftyOne, which is imported later, has ended its database.
atexit.register(shutil.rmtree, os.environ["FASTSAM_TESTS"], ignore_errors=True)

# Machines are slow at times: no deadline. The same examples in every run.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("tests")

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
BUNDLED = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real images with ground truth, on machines that have them."""
    if not DATA.is_dir():
        pytest.skip("no shared/data beside the repository")
    return DATA


@pytest.fixture(params=["bundled", "real"])
def data(request) -> Path:
    """Images with ground truth: the ten of tests/data everywhere, then the real ones."""
    return BUNDLED if request.param == "bundled" else request.getfixturevalue("real_data")


@pytest.fixture(params=[0, 1], ids=["gray", "colour"])
def map_image(request, data) -> Path:
    """A GeoTIFF in a CRS."""
    named = ("gray.tif", "colour.tif"), ("sample_geotiff.tif", "OSBS_029.tif")
    return data / "dev" / "geo" / named[data != BUNDLED][request.param]


@pytest.fixture(scope="session")
def model():
    """FastSAM-n, loaded once."""
    from fastsam_plugins import FastSAM

    return FastSAM("FastSAM-n", device="cpu")


@pytest.fixture(scope="module")
def one_thread():
    """For small images and networks: more threads are no faster, and far slower if it is busy."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def coins() -> np.ndarray:
    """A bundled sample image, (303, 384, 3)."""
    from fastsam_plugins import read_image
    from fastsam_plugins.paths import SAMPLES

    return read_image(SAMPLES / "coins.png")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Ten images of two bright disks, as a folder with label images."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for number in range(10):
        one, two = disks((64, 64), [(*rng.integers(8, 56, 2), 7) for _ in range(2)])
        image = rng.integers(0, 60, (64, 64, 3)) + 150 * (one | two)[..., None]
        label = np.where(two, 2, one.astype(np.uint8))
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{number}.png")
        Image.fromarray(label.astype(np.uint8)).save(folder / "labels" / f"{number}.png")
    return folder


UTM = (0.5, 0, 733601, 0, -0.5, 3725139)  # north up, half a metre per pixel


@pytest.fixture
def geotiff(tmp_path):
    """Write bands (C, H, W): ``geotiff("a.tif", bands, alpha=False, overviews=(), **profile)``."""
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")

    def make(name, bands, alpha=False, overviews=(), names=(), **profile):
        bands = np.asarray(bands)
        count, height, width = bands.shape
        known = {"crs": "EPSG:32616", "transform": rasterio.Affine(*UTM), "dtype": bands.dtype}
        path = tmp_path / name
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, **known | profile
        ) as file:
            if alpha:
                last = rasterio.enums.ColorInterp.alpha
                file.colorinterp = [*file.colorinterp[: count - 1], last]
            file.write(bands)
            for k, text in enumerate(names, 1):
                file.set_band_description(k, text)
            if overviews:
                file.build_overviews(list(overviews), rasterio.enums.Resampling.nearest)
        return path

    return make


def dummy_arrays(shape, count, imgsz=256, seed=0):
    """Smooth random prototypes, coefficients, boxes and the letterbox of an image."""
    import torch

    rng = np.random.default_rng(seed)
    letterbox = Letterbox.fit(shape, imgsz)
    h, w = (side // 4 for side in letterbox.input_shape)
    coarse = torch.from_numpy(rng.normal(size=(1, 32, max(h // 5, 1), max(w // 5, 1))))
    maps = torch.nn.functional.interpolate(coarse.float(), (h, w), mode="bicubic")[0].numpy()
    coefficients = rng.normal(size=(count, 32)).astype(np.float32)
    size = np.array([shape[1], shape[0]])
    corners = np.sort(rng.uniform(-0.1, 1.1, (count, 2, 2)), axis=1).clip(0, 1) * size
    boxes = corners.reshape(count, 4).astype(np.float32)
    if count:
        boxes[0] = [0, 0, *size]
    return maps, coefficients, boxes, letterbox


@pytest.fixture
def dummy():
    """Make a Segmentation over random prototypes: ``dummy((H, W), count, imgsz=256, seed=0)``."""
    from fastsam_plugins.masks.prototypes import PrototypeMasks

    def make(shape=(90, 130), count=12, imgsz=256, seed=0) -> Segmentation:
        maps, coefficients, boxes, letterbox = dummy_arrays(shape, count, imgsz, seed)
        scores = np.random.default_rng(seed + 1).uniform(0.1, 1, count)
        source = PrototypeMasks(maps, coefficients, boxes, letterbox)
        return Segmentation.from_source(source, boxes, scores)

    return make


def disks(shape, circles):
    """Bitmaps (N, H, W) of filled circles (x, y, radius)."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.stack([(x - cx) ** 2 + (y - cy) ** 2 < r * r for cx, cy, r in circles])

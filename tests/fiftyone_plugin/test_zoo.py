"""FiftyOne's model zoo: the plugin's folder as a remote source, over loopback HTTP."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import zipfile
from pathlib import Path

import fiftyone as fo
import fiftyone.zoo as foz
import numpy as np
import pytest

import fiftyone_plugin
from fastsam_plugins.network import weights
from fiftyone_plugin.labels import masks
from fiftyone_plugin.model import FastSAMModel

FOLDER = Path(fiftyone_plugin.__file__).parent


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The address of an archive of the plugin's folder, and an empty zoo."""
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(tmp_path / "zoo"))
    (tmp_path / "served").mkdir()
    with zipfile.ZipFile(tmp_path / "served" / "plugin.zip", "w") as archive:
        for name in ("__init__.py", "manifest.json", "fiftyone.yml"):
            archive.write(FOLDER / name, f"plugin/{name}")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/plugin.zip"
        server.shutdown()


def test_a_model_of_the_zoo_is_the_bundled_network(source, dataset, coins):
    from PIL import Image

    model = foz.load_zoo_model(source, "FastSAM-n", conf=0.3, imgsz=320, device="cpu", cache=False)
    assert isinstance(model, FastSAMModel)
    assert (model.segmenting.conf, model.segmenting.imgsz) == (0.3, 320)
    copied = Path(foz.find_zoo_model("FastSAM-n"))
    assert copied.read_bytes() == weights.BUNDLED.read_bytes()
    (listed,) = (
        m
        for m in json.loads((FOLDER / "manifest.json").read_text())["models"]
        if m["base_name"] == "FastSAM-n"
    )
    assert listed["size_bytes"] == copied.stat().st_size
    Image.fromarray(coins).save(dataset.first().filepath)
    dataset.apply_model(model, label_field="found", progress=False)
    own = FastSAMModel(device="cpu", segmenting=model.segmenting).engine.segment(
        coins, model.segmenting
    )
    found = list(masks(dataset.first()["found"], coins.shape[:2]))
    assert len(found) == len(own) > 3
    assert all(np.array_equal(own.runs(i), mask) for i, mask in enumerate(found))


def test_every_network_with_a_name_is_listed(source):
    foz.register_zoo_model_source(source)
    listed = {name for name in foz.list_zoo_models() if name.startswith("FastSAM")}
    assert listed == {"FastSAM-n", *(official.name for official in weights.OFFICIAL.values())}


def test_options_out_of_range_are_named(source):
    with pytest.raises(ValueError, match="conf must be between 0 and 1"):
        foz.load_zoo_model(source, "FastSAM-n", conf=3, device="cpu", cache=False)

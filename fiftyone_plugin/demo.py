"""``fastsam demo`` in FiftyOne: a dataset of the samples and of drawn scenes, with its recall.

Database, files and plugins lie in a folder of the demo's own; the user's are not touched.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_plugins.demo import CONF, DEMO
from fastsam_plugins.options import SegmentOptions

if TYPE_CHECKING:
    import fiftyone as fo

    from fastsam_plugins import FastSAM

NAME = "fastsam-demo"
SIZE = 480  # px, of the drawn scenes


def run(output: Path, model: FastSAM, say: Callable[[str], None], app: bool) -> None:
    """Make the dataset, and show it until the person ends that.

    Parameters
    ----------
    output : Path
        What is made lies in ``fiftyone/`` of this folder.
    model : FastSAM
    say : callable
        Takes lines for the person.
    app : bool
        Whether to open the App.

    Raises
    ------
    ValueError
        If FiftyOne cannot be used here.
    """
    root = (output / "fiftyone").resolve()
    _own(root)
    from fiftyone_plugin import segmenting
    from fiftyone_plugin.recall import run as measure

    made = _dataset(root)
    *_, done = segmenting.everything(
        made, "proposals", model, SegmentOptions(conf=CONF), existing="overwrite"
    )
    drawn = made.exists("ground_truth")
    list(measure(drawn, "proposals", "ground_truth", "recall"))
    found = made.load_evaluation_results("recall").summary
    say(
        f"FiftyOne: {done.instances} proposals on {done.done} images; mask AR@100 is "
        f"{found['mask AR@100']:.2f} on {len(drawn)} scenes drawn with their ground truth"
    )
    if app:
        _show(made, say)
    else:
        say("`fastsam demo --app` shows them in FiftyOne's App")


def _own(root: Path) -> None:
    """Have FiftyOne, which reads where things are as it is imported, use folders of this one."""
    if "fiftyone" in sys.modules:
        raise ValueError("FiftyOne is in use already: run `fastsam demo` in a process of its own")
    places = {"DATABASE_DIR": "database", "DEFAULT_DATASET_DIR": "files", "PLUGINS_DIR": "plugins"}
    for place in places.values():
        (root / place).mkdir(parents=True, exist_ok=True)
    settings = root / "config.json"  # instead of the user's, which may name another database
    settings.write_text(json.dumps({"database_validation": False}))
    # The second is left by a FiftyOne that started this process, and leads to its database.
    for name in ("FIFTYONE_DATABASE_URI", "FIFTYONE_PRIVATE_DATABASE_PORT"):
        os.environ.pop(name, None)
    os.environ |= {f"FIFTYONE_{name}": str(root / place) for name, place in places.items()}
    os.environ |= {"FIFTYONE_CONFIG_PATH": str(settings), "FIFTYONE_DO_NOT_TRACK": "true"}
    try:
        from fiftyone.core import service
    except ImportError as error:
        raise ValueError(
            f"this needs FiftyOne ({error}): pip install 'fastsam-plugins[fiftyone]'"
        ) from None
    # It would join any database that a FiftyOne of this person's runs, wherever that lies.
    service.MultiClientService.start = service.Service.start


def _dataset(root: Path) -> fo.Dataset:
    import fiftyone as fo
    from PIL import Image

    from fastsam_plugins.segmentation import Segmentation
    from fastsam_plugins.training.synthetic import KINDS, scene
    from fiftyone_plugin.cli import copy
    from fiftyone_plugin.labels import detections

    copy()
    made = fo.Dataset(NAME, overwrite=True, persistent=True)
    made.app_config.color_scheme = fo.ColorScheme(color_by="instance")
    made.save()
    samples: list[Any] = [fo.Sample(filepath=str(sample.path)) for sample in DEMO]
    for kind in KINDS:
        drawn = scene(0, 1, SIZE, kind)
        path = root / "files" / f"{kind}.png"
        Image.fromarray(drawn.image).save(path)
        truth = detections(Segmentation.from_runs(drawn.masks, (SIZE, SIZE)))
        samples.append(fo.Sample(filepath=str(path), ground_truth=truth))
    made.add_samples(samples, progress=False)
    return made


def _show(made: fo.Dataset, say: Callable[[str], None]) -> None:
    import fiftyone as fo

    session = fo.launch_app(made)
    say(f"The App is at {session.url} (Ctrl+C ends it): press ` for FastSAM's operators")
    session.wait(-1)

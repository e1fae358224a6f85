"""``fastsam demo`` in FiftyOne: a dataset of the samples and of drawn scenes, with its recall.

Database, files and plugins lie in a folder of the demo's own; the user's are not touched.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_plugins.cli.demo import CONF, DEMO
from fastsam_plugins.messages import install
from fastsam_plugins.options import SegmentOptions

if TYPE_CHECKING:
    import fiftyone as fo

    from fastsam_plugins import FastSAM

NAME = "fastsam-demo"
SIZE = 480  # px, of the drawn scenes
PATIENCE = 600.0  # seconds that FiftyOne's processes may take to answer, while they live
PORT = 5151  # FiftyOne's own, if it is free


def run(
    output: Path,
    model: FastSAM,
    log: Callable[[str], None],
    app: bool,
    address: str = "127.0.0.1",
) -> None:
    """Make the dataset, and show it until the person ends that.

    Parameters
    ----------
    output : Path
        What is made lies in ``fiftyone/`` of this folder.
    model : FastSAM
    log : callable
        Takes lines for the person.
    app : bool
        Whether to open the App.
    address : str
        Where the App listens. Whoever can reach it can read and change the data.

    Raises
    ------
    ValueError
        If FiftyOne cannot be used here.
    """
    root = (output / "fiftyone").resolve()
    port = _free_port(address) if app else 0
    log("Starting FiftyOne and its database: this takes up to some minutes on a busy machine")
    _own(root)
    from fiftyone_plugin import colours, segment_job
    from fiftyone_plugin.recall import run as measure

    made = _dataset(root)
    *_, done = segment_job.everything(
        made, "proposals", model, SegmentOptions(conf=CONF), existing="overwrite"
    )
    drawn = made.exists("ground_truth")
    list(measure(drawn, "proposals", "ground_truth", "recall"))
    colours.by_instance(made, "proposals")
    colours.missed(made, "ground_truth", "recall")
    summary = made.load_evaluation_results("recall").summary
    log(
        f"FiftyOne: {done.instances} proposals on {done.done} images; mask AR@100 is "
        f"{summary['mask AR@100']:.2f} on {len(drawn)} scenes drawn with their ground truth"
    )
    if app:
        _show(made, log, address, port)
    else:
        log("`fastsam demo --app` shows them in FiftyOne's App")


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
        raise ValueError(f"this needs FiftyOne ({error}): {install('fiftyone')}") from None
    from fiftyone_plugin import fiftyone_private

    # It would join any database that a FiftyOne of this person's runs, wherever that lies.
    service.MultiClientService.start = service.Service.start
    # It would give up after a minute, and says no more than that.
    fiftyone_private.use_port_wait(_patient(service))


def _patient(service: Any) -> Callable[..., int]:
    """FiftyOne's wait for a port of a process that it started, as long as the process lives."""
    from fiftyone_plugin import fiftyone_private

    wait = fiftyone_private.port_wait()

    def patiently(self: Any, port: int | None = None) -> int:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return int(wait(self, port, timeout=5))
            except service.ServiceListenTimeout:
                if self.child.poll() is not None:
                    raise ValueError(
                        f"FiftyOne's {self.service_name} process ended before it answered: look "
                        "into the log in the demo's folder, fiftyone/database/log"
                    ) from None
                if time.monotonic() > deadline:
                    raise ValueError(
                        f"FiftyOne's {self.service_name} process did not answer in "
                        f"{PATIENCE:g} s: try again when the machine is less busy"
                    ) from None

    return patiently


def _free_port(address: str) -> int:
    """A port to listen at, not that of an App that runs already: it shows another database."""
    for port in (PORT, 0):
        try:
            place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(*place[:3]) as probe:
                if os.name != "nt":
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place[4])
                return int(probe.getsockname()[1])
        except OSError as error:
            reason = error
    raise ValueError(f"address must be one of this machine, got {address!r} ({reason})")


def _dataset(root: Path) -> fo.Dataset:
    import fiftyone as fo
    from PIL import Image

    from fastsam_plugins.datasets.synthetic import KINDS, scene
    from fastsam_plugins.segmentation import Segmentation
    from fiftyone_plugin.cli import copy
    from fiftyone_plugin.labels import detections

    copy()
    made = fo.Dataset(NAME, overwrite=True, persistent=True)
    samples: list[Any] = [fo.Sample(filepath=str(sample.path)) for sample in DEMO]
    for kind in KINDS:
        drawn = scene(0, 1, SIZE, kind)
        path = root / "files" / f"{kind}.png"
        Image.fromarray(drawn.image).save(path)
        truth = detections(Segmentation.from_runs(drawn.masks, (SIZE, SIZE)))
        samples.append(fo.Sample(filepath=str(path), ground_truth=truth))
    made.add_samples(samples, progress=False)
    return made


def _show(made: fo.Dataset, log: Callable[[str], None], address: str, port: int) -> None:
    import fiftyone as fo

    log(f"Starting the App at {address}, port {port}")
    session = fo.launch_app(made, address=address, port=port)
    log(f"The App is at {session.url} (Ctrl+C ends it): press ` for FastSAM's operators")
    session.wait(-1)

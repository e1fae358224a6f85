"""What `fastsam batch` loses when things die, what it costs beside the network, and what it holds.

    python -m benchmarks.batch faults [--moments 10] [--images 400] [--seed 0]
    python -m benchmarks.batch rates FOLDER [--photos] [--repeat 4]
    python -m benchmarks.batch memory [--images 10000]
    python -m benchmarks.batch scenes [--sides 2048 4096 8192]
    python -m benchmarks.batch plans [--images 100000 1000000 10000000]

*faults*: a Ray cluster of three nodes on this machine; in every run, at moments drawn at random, a
worker, a node and the driver are ended by SIGKILL, and the same command is given again. What comes
out is compared by hash, image by image, with what the local engine makes.

*rates*: images of a folder, each stage alone, then `fastsam batch` beside the bare network; wall
and processor time. The network has the same images in memory and its masks are not even decoded.
*--photos*: of those images, but enlarged to 12 Mpx, with grain, as JPEGs of about 4 MB.

*memory*: many tiny images through the local engine, and COCO export of all: resident memory and
time per image as they go, with a straight line through them.

*scenes*: one raster of each size, in windows: what docs/scale.md reckons with. *plans*: the list of
that many images, made and read again, each in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import row
from fastsam_plugins.options import RunOptions, SegmentOptions, TileOptions
from fastsam_plugins.scale import export, jobs, local, segmenter
from fastsam_plugins.scale.inputs import Item, items
from fastsam_plugins.scale.results import Results
from fastsam_plugins.scale.settings import Settings

SIDE, IMGSZ = 200, 256  # of the images that are segmented while things die, in pixels


def pieces(folder: Path, count: int, side: int) -> None:
    """So many different pieces of the sample images, as PNG."""
    from PIL import Image

    from fastsam_plugins import read_image
    from fastsam_plugins.paths import samples

    rng = np.random.default_rng(0)
    images = [read_image(path) for path in samples()]
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        image = images[k % len(images)]
        y, x = (int(rng.integers(0, max(s - side, 1))) for s in image.shape[:2])
        Image.fromarray(image[y : y + side, x : x + side]).save(folder / f"{k:05d}.png")


def as_photos(files: list[Path], folder: Path) -> list[Path]:
    """The same as files of a camera: 12 Mpx, grain, JPEG of quality 95."""
    from PIL import Image

    from fastsam_plugins import read_image

    rng = np.random.default_rng(0)
    made = []
    for k, path in enumerate(files):
        image = np.asarray(Image.fromarray(read_image(path)).resize((4000, 3000)), np.float32)
        grain = rng.normal(0, 3, (*image.shape[:2], 1))
        made.append(folder / f"{k:05d}.jpg")
        pixels = np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(made[-1], quality=95)
    return made


def hashes(address: str) -> Counter[tuple[str, str]]:
    """How often there is a row of an image, with a hash of what is in it."""
    found: Counter[tuple[str, str]] = Counter()
    for one in Results(address).rows():
        content = hashlib.sha256(repr(sorted(one.items())).encode()).hexdigest()
        found[one["image"], content] += 1
    return found


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor time of something."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


# --- what dies ----------------------------------------------------------------------------------


class Nodes:
    """Three nodes on this machine, each of which may die and is replaced."""

    def __init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["RAY_AUTH_MODE"] = "disabled"
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(3)]
        self.address = self.cluster.address

    def workers(self) -> list[Any]:
        """The processes of actors."""
        import psutil

        def works(process: psutil.Process) -> bool:
            try:
                return "ray::Worker" in " ".join(process.cmdline())
            except psutil.Error:  # it died meanwhile
                return False

        return [p for p in psutil.Process().children(recursive=True) if works(p)]

    def kill_worker(self, rng: random.Random) -> None:
        """One of them, if there is one by now."""
        workers = self.workers()
        if workers:
            rng.choice(workers).send_signal(signal.SIGKILL)

    def kill_node(self, rng: random.Random) -> None:
        """One, with all that runs on it."""
        node = rng.choice(self.nodes)
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)

    def mend(self) -> None:
        """As many as there were."""
        while len(self.nodes) < 3:
            self.nodes.append(self.cluster.add_node(num_cpus=1))


def faults(args: argparse.Namespace) -> None:
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as place:
        photos, here = Path(place) / "photos", str(Path(place) / "here")
        pieces(photos, args.images, SIDE)
        (photos / "00007.png").write_bytes((photos / "00007.png").read_bytes()[:500])
        options = ["--imgsz", str(IMGSZ), "--conf", "0.2", "--shard", "5", "--max-errors", "1"]
        command = [sys.executable, "-m", "fastsam_plugins", "batch", str(photos), *options]
        subprocess.run([*command, "-o", here], check=True, capture_output=True)
        expected = hashes(here)
        nodes = Nodes()
        row("run", "worker", "node", "driver", "again", "seconds", "rows", "lost", "doubled",
            "other than the local engine's")  # fmt: skip
        row(*["---"] * 10)
        totals: Counter[str] = Counter()
        for run in range(args.moments):
            out = str(Path(place) / f"out{run}")
            start = time.perf_counter()
            moments = one_run([*command, "-o", out, "--engine", "ray", "--address", nodes.address,
                               "--cores", "1", "--actors", "3"],
                              Results(out), nodes, rng, args.images // 5)  # fmt: skip
            found = hashes(out)
            counts = Counter(image for image, _ in found.elements())
            lost = len({i for i, _ in expected} - counts.keys())
            doubled = sum(n - 1 for n in counts.values())
            other = sum((found - expected).values())
            totals.update(lost=lost, doubled=doubled, other=other)
            row(run + 1, *moments, f"{time.perf_counter() - start:.0f}", counts.total(), lost,
                doubled, other)  # fmt: skip
            nodes.mend()
        row("all", "", "", "", "", "", "", totals["lost"], totals["doubled"], totals["other"])
        nodes.cluster.shutdown()


def one_run(
    command: list[str], results: Results, nodes: Nodes, rng: random.Random, shards: int
) -> list[str]:
    """Run it, end a worker, a node and the driver at random moments, and run it again.

    Returns how many shards were done at each moment, and how often it had to be begun again.
    """
    moments = sorted(rng.sample(range(1, shards * 3 // 4), 3))
    acts = [nodes.kill_worker, nodes.kill_node, None]
    rng.shuffle(acts)
    said = {"worker": "-", "node": "-", "driver": "-"}
    running, again = _begin(command), 0
    for moment, act in zip(moments, acts, strict=True):
        while (done := len(results.done())) < moment:
            assert running.poll() is None, running.communicate()
            time.sleep(0.005)
        if act is None:
            running.send_signal(signal.SIGKILL)
            running.communicate()
            said["driver"] = str(done)
            running, again = _begin(command), again + 1
        else:
            act(rng)
            said["worker" if act == nodes.kill_worker else "node"] = str(done)
    _, errors = running.communicate()
    if running.returncode:
        raise RuntimeError(errors)
    return [*said.values(), str(again)]


def _begin(command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# --- what it costs ------------------------------------------------------------------------------


def rates(args: argparse.Namespace) -> None:
    files = [Path(i.image) for i in items([str(args.folder)])]
    with tempfile.TemporaryDirectory() as place:
        stages(as_photos(files, Path(place)) if args.photos else files, args.repeat)


def stages(files: list[Path], repeat: int) -> None:
    """What each stage takes alone, and `fastsam batch` with all of them."""
    from fastsam_plugins import io
    from fastsam_plugins.scale.rows import of_instances

    settings = Settings(RunOptions(device="cpu"))
    network = segmenter.network(settings, print)
    print(f"{network}, {len(files)} images\n")
    images = [io.read_image(path) for path in files]
    found = list(network.segment_many(images))
    row("stage", "ms per image (wall)", "ms per image (processor)")
    row("---", "---", "---")

    def each(name: str, work: Callable[[], Any]) -> tuple[float, float]:
        work()
        wall, processor = np.min([seconds(work) for _ in range(repeat)], axis=0) / len(files)
        row(name, f"{wall * 1e3:.1f}", f"{processor * 1e3:.1f}")
        return wall, processor

    def drain(made: Iterator[Any]) -> None:
        for _ in made:
            pass

    def results(place: str) -> Results:
        made = Results(place)
        jobs.begin(made, settings, False, (Item(str(f)) for f in files), 256,
                   lambda _: jobs.running(network), lambda _: None)  # fmt: skip
        return made

    with tempfile.TemporaryDirectory() as place:
        folders = iter(range(1000))

        def whole() -> None:
            made = results(f"{place}/{next(folders)}")
            worker = segmenter.Segmenter(network, settings)
            drain(iter(local.run(made, worker, made.missing())))

        each("decode", lambda: drain(io.read_image(path) for path in files))
        bare = each("network", lambda: drain(network.segment_many(images)))
        each("masks, stability, row", lambda: [
            of_instances("", "", seg, seg.stability.tolist()) for seg in _fresh(found)
        ])  # fmt: skip
        table = [of_instances(str(f), "", s, []) | {"stability": [None] * len(s)}
                 for f, s in zip(files, found, strict=True)]  # fmt: skip
        each("shard", lambda: results(f"{place}/w").write(0, table))
        batch = each("fastsam batch, all of it", whole)
        written = Path(Results(f"{place}/w").shard(0)).stat().st_size
    share, more = bare[0] / batch[0], batch[1] / bare[1] - 1
    print(f"\nfastsam batch has {share:.0%} of the bare network's images a second, and takes "
          f"{more:.0%} more processor time")  # fmt: skip
    print(f"{written / len(files) / 1e3:.1f} kB in a shard for each image, of "
          f"{np.mean([len(s) for s in found]):.1f} instances")  # fmt: skip


def _fresh(found: list[Any]) -> Iterator[Any]:
    """The same, nothing of them decoded yet."""
    import copy

    for seg in found:
        source = copy.copy(seg.source)
        source._runs, source._measures = {}, {}
        yield type(seg)(seg.boxes, seg.scores, source, seg.rows, seg.prompts)


# --- what it holds ------------------------------------------------------------------------------


def resident() -> float:
    """Megabytes of this process now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


@contextlib.contextmanager
def highest() -> Iterator[list[float]]:
    """The most memory that this process has meanwhile, looked at every 5 ms."""
    most, ended = [resident()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            most[0] = max(most[0], resident())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def memory(args: argparse.Namespace) -> None:
    settings = Settings(RunOptions(device="cpu"), SegmentOptions(imgsz=64, conf=0.1))
    start = time.perf_counter()
    network = segmenter.network(settings, print)
    print(f"the network began in {time.perf_counter() - start:.1f} s\n")
    seen: list[tuple[int, float, float]] = []

    def step(images: int, _: int) -> None:
        done[0] += images
        if done[0] % (args.images // 20) == 0:
            seen.append((done[0], resident(), time.process_time()))

    with tempfile.TemporaryDirectory() as place:
        pieces(Path(place) / "photos", args.images, 48)
        made = []
        for count in (args.images // 10, args.images):
            results, done = Results(f"{place}/{count}"), [0]
            listed = islice(items([f"{place}/photos"]), count)
            jobs.begin(
                results, settings, False, listed, 256, lambda _: jobs.running(network), print
            )
            worker = segmenter.Segmenter(network, settings)
            seen.clear()
            for _ in local.run(results, worker, results.missing(), step):
                pass
            made.append(results)
        row("images", "resident", "processor time per image since the row before")
        row("---", "---", "---")
        for (before, _, earlier), (now, size, when) in pairwise(seen):
            row(now, f"{size:.1f} MB", f"{(when - earlier) / (now - before) * 1e3:.2f} ms")
        half = np.array(seen[len(seen) // 2 :])
        slope = np.polyfit(half[:, 0], half[:, 1], 1)[0] * 1e3
        print(f"\nin the second half memory changes by {slope:+.3f} MB per 1000 images\n")
        row("export", "annotations", "file", "memory before", "at most")
        row(*["---"] * 5)
        for results in made:
            before = resident()
            with highest() as most:
                images, annotations = export.coco(results, Path(place) / "coco.json")
            size = (Path(place) / "coco.json").stat().st_size / 1e6
            row(f"{images} images", annotations, f"{size:.1f} MB", f"{before:.1f} MB",
                f"{most[0]:.1f} MB")  # fmt: skip


# --- scenes -------------------------------------------------------------------------------------


def scenes(args: argparse.Namespace) -> None:
    import tifffile

    from fastsam_plugins import open_raster, read_image
    from fastsam_plugins.paths import samples
    from fastsam_plugins.scale.rows import of_instances
    from fastsam_plugins.tiling import window_count

    network = segmenter.network(Settings(RunOptions(device="cpu")), print)
    pixels = np.tile(read_image(samples()[0]), (2, 2, 1))[:512, :512]
    row("side", "windows", "seconds", "ms per window", "instances", "per Mpx", "resident before",
        "after", "bytes of a row")  # fmt: skip
    row(*["---"] * 9)
    for side in args.sides:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "scene.tif"
            image = np.tile(pixels, (side // 512, side // 512, 1))
            tifffile.imwrite(path, image, tile=(512, 512), photometric="rgb", compression="zlib")
            del image
            before, start = resident(), time.perf_counter()
            seg = network.segment_tiled(open_raster(path), None, TileOptions(whole=False))
            taken = time.perf_counter() - start
            made = Results(place)
            made.write(0, [of_instances("a", "", seg, [float("nan")] * len(seg))])
            size = Path(made.shard(0)).stat().st_size
            count = window_count((side, side), network.imgsz, 0.25)
            row(side, count, f"{taken:.1f}", f"{taken / count * 1e3:.1f}", len(seg),
                f"{len(seg) / side**2 * 1e6:.1f}", f"{before:.0f} MB", f"{resident():.0f} MB",
                size)  # fmt: skip


def plans(args: argparse.Namespace) -> None:
    if len(args.images) > 1:
        row("images", "listed in", "memory", "the file", "read again in", "ready in")
        row(*["---"] * 6)
        sys.stdout.flush()
        for count in args.images:
            command = [sys.executable, "-m", "benchmarks.batch", "plans", "--images", str(count)]
            subprocess.run(command, check=True)
        return
    (count,) = args.images
    with tempfile.TemporaryDirectory() as place:
        before = resident()
        name = "s3://bucket/photos/2024/07/IMG_{:09d}_with_a_name.jpg"
        with highest() as most:
            listed, _ = seconds(
                lambda: Results(place).add((Item(name.format(k)) for k in range(count)), 256)
            )
        again = Results(place)
        read, _ = seconds(lambda: again.plan)
        ready, _ = seconds(lambda: again.size(again.missing()))
        size = (Path(place) / "plan.parquet").stat().st_size
        row(f"{count:,}", f"{listed:.1f} s", f"{most[0] - before:.0f} MB", f"{size / 1e6:.1f} MB",
            f"{read:.1f} s", f"{ready:.1f} s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    works = parser.add_subparsers(required=True)
    one = works.add_parser("faults")
    one.add_argument("--moments", type=int, default=10)
    one.add_argument("--images", type=int, default=400)
    one.add_argument("--seed", type=int, default=0)
    one.set_defaults(work=faults)
    one = works.add_parser("rates")
    one.add_argument("folder", type=Path)
    one.add_argument("--photos", action="store_true")
    one.add_argument("--repeat", type=int, default=4)
    one.set_defaults(work=rates)
    one = works.add_parser("memory")
    one.add_argument("--images", type=int, default=10_000)
    one.set_defaults(work=memory)
    one = works.add_parser("scenes")
    one.add_argument("--sides", type=int, nargs="+", default=[2048, 4096, 8192])
    one.set_defaults(work=scenes)
    one = works.add_parser("plans")
    one.add_argument("--images", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    one.set_defaults(work=plans)
    args = parser.parse_args()
    args.work(args)


if __name__ == "__main__":
    main()

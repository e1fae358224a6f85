"""cluster.py: a Ray cluster of several nodes, of which a worker and a whole node die."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest

pytest.importorskip("ray", reason="ray is not installed")

from fastsam_plugins.options import ClusterOptions
from fastsam_plugins.scale import cluster as module
from fastsam_plugins.scale import jobs, local
from fastsam_plugins.scale.cluster import Cluster, Pool, Weights
from fastsam_plugins.scale.inputs import items
from fastsam_plugins.scale.results import Results
from fastsam_plugins.scale.segmenter import Segmenter
from support.s3_server import free_port
from tests.conftest import ROOT
from tests.engine.scale.stored import hashes


@pytest.fixture
def nodes(monkeypatch):
    """Two nodes of one processor each, beside a head that works on nothing."""
    ray = module.ray()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.cluster_utils import Cluster as Nodes

    made = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.two = [made.add_node(num_cpus=1) for _ in range(2)]
    yield made
    ray.shutdown()
    made.shutdown()


def workers():
    """The processes of actors below this one."""
    import psutil

    def works(process):
        try:
            return "ray::Worker" in " ".join(process.cmdline())
        except psutil.Error:  # it died meanwhile
            return False

    return [p for p in psutil.Process().children(recursive=True) if works(p)]


@pytest.mark.filterwarnings("ignore:no worker has begun")  # on a busy machine
def test_what_a_worker_and_a_node_were_at_is_made_again(photos, tmp_path, nodes, model, settings):
    listed = list(items([str(photos)]))
    here = Results(str(tmp_path / "here"))
    missing = jobs.begin(here, settings, False, listed, 1, lambda _: jobs.running(model), print)
    list(local.run(here, Segmenter(model, settings), missing))
    results = Results(str(tmp_path / "out"))
    with pytest.warns(UserWarning, match="no machine of the cluster has 2 processors: .* takes 1"):
        used = Cluster(ClusterOptions(nodes.address, cores=2), results, settings, 2)
    missing = jobs.begin(results, settings, False, listed, 1, used.start, print)
    assert used.count == 2
    done, steps = [], []
    for number, _ in used.run(missing, lambda *step: steps.append(step)):
        done.append(number)
        if len(done) == 1:
            victim = workers()[0]
            victim.send_signal(signal.SIGKILL)
        if len(done) == 3:
            nodes.remove_node(nodes.two[0], allow_graceful=False)
    used.close()
    assert sorted(done) == missing == list(range(7))
    assert (sum(n for n, _ in steps), sum(e for _, e in steps)) == (7, 1)
    assert hashes(results.address) == hashes(here.address)


def test_room_is_counted_by_machine():
    def nodes(*parts):
        return [{"Alive": alive, "Resources": held} for alive, held in parts]

    mixed = nodes((True, {}), (True, {"CPU": 7.0}), (True, {"CPU": 3.0}), (False, {"CPU": 64.0}))
    assert module._room(mixed, 2) == (0, 2, 4)
    assert module._room(mixed, 4) == (0, 4, 1)
    assert module._room([], 2) == (0, 2, 0), "machines may come"
    with_gpu = nodes((True, {"CPU": 16.0}), (True, {"CPU": 8.0, "GPU": 2.0}))
    assert module._room(with_gpu, 4) == (2, 4, 2)


def test_where_no_cluster_is_is_one_line(tmp_path, photos):
    words = ["-m", "fastsam_plugins", "batch", str(photos), "-o", str(tmp_path / "out")]
    address = f"127.0.0.1:{free_port()}"
    said = subprocess.run([sys.executable, *words, "--engine", "ray", "--address", address],
                          capture_output=True, text=True)  # fmt: skip
    assert said.returncode == 1
    assert said.stderr.startswith(f"Error: no Ray cluster at {address}: ")
    assert said.stderr.count("\n") == 1


def test_weights_are_sent_along(tmp_path, checkpoint, settings, monkeypatch):
    named = replace(settings, running=settings.running.replace(model=str(checkpoint)))
    weights, known = Weights.of(named)
    monkeypatch.setenv("FASTSAM_CACHE_DIR", str(tmp_path / "cache"))
    settled = weights.settled(known)
    assert settled.running.model.startswith(str(tmp_path / "cache"))
    with open(settled.running.model, "rb") as there, open(checkpoint, "rb") as here:
        assert there.read() == here.read()


class _Dead:
    """What stands for Ray where every actor dies of one shard: real ones take a minute."""

    class exceptions:
        class RayError(Exception):
            pass

        class RayTaskError(RayError):
            pass

    def __init__(self):
        self.killed = 0

    def wait(self, refs, num_returns, timeout):
        return refs[:1], refs[1:]

    def get(self, ref):
        if ref[0] == "make" and ref[1] == 1:
            raise self.exceptions.RayError("it was killed")
        return {} if ref[0] == "ready" else f"counts of {ref[1]}"

    def kill(self, handle):
        self.killed += 1


class _Handle:
    numbers = count()

    def __init__(self):
        own = next(self.numbers)
        self.ready = SimpleNamespace(remote=lambda: ("ready", None, own))
        self.make = SimpleNamespace(remote=lambda number, _: ("make", number, own))


def test_a_shard_that_everyone_dies_of_ends_the_run_when_the_others_are_done(monkeypatch):
    dead = _Dead()
    monkeypatch.setattr(module, "ray", lambda: dead)
    pool = Pool(_Handle, 2)
    source = pool.run((k, []) for k in range(6))
    made = [next(source)[0] for _ in range(5)]
    with pytest.raises(RuntimeError, match=r"4 workers died of each of the shards \[1\]"):
        next(source)
    assert sorted(made) == [0, 2, 3, 4, 5]
    assert dead.killed == module.TRIES


def test_examples_of_clusters_are_what_ray_takes_and_their_commands_ours():
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    from fastsam_plugins.cli.batch import batch

    text = (ROOT / "examples" / "cluster.yaml").read_text()
    validate_config(prepare_config(yaml.safe_load(text)))
    (told,) = re.findall(r"'fastsam (.*)'$", text, re.MULTILINE)
    job = yaml.safe_load((ROOT / "examples" / "kuberay-job.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    groups = [job["spec"]["rayClusterSpec"]["headGroupSpec"],
              *job["spec"]["rayClusterSpec"]["workerGroupSpecs"]]  # fmt: skip
    assert all(g["template"]["spec"]["containers"][0]["image"] for g in groups)
    program, name, *words = job["spec"]["entrypoint"].split()
    assert (program, name) == ("fastsam", "batch")
    for command in (words, told.split()[1:]):
        with batch.commands["run"].make_context("run", command) as context:
            assert context.params["engine"] == "ray"

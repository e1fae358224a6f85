"""Limits of the network's input, of windows and of weights, in Python and in the command."""

from __future__ import annotations

import copy
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file

from fastsam_plugins import FastSAM, io
from fastsam_plugins.cli import main
from fastsam_plugins.images.reduced_image import ReducedImage
from fastsam_plugins.limits import input_memory
from fastsam_plugins.network import checkpoints, weights
from fastsam_plugins.options import LimitOptions, SegmentOptions
from tests.conftest import ROOT
from tests.tiny_network import content, describe, error_of

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = np.zeros((64, 96, 3), np.uint8)


@pytest.fixture
def limited():
    """FastSAM-n with limits: ``limited(max_memory=5)``."""
    return lambda **limits: FastSAM("FastSAM-n", "cpu", limits=LimitOptions(**limits))


# --- inputs -------------------------------------------------------------------------------------


def test_an_input_that_takes_too_much_is_refused_before_it_is_made(model):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="max_memory is 4000 MB: make imgsz smaller") as caught:
            model.segment(SMALL.reshape(96, 64, 3), imgsz=8192)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "5472 x 8192 px to FastSAM-n takes 5873 MB" in str(caught.value)
    assert peak < 5e6


def test_the_limit_is_the_callers(limited, coins):
    small = limited(max_memory=7)  # the weights are 6.6
    assert len(small.segment(coins, imgsz=160, conf=0.2)) > 0
    with pytest.raises(ValueError, match="takes 11 MB of memory, and max_memory is 7"):
        small.segment(coins, imgsz=320)


def test_a_batch_is_cut_to_what_may_be_taken_at_once(limited, coins, model, monkeypatch):
    small, sizes = limited(max_memory=8), []
    run = small.backend.run

    def counted(canvases, least):
        sizes.append(len(canvases))
        return run(canvases, least)

    monkeypatch.setattr(small.backend, "run", counted)
    images = [ReducedImage.of(i) for i in (coins, coins[::-1], coins[:, ::-1])] * 2
    options = SegmentOptions(imgsz=160, conf=0.2)
    found = small._segment_batch(images, options)
    assert sizes == [2, 2, 2]  # of 160 x 128 pixels, 2.7 MB each
    for seg, expected in zip(found, model._segment_batch(images, options), strict=True):
        assert np.array_equal(seg.labels(), expected.labels())


def test_an_estimate_is_no_less_than_what_is_taken_and_not_twice_as_much():
    imgsz = 2048
    script = f"""
import torch, numpy as np
torch.set_num_threads(1)
from support.memory import peak_extra_megabytes
from fastsam_plugins import FastSAM
network = FastSAM("FastSAM-n", device="cpu")
image = np.zeros(({imgsz}, {imgsz}, 3), np.uint8)
print(peak_extra_megabytes(lambda: network.segment(image, imgsz={imgsz})))
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    taken = float(said.stdout.split()[-1]) * 1e6
    estimate = input_memory(weights.load("FastSAM-n").facts.channels, (imgsz, imgsz))
    assert taken < 1.15 * estimate
    assert estimate < 2 * taken


def test_an_image_of_endless_rows_is_refused(model):
    endless = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (50_000_000, 1, 3))
    with pytest.raises(ValueError, match="image of 1 x 50000000 px: sampling them takes 5001 MB"):
        model.segment(endless, imgsz=64, shape=endless.shape[:2])


def test_windows_beyond_counting_are_refused(model, limited):
    class Endless:
        shape, dtype = (300_000, 300_000, 3), np.dtype(np.uint8)

        def __getitem__(self, index):
            rows, columns = (len(range(300_000)[i]) for i in index[:2])
            return np.zeros((rows, columns, 3), np.uint8)

    with pytest.raises(ValueError, match=r"39\d+ windows of 64 px .* max_windows is 100000"):
        model.segment_tiled(Endless(), tile=64, imgsz=64)
    few = limited(max_windows=3)
    with pytest.raises(ValueError, match="4 windows of 64 px"):
        few.segment_tiled(np.zeros((100, 100, 3), np.uint8), tile=64, imgsz=64)
    assert few.segment_tiled(np.zeros((64, 150, 3), np.uint8), tile=64, imgsz=64) is not None


# --- the command --------------------------------------------------------------------------------


def said(*words):
    done = CliRunner().invoke(main.main, [str(w) for w in words])
    return done.exit_code, done.output.strip()


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        (("--max-pixels", "5000"), "has 96 x 64 pixels, and max_pixels is 5000"),
        (("--max-seconds", "0"), "reading takes longer than max_seconds, 0"),
        (("--imgsz", "8192"), "takes 5873 MB of memory, and max_memory is 4000 MB"),
        (("--max-memory", "7", "--imgsz", "320"), "takes 10 MB of memory, and max_memory is 7 MB"),
        (("--tiled", "--tile", "64", "--max-windows", "1"), "2 windows of 64 px"),
    ],
)
def test_the_command_says_the_limit_that_is_in_the_way(flag, expected, tmp_path):
    Image.fromarray(SMALL).save(tmp_path / "a.png")
    code, line = said("segment", tmp_path / "a.png", "-o", tmp_path / "b.json", *flag)
    assert code == 1
    assert expected in line
    assert line.startswith("Error: ") or "\nError: " in line
    assert not (tmp_path / "b.json").exists()


def test_limits_hold_for_all_commands_that_read_images(tmp_path):
    Image.fromarray(SMALL).save(tmp_path / "a.png")
    code, line = said("edges", tmp_path / "a.png", "-o", tmp_path / "out", "--max-pixels", "5000")
    assert code == 1
    assert "max_pixels is 5000" in line


# --- weights ------------------------------------------------------------------------------------


def test_an_archive_that_unpacks_to_more_is_not_unpacked(net, tmp_path):
    torch.save(content(net), tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as good:
        parts = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for name, part in parts.items():
            with bomb.open(name, "w", force_zip64=True) as stream:
                stream.write(part)
                for _ in range(100 if name.endswith("data.pkl") else 0):
                    stream.write(bytes(1_000_000))
    tracemalloc.start()
    try:
        assert "unpack to 1" in error_of(tmp_path / "bomb.pt")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50e6


def test_parameters_that_are_shown_many_times_are_refused(net, tmp_path):
    wide = content(copy.deepcopy(net))
    wide["model"].register_buffer("huge", torch.zeros(1).expand(200_000, 200_000))
    torch.save(wide, tmp_path / "wide.pt")
    assert "its parameters are 160" in error_of(tmp_path / "wide.pt")


def test_modules_that_hold_each_other_come_to_an_end(tmp_path):
    """Each of forty holds the next one twice: a billion ways through them."""
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1))
    for _ in range(40):
        module = torch.nn.Sequential(module, module)
    from ultralytics.nn.tasks import SegmentationModel

    made = SegmentationModel.__new__(SegmentationModel)
    torch.nn.Module.__init__(made)
    made.model, made.yaml, made.names = module, describe(), {0: "object"}
    torch.save({"model": made, "train_args": {"imgsz": 64}}, tmp_path / "endless.pt")
    assert "no end" in error_of(tmp_path / "endless.pt")


def test_a_file_that_is_larger_than_memory_allows_is_refused(checkpoint):
    size = checkpoint.stat().st_size
    assert checkpoints.read(checkpoint, LimitOptions(max_memory=-(-size // 10**6)))
    with pytest.raises(weights.WeightsError, match="and max_memory is 1 MB: raise it if you trust"):
        checkpoints.read(weights.BUNDLED, LimitOptions(max_memory=1))


@pytest.mark.parametrize("imgsz", [0, -1, 1, 8193, 10**9])
def test_weights_for_inputs_of_no_size_are_refused(imgsz, checkpoint, tmp_path):
    read = checkpoints.read(checkpoint)
    read.imgsz = imgsz
    checkpoints.save(read, tmp_path / "a.safetensors")
    assert f"for inputs of {imgsz} px" in error_of(tmp_path / "a.safetensors")


def test_safetensors_whose_description_is_nested_without_end_are_refused(tmp_path):
    state = load_file(weights.BUNDLED)
    notes = {"architecture": "[" * 100_000, "imgsz": "64", "classes": "1"}
    save_file(state, tmp_path / "a.safetensors", metadata=notes)
    assert "does not say which network" in error_of(tmp_path / "a.safetensors")


def test_reading_in_python_takes_the_limits(tmp_path):
    Image.fromarray(SMALL).save(tmp_path / "a.png")
    assert io.read_image(tmp_path / "a.png", None, LimitOptions(max_pixels=6144)).any() == 0
    with pytest.raises(ValueError, match="max_pixels"):
        io.read_image(tmp_path / "a.png", limits=LimitOptions(max_pixels=6143))

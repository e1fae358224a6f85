"""Training end to end, on a few small images."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from ultralytics.utils.torch_utils import ModelEMA

from fastsam_plugins import FastSAM, TrainOptions
from fastsam_plugins.io import atomic
from fastsam_plugins.network import checkpoints, efficientnet, families, shape_terms
from fastsam_plugins.network.checkpoints import WeightsError
from fastsam_plugins.network.shape_terms import ShapedSegment
from fastsam_plugins.network.ultralytics_guard import SegmentationModel
from fastsam_plugins.training import train as rooms
from fastsam_plugins.training.loss import MaskLoss
from fastsam_plugins.training.options import PRESETS
from fastsam_plugins.training.trainer import Trainer, averaging
from support import oracle

SMALL = TrainOptions(
    imgsz=64, epochs=2, batch=2, step=2, workers=0, synthetic=0.3, paste=0.5, dice=1.0
)


@pytest.fixture(scope="session")
def trained(pictures, tmp_path_factory):
    """A finished training's folder and weights."""
    output = tmp_path_factory.mktemp("trained")
    return output, rooms.train([pictures], output, SMALL, device="cpu")


@pytest.fixture
def copied(trained, tmp_path):
    """Its folder for one test alone: ultralytics' trainer deletes results.csv when it is made."""
    return shutil.copytree(trained[0], tmp_path / "copied", symlinks=True)


def epochs(output):
    with open(output / "run" / "results.csv", newline="") as stream:
        return [int(row["epoch"]) for row in csv.DictReader(stream)]


def test_training_gives_weights_that_load(trained):
    _, best = trained
    assert best.name == "best.safetensors"
    for file in (best, best.with_name("last.safetensors"), best.with_name("last.pt")):
        model = FastSAM(file, device="cpu")
        assert file.stat().st_mode & 0o444 == 0o444, "others may read it"
        assert model.imgsz == 64
        assert model.network.reg_max == 16
        assert model.segment(np.zeros((64, 64, 3), np.uint8)).shape == (64, 64)


def test_the_best_weights_are_those_with_the_best_recall_on_images_held_out(trained):
    from fastsam_plugins.datasets.sources import read
    from fastsam_plugins.evaluation.everything import measure

    output, best = trained
    with open(output / "run" / "results.csv", newline="") as stream:
        rows = [float(row["recall/mask AR@1000"]) for row in csv.DictReader(stream)]
    truth = output / "data" / "held_out.json"
    assert len(json.loads(truth.read_text())["images"]) == 1
    found = measure(FastSAM(best, device="cpu"), read(truth)).summary()
    assert found["mask AR@1000"] == pytest.approx(max(rows), abs=1e-5)


def test_losses_and_recall_are_drawn(trained):
    output, _ = trained
    with Image.open(output / "run" / "curves.png") as picture:
        assert picture.size == (1000, 400)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


def test_saved_networks_carry_no_class_of_this_project(trained):
    output, _ = trained
    named = torch.serialization.get_unsafe_globals_in_checkpoint(
        output / "run" / "weights" / "last.pt"
    )
    assert not [name for name in named if "fastsam_plugins" in name]


def test_a_second_training_does_not_overwrite_the_first(trained, pictures):
    output, _ = trained
    with pytest.raises(ValueError, match="already holds a training: go on with --resume"):
        rooms.train([pictures], output, SMALL, device="cpu")


def test_checkpoints_do_not_say_in_which_repository_they_were_made(trained):
    output, _ = trained
    content = torch.load(output / "run" / "weights" / "last.pt", weights_only=False)
    assert set(content.get("git", {}).values()) <= {"None", None}


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("own", ["data", "run", "recipe.json"])
def test_what_is_there_and_of_no_training_is_left_alone(pictures, tmp_path, own):
    """``fastsam train data/instances.json -o .``, for one."""
    place = tmp_path / own
    if place.suffix:
        place.write_text("{}")
    else:
        (place / "images").mkdir(parents=True)
        (place / "images" / "000000.png").write_bytes(b"mine")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=f"{own} is there and .* name another"):
        rooms.train([pictures], tmp_path, SMALL, device="cpu")
    assert contents(tmp_path) == before


def test_two_trainings_are_not_at_work_in_one_folder(trained, tmp_path, pictures):
    with atomic.alone(tmp_path), pytest.raises(BlockingIOError, match="another process is at work"):
        rooms.train([pictures], tmp_path, SMALL, device="cpu")
    output, _ = trained
    with atomic.alone(output), pytest.raises(BlockingIOError, match="another process is at work"):
        rooms.resume(output, device="cpu")


def test_a_finished_training_has_nothing_to_resume(trained, tmp_path):
    output, _ = trained
    with pytest.raises(ValueError, match="is complete"):
        rooms.resume(output, device="cpu")
    with pytest.raises(ValueError, match="no training to resume"):
        rooms.resume(tmp_path, device="cpu")


def rename(checkpoint, monkeypatch):
    """Have a checkpoint call our class as it was called before its module was moved."""
    saved = torch.load(checkpoint, weights_only=False)
    with monkeypatch.context() as once:
        once.setattr(ShapedSegment, "__module__", "fastsam_plugins.shape")
        once.setitem(sys.modules, "fastsam_plugins.shape", shape_terms)
        torch.save(saved, checkpoint)
    named = torch.serialization.get_unsafe_globals_in_checkpoint(checkpoint)
    assert "fastsam_plugins.shape.ShapedSegment" in named


def test_a_killed_training_goes_on_after_its_last_epoch(pictures, tmp_path, monkeypatch):
    output = tmp_path / "out"
    command = f"-m fastsam_plugins train -o {output} --device cpu"
    words = [sys.executable, *command.split()]
    fresh = "--preset nano --imgsz 64 --epochs 6 --batch 2 --workers 0 --held-out 0.1".split()  # noqa: SIM905
    with open(tmp_path / "log", "w") as log:
        running = subprocess.Popen([*words, str(pictures), *fresh], stdout=log, stderr=log)
        last = output / "run" / "weights" / "last.pt"
        deadline = time.monotonic() + 240
        while not (last.exists() and len(epochs(output)) >= 2):
            assert running.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    saved = torch.load(last, weights_only=False)["epoch"] + 1
    assert 1 <= saved < 6
    rename(last, monkeypatch)
    before = contents(output)
    moved = tmp_path / "moved"
    shutil.copytree(output, moved, symlinks=True)
    words[words.index(str(output))] = str(moved)
    done = subprocess.run([*words, "--resume"], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"Going on after epoch {saved}." in done.stderr
    assert contents(output) == before, "a copy is gone on with, not what it is a copy of"
    after = epochs(moved)
    assert after[-(6 - saved) :] == list(range(saved + 1, 7)), "no epoch left out, none twice"
    assert set(after) == set(range(1, 7))
    weights = done.stdout.split("Trained weights: ")[1].strip()
    model = FastSAM(weights, device="cpu")
    assert model.imgsz == 64
    assert isinstance(model.network.module.model[-1], ShapedSegment)


def test_finetuning_starts_from_the_weights_and_leaves_frozen_layers(pictures, tmp_path):
    options = TrainOptions(**PRESETS["finetune"]).replace(
        imgsz=64, epochs=1, freeze=10, workers=0, paste=0.0
    )
    weights = rooms.train([pictures], tmp_path, options, device="cpu")
    before = FastSAM("FastSAM-n", device="cpu").network.module.state_dict()
    after = FastSAM(weights, device="cpu").network.module.state_dict()
    backbone = {f"model.{k}." for k in range(10)}
    weight = [k for k in before if k.endswith("weight")]
    frozen = [k for k in weight if k[: k.index(".", 6) + 1] in backbone]
    assert frozen
    assert all(torch.equal(before[k], after[k]) for k in frozen)
    assert any(not torch.equal(before[k], after[k]) for k in weight if k not in frozen)


def test_no_rate_is_higher_than_the_one_asked_for(pictures, tmp_path, monkeypatch):
    """Ultralytics would begin with 0.1 for biases: what the weights knew would be lost."""
    rates = []

    def step(self):
        rates.extend(group["lr"] for group in self.optimizer.param_groups)
        stepped(self)

    stepped = Trainer.optimizer_step
    monkeypatch.setattr(Trainer, "optimizer_step", step)
    rooms.train([pictures], tmp_path, SMALL.replace(lr0=0.0005, weights="FastSAM-n"), device="cpu")
    assert len(rates) > 8
    assert 0.0003 < max(rates) <= 0.0005


def test_any_weights_can_be_given_shape_terms_and_keep_them(pictures, tmp_path, trained):
    _, checkpoint = trained
    options = SMALL.replace(weights=str(checkpoint), epochs=1, shape_terms=True)
    once = rooms.train([pictures], tmp_path / "once", options, device="cpu")
    again = options.replace(weights=str(once), shape_terms=False)
    twice = rooms.train([pictures], tmp_path / "twice", again, device="cpu")
    ultralytics = tmp_path / "twice" / "run" / "weights" / "last.pt"
    for weights in (once, twice, ultralytics):
        head = FastSAM(weights, device="cpu").network.module.model[-1]
        assert isinstance(head, ShapedSegment)


def test_input_size_follows_the_weights_unless_given(pictures, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(rooms, "_run", lambda output, options, *_, **__: seen.append(options.imgsz))
    rooms.train([pictures], tmp_path / "a", TrainOptions(weights="FastSAM-n"))
    rooms.train([pictures], tmp_path / "b", TrainOptions(weights="FastSAM-n", imgsz=96))
    rooms.train([pictures], tmp_path / "c", TrainOptions())
    assert seen == [FastSAM("FastSAM-n", device="cpu").imgsz, 96, 640]


def test_the_papers_recipe_reaches_ultralytics(copied):
    """Section 4.1: YOLOv8x, 100 epochs, input 1024, reg_max 26; batch 32 in the authors' script."""
    options = TrainOptions(**PRESETS["paper"])
    trainer = Trainer(copied, options, device="cpu")
    assert trainer.args.model == "yolov8x-seg.yaml"
    assert (trainer.args.imgsz, trainer.args.epochs, trainer.args.batch) == (1024, 100, 32)
    assert trainer.args.overlap_mask is False
    trainer.data = {"nc": 1, "channels": 3}
    network = trainer.get_model(verbose=False)
    head = network.model[-1]
    assert (head.reg_max, head.nc, head.nm) == (26, 1, 32)
    all_of_it = sum(p.numel() for p in network.parameters())
    masks = sum(p.numel() for part in (head.proto, head.cv4) for p in part.parameters())
    assert all_of_it == 72_234_149
    assert all_of_it - masks == 68_635_909, "what the paper counts: YOLOv8x without masks"


def test_the_options_reach_the_loss(pictures, tmp_path, monkeypatch):
    seen = {}

    def run(self, found, *rest):
        seen.update(vars(self), kind=type(self).__name__)
        return original(self, found, *rest)

    def update(self, model):
        seen["kept"] = self.decay(5)
        return averaged(self, model)

    original, averaged = MaskLoss.calculate_segmentation_loss, ModelEMA.update
    monkeypatch.setattr(ModelEMA, "update", update)
    monkeypatch.setattr(MaskLoss, "calculate_segmentation_loss", run)
    options = SMALL.replace(epochs=1, dice=0.5, mask_gain=3.0, per_image=True, mask_scores=True)
    rooms.train([pictures], tmp_path, options, device="cpu")
    assert (seen["_dice"], seen["_gain"], seen["_per_image"]) == (0.5, 3.0, True)
    assert seen["kind"] == "RankedByMask"
    assert seen["kept"] == averaging(5) == 0.8**8


def test_an_older_ultralytics_cannot_teach_mask_scores(copied, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastsam_plugins.training.mask_score_loss", None)
    with pytest.raises(ValueError, match="mask scores need ultralytics"):
        Trainer(copied, SMALL.replace(mask_scores=True), device="cpu")


def test_weights_are_averaged_over_the_last_eighth_of_a_training_of_any_length():
    for steps in (20, 200, 20_000):
        mean = 0.0
        for step in range(1, steps + 1):
            kept = averaging(step)
            mean = kept * mean + (1 - kept) * step
        assert mean / steps == pytest.approx(8 / 9, abs=1 / steps)


@pytest.mark.parametrize(("name", "classes"), [("yolo11n-seg", 3), ("yolo26n-seg", 1)])
def test_networks_of_other_families_learn(pictures, tmp_path, name, classes, capsys):
    """Also with images that are labelled in part, which YOLO26's semantic loss must know."""
    start = oracle.untrained(name, classes, tmp_path / "start.pt", imgsz=64)
    options = SMALL.replace(weights=str(start), epochs=1, lr0=0.001, mask_scores=True)
    out = tmp_path / "out"
    trained = rooms.train([], out, options, device="cpu", partial=[pictures])
    said = "start.pt knows 3 classes: what tells an object is learned anew."
    assert (said in capsys.readouterr().err) == (classes > 1)
    before = checkpoints.read(start).state
    for file in (trained, out / "run" / "weights" / "last.pt"):
        model = FastSAM(file, device="cpu")
        assert model.network.facts.classes == 1
        assert model.segment(np.zeros((64, 64, 3), np.uint8)).shape == (64, 64)
        after = checkpoints.read(file).state
        first = "model.0.conv.weight"
        assert 0 < (before[first].float() - after[first].float()).abs().max() < 0.1


def test_a_backbone_that_knows_imagenet_is_put_under_a_network(pictures, tmp_path, trained):
    """Neck and head go on from where they were, the backbone from what was published."""
    options = SMALL.replace(epochs=1, batch=4, lr0=1e-6, freeze=4)
    over = options.replace(backbone="lite0", weights=str(trained[1]))
    first = rooms.train([pictures], tmp_path / "first", over, device="cpu")
    model = SegmentationModel(checkpoints.read(first).architecture, nc=1, verbose=False)
    families.complete(model)
    efficientnet.begin(model)
    published, state = model.state_dict(), checkpoints.read(first).state
    assert torch.equal(
        state["model.3.4.layers.2.conv.weight"], published["model.3.4.layers.2.conv.weight"].half()
    )
    kept = checkpoints.read(trained[1]).state["model.22.cv2.0.0.conv.weight"]
    assert state["model.19.cv2.0.0.conv.weight"] == pytest.approx(kept, abs=1e-3)

    again = options.replace(
        weights=str(first), freeze=0, shape_terms=True, mask_scores=True, lr0=1e-3
    )
    rooms.train([], tmp_path / "second", again, device="cpu", partial=[pictures])
    for name in ("best.safetensors", "last.pt"):
        file = tmp_path / "second" / "run" / "weights" / name
        trained_on = checkpoints.read(file).state["model.3.4.layers.2.conv.weight"]
        assert 0 < (trained_on - state["model.3.4.layers.2.conv.weight"]).abs().max() < 0.1
        head = FastSAM(file, device="cpu").network.module.model[-1]
        assert isinstance(head, ShapedSegment)
    with pytest.raises(ValueError, match="the place of YOLOv8's own backbone only"):
        rooms.train([pictures], tmp_path / "third", again.replace(backbone="lite0"), device="cpu")


def test_weights_of_different_backbones_have_no_mean(trained, tmp_path):
    other = checkpoints.read(trained[1])
    other.architecture[checkpoints.EFFICIENTNET] = "lite0"
    checkpoints.save(other, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="another network"):
        checkpoints.average([trained[1], tmp_path / "other.safetensors"])


def test_a_description_in_weights_to_start_from_runs_no_code(pictures, tmp_path, trained):
    """Ultralytics evaluates the ``activation`` of a description."""
    evil = checkpoints.read(trained[1])
    evil.architecture["activation"] = f"open({str(tmp_path / 'ran')!r}, 'w') and torch.nn.SiLU()"
    checkpoints.save(evil, tmp_path / "evil.safetensors")
    options = SMALL.replace(weights=str(tmp_path / "evil.safetensors"), epochs=1)
    rooms.train([pictures], tmp_path / "out", options, device="cpu")
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_network_are_refused(pictures, tmp_path, trained):
    wrong = checkpoints.read(trained[1])
    del wrong.state["model.0.conv.weight"]
    checkpoints.save(wrong, tmp_path / "wrong.safetensors")
    options = SMALL.replace(weights=str(tmp_path / "wrong.safetensors"), epochs=1)
    with pytest.raises(WeightsError, match=r"do not fit \(model.0.conv.weight is missing"):
        rooms.train([pictures], tmp_path / "out", options, device="cpu")

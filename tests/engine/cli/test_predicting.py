"""``--predict``, ``--mask`` and ``train-decoder`` at the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fastsam_plugins.cli.main import main
from fastsam_plugins.decoder import weights
from fastsam_plugins.io import read_image
from fastsam_plugins.paths import BUNDLED, SAMPLES
from tests.conftest import disks

COINS = str(SAMPLES / "coins.png")


@pytest.fixture
def run():
    def run(*words):
        return CliRunner().invoke(main, [str(w) for w in words])

    return run


def test_a_click_where_nothing_was_found_is_answered(run, tmp_path):
    """At the default conf the background of the coins is no instance."""
    asked = ["segment", COINS, "-o", tmp_path / "a.json", "--point", "8,8", "--json"]
    selected, predicted = run(*asked), run(*asked, "--predict")
    assert selected.exit_code == predicted.exit_code == 0, predicted.stderr
    (selected,), (predicted,) = (json.loads(r.stdout)["images"] for r in (selected, predicted))
    assert selected["instances"] == 0
    assert predicted["instances"] == 1
    assert predicted["unanswered"] == {}
    (written,) = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert 0 < written["score"] <= 1


def test_points_are_one_object_or_one_each(run, tmp_path):
    points = ["--point", "77,105", "--point", "150,60", "--predict"]
    for more, count in (([], 1), (["--points-mode", "each"], 2)):
        done = run("segment", COINS, "-o", tmp_path / "a.png", *points, *more, "--json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["images"][0]["instances"] == count


def test_a_rough_mask_is_refined(run, tmp_path):
    (rough,) = disks(read_image(COINS).shape[:2], [(77, 105, 14)])
    Image.fromarray((rough * 255).astype(np.uint8)).save(tmp_path / "rough.png")
    done = run("segment", COINS, "-o", tmp_path / "a.tif", "--predict", "--mask",
               tmp_path / "rough.png", "--point", "77,110")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    refined = np.asarray(Image.open(tmp_path / "a.tif")) > 0
    assert refined[105, 77]
    assert refined[110, 77]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--predict"], "give one"),
        (["--predict", "--text", "a coin"], "a text selects"),
        (["--predict", "--mask", "m.png", "--tiled"], "leave --tiled out"),
        (["--mask", "MASK"], "give both"),
        (["--mask", "nothing.png", "--predict"], "there is no mask"),
        (["--mask", "SMALL", "--predict"], "has size"),
        (["--mask", "BLACK", "--predict"], "no pixel"),
        (["--predict", "--point", "5,5", "--box", "1,1,9,9", "--box", "2,2,8,8"], "one box"),
        (["--predict", "--point", "5,5,0"], "needs a foreground point"),
        (["--predict", "--point", "5,5", "--smoothing", "0.5"], "leave it out"),
        (["--predict", "--point", "5,5", "--points-mode", "best"], "union"),
        (["--predict", "--point", "5,5", "--box", "1,1,9,9", "--points-mode", "each"], "alone"),
    ],
)
def test_what_does_not_go_together_is_one_line(run, tmp_path, words, told):
    files = {"MASK": (303, 384, 1), "SMALL": (30, 30, 1), "BLACK": (303, 384, 0)}
    for name, (height, width, value) in files.items():
        array = np.full((height, width), 255 * value, np.uint8)
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    words = [str(tmp_path / f"{w}.png") if w in files else w for w in words]
    done = run("segment", COINS, "-o", tmp_path / "a.json", *words)
    assert done.exit_code == 1
    assert told in done.stderr.splitlines()[-1]
    assert not (tmp_path / "a.json").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A decoder trained for one step on one image, for a copy of the network."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    image = read_image(COINS)[:128, :160]
    Image.fromarray(image).save(folder / "images" / "coins.png")
    ids = np.zeros(image.shape[:2], np.uint8)
    for k, disk in enumerate(disks(image.shape[:2], [(58, 43, 24), (110, 40, 20)])):
        ids[disk] = k + 1
    Image.fromarray(ids).save(folder / "masks" / "coins.png")
    network = folder / "net.safetensors"
    network.write_bytes(BUNDLED.read_bytes())
    done = CliRunner().invoke(
        main,
        ["train-decoder", str(folder), "--model", str(network), "--minutes", "0", "--batch", "2",
         "--imgsz", "160"],
    )  # fmt: skip
    return network, done


def test_a_decoder_is_trained_and_found_beside_its_weights(trained, run, tmp_path):
    network, done = trained
    assert done.exit_code == 0, done.stderr
    assert weights.beside(network).is_file()
    assert str(weights.beside(network)) in done.stdout
    done = run("segment", COINS, "-o", tmp_path / "a.json", "--point", "77,105", "--predict",
               "--model", network)  # fmt: skip
    assert done.exit_code == 0, done.stderr


def test_a_decoder_for_other_weights_is_told(trained, run, tmp_path):
    network, _ = trained
    other = tmp_path / "net.safetensors"
    content = bytearray(network.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    weights.beside(other).write_bytes(weights.beside(network).read_bytes())
    done = run("segment", COINS, "-o", tmp_path / "a.json", "--model", other)
    assert done.exit_code == 1
    assert "other weights" in done.stderr.splitlines()[-1]
    assert "train-decoder" in done.stderr


def test_a_decoder_is_written_where_it_is_told_and_under_its_name(trained, run, tmp_path):
    network, _ = trained
    done = run("train-decoder", network.parent, "--model", network, "-o", tmp_path / "a.pt")
    assert done.exit_code == 1
    assert weights.ENDING in done.stderr.splitlines()[-1]


def test_the_bundled_decoder_is_not_written_over(trained, run):
    network, _ = trained
    before = weights.beside(BUNDLED).read_bytes()
    done = run("train-decoder", network.parent)
    assert done.exit_code == 1
    assert "-o" in done.stderr.splitlines()[-1]
    assert weights.beside(BUNDLED).read_bytes() == before


def test_a_decoder_may_be_named(trained, run, tmp_path):
    network, _ = trained
    asked = ["segment", COINS, "-o", tmp_path / "a.json", "--point", "77,105", "--predict"]
    done = run(*asked, "--decoder", weights.beside(network))
    assert done.exit_code == 0, done.stderr  # a copy of the bundled weights is those weights
    done = run(*asked, "--decoder", tmp_path / "none.safetensors")
    assert done.exit_code == 1
    assert "there is no decoder" in done.stderr.splitlines()[-1]


def test_a_mask_is_never_written_over(run, tmp_path):
    (rough,) = disks(read_image(COINS).shape[:2], [(77, 105, 14)])
    mask = tmp_path / "rough.png"
    Image.fromarray((rough * 255).astype(np.uint8)).save(mask)
    (tmp_path / "link.png").symlink_to(mask)
    before = mask.read_bytes()
    for given, output in (("rough", "rough"), ("link", "rough"), ("rough", "link")):
        done = run("segment", COINS, "--predict", "--mask", tmp_path / f"{given}.png",
                   "-o", tmp_path / f"{output}.png")  # fmt: skip
        assert done.exit_code == 1
        assert "would overwrite the input" in done.stderr.splitlines()[-1]
    assert mask.read_bytes() == before


def test_a_decoder_is_not_written_among_the_data(trained, run):
    network, _ = trained
    images = network.parent / "images"
    done = run("train-decoder", network.parent, "--model", network, "-o",
               images / f"a{weights.ENDING}")  # fmt: skip
    assert done.exit_code == 1
    assert "holds the data" in done.stderr.splitlines()[-1]
    assert [p.name for p in images.iterdir()] == ["coins.png"]

"""The paper's tables."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fastsam_plugins.cli.main import main
from fastsam_plugins.evaluation import published


@pytest.mark.parametrize("table", published.TABLES, ids=lambda t: f"{t.number}-{t.title[:20]}")
def test_every_row_has_every_column(table):
    assert published.OURS in table.rows
    assert all(len(row) == len(table.columns) for row in table.rows.values())
    assert table.protocol


def test_figures_from_the_text_of_the_paper():
    """Section 4.3: box recall surpasses SAM-H E64 by over 5 points; abstract: 50 times faster."""
    boxes = published.LVIS_BOXES.rows
    assert boxes["FastSAM"][0] - boxes["SAM-H E64"][0] == pytest.approx(5.0)
    times = published.RUN_TIME.rows
    assert times["SAM-H"][4] / times["FastSAM"][4] > 50


def test_measured_stands_beside_published_where_both_are():
    measured = {"AR@10": 0.2, "AR@1000": float("nan"), "AUC": 0.322}
    lines = published.compare(measured, published.COCO_PROPOSALS)
    assert [line["name"] for line in lines] == ["AR@10", "AUC"]
    assert lines[0]["difference"] == pytest.approx(4.3)
    assert lines[1]["difference"] == pytest.approx(0)


@pytest.fixture
def files(tmp_path):
    truth = {
        "images": [{"id": 1, "height": 20, "width": 30}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 10, 10], "area": 100}
        ],
        "categories": [{"id": 1, "name": "a"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    results = [{"image_id": 1, "category_id": 1, "bbox": [2, 2, 10, 10], "score": 1}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    return [str(tmp_path / "truth.json"), str(tmp_path / "results.json")]


def run(*words):
    return CliRunner().invoke(main, ["evaluate", "proposals", *words])


def test_the_command_prints_both_and_draws(files, tmp_path):
    picture = tmp_path / "recall.png"
    words = [*files, "--iou-type", "bbox", "--against", "paper", "--plot", str(picture)]
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert "Table 3 of the paper" in result.stdout
    assert any(
        line.split() == ["AR@1000", "100.0", "63.7", "+36.3"] for line in result.stdout.splitlines()
    )
    assert picture.stat().st_size > 5000
    found = json.loads(run(*words, "--json").stdout)
    assert found["paper"]["table"] == 3
    assert len(found["curves"]["AR"]) == 1000
    assert found["curves"]["AR"]["1"] == 1


def test_what_the_paper_does_not_have_is_one_line(files):
    result = run(*files, "--iou-type", "segm", "--against", "paper")
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_picture_of_an_unknown_kind_is_one_line(files, tmp_path):
    result = run(*files, "--iou-type", "bbox", "--plot", str(tmp_path / "recall.xyz"))
    assert result.exit_code == 1
    assert "recall.xyz" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1

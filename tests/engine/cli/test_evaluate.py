"""How figures are printed; what they are is tested where they are measured."""

from __future__ import annotations

import json
import os

from tests.command import command, done, one_error, run


def printed_lines(*files) -> list[str]:
    return done("evaluate", "proposals", *files).stdout.splitlines()


def test_evaluate_proposals_prints_its_figures_and_nothing_else(tmp_path):
    image = {"id": 1, "file_name": "coins.png", "width": 384, "height": 303}
    mask = {"size": [303, 384], "counts": [0, 303 * 10, 303 * 374]}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 3030,
                  "bbox": [0, 0, 10, 303], "segmentation": mask}  # fmt: skip
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    both = [annotation, {**annotation, "id": 2, "image_id": 2}]  # one image says nothing of others
    images = [image, {**image, "id": 2, "file_name": "more.png"}]
    truth.write_text(json.dumps({"images": images, "annotations": both}))
    results.write_text(json.dumps([{**a, "score": 0.5} for a in both]))
    for kind in ("bbox", "segm"):
        printed = done("evaluate", "proposals", truth, results, "--iou-type", kind, "--json").stdout
        found = json.loads(printed)
        assert list(found) == [
            "AR@10", "AR@100", "AR@1000", "AUC", "AR@1000/small", "AR@1000/medium",
            "AR@1000/large", "images", "ground_truths", "proposals", "iou_type", "intervals",
        ]  # fmt: skip
        assert found["AR@1000"] == found["AR@1000/medium"] == 1
        assert found["AR@1000/large"] is None
        assert found["iou_type"] == kind
        assert found["intervals"]["AR@1000"] == [1, 1]
        assert found["intervals"]["AR@1000/large"] is None
    assert "AR@1000         1.0000  1.0000 to 1.0000" in printed_lines(truth, results)
    printed = done("evaluate", "proposals", truth, results, "--pq", 0.4, "--iou-type", "boundary",
                   "--json").stdout  # fmt: skip
    found = json.loads(printed)
    assert (found["AR@10"], found["PQ"], found["FN"], found["intervals"]["PQ"]) == (1, 1, 0, [1, 1])
    refused = run("evaluate", "proposals", truth, results, "--pq", 0.4, "--iou-type", "bbox")
    assert "--pq compares masks" in one_error(refused)
    (tmp_path / "matplotlib.py").write_text("raise ImportError('gone')")
    less = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    for words in (("evaluate", "proposals", truth, results, "--plot", tmp_path / "a.png"),
                  ("benchmark", "--picture", tmp_path / "a.png")):  # fmt: skip
        ended = command(*words, environment=less)
        (line,) = ended.stderr.splitlines()
        assert ended.returncode == 1
        assert "need matplotlib (gone): pip install" in line
    assert "not JSON" in one_error(run("evaluate", "proposals", __file__, results))

"""Every room of the code has a room of tests of its name, in the same place."""

from __future__ import annotations

from tests.conftest import ROOT

MIRRORS = {
    "fastsam_plugins": "tests/engine",
    "fiftyone_plugin": "tests/fiftyone_plugin",
    "napari_plugin": "tests/napari_plugin",
}

# Rooms whose tests lie elsewhere, and where. Do not add to it: write the tests.
ELSEWHERE = {
    "fastsam_plugins/training/trainer.py": "test_train",
    "fiftyone_plugin/colours.py": "test_operators, end_to_end/test_app",
    "fiftyone_plugin/form_parts.py": "test_forms, test_operators",
    "fiftyone_plugin/form_values.py": "test_forms, test_parameters",
    "fiftyone_plugin/image_matches.py": "test_recall",
    "fiftyone_plugin/kept_files.py": "test_mask_files, test_tidy",
    "fiftyone_plugin/labels.py": "test_operators, test_proposals_to_labels, test_mask_files",
    "fiftyone_plugin/operation.py": "test_operators",
    "fiftyone_plugin/prompts.py": "test_operators, test_views",
    "fiftyone_plugin/references.py": "test_tidy",
    "fiftyone_plugin/run_owner.py": "test_save_job, end_to_end/test_database_killed",
    "fiftyone_plugin/run_report.py": "test_operators, end_to_end/test_app",
    "fiftyone_plugin/storage.py": "test_mask_files",
    "fiftyone_plugin/undo.py": "test_save_job, test_operators",
    "napari_plugin/inference/serve.py": "test_network, which talks to it as a process",
    "napari_plugin/model/edits.py": "test_session, test_history, test_objects",
    "napari_plugin/view/actions.py": "test_widget, which presses its buttons",
    "napari_plugin/view/preview.py": "test_widget, test_display",
    "napari_plugin/view/shown_image.py": "test_workspace, test_requester",
}


def test_every_room_has_tests_of_its_name():
    missing = set()
    for package, tests in MIRRORS.items():
        for room in (ROOT / package).rglob("*.py"):
            place = room.relative_to(ROOT / package)
            mirror = ROOT / tests / place.with_name(f"test_{place.name}")
            if not place.stem.startswith("__") and not mirror.is_file():
                missing.add(f"{package}/{place.as_posix()}")
    assert sorted(missing - ELSEWHERE.keys()) == [], "rooms without tests of their name"
    assert sorted(ELSEWHERE.keys() - missing) == [], "they have some now: take them off the list"

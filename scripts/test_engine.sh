#!/usr/bin/env bash
# The engine's quick tests on another Python, in an environment of their own, which uv makes.
# Usage: scripts/test_engine.sh 3.13
# Where uv, that Python or a package cannot be had, a line says so, and nothing fails. The
# plugins are left out, and what is slow and says little of a Python.
set -euo pipefail
cd "$(dirname "$0")/.."
VERSION="$1"
export VIRTUAL_ENV="$PWD/.venv-$VERSION"

skip() {
    echo "SKIPPED: the engine's tests on Python $VERSION: $1" >&2
    exit 0
}

command -v uv >/dev/null || skip "uv is not installed"
# Among others, pyenv's: those that are not chosen at the moment, too.
for folder in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$VERSION".*/bin; do
    [ ! -x "$folder/python" ] || PATH="$PATH:$folder"
done
timeout 300 uv venv -q --allow-existing --python "$VERSION" "$VIRTUAL_ENV" ||
    skip "uv brings no Python $VERSION"
timeout 600 uv pip install -q -c constraints.txt -e '.[engine-test]' ||
    skip "their packages cannot be installed, or not in ten minutes"
if ! "$VIRTUAL_ENV/bin/python" -c 'import cv2' 2>/dev/null; then # as in setup.sh
    timeout 300 uv pip install -q --reinstall --no-deps \
        "$(grep '^opencv-python-headless==' constraints.txt)" || skip "no OpenCV for it"
fi
echo "The engine's quick tests on $("$VIRTUAL_ENV/bin/python" -V)"
# What most depends on the Python: values, options, files of every format, and the command.
TESTED=(test_answers test_batch test_geometry test_import test_indices test_messages test_model
    test_instance_arrays test_options test_prompts test_segmentation test_selection cli/test_main
    datasets/test_coco datasets/test_coco_writer images/test_contrast images/test_percentiles
    io/test_atomic io/test_npz io/test_read io/test_vectors io/test_write masks/test_outlines
    masks/test_polygons masks/test_prototypes masks/test_quality masks/test_runs
    network/test_checkpoints network/test_nms network/test_weights)
FILES=("${TESTED[@]/#/tests/engine/}")
FILES=("${FILES[@]/%/.py}")
timeout 900 "$VIRTUAL_ENV/bin/python" -m pytest -q -p no:cacheprovider -W ignore \
    "${FILES[@]}" || {
    status=$?
    [ "$status" != 124 ] || skip "not done after 15 minutes"
    exit "$status"
}

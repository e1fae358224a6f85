#!/usr/bin/env bash
# Make .venv beside this folder and install the project into it, at the tested versions.
# Usage: source scripts/setup.sh EXTRAS        for example: source scripts/setup.sh test
# Needs only Python 3.11 or newer with pip. Sourced, it leaves $VENV set.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
PYTHON="${PYTHON:-python3}"
EXTRAS="${1:-}"
unset PYTHONDONTWRITEBYTECODE # set in many containers; without bytecode every start takes twice as long

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "fastsam-plugins needs Python 3.11 or newer; set PYTHON to one, for example PYTHON=python3.12" >&2
    exit 1
}

# Debian's Python makes no venv with pip unless python3-venv is installed; the system's pip can
# install into one without.
if [ ! -x "$VENV/bin/python" ]; then
    "$PYTHON" -m venv "$VENV" >/dev/null 2>&1 || "$PYTHON" -m venv --clear --without-pip "$VENV"
fi
install() { "$PYTHON" -m pip --python "$VENV/bin/python" --disable-pip-version-check install -q "$@"; }

# Installed already, from these very files? Then there is nothing to do.
STAMP="$VENV/.installed-${EXTRAS:-base}"
SUM="$(cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt" | cksum)"
if [ "$(cat "$STAMP" 2>/dev/null)" != "$SUM" ]; then
    echo "Installing into $VENV; the first time, PyTorch alone is a download of gigabytes ..." >&2
    install -c "$ROOT/constraints.txt" -e "$ROOT${EXTRAS:+[$EXTRAS]}"
    # opencv-python needs OpenGL's library, which servers lack. The headless build holds the same
    # module without it.
    if ! "$VENV/bin/python" -c 'import cv2' 2>/dev/null; then
        headless="$(grep '^opencv-python-headless==' "$ROOT/constraints.txt")"
        install --force-reinstall --no-deps "$headless"
    fi
    echo "$SUM" >"$STAMP"
fi

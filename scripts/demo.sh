#!/usr/bin/env bash
# Set everything up and run the main job: segment and prompt the bundled sample images.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" ""
exec "$VENV/bin/fastsam" demo "$@"

"""The command ``fastsam``, in this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from click.testing import CliRunner

from fastsam_plugins.cli.main import main


def run(*words):
    """The command in this process, whatever comes of it."""
    return CliRunner().invoke(main, [str(w) for w in words])


def done(*words):
    """The same where it has to succeed."""
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result


def command(*words, environment=None, **how):
    """The command in a process of its own, as after installing: nothing imported, no settings."""
    if not {"stdout", "stderr"} & set(how):
        how["capture_output"] = True
    return subprocess.run(
        [sys.executable, "-m", "fastsam_plugins", *(str(w) for w in words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}, text=True, **how,
    )  # fmt: skip


def one_error(result):
    """The one line that a failed command ends with."""
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = [x for x in result.stderr.splitlines() if x.startswith("Error: ")]
    assert result.stderr.rstrip().endswith(line)
    return line

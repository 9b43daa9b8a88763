"""Simulators in a compiled language: `build`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from ..sidecars import renamed_into


def build(*, source: Path, program: Path) -> None:
    """Compile a program in C, with the compiler in ``CC``, else ``cc``.

    Reads: ``source``, one C file. Writes: ``program``, an executable.

    Raises:
        ValueError: There is no compiler, or it refuses the source.
    """
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        raise ValueError(
            f"no compiler {compiler[0]!r} for {source}; install one (apt install gcc), or set CC"
        )
    with renamed_into(program) as partial:
        done = subprocess.run(
            [*compiler, "-O2", "-o", str(partial), str(source), "-lm"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            error = next((line for line in said if "error" in line), said[-1])
            raise ValueError(f"{source} cannot be compiled: {error}")

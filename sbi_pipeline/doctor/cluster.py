"""Slurm: is there one, does it answer, and is what Snakemake needs for it installed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator

from ..head import OF_NO_CLUSTER
from .examined import Examined

PATIENCE = 20
"""Seconds that Slurm may take to answer."""
PLUGINS = ("snakemake_executor_plugin_slurm", "dask_jobqueue")


def of_cluster() -> Iterator[Examined]:
    """Yield what is to be said of Slurm."""
    if shutil.which("squeue") is None:
        yield Examined("slurm", "not there; jobs run on this machine")
        return
    answer = _asked()
    if OF_NO_CLUSTER in answer:
        yield Examined("slurm", "installed, and this machine is of no cluster")
        return
    if answer:
        remedy = "ask those who run the cluster, or run without it: snakemake --cores all"
        yield Examined("slurm", f"does not answer: {answer}", "wrong", remedy)
        return
    missing = [each for each in PLUGINS if importlib.util.find_spec(each) is None]
    if missing:
        found = f"answers, but {' and '.join(missing)} is not installed"
        yield Examined("slurm", found, "note", "pip install 'sbi-pipeline[slurm]'")
        return
    yield Examined("slurm", "answers")


def _asked() -> str:
    """Return what Slurm complains of; empty where it answers."""
    try:
        done = subprocess.run(
            ["squeue", "--noheader", "--me"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"nothing within {PATIENCE} s"
    said = " ".join(done.stderr.split())
    return (said or f"squeue ends with {done.returncode}") if done.returncode else ""

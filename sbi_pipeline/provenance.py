"""Which software makes results: versions, and the commits of this package and of the study."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path

from . import shipped

PACKAGE = "sbi-pipeline"
MADE_WITH = (
    PACKAGE,
    "torch",
    "nflows",
    "emcee",
    "arviz-stats",
    "dask",
    "zarr",
    "numpy",
    "scipy",
    "snakemake",
)
"""Distributions that results are made with."""


def versions() -> dict[str, str]:
    """Return the versions of Python and of what results are made with, by name."""
    found = {name: importlib.metadata.version(name) for name in MADE_WITH}
    return {"python": platform.python_version(), **found}


def commits() -> dict[str, str]:
    """Return the commits of this package and of the working folder, as far as they are known."""
    package, study = of_package(), of_folder(Path.cwd())
    found = {f"{PACKAGE}, commit": package, "this study, commit": study}
    if shipped.HOME.resolve() == Path.cwd().resolve():  # a clone of this package is the study
        found = {f"{PACKAGE}, commit": package}
    return {name: commit for name, commit in found.items() if commit}


def of_package() -> str:
    """Return the commit this package is of: of its clone, or of what pip installed from git."""
    if shipped.HOME != shipped.PACKAGE and (commit := of_folder(shipped.HOME)):
        return commit
    try:
        told = importlib.metadata.distribution(PACKAGE).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return ""
    return str(json.loads(told or "{}").get("vcs_info", {}).get("commit_id", ""))


def of_folder(folder: Path) -> str:
    """Return the commit that git has of a folder, with a word where files differ; empty for none.

    What git does not know, such as results, does not count.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return ""
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit} with uncommitted changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    """Return what git says; empty where there is none, or it knows nothing of the folder."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()

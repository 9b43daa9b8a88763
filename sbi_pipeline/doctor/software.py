"""Python, this package, what it needs, and the programs it calls."""

from __future__ import annotations

import importlib.metadata
import locale
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from .. import __version__, provenance, shipped
from .examined import Examined, without_user


def of_software() -> Iterator[Examined]:
    """Yield what is to be said of what is installed."""
    yield _python()
    yield _package()
    yield from _requirements()
    yield _torch()
    yield _snakemake()
    yield _git()
    yield _encoding()


def _python() -> Examined:
    place = Path(sys.prefix)
    found = f"{platform.python_version()}, {platform.platform()}, in {without_user(place)}"
    if " " in str(place):
        return Examined(
            *("python", found, "wrong"),
            "Snakemake does not quote this path; make the environment where no folder has a space",
        )
    return Examined("python", found)


def _package() -> Examined:
    kind = "installed" if shipped.HOME == shipped.PACKAGE else "a clone"
    commit = provenance.of_package()
    found = f"{__version__}, {kind}, in {without_user(shipped.HOME)}"
    found += f", commit {commit}" if commit else ""
    if not Path(shipped.WORKFLOW).is_file():
        remedy = "the workflow is missing; install again: pip install --force-reinstall"
        return Examined("sbi-pipeline", found, "wrong", f"{remedy} sbi-pipeline")
    return Examined("sbi-pipeline", found)


def _requirements() -> Iterator[Examined]:
    """Yield what is missing or too old, or one line that all is there."""
    try:
        asked = importlib.metadata.requires(provenance.PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        yield Examined(
            *("packages", "sbi-pipeline is on the path of Python, but not installed", "wrong"),
            "pip install -c constraints.txt . in the clone, or pip install sbi-pipeline",
        )
        return
    wrong = [line for line in map(_unmet, asked) if line]
    for line in wrong:
        yield Examined("packages", line, "wrong", "pip install --upgrade sbi-pipeline")
    if not wrong:
        yield Examined("packages", "all that are needed are there")


def _unmet(text: str) -> str:
    """Return what is wrong with a requirement; empty for nothing, and for those of extras."""
    try:
        asked = Requirement(text)
    except InvalidRequirement:
        return f"a requirement cannot be read: {text}"
    if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
        return ""
    try:
        there = importlib.metadata.version(asked.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{asked.name} is not installed"
    fits = asked.specifier.contains(there, prereleases=True)
    return "" if fits else f"{asked.name} is {there}; wanted {asked.specifier}"


def _torch() -> Examined:
    try:
        import torch  # noqa: PLC0415 - seconds, and it may be what is broken
    except (ImportError, OSError) as error:
        return Examined(
            *("torch", f"cannot be imported ({error})", "wrong"),
            "install it anew: pip install --force-reinstall -c constraints.txt torch",
        )
    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for CPUs"
    seen = "a GPU is seen" if torch.cuda.is_available() else "no GPU is seen, none is needed"
    threads = torch.get_num_threads()
    return Examined("torch", f"{torch.__version__}, {build}, {threads} threads; {seen}")


def _snakemake() -> Examined:
    try:
        version = importlib.metadata.version("snakemake")
    except importlib.metadata.PackageNotFoundError:
        return Examined("snakemake", "not installed", "wrong", "pip install sbi-pipeline")
    called, own = shutil.which("snakemake"), Path(sys.executable).parent
    if called is None:
        return Examined(
            *("snakemake", f"{version}, not on PATH", "note"),
            f"activate the environment, or call {without_user(own / 'snakemake')}",
        )
    if Path(called).parent.resolve() != own.resolve():
        return Examined(
            *("snakemake", f"{without_user(Path(called))} is of another environment", "wrong"),
            f"activate this one, or call {without_user(own / 'snakemake')}",
        )
    return Examined("snakemake", version)


def _git() -> Examined:
    if shutil.which("git") is None:
        return Examined("git", "not there", "note", "commits are not written on pages")
    commit = provenance.of_folder(Path.cwd())
    return Examined("git", f"this folder is at commit {commit}" if commit else "there")


def _encoding() -> Examined:
    used = locale.getpreferredencoding(False)
    chosen = next((each for each in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(each)), "")
    found = f"{used}" + (f", {chosen}={os.environ[chosen]}" if chosen else ", no locale is set")
    remedy = "export LC_ALL=C.UTF-8"
    if used.lower().replace("-", "") != "utf8":
        return Examined("encoding", found, "wrong", f"pages are UTF-8: {remedy}")
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error:
        return Examined("encoding", f"{found}, which is not installed", "note", remedy)
    return Examined("encoding", found)

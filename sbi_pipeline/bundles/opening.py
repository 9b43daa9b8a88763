"""A bundle opened in a folder: every file verified, and nothing of it run."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .. import sidecars
from . import archives, texts
from .packing import SUMS


def unpack(archive: Path, folder: Path | None = None) -> Iterator[str]:
    """Open a bundle, and yield sentences on it.

    Args:
        archive: The file.
        folder: To be made; by default one in the working folder, called as the bundle is.

    Raises:
        ValueError: The archive is damaged or none of ours, or there is something in the folder.
    """
    partial = Path(f"{folder or archive.name}.partial")
    _check_free(partial)
    try:
        top, count = _extracted(archive, partial)
        place = folder or Path(top)
        _check_free(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    yield f"{place}: {count} files, each as its checksum says"
    made_with = sidecars.read_if_whole(place / texts.VERSIONS)
    differ = texts.other_versions(made_with or {})
    yield from differ or ["all versions are those it was made with"]
    yield "its code is run by snakemake, not before: look at it first; README.md tells what is here"
    yield f"cd {shlex.quote(str(place))} && snakemake"


def _check_free(folder: Path) -> None:
    """Refuse a folder in which something is.

    Raises:
        ValueError: See above.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{folder} is there already, and nothing is overwritten; name another with --into"
        )


def _extracted(archive: Path, folder: Path) -> tuple[str, int]:
    """Write the files of an archive to a folder.

    Returns:
        The name of the folder that they are in there, and how many there are.

    Raises:
        ValueError: A file is not what its checksum says, or missing, or one too many.
    """
    sums: dict[str, str] = {}
    found: dict[str, str] = {}
    tops: dict[str, None] = {}
    for member in archives.archived_files(archive):
        top, *parts = PurePosixPath(member.name).parts
        tops[top] = None
        name = "/".join(parts)
        if not name or len(tops) > 1 or not (sums or name == SUMS):
            raise ValueError(f"{archive} is no bundle of sbi-pipeline: {SUMS} does not come first")
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        damaged = f"{archive} is damaged: {name}"
        digest = archives.copied(member.stream, place, damaged)
        if not sums:
            sums = _read_sums(place)
            continue
        if member.executable:
            place.chmod(0o755)
        if digest != sums.get(name):
            said = "is not what its checksum says" if name in sums else "has no checksum"
            raise ValueError(f"{damaged} {said}; fetch it once more")
        found[name] = digest
    if missing := [name for name in sums if name not in found]:
        raise ValueError(f"{archive} is damaged: {missing[0]} is missing; fetch it once more")
    if not sums:
        raise ValueError(f"{archive} is no bundle of sbi-pipeline: it is empty")
    return next(iter(tops)), len(found)


def _read_sums(path: Path) -> dict[str, str]:
    """Return checksums by name."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition("  ") for line in lines)
    return {name: digest for digest, _, name in pairs}

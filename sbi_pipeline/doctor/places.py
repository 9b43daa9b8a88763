"""Folders: can they be written, how much is free, and does the file system keep its promises."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..head import is_locked
from ..storage.lease import is_held
from .examined import Examined, in_gigabytes, without_user

LITTLE = 1e9
OVER_NETWORK = (
    *("nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "ceph", "fuse.ceph"),
    *("fuse.sshfs", "fuse.glusterfs", "9p", "panfs", "afs", "wekafs"),
)
SKEW = 5.0
"""Seconds that clocks may differ by: those of this machine and of the file system."""
TRY_LOCK = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def of_places() -> Iterator[Examined]:
    """Yield what is to be said of folders: home, temporary files, and results."""
    yield _folder("HOME", Path(os.path.expanduser("~")), "export HOME=…")
    yield _temporary()
    results = Path("results") if Path("results").is_dir() else Path()
    yield _folder("results", results.resolve(), "take a folder that is yours and has room")
    if _writes(results) is None:
        yield _file_system(results)
        yield from _promises(results)
    yield _running()


def _folder(name: str, place: Path, remedy: str) -> Examined:
    if not place.is_dir():
        return Examined(name, f"{place} is no folder", "wrong", remedy)
    error = _writes(place)
    if error is not None:
        return Examined(
            name, f"{without_user(place)} cannot be written: {error.strerror}", "wrong", remedy
        )
    free = psutil.disk_usage(str(place)).free
    found = f"{without_user(place)}, {in_gigabytes(free)} free"
    if free < LITTLE:
        return Examined(name, found, "note", f"little room; {remedy}")
    return Examined(name, found)


def _temporary() -> Examined:
    """Look at where temporary files go: the first of several folders that can be written."""
    asked, used = os.environ.get("TMPDIR"), Path(tempfile.gettempdir())
    if asked and Path(asked).resolve() != used.resolve():
        remedy = "unset TMPDIR, or name a folder that can be written"
        return Examined("TMPDIR", f"cannot be used, {without_user(used)} is", "note", remedy)
    return _folder("TMPDIR", used, "export TMPDIR=… of a larger disk")


def _writes(place: Path) -> OSError | None:
    """Return why nothing can be written to a folder, or None."""
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(1000))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    return None


def _file_system(place: Path) -> Examined:
    kind = file_system(place.resolve())
    found = f"results lie on {kind or 'one that is not known'}"
    if kind in OVER_NETWORK:
        return Examined("file system", f"{found}, over the network; docs/cluster.md tells more")
    return Examined("file system", found)


def file_system(place: Path) -> str:
    """Return the type of the file system that a folder lies on; empty where nobody knows."""
    mounted = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    above = (str(each) for each in (place, *place.parents))
    return next((mounted[each] for each in above if each in mounted), "")


def _promises(place: Path) -> Iterator[Examined]:
    """Yield whether locks hold, and what is wrong with the clock of files, if anything."""
    with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-") as file:
        late = Path(file.name).stat().st_mtime - time.time()
        yield _locking(Path(file.name))
    if abs(late) > SKEW:
        yield Examined(
            *("clock", f"that of the file system differs by {late:+.0f} s", "wrong"),
            "Snakemake compares times; have both clocks set by the network",
        )


def _locking(path: Path) -> Examined:
    """Lock a file and have another process try, as two runs in one folder would."""
    with path.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            remedy = "one run at a time is then your care; two are told apart by signs of life"
            return Examined("locks", "this file system has none", "note", remedy)
        tried = [sys.executable, "-c", TRY_LOCK, str(path)]
        other = subprocess.run(tried, capture_output=True, check=False)
    if other.returncode == 0:
        return Examined(
            *("locks", "two processes got the same lock", "wrong"),
            "results would be mixed by two runs; put the study on another file system",
        )
    return Examined("locks", "hold")


def _running() -> Examined:
    if is_held(Path(".snakemake")):
        return Examined("this folder", "sbi-pipeline head runs here")
    if is_locked(Path()):
        return Examined(
            *("this folder", "is locked: snakemake runs, or was killed", "wrong"),
            "wait, or if none runs: snakemake --unlock",
        )
    return Examined("this folder", "no run is at work here")

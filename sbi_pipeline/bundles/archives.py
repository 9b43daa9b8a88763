"""Archives that are the same bytes for the same files, and that are read with suspicion.

Files are written in the order of their names, without times, owners or places of this machine.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from ..sidecars import renamed_into

Content = Path | bytes
"""Of a file: where it lies, or what it is."""
ZIP, TAR = (".zip",), (".tar.gz", ".tgz")
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of files in a zip archive, which has none before."""
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError)
"""What reading a damaged archive may raise; RuntimeError where a flipped bit says encrypted."""
BLOCK = 1 << 20


@dataclass(frozen=True)
class ArchivedFile:
    """A file of an archive that is being read.

    Attributes:
        name: Its path there, parts divided by slashes.
        stream: Its content, to be read before the next one is asked for.
        executable: Whether it is a program.
    """

    name: str
    stream: IO[bytes]
    executable: bool


def check_ending(path: Path) -> None:
    """Refuse a name of an archive that tells no format.

    Raises:
        ValueError: See above.
    """
    if not path.name.endswith((*ZIP, *TAR)):
        raise ValueError(f"{path}: wanted a name that ends with {', '.join((*ZIP, *TAR))}")


def sha256(content: Content) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_archive(path: Path, files: Mapping[str, Content]) -> None:
    """Write an archive whole or not at all.

    Args:
        path: The archive; its ending says which format.
        files: By their names in the archive, in the order in which they are written.
    """
    write = _write_zip if path.name.endswith(ZIP) else _write_tar
    with renamed_into(path) as partial:
        write(partial, files)


def _write_zip(path: Path, files: Mapping[str, Content]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            told = zipfile.ZipInfo(name, LONG_AGO)
            told.compress_type = zipfile.ZIP_DEFLATED
            told.create_system = 3  # Unix, whose rights follow
            told.external_attr = (stat.S_IFREG | _mode(content)) << 16
            told.file_size = _size(content)
            with archive.open(told, "w") as target, _opened(content) as source:
                _copy(source, target)


def _write_tar(path: Path, files: Mapping[str, Content]) -> None:
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in files.items():
            told = tarfile.TarInfo(name)
            told.size, told.mode = _size(content), _mode(content)
            with _opened(content) as source:
                archive.addfile(told, source)


def archived_files(path: Path) -> Iterator[ArchivedFile]:
    """Yield the files of an archive, folders left out.

    Raises:
        ValueError: It is none, it is damaged, or it holds what no archive of ours does: a link, a
            path that leaves the folder, a file of a clone, the same name twice.
    """
    check_ending(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    members = _read_zip(path) if path.name.endswith(ZIP) else _read_tar(path)
    seen: set[str] = set()
    last = "its beginning"
    try:
        for member in members:
            last = _checked(member.name, path)
            if last in seen:
                raise ValueError(f"{path} holds {last} twice; it was not made by this package")
            seen.add(last)
            yield member
    except BROKEN as error:
        told = f"{path} is damaged at {last}"
        raise ValueError(f"{told} ({error}); fetch it once more") from error


def _read_zip(path: Path) -> Iterator[ArchivedFile]:
    with zipfile.ZipFile(path) as archive:
        for told in archive.infolist():
            mode = told.external_attr >> 16
            if told.is_dir():
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise ValueError(f"{path} holds {told.filename}, which is no file")
            with archive.open(told) as stream:
                yield ArchivedFile(told.filename, stream, bool(mode & stat.S_IXUSR))


def _read_tar(path: Path) -> Iterator[ArchivedFile]:
    with tarfile.open(path, "r:gz") as archive:
        for told in archive:
            if told.isdir():
                continue
            stream = archive.extractfile(told) if told.isreg() else None
            if stream is None:
                raise ValueError(f"{path} holds {told.name}, which is no file")
            yield ArchivedFile(told.name, stream, bool(told.mode & stat.S_IXUSR))


def _checked(name: str, path: Path) -> str:
    """Return a name that stays in its folder, and is none of a clone.

    The configuration of a clone may name programs that git runs when it is only asked for changes.

    Raises:
        ValueError: It does not, or it is.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0]:
        raise ValueError(f"{path} holds {name!r}, a path that leaves the folder; it is not opened")
    if ".git" in (part.lower() for part in parts):
        raise ValueError(f"{path} holds {name!r}, which no bundle does; it is not opened")
    return name


def copied(source: IO[bytes], place: Path, told: str) -> str:
    """Write a stream to a file, and return its SHA-256.

    Args:
        source: Of a file of an archive.
        place: Where it is written.
        told: The archive and the file, for who reads that it is damaged.

    Raises:
        ValueError: It is damaged.
    """
    digest = hashlib.sha256()
    with place.open("wb") as target:
        while block := _block(source, told):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def _block(source: IO[bytes], told: str) -> bytes:
    try:
        return source.read(BLOCK)
    except BROKEN as error:
        raise ValueError(f"{told} ({error}); fetch it once more") from error


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while block := source.read(BLOCK):
        target.write(block)


def _opened(content: Content) -> contextlib.AbstractContextManager[IO[bytes]]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _mode(content: Content) -> int:
    is_program = isinstance(content, Path) and content.stat().st_mode & stat.S_IXUSR
    return 0o755 if is_program else 0o644

"""Where the arrays of a shard lie: in its folder, or under an address in an object store.

Journal, lease and receipt need a file system that appends and locks, and are files in any case. A
shard whose arrays lie elsewhere says where in its file ``location``. An object is put whole or not
at all and is durable once it is put, so a chunk is as safe there as on a disk.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Protocol

from zarr.storage import ObjectStore

from .journal import sync

FILE = "location"
EXTRAS = "object stores need obstore: pip install 'sbi-pipeline[s3]'"


class Location(Protocol):
    """Where arrays lie. Keys are those of Zarr, such as ``"x/c/0/0"``."""

    def zarr(self) -> Any:
        """Return what Zarr opens."""

    def keys(self, prefix: str) -> set[str]:
        """Return the keys below a folder."""

    def delete(self, key: str) -> None:
        """Delete a key if it is there."""

    def settle(self, keys: Sequence[str]) -> None:
        """Make sure that what was written would outlive a loss of power."""


@dataclass(frozen=True)
class Folder:
    """Arrays in the folder of the shard."""

    path: Path

    def zarr(self) -> Path:
        """Return the folder."""
        return self.path

    def keys(self, prefix: str) -> set[str]:
        """Return the files below a folder, relative to the shard's."""
        files = (Path(top, name) for top, _, names in os.walk(self.path / prefix) for name in names)
        return {file.relative_to(self.path).as_posix() for file in files}

    def delete(self, key: str) -> None:
        """Delete a file if it is there."""
        (self.path / key).unlink(missing_ok=True)

    def settle(self, keys: Sequence[str]) -> None:
        """Flush files and the folders they lie in to the disk.

        All at once: one after another, each would wait for a commit of the file system's journal.
        """
        folders = {str(folder) for key in keys for folder in PurePath(key).parents}
        with ThreadPoolExecutor(len(keys)) as pool:
            list(pool.map(sync, [self.path / each for each in (*keys, *folders)]))


@dataclass(frozen=True)
class Bucket:
    """Arrays under an address such as ``s3://bucket/prefix``."""

    address: str

    def zarr(self) -> ObjectStore[Any]:
        """Return a Zarr store of the objects."""
        return ObjectStore(_client(self.address))

    def keys(self, prefix: str) -> set[str]:
        """Return the objects below a folder, in one listing."""
        import obstore  # noqa: PLC0415 - an optional extra

        with reached(self.address):
            listing = obstore.list(_client(self.address), prefix=prefix)
            return {each["path"] for batch in listing for each in batch}

    def delete(self, key: str) -> None:
        """Delete an object; none there is no error."""
        import obstore  # noqa: PLC0415 - an optional extra

        with reached(self.address):
            obstore.delete(_client(self.address), key)

    def settle(self, keys: Sequence[str]) -> None:
        """Do nothing: an object that was put is durable."""


def of(shard: Path) -> Location:
    """Return where the arrays of a shard lie."""
    file = shard / FILE
    return Bucket(file.read_text().strip()) if file.exists() else Folder(shard)


def assign(shard: Path, prefix: str | None) -> Location:
    """Decide where the arrays of a new shard lie.

    The address ends in a random word, so that two results trees that share a prefix never write
    over each other.

    Args:
        shard: Folder of the shard.
        prefix: Such as ``"s3://bucket/simulations"``; None for the folder itself.
    """
    file = shard / FILE
    if prefix is None:
        file.unlink(missing_ok=True)
    else:
        name = f"{shard.stem}-{uuid.uuid4().hex[:8]}{shard.suffix}"
        file.write_text(f"{prefix.rstrip('/')}/{shard.parent.name}/{name}\n")
        sync(file)
        sync(shard)
    return of(shard)


@contextmanager
def reached(where: object, *, making: bool = False) -> Iterator[None]:
    """Say in one line that an object store cannot be reached.

    Its errors are known by their module, since obstore need not be installed.

    Args:
        where: What to call it.
        making: What is not found can only be the bucket.
    """
    try:
        yield
    except Exception as error:
        missing = making and isinstance(error, FileNotFoundError)
        if not (missing or type(error).__module__.startswith("obstore")):
            raise
        reason = str(error).strip().splitlines()[0][:300]
        raise ValueError(
            f"{where}: {reason}; what is committed is kept. Are the address and the credentials "
            "right (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL)?"
        ) from error


@lru_cache(maxsize=64)
def _client(address: str) -> Any:
    """Return the objects under an address; credentials come from the environment."""
    try:
        from obstore import store  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ValueError(f"{address}: {EXTRAS}") from error
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    with reached(address):
        return store.from_url(address, client_options={"allow_http": plain})

"""One writer per shard: a new run must not meet an orphan of a killed one.

On one machine a lock on the lease file decides (`flock`, released by the kernel when its holder
dies). Between machines of a shared file system, where such locks may be local, the file's text
decides: the holder changes it every few seconds, and whoever waits watches it change. No clocks
are compared. Before every commit the holder looks whether the text is still its own.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)

FILE = "lease.json"
ALIVE = 60.0
"""Seconds since the last sign of life of a holder on another machine."""


class Lease:
    """The right to write one shard store, as a context manager.

    Args:
        store: Folder of the shard store.
        beat: Seconds between two signs of life.
        patience: Seconds without a sign of life after which a holder on another machine counts as
            dead.
        grace: Seconds to wait for a holder on this machine that is about to die.

    Attributes:
        unclean: The holder before died without giving the lease back.

    Raises:
        ValueError: Somebody else holds it (on entering).
    """

    def __init__(
        self, store: Path, *, beat: float = 10.0, patience: float = 60.0, grace: float = 5.0
    ) -> None:
        self.store = store
        self.beat, self.patience, self.grace = beat, patience, grace
        self.unclean = False
        self._token = uuid.uuid4().hex
        self._count = 0
        self._since = time.strftime("%Y-%m-%d %H:%M:%S")
        self._file = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> Lease:
        self.store.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.store / FILE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._outwait(locked=self._lock())
        except BaseException:
            os.close(self._descriptor)
            raise
        self._write()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()
        try:
            if self._owner().get("token") == self._token:
                os.truncate(self.store / FILE, 0)
        finally:
            os.close(self._descriptor)

    def check(self) -> None:
        """Make sure that the lease is still ours.

        Raises:
            ValueError: Another process took it.
        """
        owner = self._owner()
        if owner.get("token") != self._token:
            raise ValueError(
                f"{self.store} was taken over by {_name(owner)}: this process was silent for too "
                "long; nothing committed is lost, let the other one finish"
            )

    def _lock(self) -> bool:
        """Take the lock of this machine, allowing a dying holder a moment.

        Returns:
            Whether the file system has locks.
        """
        deadline = time.monotonic() + self.grace
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise self._refusal(self._owner()) from None
                time.sleep(0.1)
            except OSError:  # a file system without locks: the text alone has to do
                log.warning("%s: this file system has no locks", self.store)
                return False

    def _outwait(self, *, locked: bool) -> None:
        """Wait until a holder the lock says nothing of gives a sign of life or counts as dead."""
        owner = self._owner()
        self.unclean = bool(owner)
        if not owner or (locked and owner.get("host") == socket.gethostname()):
            return
        log.warning("%s is held by %s; waiting for a sign of life", self.store, _name(owner))
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            time.sleep(min(1.0, self.beat))
            now = self._owner()
            if not now:
                return
            if now != owner:
                raise self._refusal(now)

    def _live(self) -> None:
        while not self._closing.wait(self.beat):
            if self._owner().get("token") != self._token:
                return  # taken over; `check` says so at the next commit
            try:
                self._write()
            except OSError as error:  # a full disk; the next commit will say so, too
                log.warning("%s: no sign of life could be given: %s", self.store, error)

    def _write(self) -> None:
        self._count += 1
        owner = {
            "token": self._token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "job": os.environ.get("SLURM_JOB_ID", ""),
            "since": self._since,
            "beat": self._count,
        }
        text = json.dumps(owner).encode()
        with self._file:
            os.pwrite(self._descriptor, text, 0)
            os.ftruncate(self._descriptor, len(text))

    def _owner(self) -> dict[str, Any]:
        """Return who holds the lease, empty if nobody does.

        The file is opened anew: on NFS that is what asks the server.
        """
        with self._file:
            text = (self.store / FILE).read_bytes()
        try:
            owner = json.loads(text) if text else {}
        except ValueError:  # caught in the middle of a write: somebody is alive there
            owner = {"token": "unreadable", "text": text.decode(errors="replace")}
        return dict(owner)

    def _refusal(self, owner: dict[str, Any]) -> ValueError:
        return ValueError(
            f"{self.store} is being written by {_name(owner)}; let it finish, or stop it and start "
            "again: what it has committed is kept"
        )


def is_held(store: Path) -> bool:
    """Say whether somebody writes a store: by the lock, or by the age of the last sign of life."""
    try:
        descriptor = os.open(store / FILE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        told = os.fstat(descriptor)
        if not told.st_size:  # given back
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        pass
    finally:
        os.close(descriptor)
    return time.time() - told.st_mtime < ALIVE


def _name(owner: dict[str, Any]) -> str:
    job = f", Slurm job {owner['job']}" if owner.get("job") else ""
    return f"process {owner.get('pid', '?')} on {owner.get('host', 'another machine')}{job}"

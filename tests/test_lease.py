import errno
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from sbi_pipeline.storage.lease import FILE, Lease, is_held

HOLD = """
import sys, time
from pathlib import Path
from sbi_pipeline.storage.lease import Lease
with Lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def write_owner(folder, **changes):
    owner = {"token": "other", "host": "far-away", "pid": 7, "job": "123", "beat": 1} | changes
    (folder / FILE).write_text(json.dumps(owner))


def test_a_second_holder_is_refused_until_the_first_is_gone(tmp_path):
    with Lease(tmp_path) as lease:
        lease.check()
        with (
            pytest.raises(ValueError, match=rf"is being written by process {os.getpid()} on"),
            Lease(tmp_path, grace=0.2),
        ):
            pass
    with Lease(tmp_path) as lease:
        assert not lease.unclean


def test_a_killed_holder_leaves_the_lease_free(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match=f"process {process.pid}"), Lease(tmp_path, grace=0.2):
            pass
        process.kill()
        process.wait()
        with Lease(tmp_path) as lease:
            assert lease.unclean


def test_a_silent_holder_on_another_machine_counts_as_dead(tmp_path):
    write_owner(tmp_path)
    begin = time.monotonic()
    with Lease(tmp_path, beat=0.1, patience=0.5) as lease:
        assert lease.unclean
        assert time.monotonic() - begin > 0.5


def test_a_living_holder_on_another_machine_is_respected(tmp_path):
    write_owner(tmp_path)
    threading.Timer(0.3, write_owner, [tmp_path], {"beat": 2}).start()
    with (
        pytest.raises(ValueError, match="process 7 on far-away, Slurm job 123"),
        Lease(tmp_path, beat=0.1, patience=5.0),
    ):
        pass


def test_a_lease_taken_over_is_noticed_before_the_next_commit(tmp_path):
    with Lease(tmp_path) as lease:
        write_owner(tmp_path)
        with pytest.raises(ValueError, match="taken over by process 7 on far-away"):
            lease.check()
    assert json.loads((tmp_path / FILE).read_text())["token"] == "other"


def test_holders_show_that_they_live(tmp_path):
    with Lease(tmp_path, beat=0.05):
        first = json.loads((tmp_path / FILE).read_text())["beat"]
        time.sleep(0.3)
        assert json.loads((tmp_path / FILE).read_text())["beat"] > first


def test_without_locks_a_holder_on_this_machine_is_respected_too(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with (
        Lease(tmp_path, beat=0.1),
        pytest.raises(ValueError, match=f"process {os.getpid()}"),
        Lease(tmp_path, beat=0.1, patience=5.0),
    ):
        pass


def test_whether_a_store_is_held_can_be_asked_without_holding_it(tmp_path):
    assert not is_held(tmp_path)
    with Lease(tmp_path, beat=60):
        long_ago = time.time() - 120  # a holder that was suspended, and goes on
        os.utime(tmp_path / FILE, (long_ago, long_ago))
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_holder_elsewhere_is_known_by_its_last_sign_of_life(tmp_path):
    write_owner(tmp_path)
    assert is_held(tmp_path)
    long_ago = time.time() - 120
    os.utime(tmp_path / FILE, (long_ago, long_ago))
    assert not is_held(tmp_path)

"""A chain that is killed goes on from disk and ends like one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samplers_for_tests import emcee

from sbi_pipeline.samplers import chain as chain_module
from sbi_pipeline.types import Array


def density(z: Array) -> Array:
    return -0.5 * np.sum(z**2, axis=-1) - 0.1 * np.sum(z**4, axis=-1)


def run(folder: Path | None, log_density: Any = density, **options: Any) -> Any:
    settings = {"seed": 1, "walkers": 8, "min_steps": 50, "max_steps": 300, "ess": 1e9}
    return emcee(log_density, 2, 2, 1000, folder=folder, **(settings | options))


def same(one: Any, other: Any) -> None:
    for name in ("z", "log_prob", "acceptance", "converged"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    drop = {"seconds"}
    assert {k: v for k, v in one.facts.items() if k not in drop} == {
        k: v for k, v in other.facts.items() if k not in drop
    }


@pytest.mark.parametrize("steps", [49, 50, 51, 170])
def test_goes_on_as_if_nothing_had_happened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    steps: int,
) -> None:
    class KilledError(Exception):
        pass

    calls = 0

    def killing(z: Array) -> Array:
        nonlocal calls
        calls += 1
        if calls > 2 + 2 * steps:  # start, first state, two halves a step
            raise KilledError
        return density(z)

    monkeypatch.setattr(chain_module, "SECONDS", 0)
    with pytest.raises(KilledError):
        run(tmp_path / "chain", killing)
    assert "Exception" not in capsys.readouterr().out  # emcee tells of it at length
    calls = 0

    def counting(z: Array) -> Array:
        nonlocal calls
        calls += 1
        return density(z)

    resumed = run(tmp_path / "chain", counting)
    assert calls == 1 + 2 * (300 - steps)  # one to recognise the density
    same(resumed, run(None))


SCRIPT = """
import sys, time
import numpy as np
sys.path.insert(0, sys.argv[2])
from sbi_pipeline.samplers import chain
import test_samplers_chain as this
chain.SECONDS = 0.02
def slow(z):
    time.sleep(0.002)
    return this.density(z)
from pathlib import Path
drawn = this.run(Path(sys.argv[1]) / "chain", slow, max_steps=600)
np.savez(Path(sys.argv[1]) / "drawn.npz", z=drawn.z, log_prob=drawn.log_prob)
"""


@pytest.mark.slow
def test_killed_again_and_again_it_ends_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(Path(__file__).parent)]
    kills, blocks, done = 0, -1, False
    while not done:
        process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
        before = blocks
        while process.poll() is None and kills < 4:
            time.sleep(0.01)
            blocks = len(list((tmp_path / "chain").glob("block-*.npz")))
            if blocks > before + 5:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
        done = process.wait() == 0
    assert kills == 4
    uninterrupted = run(None, max_steps=600)
    with np.load(tmp_path / "drawn.npz") as found:
        np.testing.assert_array_equal(found["z"], uninterrupted.z)
        np.testing.assert_array_equal(found["log_prob"], uninterrupted.log_prob)


def test_damaged_blocks_cost_only_what_came_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(chain_module, "SECONDS", 0)
    run(tmp_path)
    blocks = sorted(tmp_path.glob("block-*.npz"))
    blocks[120].write_bytes(blocks[120].read_bytes()[:500])
    caplog.set_level("INFO")
    same(run(tmp_path), run(None))
    assert "cannot be used, the chain goes on from before" in caplog.text
    assert "the chain goes on after step 120" in caplog.text


def test_chain_of_another_density_starts_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, lambda z: 2 * density(z))
    assert list(tmp_path.glob("block-*.npz"))
    same(run(tmp_path), run(None))
    assert "of another density" in caplog.text


def test_full_disk_does_not_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    same(run(tmp_path), run(None))
    assert "cannot be resumed if it is stopped: [Errno 28] No space left" in caplog.text
    assert not list(tmp_path.iterdir())

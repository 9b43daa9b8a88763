"""Given parameters through the engine: guarded, counted, in a ledger where they are dear."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from shard_for_tests import NAMES, parameters

from sbi_pipeline import streams
from sbi_pipeline.campaigns import given_rows
from sbi_pipeline.campaigns.given_rows import Engine, affordable
from sbi_pipeline.campaigns.settings import Effort, Limits
from sbi_pipeline.model import Model
from sbi_pipeline.storage import journal

TESTS = Path(__file__).parent


def engine(simulator: str, *, workers: int = 1, **limits: float) -> Engine:
    options = {"seconds": 0.05} if simulator == "Slow" else {}
    model = Model(f"simulators_for_tests:{simulator}", options, NAMES, {})
    effort = Effort(workers=workers)
    return Engine(model, "test", Limits(**limits), effort)  # type: ignore[arg-type]


def test_every_way_to_fail_is_counted_and_leaves_the_others() -> None:
    given = parameters(0, 300)[:300]
    with engine("Moody", time_limit=0.5) as made:
        found = made.replicate(given, seed=1)
    hundredth = (given[:, 0] * 100).astype(int)
    np.testing.assert_array_equal(found.worked, ~((hundredth >= 1) & (hundredth <= 7)))
    assert set(found.failures) == {"raised", "crashed", "timed out", "nan", "wrong shape"}
    assert sum(found.failures.values()) == (~found.worked).sum()
    assert found.or_nan().shape == (300, 2)
    np.testing.assert_array_equal(np.isnan(found.or_nan()[:, 0]), ~found.worked)


def test_that_all_fail_is_said() -> None:
    with (
        engine("Broken") as made,
        pytest.raises(ValueError, match=r"the first 20 simulations failed, one at a = .*no luck"),
    ):
        made.replicate(parameters(0, 40)[:40], seed=1)


def test_what_is_dear_goes_through_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = parameters(0, 250)[:250]
    with engine("NoiseOneByOne") as made:
        cheap = made.replicate(given, seed=1, ledger=tmp_path / "cheap")
    assert not (tmp_path / "cheap").exists()
    monkeypatch.setattr(given_rows, "CHEAP", 0.0)
    with engine("NoiseOneByOne") as made:
        dear = made.replicate(given, seed=1, ledger=tmp_path / "dear")
    np.testing.assert_array_equal(dear.x, cheap.x)
    with engine("Noise") as made:
        found = made.replicate(given, seed=1, ledger=tmp_path / "blocks")
    assert found.x.shape == (250, 2)
    receipt = json.loads((tmp_path / "blocks/shard-0.json").read_text())
    assert receipt["rows"] == 252  # three whole blocks


def test_a_cheap_vectorised_simulator_is_called_once() -> None:
    given = parameters(0, 250)[:250]
    with engine("Noise") as made:
        found = made.replicate(given, seed=1)
    rng = streams.generator(1, "test")
    np.testing.assert_array_equal(found.x, given + rng.normal(size=given.shape))


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_given_rows import engine, parameters
with engine("Slow", workers=2) as made:
    found = made.replicate(parameters(0, 120)[:120], seed=1, ledger=Path(sys.argv[1]) / "ledger")
np.save(Path(sys.argv[1]) / "x.npy", found.x)
"""


@pytest.mark.slow
def test_a_kill_loses_what_is_not_committed_and_nothing_else(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from sbi_pipeline.campaigns import given_rows\ngiven_rows.CHEAP = 0.0\n" + SCRIPT,
        str(tmp_path),
        str(TESTS),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    store = tmp_path / "ledger/shard-0.zarr"
    deadline = time.monotonic() + 60
    while not (store.exists() and rows_of(store)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < rows_of(store) < 120
    subprocess.run(command, env=environment, check=True)
    assert rows_of(store) == 120  # none twice
    with engine("Slow") as made:
        np.testing.assert_array_equal(
            np.load(tmp_path / "x.npy"), made.replicate(parameters(0, 120)[:120], seed=1).x
        )


def rows_of(store: Path) -> int:
    records = journal.read_records(store)
    return sum(each["stop"] - each["start"] for each in records if each["kind"] == "rows")


def test_dear_predictions_are_fewer() -> None:
    assert [affordable(seconds) for seconds in (0.001, 0.3, 0.35, 0.6, 1.0, 100.0)] == [
        1000,
        1000,
        500,
        500,
        250,
        250,
    ]

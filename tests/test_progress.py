import contextlib
import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sbi_pipeline import job_reports, progress, signals
from sbi_pipeline.job_reports import Count, read_report


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "results/one/npe").mkdir(parents=True)
    return tmp_path / "results/one/npe/train.log"


def told(log: Path) -> job_reports.JobReport:
    found = read_report(log.with_suffix(job_reports.SUFFIX), log.parents[2])
    assert found is not None
    return found


def test_a_job_tells_how_far_it_is_while_it_works(log, monkeypatch):
    monkeypatch.setattr(progress, "BEAT", 0.01)
    written = threading.Event()
    write = progress.write_text

    def tell(path: Path, text: str) -> None:
        write(path, text)
        if '"done": 3' in text:
            written.set()

    monkeypatch.setattr(progress, "write_text", tell)
    with (
        progress.reported(log, "train", "results/one/npe/train.spec.json"),
        progress.counting("epochs", 10, 2, at_most=True) as counter,
    ):
        counter.update(seen={"validation loss": -1.5, "unknown": math.nan}, curve=True)
        assert written.wait(5)
        job = told(log)
        assert (job.name, job.stage, job.is_alive) == ("one/npe/train", "train", True)
        assert job.makes == "results/one/npe/train.spec.json"
        (count,) = job.counts
        assert (count.done, count.total, count.first) == (3, 10, 2)
        assert count.so_far == "3 of at most 10 epochs"
        assert count.seen == "validation loss -1.500"
        assert count.names == ("epochs", "validation loss", "unknown")
        assert count.points[0][:2] == (3, -1.5)
        assert math.isnan(count.points[0][2])
    assert list(log.parent.iterdir()) == []  # what ended well leaves nothing


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (ValueError("no rows"), "failed", "no rows"),
        (RuntimeError(), "failed", "RuntimeError"),
        (SystemExit(1), "failed", "it ended with SystemExit"),
        (signals.Interrupted(15), "interrupted", "after epoch 1"),
    ],
)
def test_a_job_that_ends_early_leaves_its_last_word(log, error, state, text):
    def work() -> None:
        with (
            progress.reported(log, "train"),
            progress.counting("candidates", 2),
            progress.counting("epochs", 10) as counter,
        ):
            counter.update()
            if isinstance(error, signals.Interrupted):
                error.kept = "after epoch 1"
            raise error

    with pytest.raises(type(error)):
        work()
    job = told(log)
    assert (job.state, job.text, job.is_alive) == (state, text, False)
    assert [count.so_far for count in job.counts] == ["0 of 2 candidates", "1 of 10 epochs"]


def test_an_error_that_was_dealt_with_is_no_last_word(log):
    def work() -> None:
        with progress.reported(log, "sample"):
            with contextlib.suppress(ValueError), progress.counting("steps", 5):
                raise ValueError("first")
            with progress.counting("observations", 3):
                raise ValueError("second")

    with pytest.raises(ValueError, match="second"):
        work()
    assert [count.unit for count in told(log).counts] == ["observations"]


def test_a_job_that_is_killed_is_silent_after_a_while(log):
    with progress.reported(log, "train"):
        assert told(log).is_alive
        old = time.time() - job_reports.ALIVE - 1
        os.utime(log.with_suffix(job_reports.SUFFIX), (old, old))
        assert not told(log).is_alive
        assert told(log).age > job_reports.ALIVE


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"stage": "train"}', '{"counts": 3}', "\x00"])
def test_a_torn_file_is_no_report(tmp_path, text):
    path = tmp_path / f"train{job_reports.SUFFIX}"
    path.write_text(text)
    assert read_report(path, tmp_path) is None
    path.unlink()
    assert read_report(path, tmp_path) is None


def test_counts_of_another_form_are_no_report(log):
    with progress.reported(log, "train"), progress.counting("epochs", 3):
        path = log.with_suffix(job_reports.SUFFIX)
        good = json.loads(path.read_text())
        for wrong in ([1], [{"unit": "epochs"}], [None], {"unit": 1}):
            path.write_text(json.dumps({**good, "counts": wrong}))
            assert read_report(path, tmp := log.parents[2]) is None, wrong
        path.write_text(json.dumps(good))
        assert read_report(path, tmp) is not None


def test_a_line_is_logged_every_now_and_then(log, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    clock = [1000.0]
    monkeypatch.setattr(progress.time, "time", lambda: clock[0])
    with (
        progress.reported(log, "train"),
        progress.counting("observations", 1),
        progress.counting("epochs", 1000, at_most=True) as counter,
    ):
        for _ in range(1000):
            clock[0] += 1
            counter.update(seen={"training loss": 2.0})
    lines = [each.getMessage() for each in caplog.records]
    assert lines[0] == (
        f"{log.parent.as_posix()[1:]}/train: 0 of 1 observations, 5 of at most 1,000 epochs, "
        "training loss 2, 16 min 35 s to go"
    )
    assert 15 < len(lines) < 40  # in the end one a minute


def test_a_disk_that_is_full_stops_no_job(log, monkeypatch):
    def full(path: Path, text: str) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(progress, "write_text", full)
    with progress.reported(log, "train"), progress.counting("epochs", 3) as counter:
        counter.update()
    assert counter.count.done == 1


def test_a_curve_of_many_points_is_thinned():
    with progress.counting("steps", 10_000) as counter:
        for step in range(10_000):
            counter.update(seen={"loss": step + 1}, curve=True)
    points = counter.content()["points"]
    assert progress.MOST_POINTS / 2 <= len(points) <= progress.MOST_POINTS
    assert points[0] == (1, 1)
    assert points[-1] == (10_000, 10_000)
    assert all(done == value for done, value in points)


def test_preparation_does_not_count_in_the_rate(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(progress.time, "time", lambda: clock[0])
    with progress.counting("epochs", 10, 4) as counter:
        clock[0] += 300
        counter.begin()
        clock[0] += 2
        counter.update()
    assert (counter.count.rate, counter.count.seconds_left) == (0.5, 10.0)


def test_counting_outside_a_job_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with progress.counting("steps", 2) as counter:
        counter.update()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("done", "seconds"),
    [((2, 5), 30.0), ((0, 5), math.nan), ((0,), math.nan), ((5,), 10.0)],
)
def test_time_left_is_of_the_outermost_that_is_known(done, seconds):
    """Of observations, 2 of 5 after 20 s; of steps, 5 of 10 after 10 s."""
    totals = (5, 10) if len(done) == 2 else (10,)
    begun = (-20.0, -10.0)[-len(done) :]
    counts = [
        Count("some", one, total, False, 0, first, 0.0)
        for one, total, first in zip(done, totals, begun, strict=True)
    ]
    found, _ = job_reports.left_of(counts)
    assert found == pytest.approx(seconds, nan_ok=True)


def test_of_one_observation_the_steps_say_what_is_left():
    counts = [Count("observations", 0, 1, False, 0, -20, 0), Count("steps", 5, 10, True, 0, -10, 0)]
    assert job_reports.left_of(counts) == (10, 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.53, "4.5 s"),
        (59.97, "1 min 00 s"),
        (192, "3 min 12 s"),
        (3720, "1 h 02 min"),
        (math.nan, "–"),
    ],
)
def test_duration(seconds, text):
    assert job_reports.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(3.0, "3"), (-0.172, "-0.1720"), (57887.3, "57,887"), (1234.5, "1234")]
)
def test_a_number_is_short(value, text):
    assert job_reports.in_short(value) == text


NOTEBOOK = """
import sys, types, warnings
sys.modules["ipywidgets"] = None  # is not installed
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
warnings.simplefilter("error")
from sbi_pipeline.progress import counting
with counting("rows", 2) as counter:
    counter.update()
"""


def test_a_notebook_without_widgets_is_not_complained_of():
    subprocess.run([sys.executable, "-c", NOTEBOOK], check=True, timeout=60)

"""Parts of work in several processes: what they return, and what ends them."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from sbi_pipeline.reports.sharing import done_here, helpers

BEGIN = """
import os, sys, time
from sbi_pipeline import signals
from sbi_pipeline.reports.sharing import done_here, helpers
"""


@pytest.fixture
def run(tmp_path):
    """Return what a script, run in a process without threads, prints; it is killed in the end."""
    started = []

    def start(text):
        script = tmp_path / "script.py"
        script.write_text(BEGIN + text)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def test_parts_are_done_in_several_processes_in_their_order(run):
    script = run("""
with helpers(3) as share:
    done = share([lambda part=part: (time.sleep(0.2), part, os.getpid())[1:] for part in range(9)])
    again = share([lambda: os.getpid()])
print([part for part, _ in done], len({each for _, each in done}), os.getpid() in again)
""")
    assert script.communicate()[0] == "[0, 1, 2, 3, 4, 5, 6, 7, 8] 3 False\n"


def test_what_a_part_raises_is_raised(run):
    script = run("""
try:
    with helpers(2) as share:
        share([lambda: 1, lambda: 1 / 0])
except ZeroDivisionError as error:
    print(error)
""")
    assert script.communicate()[0] == "division by zero\n"


def test_a_process_that_dies_is_told(run):
    script = run("""
try:
    with helpers(2) as share:
        share([lambda: os.kill(os.getpid(), 9)])
except Exception as error:
    print(type(error).__name__)
""")
    assert script.communicate()[0] == "BrokenProcessPool\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_with_threads_does_all_itself(workers):
    import threading

    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    with helpers(workers) as share:
        assert share is done_here
        assert share([os.getpid, os.getpid]) == [os.getpid()] * 2
    end.set()
    thread.join()


LONG = """
try:
    with signals.interruptible(), helpers(2) as share:
        print(*share([os.getpid, os.getpid]), flush=True)
        share([lambda: time.sleep(600)] * 2)
except signals.Interrupted as stop:
    print(stop, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("to_all", [False, True])
def test_a_signal_ends_all_processes(run, number, to_all):
    script = run(LONG)
    script.stdout.readline()
    processes = psutil.Process(script.pid).children()
    assert len(processes) == 2
    time.sleep(0.3)  # they are at work
    for process in [*processes * to_all, script]:
        process.send_signal(number)
    output = script.communicate(timeout=10)[0]
    assert output == ("" if number == signal.SIGKILL else f"interrupted by {number.name}\n")
    assert psutil.wait_procs(processes, timeout=10)[1] == []

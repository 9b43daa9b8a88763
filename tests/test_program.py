import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from shard_for_tests import make

from sbi_pipeline.campaigns.callers import GuardedCaller, TimedOut
from sbi_pipeline.campaigns.settings import Limits
from sbi_pipeline.model import Model
from sbi_pipeline.simulators.program import Program
from sbi_pipeline.storage.rows import read_rows
from sbi_pipeline.streams import Stream
from sbi_pipeline.types import StopCampaign

SOURCE = Path(__file__).parents[1] / "examples" / "program" / "decay.c"
ROW = np.array([0.1, 1e-300])


def program(tmp_path, body, **options):
    """Return a simulator that runs a few lines of Python."""
    script = tmp_path / "script.py"
    script.write_text(f"import json, os, sys, time\n{body}\n")
    words = options.pop("words", "{input} {output} {seed}")
    return Program(f"{sys.executable} {script} {words}", ["a", "b"], **options)


def call(simulator):
    return simulator(ROW, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("way", "body"),
    [
        ("arguments", "print(*sys.argv[1:3])"),
        ("environment", "print(os.environ['a'], os.environ['b'])"),
        ("json", "v = json.load(open(sys.argv[1])); print(v['a'], v['b'])"),
        ("csv", "h, v = open(sys.argv[1]); assert h == 'a,b\\n'; print(v)"),
        ("npy", "import numpy; print(*numpy.load(sys.argv[1]).tolist())"),
    ],
)
def test_parameters_get_in_to_the_last_bit(tmp_path, way, body):
    words = "{a} {b}" if way == "arguments" else "{input}"
    np.testing.assert_array_equal(call(program(tmp_path, body, input=way, words=words)), ROW)


@pytest.mark.parametrize(
    ("way", "body"),
    [
        ("stdout", "print('1 2,3\\n4')"),
        ("json", "json.dump([1, 2, 3, 4], open(sys.argv[2], 'w'))"),
        ("csv", "print('1,2,3,4', file=open(sys.argv[2], 'w'))"),
        ("npy", "import numpy; numpy.save(open(sys.argv[2], 'wb'), [1, 2, 3, 4])"),
        ("npz", "import numpy; numpy.savez(open(sys.argv[2], 'wb'), x=[1, 2, 3, 4])"),
    ],
)
def test_data_come_out(tmp_path, way, body):
    np.testing.assert_array_equal(call(program(tmp_path, body, output=way)), [1, 2, 3, 4])


def test_seeds_come_from_the_stream_and_scratch_folders_go(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    simulator = program(tmp_path, "open('litter', 'w'); print(sys.argv[3])")
    seeds = [simulator(ROW, np.random.default_rng(seed))[0] for seed in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_failures_say_what_the_program_said(tmp_path):
    kept = tmp_path / "kept"
    body = "print('once upon', file=sys.stderr); open('trace', 'w'); sys.exit(3)"
    with pytest.raises(RuntimeError, match="ended with exit code 3: once upon"):
        call(program(tmp_path, body, keep_failed=str(kept)))
    assert [path.name for path in kept.glob("*/*")] == ["trace"]
    with pytest.raises(ChildProcessError, match="ended with SIGKILL"):
        call(program(tmp_path, "os.kill(os.getpid(), 9)"))
    with pytest.raises(StopCampaign, match="exit code 4"):
        call(program(tmp_path, "sys.exit(4)", stop_codes=[4]))
    with pytest.raises(StopCampaign, match="/no/such/file cannot be run"):
        call(Program("/no/such/file", ["a", "b"]))


@pytest.mark.parametrize(
    ("body", "way", "said"),
    [
        ("print('Simulator 1.2'); print(0.5)", "stdout", "alone.*; it printed 'Simulator 1.2 0.5'"),
        ("os.write(1, b'temp\\xe9rature 0.5')", "stdout", "it printed 'temp\ufffdrature 0.5'"),
        ("pass", "stdout", "gave no data, and no error; it printed nothing"),
        ("print('done')", "npy", "wrote no file {output}; it printed 'done'"),
        ("open(sys.argv[2], 'w').write('[1, ')", "json", "gave no data: .*; it printed nothing"),
        ("print('word ' * 10**6)", "stdout", "it printed '(word ){20}'$"),
    ],
)
def test_what_is_no_data_is_told_with_the_first_words_printed(tmp_path, body, way, said):
    with pytest.raises(ValueError, match=said) as caught:
        call(program(tmp_path, body, output=way))
    assert "\n" not in str(caught.value)


def test_ten_megabytes_of_complaints_and_other_encodings_hurt_nobody(tmp_path):
    body = "os.write(2, b'\\xe9' * 10**7); print('0.5 nan')"
    np.testing.assert_array_equal(call(program(tmp_path, body)), [0.5, np.nan])


def test_a_program_that_ignores_its_seed_is_found_out(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import random\nprint(random.random())\n")
    options = {"command": f"{sys.executable} {script} {{a}}", "parameters": ["a", "b"]}
    with pytest.raises(ValueError, match="came out different when repeated"):
        make(tmp_path, 100, "", 100, simulator_name="program", simulator_options=options)


def test_retries_repeat_the_same_run(tmp_path):
    trace = tmp_path / "trace"
    body = f"print(sys.argv[3], file=open({str(trace)!r}, 'a')); sys.exit(5)"
    with pytest.raises(RuntimeError, match="exit code 5"):
        call(program(tmp_path, body, retry_codes=[5], retries=2))
    seeds = trace.read_text().split()
    assert len(seeds) == 3
    assert len(set(seeds)) == 1


def is_gone(pid):
    """Say whether a process ended within a moment; nobody need have asked for its exit code."""
    for _ in range(50):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_a_time_limit_also_ends_what_the_program_started(tmp_path):
    pid = tmp_path / "pid"
    body = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match="ran longer than 2 s"):
        call(program(tmp_path, body, time_limit=2.0))
    assert time.monotonic() - begin < 10
    assert is_gone(int(pid.read_text()))


def test_the_limit_of_the_campaign_also_ends_a_program(tmp_path):
    script, pid = tmp_path / "script.py", tmp_path / "pid"
    script.write_text(
        "import os, sys, time\n"
        f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(0 if float(sys.argv[1]) < 0.5 else 600)\n"
        "print(sys.argv[1])\n"
    )
    options = {"command": f"{sys.executable} {script} {{a}}", "parameters": ["a", "b"]}
    model, stream = Model("program", options, ("a", "b"), {}), Stream(1, "simulate")
    guarded = GuardedCaller(model, Limits(time_limit=3.0))
    assert guarded(np.array([0.25, 0.0]), stream, 0) == [0.25]
    with pytest.raises(TimedOut):
        guarded(np.array([0.75, 0.0]), stream, 1)
    assert is_gone(int(pid.read_text()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": "xml"}, "input is 'xml'; wanted one of arguments"),
        ({"output": "xml"}, "output is 'xml'; wanted one of stdout"),
        ({"command": "x {mass}"}, r"placeholder that is not known \('mass'\); wanted {a}, {b}"),
        ({"command": "x {"}, "placeholder that is not known"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(options, message):
    with pytest.raises(ValueError, match=message):
        Program(**{"command": "x", "parameters": ["a", "b"]} | options)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_example_in_c_makes_a_campaign(tmp_path):
    binary = tmp_path / "decay"
    subprocess.run(["cc", "-O2", "-o", binary, SOURCE, "-lm"], check=True)
    options = {"command": f"{binary} 100 {{a}} {{b}} {{seed}}", "parameters": ["a", "b"]}
    receipt = make(tmp_path, 60, "", 60, simulator_name="program", simulator_options=options)
    assert (receipt["rows"], receipt["failures"], receipt["x_shape"]) == (60, {}, [10])
    rows = read_rows(tmp_path / "shard-0.zarr", 0, 60)
    assert abs(rows.x[:, 0].mean() - 100.5) < 5 * np.sqrt(100.5 / 60)
    os.remove(binary)
    with pytest.raises(ValueError, match="decay cannot be run"):
        make(tmp_path, 70, "", 70, simulator_name="program", simulator_options=options)


def test_no_space_for_scratch_stops_the_campaign(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(StopCampaign, match=r"no scratch folder in .*none: No such.* set TMPDIR"):
        call(program(tmp_path, "print(1)"))

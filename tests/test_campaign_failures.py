import numpy as np
import pytest
import scipy.special
import scipy.stats
from shard_for_tests import by_row, content, expected, parameters, rows_of, simulated

from sbi_pipeline.campaigns.callers import DirectCaller
from sbi_pipeline.campaigns.simulation import simulate_rows
from sbi_pipeline.model import Model
from sbi_pipeline.storage.rows import read_rows
from sbi_pipeline.streams import Stream
from sbi_pipeline.types import Outcome


def test_every_way_to_fail_marks_its_row_and_no_other(run):
    moods = {1: "raised", 2: "crashed", 3: "timed out", 4: "crashed", 5: "nan", 6: "nan"}
    moods[7] = "wrong shape"
    shard, receipt = run("a", 300, "Moody", time_limit=0.5)
    assert by_row(shard, receipt) == expected(300, moods)
    assert {"raised", "crashed", "timed out", "nan", "wrong shape"} == set(receipt["failures"])
    texts = {example["status"]: example for example in receipt["examples"]}
    raised = texts["raised"]
    a = raised["parameters"]["a"]
    assert raised["text"] == f"RuntimeError: a is {a:.6f}"
    assert a == parameters(0, 300)[raised["row"], 0]
    assert texts["timed out"]["text"] == "ran longer than 0.5 s"
    assert texts["wrong shape"]["text"] == "x has shape (1,); the first rows had (2,)"
    crashes = {e["text"] for e in receipt["examples"] if e["status"] == "crashed"}
    assert crashes == {"its process ended with SIGSEGV", "its process ended with exit code 3"}


def test_isolation_changes_no_row(run):
    for simulator in ("Noise", "NoiseOneByOne"):
        here, _ = run(f"here {simulator}", 200, simulator, block_size=100)
        there, _ = run(f"there {simulator}", 200, simulator, block_size=100, isolate=True)
        assert content(here, 200) == content(there, 200)


def test_a_bad_row_in_a_block_fails_alone_whatever_the_chunks(run):
    moods = {1: "raised", 2: "crashed", 3: "timed out", 4: "crashed", 5: "nan"}
    options = {"time_limit": 0.2, "block_size": 50}
    whole, receipt = run("whole", 200, "MoodyBlocks", **options)
    assert by_row(whole, receipt) == expected(200, moods)
    shard, _ = run("cut", 50, "MoodyBlocks", chunk_size=100, **options)
    shard, _ = run("cut", 200, "MoodyBlocks", **options)
    assert content(shard, 200) == content(whole, 200)
    x = read_rows(whole, 0, 200)
    noise = (x.x - x.parameters)[x.status == 0]
    assert len(np.unique(noise)) == noise.size  # no two rows share their noise


def test_retries_use_the_same_stream_and_are_counted(run):
    once, _ = run("once", 100, "Moody", time_limit=0.3)
    again, _ = run("again", 100, "Moody", time_limit=0.3, retries=2)
    assert content(once, 100) == content(again, 100)
    attempts = {row: n for record in rows_of(again) for row, n in record["attempts"].items()}
    status = read_rows(again, 0, 100).status
    assert attempts == {str(row): 3 for row in np.flatnonzero((status == 4) | (status == 5))}
    assert attempts


@pytest.mark.parametrize("block_size", [1, 10, 1000])
@pytest.mark.parametrize(("limit", "rows"), [(2.5, 20_000), (4.0, 100_000)])
def test_failures_by_chance_have_the_law_of_the_simulator(block_size, limit, rows):
    given = parameters(0, rows)
    model = Model("simulators_for_tests:Chancy", {"limit": limit}, ("a", "b"), {})
    made = simulate_rows(
        DirectCaller(model),
        given,
        stream=Stream(5, "simulate"),
        start=0,
        block_size=block_size,
        x_shape=(1,),
        x_dtype="float64",
    )
    failed = made.status == Outcome.RAISED
    fraction = scipy.special.ndtr(given[:, 0] - limit)
    for low in (0.0, 0.25, 0.5, 0.75):  # of a, on which the probability to fail depends
        part = (given[:, 0] >= low) & (given[:, 0] < low + 0.25)
        expected = fraction[part].sum()
        assert abs(failed[part].sum() - expected) < 4 * np.sqrt(expected) + 1
    # Given that it works, the noise of a row is normal below its limit.
    noise, below = made.x[~failed, 0], scipy.special.ndtr(limit - given[~failed, 0])
    assert scipy.stats.kstest(scipy.special.ndtr(noise) / below, "uniform").pvalue > 1e-3


def test_a_block_that_fails_whenever_its_rows_do_not_costs_one_of_them(run):
    shard, receipt = run("a", 200, "Lonely", block_size=100)
    assert receipt["failures"] == {"raised": 2}
    np.testing.assert_array_equal(
        read_rows(shard, 0, 200).status.reshape(2, 100).sum(1), 2 * [Outcome.RAISED]
    )
    (example,) = receipt["examples"]
    told = "MemoryError: too many (in a call with 100 rows; alone, none did 200 times)"
    assert example["text"] == told


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", "first rows all failed, nothing is stored; .*raised; row 0 with a=.*no luck"),
        ("not vectorised", "x has shape \\(5,\\) for 1000 rows .* vectorised = False"),
        ("text", "the simulator returned <U4; wanted numbers"),
        (
            "nan",
            "first rows all failed, nothing is stored; .*nan; row 0 .*x has nan at flat",
        ),
    ],
)
def test_a_campaign_that_fails_always_stops_and_says_why(run, how, message):
    with pytest.raises(ValueError, match=message):
        run("a", 3000, "Broken", simulator_options={"how": how}, chunk_size=1000)


def test_failures_beyond_the_fraction_stop_and_allowing_more_goes_on(run):
    options = {"simulator": "Moody", "chunk_size": 100, "time_limit": 0.2}
    with pytest.raises(ValueError, match=r"max_failed_fraction 0\.001; mend .* row \d+ with a="):
        run("a", 300, max_failed_fraction=0.001, **options)
    shard, receipt = run("a", 300, max_failed_fraction=0.2, **options)
    assert simulated(shard) == receipt["rows"] == 300


def test_a_dtype_that_depends_on_parameters_fails_the_odd_rows(run):
    # The first row has a >= 0.5 and floats, into which the integers of others fit exactly.
    assert parameters(0, 1)[0, 0] >= 0.5
    _, receipt = run("a", 100, "Shifty")
    assert (receipt["x_dtype"], receipt["failures"]) == ("float64", {})
    start = 1000 * next(n for n in range(20) if parameters(1000 * n, 1)[0, 0] < 0.5)
    _, receipt = run("b", 100, "Shifty", start=start, max_failed_fraction=0.9)
    assert receipt["x_dtype"] == "int64"
    assert receipt["failures"] == {
        "wrong shape": int((parameters(start, 100)[:100, 0] >= 0.5).sum())
    }


def test_a_memory_limit_fails_the_greedy_rows(run):
    shard, receipt = run("a", 50, "Greedy", memory_limit=900_000_000)
    greedy = parameters(0, 50)[:50, 0] > 0.9
    assert greedy.any()
    np.testing.assert_array_equal(read_rows(shard, 0, 50).status, 2 * greedy)
    (example,) = receipt["examples"]
    assert "MemoryError" in example["text"]

"""The first rows of a campaign tell what is wrong before more are simulated."""

import numpy as np
import pytest

from sbi_pipeline.campaigns.simulation import describe_not_finite
from sbi_pipeline.storage.rows import read_rows


@pytest.mark.parametrize(
    ("simulator", "options", "said"),
    [
        (
            "Returns",
            {"what": "complex"},
            r"^the simulator returned complex128; .*stack real",
        ),
        ("Returns", {"what": "dict"}, r"^the simulator returned a dict; wanted an array"),
        (
            "Returns",
            {"what": "none"},
            r"the first rows all failed.* returned None; wanted",
        ),
        ("Returns", {"what": "masked"}, r"the first rows all failed.*1 of 2 values are masked"),
        ("Broken", {"how": "nan"}, r"the first rows all failed.*x has nan at flat index"),
        ("Forgetful", {}, r"100 of 100 simulations came out different when repeated.* from rng"),
        ("Global", {}, r"1 of 1 simulations came out different when repeated, row 0"),
        ("Padded", {}, r"a set that is padded with NaN\?.*deep_set, mask: true"),
    ],
)
def test_nothing_is_stored_of_what_cannot_work(run, simulator, options, said):
    with pytest.raises(ValueError, match=said) as caught:
        run("a", 100, simulator, block_size=100, simulator_options=options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("simulator", ["Faint", "FaintOneByOne"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "between 0 and 0 in all 1000 first rows: data underflow single precision"),
        ({"unit": 1e-40}, r"^x is float32 below 1.2e-38, which this precision"),
        ({"unit": 1.0, "offset": 1e9}, "in all 1000 first rows, no column by 8 steps .* double"),
    ],
)
def test_the_first_thousand_rows_tell_of_lost_precision(run, simulator, options, said):
    with pytest.raises(ValueError, match=said) as caught:
        run("a", 3000, simulator, simulator_options=options)
    assert "\n" not in str(caught.value)


def test_fewer_rows_may_all_be_the_same(run):
    shard, _ = run("a", 900, "FaintOneByOne")
    assert not read_rows(shard, 0, 900).x.any()


@pytest.mark.parametrize("what", ["complex", "none", "masked"])
def test_what_only_some_rows_return_fails_those_rows(run, what):
    options = {"what": what, "above": 0.8}
    shard, _ = run("a", 200, "Returns", simulator_options=options)
    rows = read_rows(shard, 0, 200)
    np.testing.assert_array_equal(rows.status != 0, rows.parameters[:, 0] >= 0.8)


def test_infinite_values_of_some_rows_say_nothing_of_precision(run):
    shard, _ = run("a", 1000, "Returns", simulator_options={"what": "infinite", "above": 0.99})
    assert 0 < (read_rows(shard, 0, 1000).status != 0).sum() < 100


def test_a_simulator_that_leaks_is_started_again_and_loses_no_row(run):
    shard, receipt = run("a", 30, "Leaky", memory_limit=1_500_000_000)
    assert receipt["failures"] == {}
    without, _ = run("b", 30, "Returns", simulator_options={"above": 2.0})
    np.testing.assert_array_equal(read_rows(shard, 0, 30).x, read_rows(without, 0, 30).x)


def test_padding_is_told_from_other_gaps():
    x = np.ones((5, 2))
    x[3:] = np.nan
    assert "padded with NaN" in describe_not_finite(x, gaps=False)
    x[3:] = 1
    x[2, 1] = np.nan
    said = describe_not_finite(x, gaps=False)
    assert said.startswith("x has nan at flat index 5; if that stands for a missing element, say")
    assert describe_not_finite(np.full(3, np.nan), gaps=True) == "x is NaN throughout"

"""Parameters from a table: every format, what is refused, and that rows are those of the table."""

import numpy as np
import pandas as pd
import pytest
from joint_prior import Disc

from sbi_pipeline import priors
from sbi_pipeline.campaigns.sources import PriorSource, TableSource, source_of
from sbi_pipeline.priors.departure import departure_from
from sbi_pipeline.stages import simulations
from sbi_pipeline.storage.prior import read_prior

NAMES = ("a", "b", "c")
ENTRIES = {
    "a": {"type": "normal", "mean": 0, "sd": 1},
    "b": {"type": "uniform", "min": -1, "max": 1},
    "c": {"type": "normal", "mean": "2 * a", "sd": 0.5},
}
PRIOR = priors.build(ENTRIES, NAMES)
ROWS = 2500


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def drawn(rows=ROWS, seed=7):
    """Draws of the prior, as a user would bring them."""
    return pd.DataFrame(PriorSource().draw(PRIOR, seed=seed, start=0, rows=rows), columns=NAMES)


def write(table, name):
    """Write a table in the format of its extension; return its source."""
    columns = {}
    if name.endswith(".csv"):
        table.to_csv(name, index=False)
    elif name.endswith(".parquet"):
        table.to_parquet(name)
    elif name.endswith(".npy"):
        np.save(name, table.to_numpy())
    elif name.endswith(".fits"):
        fits = pytest.importorskip("astropy.io.fits")
        fits.writeto(name, table.to_records(index=False))
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(name, "w") as file:
            for column in table:
                file[f"posterior/{column}"] = table[column].to_numpy()
        columns = {column: f"posterior/{column}" for column in table}
    return TableSource(name, columns)


@pytest.mark.parametrize("extension", ["csv", "parquet", "h5", "fits", "npy"])
def test_row_i_is_row_i_of_the_table_however_it_is_split(extension):
    table = drawn()
    source = write(table, f"draws.{extension}")
    whole = source.draw(PRIOR, seed=1, start=0, rows=ROWS)
    np.testing.assert_array_equal(whole, table.to_numpy())
    parts = [source.draw(PRIOR, seed=1, start=at, rows=500) for at in range(0, ROWS, 500)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert source.look(PRIOR) == (NAMES, ROWS)


def test_what_the_table_lacks_is_drawn_from_the_prior_given_what_it_has():
    table = drawn()
    source = write(table[["a"]], "draws.csv")
    made = source.draw(PRIOR, seed=1, start=0, rows=ROWS)
    np.testing.assert_array_equal(made[:, 0], table["a"])
    assert np.corrcoef(made[:, 2] - 2 * made[:, 0], made[:, 0])[0, 1] == pytest.approx(0, abs=0.1)
    assert (made[:, 2] - 2 * made[:, 0]).std() == pytest.approx(0.5, rel=0.1)
    own = PriorSource().draw(PRIOR, seed=1, start=0, rows=ROWS)
    np.testing.assert_array_equal(made[:, 1], own[:, 1])  # by seed and row, as without a table
    again = source.draw(PRIOR, seed=1, start=1000, rows=300)
    np.testing.assert_array_equal(again, made[1000:1300])


def test_columns_may_be_called_otherwise_and_others_are_left_alone():
    table = drawn().rename(columns={"a": "mass"}).assign(chain=1, note="ok")
    table.to_csv("draws.csv", index=False)
    source = TableSource("draws.csv", {"a": "mass"})
    np.testing.assert_array_equal(
        source.draw(PRIOR, seed=1, start=0, rows=ROWS)[:, 0], table["mass"]
    )


def test_the_last_block_is_filled_up():
    source = write(drawn(120), "draws.csv")
    made = source.draw(PRIOR, seed=1, start=100, rows=50)
    np.testing.assert_array_equal(made[:20], drawn(120).to_numpy()[100:])
    np.testing.assert_array_equal(made[20:40], made[:20])


def test_a_prior_of_the_users_own_takes_a_table():
    prior = Disc()
    rows = PriorSource().draw(prior, seed=3, start=0, rows=200)
    pd.DataFrame(rows, columns=prior.names).to_csv("draws.csv", index=False)
    source = TableSource("draws.csv")
    source.check(prior, 200, 100)
    np.testing.assert_allclose(source.draw(prior, seed=1, start=0, rows=200), rows)
    pd.DataFrame(2 * rows, columns=prior.names).to_csv("draws.csv", index=False)
    with pytest.raises(ValueError, match=r"line \d+, column 'right': right = .* outside the prior"):
        source.check(prior, 200, 100)


BAD = {
    "no such file": (lambda t: None, {}, "no such file"),
    "no parameter": (
        lambda t: t.rename(columns=str.upper),
        {},
        r"no column is called like a parameter \(a, b, c\); there are A, B, C",
    ),
    "no column": (lambda t: t, {"a": "mas"}, r"no column 'mas' \(of 'a'\); there are a, b, c"),
    "one column twice": (
        lambda t: t,
        {"a": "b"},
        r"column 'b' would be both 'a' and 'b'; name another column for one of them",
    ),
    "unknown parameter": (lambda t: t, {"aa": "a"}, r"no such parameter 'aa'; did you mean 'a'"),
    "a child alone": (
        lambda t: t[["b", "c"]],
        {},
        r"it has 'c', whose prior depends on 'a', and lacks 'a'; add that column",
    ),
    "words": (lambda t: t.assign(b="much"), {}, r"column 'b', first entry: got 'much'; wanted a"),
    "no row": (lambda t: t[:0], {}, "it holds no row"),
    "NaN": (
        lambda t: t.assign(b=t["b"].where(t.index != 41)),
        {},
        r"line 43, column 'b': it is empty, NaN or infinite; leave out this row",
    ),
    "infinity": (
        lambda t: t.assign(a=t["a"].where(t.index != 3, np.inf)),
        {},
        r"line 5, column 'a': it is empty, NaN or infinite",
    ),
    "outside": (
        lambda t: t.assign(b=t["b"].where(t.index != 2000, 1.5)),
        {},
        r"line 2002, column 'b': b = 1.5 lies outside the prior; widen the prior, or leave out",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_table_that_makes_no_sense_is_one_line(what):
    change, columns, message = BAD[what]
    changed = change(drawn())
    if changed is not None:
        changed.to_csv("draws.csv", index=False)
    with pytest.raises(ValueError, match=f"^table draws.csv: .*{message}") as caught:
        TableSource("draws.csv", columns).check(PRIOR, 100, 50)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((5, 2)), r"it has shape \(5, 2\); wanted \(5, 3\), the parameters a, b, c in"),
        (np.zeros(5), r"it has shape \(5,\); wanted \(5, 3\)"),
        (np.zeros((5, 3), complex), "the array is complex"),
    ],
)
def test_an_array_has_a_column_for_every_parameter(values, message):
    np.save("draws.npy", values)
    with pytest.raises(ValueError, match=message):
        TableSource("draws.npy").look(PRIOR)
    np.save("draws.npy", np.zeros((5, 3)))
    with pytest.raises(ValueError, match="without names of columns; leave 'columns' out"):
        TableSource("draws.npy", {"a": "mass"}).look(PRIOR)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and so on"])
def test_a_broken_file_is_one_line(content):
    with open("draws.npz", "wb") as file:
        file.write(content)
    with pytest.raises(ValueError, match=r"^table draws.npz could not be read: .+"):
        TableSource("draws.npz").look(PRIOR)


def test_a_vector_or_columns_of_other_lengths_are_refused():
    h5py = pytest.importorskip("h5py")
    with h5py.File("draws.h5", "w") as file:
        file["a"], file["b"] = np.zeros((10, 2)), np.zeros(10)
    with pytest.raises(ValueError, match=r"'a' holds arrays of shape \(2,\); wanted one number"):
        TableSource("draws.h5").look(PRIOR)
    with h5py.File("draws.h5", "w") as file:
        file["a"], file["b"] = np.zeros(9), np.zeros(10)
    with pytest.raises(ValueError, match="'b' has 10 rows, 'a' 9"):
        TableSource("draws.h5").look(PRIOR)


def test_draws_of_the_prior_follow_it():
    found = [departure_from(PRIOR, drawn(2000, seed).to_numpy()) for seed in range(100)]
    assert not any(each.is_certain for each in found)
    assert sum(each.p < 0.1 for each in found) <= 20  # corrected for six tests: ten expected


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda t: t.assign(b=0.5 * t["b"]), "b"),
        (lambda t: t.assign(a=t["a"] + 0.3, c=t["c"] + 0.6), "a"),
        (lambda t: t.assign(c=t["c"] + 0.3), "c"),  # of which the margin alone says little
        (lambda t: t.assign(b=np.sort(t["b"]), a=np.sort(t["a"])), "a and b"),
        (lambda t: t.sort_values("b")[:1000], "b"),
    ],
)
def test_rows_that_do_not_follow_the_prior_are_found(change, where):
    found = departure_from(PRIOR, change(drawn()).to_numpy())
    assert found.is_certain
    if where != "a and b":
        assert found.where == where
    assert f"of {found.where}" in str(found)


def test_discrete_parameters_and_many_of_them_follow_the_prior():
    entries = {f"k{i}": {"type": "integer", "min": 1, "max": 6} for i in range(40)}
    prior = priors.build(entries, tuple(entries))
    rows = PriorSource().draw(prior, seed=1, start=0, rows=3000)
    assert not departure_from(prior, rows).is_certain
    rows[:, 7] = np.minimum(rows[:, 7], 5)
    found = departure_from(prior, rows)
    assert (found.is_certain, found.where) == (True, "k7")


def sample(tmp_path, source, rows=1000, **options):
    from sbi_pipeline.model import Model

    settings = {"seed": 1, "start": 0, "block_size": 100, "shard_size": 1000, "key": "k"}
    simulations.sample_prior(
        prior=tmp_path / "prior-0.zarr",
        model=Model("none", {}, NAMES, ENTRIES),
        source=source,
        rows=rows,
        **settings | options,
    )
    return read_prior(tmp_path / "prior-0.zarr")[0]


def test_the_stage_writes_whole_blocks_of_the_table(tmp_path, caplog):
    caplog.set_level("INFO")
    table = drawn(950)
    table[["a", "c"]].to_csv("draws.csv", index=False)
    made = sample(tmp_path, {"table": "draws.csv"}, 950)
    assert made.shape == (1000, 3)
    np.testing.assert_array_equal(made[:950, [0, 2]], table[["a", "c"]])
    assert "draws.csv gives a, c; the prior gives b" in caplog.text
    assert isinstance(source_of(None), PriorSource)


def test_a_table_that_departs_is_refused_for_those_that_learn_its_prior(tmp_path, caplog):
    narrow = drawn().assign(b=lambda t: 0.3 * t["b"])
    narrow.to_csv("draws.csv", index=False)
    source = {"table": "draws.csv"}
    message = (
        r"table draws.csv does not follow the prior \(Kolmogorov-Smirnov distance of b 0.\d+, p = "
        r"[\de.-]+\), and npe, flow would learn the posterior under another prior"
    )
    with pytest.raises(ValueError, match=message):
        sample(tmp_path, source, learners=["npe", "flow"])
    assert not (tmp_path / "prior-0.zarr").exists()
    assert len(sample(tmp_path, source)) == 1000
    assert "does not follow the prior" in caplog.text
    sample(tmp_path, source, start=1000, learners=["npe"])  # the first shard has looked


def test_the_rows_that_are_used_count_not_the_table(tmp_path):
    drawn().sort_values("b").to_csv("draws.csv", index=False)
    source = {"table": "draws.csv"}
    with pytest.raises(ValueError, match="does not follow the prior"):
        sample(tmp_path, source, learners=["npe"])
    sample(tmp_path, source, campaign_rows=ROWS, learners=["npe"])

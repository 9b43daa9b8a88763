import json
import shutil

import numpy as np
import pytest
from shard_for_tests import NAMES, by_row, manifest_of, parameters, simulate

from sbi_pipeline.storage import reading
from sbi_pipeline.storage.manifest import join_receipts, split
from sbi_pipeline.storage.prior import write_prior
from sbi_pipeline.storage.reading import open_campaign
from sbi_pipeline.storage.rows import read_rows


def test_damage_is_named_and_never_trained_on(run):
    shard, _ = run("a", 4000, chunk_size=1000)
    manifest = manifest_of(shard, 4000)
    file = shard / "x" / "c" / "2" / "0"
    good = file.read_bytes()
    file.write_bytes(good[:100] + b"\x00" + good[101:])
    with pytest.raises(ValueError, match=r"shard-0\.zarr, chunk 2, rows 2000 to 3000.*repair"):
        reading.load_simulations(manifest)
    shutil.copy(shard / "x" / "c" / "1" / "0", file)  # whole, but another chunk's
    with pytest.raises(ValueError, match=r"chunk 2.*not the rows committed"):
        reading.load_simulations(manifest)


def test_nuisance_parameters_are_dropped_in_the_view(run):
    shard, _ = run("a", 2000)
    manifest = manifest_of(shard, 1500)
    view = reading.load_simulations(manifest, ["b"])
    assert (view.theta.shape, view.x.shape, view.names) == ((1500, 1), (1500, 2), ("b",))
    np.testing.assert_array_equal(view.theta[:, 0], parameters(0, 2000)[:1500, 1])
    np.testing.assert_array_equal(
        reading.load_simulations(manifest).theta, parameters(0, 2000)[:1500]
    )
    with pytest.raises(ValueError, match="c not among the stored parameters"):
        reading.load_simulations(manifest, ["a", "c"])


def test_nuisance_parameters_need_never_be_written(run):
    wanted, _ = run("a", 1000)
    shard, _ = run("b", 1000, keep=["b"])
    rows = read_rows(shard, 0, 1000)
    np.testing.assert_array_equal(rows.parameters, parameters(0, 1000)[:, 1:])
    assert rows.x.tobytes() == read_rows(wanted, 0, 1000).x.tobytes()
    with pytest.raises(ValueError, match="store_nuisance"):
        reading.load_simulations(manifest_of(shard, 1000), ["a"])


def test_data_keep_the_simulators_dtype(run):
    shard, receipt = run("a", 1000, simulator_options={"dtype": "float32"})
    assert receipt["x_dtype"] == "float32"
    assert reading.load_simulations(manifest_of(shard, 1000)).x.dtype == np.float32
    shard, receipt = run("b", 1000, simulator_options={"dtype": ">i4"})
    assert receipt["x_dtype"] == "int32"


def test_split_keeps_every_row_when_the_campaign_grows():
    options = {"seed": 3, "validation": 0.1, "test": 0.05}
    whole = split(0, 50_000, **options)
    assert (sum(whole.values()) == 1).all()
    assert whole["validation"].mean() == pytest.approx(0.1, abs=0.01)
    assert whole["test"].mean() == pytest.approx(0.05, abs=0.01)
    for name, mask in split(700, 39_300, **options).items():
        np.testing.assert_array_equal(mask, whole[name][700:40_000])


def test_early_rows_hold_out_those_of_later_ones():
    options = {"seed": 3, "validation": 0.1, "test": 0.05}
    plain, early = split(0, 50_000, **options), split(0, 50_000, **options, early=2000)
    assert (sum(early.values()) == 1).all()
    assert early["test"][:1000].sum() == pytest.approx(150, abs=40)
    assert early["test"][:2000].sum() == pytest.approx(300, abs=60)
    assert not early["test"][2000:6000].any()
    assert early["validation"].mean() == pytest.approx(0.1, abs=0.01)
    for name, mask in early.items():
        np.testing.assert_array_equal(mask[6000:], plain[name][6000:])
        np.testing.assert_array_equal(split(700, 5300, **options, early=2000)[name], mask[700:6000])


@pytest.mark.parametrize(
    ("fractions", "message"),
    [((0.6, 0.5), "together below 1"), ((-0.1, 0.5), "must be fractions")],
)
def test_split_refuses_what_makes_no_sense(fractions, message):
    with pytest.raises(ValueError, match=message):
        split(0, 10, seed=1, validation=fractions[0], test=fractions[1])


def test_manifest_refuses_what_does_not_fit(run, tmp_path):
    shard, receipt = run("a", 1000)
    path = shard.with_suffix(".json")
    with pytest.raises(ValueError, match="hold 1000 rows, 2000 were asked for"):
        manifest_of(shard, 2000)
    other = tmp_path / "shard-1.json"
    options = {"rows": 2000, "key": "m", "store": ".", "split": {}}
    for changes, message in (
        ({"start": 1500}, "starts at row 1500, the shards before it end at 1000"),
        ({"start": 1000, "key": "z"}, "has key z, the first shard k"),
        ({"start": 1000, "x_dtype": "int64"}, "dtype depends on its parameters"),
        ({"start": 1000, "format": 0}, "has format 0, this version reads 1"),
    ):
        other.write_text(json.dumps(receipt | changes))
        with pytest.raises(ValueError, match=message):
            join_receipts([path, other], **options)


def test_failed_rows_are_left_out_of_the_view_and_can_be_looked_at(run):
    shard, receipt = run("a", 300, "Moody", time_limit=0.2)
    manifest = manifest_of(shard, 200)
    bad = np.array([label != "ok" for label in by_row(shard, receipt)])[:200]
    view = reading.load_simulations(manifest)
    np.testing.assert_array_equal(view.row, np.flatnonzero(~bad))
    assert np.isfinite(view.x).all()
    theta, status = open_campaign(manifest).outcomes(150)
    np.testing.assert_array_equal(theta, parameters(0, 300)[:150])
    np.testing.assert_array_equal(status > 0, bad[:150])
    assert sum(json.loads(manifest.read_text())["failures"].values()) == bad.sum()


def test_shards_join_into_one_campaign_that_grows_inside_the_last(tmp_path):
    folder = tmp_path / "simulations"
    folder.mkdir()

    def make(number, rows):
        prior, shard = folder / f"prior-{number}.zarr", folder / f"shard-{number}.zarr"
        write_prior(prior, parameters(2000 * number, rows), NAMES, key="k", start=2000 * number)
        simulate(prior, shard, "NoiseOneByOne")
        return shard.with_suffix(".json")

    def view(receipts, rows):
        made = join_receipts(receipts, rows=rows, key="m", store="../simulations", split={})
        path = tmp_path / "campaign" / "simulations.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(made))
        return reading.load_simulations(path)

    first, second, third = make(0, 2000), make(1, 2000), make(2, 700)
    small = view([first, second, third], 4700)
    make(2, 1500)
    grown = view([first, second, third], 5500)
    np.testing.assert_array_equal(grown.row, np.arange(5500))
    np.testing.assert_array_equal(grown.theta, parameters(0, 5500))
    assert grown.x[:4700].tobytes() == small.x.tobytes()
    fewer = view([first, second, third], 3000)  # a third shard that is not needed does no harm
    assert fewer.x.tobytes() == small.x[:3000].tobytes()
    with pytest.raises(ValueError, match=r"shard-2\.json starts at row 4000, .* end at 2000"):
        view([first, third], 2500)


def test_the_manifest_tells_each_error_once(run):
    shard, receipt = run("a", 300, "Moody", time_limit=0.2, chunk_size=100)
    told = json.loads(manifest_of(shard, 300).read_text())["examples"]
    assert told == receipt["examples"]
    texts = [example["text"] for example in told]
    assert len(texts) == len(set(texts)) >= 5
    early = min(told, key=lambda example: example["row"])
    assert json.loads(manifest_of(shard, early["row"] + 1).read_text())["examples"] == [early]

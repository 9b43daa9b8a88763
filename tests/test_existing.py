"""Existing simulations in the ledger: imported, weighed, held against what they were drawn from."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from existing_for_tests import (
    BOX,
    EDGE,
    NORMAL,
    configuration,
    imported,
    simulate,
    sobol,
    write_rows_of,
)
from scipy.stats import qmc

from sbi_pipeline import study
from sbi_pipeline.stages.estimators import check_departure
from sbi_pipeline.storage import reading
from sbi_pipeline.storage.weights import Weighing
from sbi_pipeline.study.changes import changes
from sbi_pipeline.training import sources

FILES = {"files": "runs/*.h5", "parameters": "params", "x": "spectra"}
UNIT = {"type": "uniform", "min": 0, "max": 1}
DRAWN = {**FILES, "drawn_from": BOX}
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    return tmp_path


def write(theta, files=2, x=None):
    x = simulate(theta) if x is None else x
    for number, rows in enumerate(np.array_split(np.arange(len(theta)), files)):
        write_rows_of(f"runs/{number}.h5", theta[rows], x[rows])
    return x


def normal(rows, seed=1):
    return np.random.default_rng(seed).normal(size=(rows, 2))


def manifest_of(simulations=FILES, **entries):
    path = imported(configuration(simulations, **entries))
    return path, json.loads(path.read_text())


# The ledger --------------------------------------------------------------------------------------


def test_rows_enter_the_ledger_in_order_and_nan_is_a_failure():
    theta = normal(2500)
    x = write(theta, 3, np.where(np.arange(2500)[:, None] == 7, np.nan, simulate(theta)))
    path, listed = manifest_of(shard_size=1000)
    assert (listed["rows"], listed["failures"], len(listed["shards"])) == (2500, {"nan": 1}, 3)
    found = reading.load_simulations(path)
    kept = np.arange(2500) != 7
    np.testing.assert_array_equal(found.theta, theta[kept])
    np.testing.assert_array_equal(found.x, x[kept])
    assert found.weight is None
    assert listed["weights"]["departure"]["p"] > 1e-3


def test_fewer_rows_are_the_first_ones_and_growing_imports_the_rest():
    theta = normal(2500)
    write(theta)
    _, listed = manifest_of({**FILES, "rows": 1500})
    assert listed["rows"] == 1500
    ledger = next(Path("results/simulations").glob("*/shard-0.zarr/journal.jsonl"))
    before = ledger.read_text()
    grown, again = manifest_of(FILES)
    assert again["simulation_key"] == listed["simulation_key"]
    np.testing.assert_array_equal(reading.load_simulations(grown).theta, theta)
    after = ledger.read_text()
    assert after.startswith(before)
    assert len(after) > len(before)


def test_a_parameter_the_files_lack_is_marginalised_over():
    write(normal(500))
    priors = {"a": NORMAL, "b": NORMAL, "hidden": NORMAL}
    one = {"files": "runs/one.h5", "x": "spectra"}
    theta = normal(500)
    with h5py.File("runs/one.h5", "w") as file:
        file["a"], file["b"], file["spectra"] = theta[:, 0], theta[:, 1], simulate(theta)
    path, listed = manifest_of(one, priors=priors, nuisance_parameters=["hidden"])
    assert listed["parameters"] == ["a", "b"]
    np.testing.assert_array_equal(reading.load_simulations(path, ["b"]).theta, theta[:, 1:])


def test_the_prior_changes_and_nothing_is_imported_again():
    write(sobol(1024))
    _, first = manifest_of(DRAWN)
    _, second = manifest_of(DRAWN, priors={"a": NORMAL, "b": {**NORMAL, "sd": 0.7}})
    assert first["simulation_key"] == second["simulation_key"]
    assert second["weights"]["effective"] < first["weights"]["effective"]


def test_a_file_that_is_added_or_edited_is_another_key_and_why_names_it():
    write(normal(600))
    config = configuration()
    path = imported(config)
    plan = study.Plan(study.take_configuration(config))
    Path("results/linear/manifest.spec.json").write_text(
        json.dumps(plan["results/linear/manifest.spec.json"].content)
    )
    (shard,) = plan.simulations.values()
    planned = plan[f"{shard.folder}/shard-0.spec.json"]
    Path(f"{shard.folder}/shard-0.spec.json").write_text(json.dumps(planned.content))
    write_rows_of("runs/9.h5", normal(100, 2), simulate(normal(100, 2)))
    again = study.Plan(study.take_configuration(config))
    said = "\n".join(map(str, changes(again, [str(path)])))
    assert "rows of files: runs/9.h5 is new" in said
    grown = json.loads(imported(config).read_text())
    assert grown["rows"] == 700


# What is refused ---------------------------------------------------------------------------------


def refused(words, simulations=FILES, **entries):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        manifest_of(simulations, **entries)
    assert "\n" not in str(caught.value)


def test_what_is_said_while_planning():
    refused("campaigns.linear.simulations: no file matches runs/*.h5 (looked in")
    write(normal(500))
    refused("simulations.rows: got 600; the files hold 500 rows", {**FILES, "rows": 600})
    refused("unknown key; did you mean 'files'?", {**FILES, "file": 1})
    refused("'files' is missing; wanted files with", {"x": "spectra"})
    refused("options: has no effect: no simulator is given", options={"a": 1})
    refused(
        "observations.o: nothing can simulate it: no simulator is given",
        observations={"o": {"parameters": {"a": 0}}},
    )
    refused("source: cannot be together with existing", source={"table": "t.csv"})
    narrow = {"box": {"a": [-1, 1], "b": [-EDGE, EDGE]}}
    refused("drawn_from: 31.", {**FILES, "drawn_from": narrow})
    refused("'c' is no parameter of the files", {**FILES, "drawn_from": {"box": {"c": [0, 1]}}})
    refused("box.a is 3; wanted [least, most]", {**FILES, "drawn_from": {"box": {"a": 3}}})
    refused(
        "drawn_from.a.samples: table chain.csv: no",
        {**FILES, "drawn_from": {"samples": "chain.csv"}},
    )
    np.savetxt("chain.csv", normal(100)[:, :1], header="a", comments="")
    refused("no column 'b'", {**FILES, "drawn_from": {"samples": "chain.csv"}})
    np.save("o.npy", np.zeros(4))
    refused("o.npy", observations={"o": {"file": "o.npy"}})
    (Path("runs") / "few.h5").unlink(missing_ok=True)
    config = {**configuration(100)}
    with pytest.raises(ValueError, match="'simulator' is missing"):
        study.take_configuration(config)


def test_parameters_that_are_nan_or_mostly_outside_the_prior():
    theta = normal(500)
    theta[407, 1] = np.nan
    write(theta)
    refused("runs/1.h5, row 157: b is nan; leave out this row")
    write(normal(500))
    low = {"a": {"type": "uniform", "min": 0.5, "max": 1}, "b": NORMAL}
    refused("rows lie outside the prior, most by a, which is from -", priors=low)


def test_some_rows_outside_the_prior_are_left_out_and_counted():
    theta = 2 * np.random.default_rng(1).random((1000, 2)) - 1
    theta[0] = [-1, 0]  # on an edge, which belongs to the prior
    write(theta)
    flat = {"type": "uniform", "min": -0.8, "max": 1.0}
    path, listed = manifest_of(priors={"a": {**flat, "min": -1}, "b": flat})
    missing = int((theta[:, 1] < -0.8).sum())
    assert (listed["weights"]["outside"], listed["rows"]) == (missing, 1000 - missing)
    assert len(reading.load_simulations(path).row) == 1000 - missing
    assert listed["weights"]["departure"]["p"] > 1e-3


def test_rows_that_are_there_twice():
    write(normal(500))
    shutil.copy("runs/0.h5", "runs/copy.h5")
    refused("are the same, parameters and data, and 250 rows have the parameters of another")


def test_repeats_at_the_same_parameters_are_no_copies():
    theta = np.repeat(normal(250), 2, axis=0)
    write(theta)
    assert manifest_of()[1]["rows"] == 500


def test_a_row_where_nothing_was_to_be_drawn():
    write(sobol(512) * 1.1)
    refused("where 'drawn_from' has no probability", DRAWN)


def test_a_wrong_density_is_refused_for_posteriors_and_told_of_for_likelihoods(caplog):
    write(sobol(2048) / 2)
    path, listed = manifest_of(FILES)  # a design, said to be of a normal prior
    for method in ("npe", "fmpe", "cmpe"):
        with pytest.raises(ValueError, match="do not follow the density that they were said to be"):
            check_departure(path, listed, None, method)
    assert check_departure(path, listed, None, "nle").is_certain
    assert "nle is right all the same" in caplog.text
    theta = sobol(2048)
    write(np.stack([theta[:, 0], 0.5 * (theta[:, 0] + theta[:, 1])], axis=1))
    found = json.loads(manifest_of(DRAWN)[0].read_text())["weights"]["departure"]
    assert found["p"] < 1e-6


def test_a_latin_hypercube_passes_for_the_box_it_is_of():
    write(EDGE * (2 * qmc.LatinHypercube(2, seed=1).random(2000) - 1))
    assert manifest_of(DRAWN)[1]["weights"]["departure"]["p"] > 0.5


# Weights -----------------------------------------------------------------------------------------


def test_weights_are_prior_over_density_with_a_mean_of_one():
    theta = sobol(4096)
    write(theta)
    path, listed = manifest_of(DRAWN)
    view = reading.open_campaign(path).collect({"all": 4096})["all"]
    wanted = np.exp(-0.5 * np.square(theta).sum(axis=1))
    np.testing.assert_allclose(view.weight, wanted / wanted.mean(), rtol=1e-10)
    effective = 4096 * (2 * np.sqrt(np.pi) / (2 * EDGE)) ** 2  # of a normal in a box, by integrals
    assert listed["weights"]["effective"] == pytest.approx(effective, rel=0.01)
    moments = np.average(theta**2, axis=0, weights=view.weight)
    np.testing.assert_allclose(moments, 1, atol=0.02)


def test_held_out_rows_and_those_for_scales_follow_the_prior():
    write(sobol(2**15))
    path, _ = manifest_of(DRAWN)
    reader = reading.open_campaign(path)
    test = reader.collect({"test": 10_000})["test"]
    assert test.weight is None
    assert len(np.unique(test.row)) == len(test.row) > 1000
    np.testing.assert_allclose(test.theta.std(axis=0), 1, atol=0.08)
    rows = sources.prepare(reader, lambda theta: theta, memory=1e9, seed=1, weighted=True)
    np.testing.assert_allclose(rows.sample[0].std(axis=0), 1, atol=0.05)
    plain = sources.prepare(reader, lambda theta: theta, memory=1e9, seed=1)
    assert len(plain.source.held) == 2
    np.testing.assert_allclose(plain.sample[0].std(axis=0), EDGE / np.sqrt(3), rtol=0.02)


def test_streamed_rows_keep_their_weights():
    theta = sobol(4096)
    write(theta)
    path, _ = manifest_of(DRAWN)
    reader = reading.open_campaign(path)
    rows = sources.prepare(reader, lambda theta: theta, memory=1000, seed=1, weighted=True)
    assert isinstance(rows.source, sources.Streamed)
    mean, share = np.exp(-0.5 * np.square(theta).sum(axis=1)).mean(), reader.weighing.share(0.05)
    for z, x, weight in rows.source.epoch(0, 8):
        assert len(z) == len(x) == len(weight)
        wanted = np.exp(-0.5 * np.square(z.numpy().astype(float)).sum(axis=1)) / mean
        wanted *= (0.9 - share) / (0.9 - share * wanted)  # of those held out more had a large one
        np.testing.assert_allclose(weight, wanted, rtol=1e-4)


def test_a_conditional_prior_has_weights_too():
    told = {
        "priors": {
            "a": {"type": "uniform", "min": 0, "max": 1},
            "b": {"type": "uniform", "min": 0, "max": "1 - a"},
        },
        "parameters": ["a", "b"],
        "drawn_from": {"a": UNIT, "b": UNIT},
    }
    theta = np.random.default_rng(1).random((1000, 2))
    found = Weighing.of(told, ["a", "b"]).log_weights(theta)
    inside = theta.sum(axis=1) < 1
    np.testing.assert_array_equal(np.isfinite(found), inside)
    np.testing.assert_allclose(found[inside], -np.log(1 - theta[inside, 0]))


# Killed ------------------------------------------------------------------------------------------

IMPORT = """
import time
from sbi_pipeline.campaigns import imports
slow = imports.RowsCaller.__call__
def call(self, *given):
    time.sleep(0.05)
    return slow(self, *given)
imports.RowsCaller.__call__ = call
from existing_for_tests import configuration, imported
imported(configuration(dask={"chunk_size": 1000}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_import_goes_on(folder):
    theta = normal(60_000)
    write(theta)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", IMPORT], env=environment)
    ledger, deadline = None, time.monotonic() + 600
    while time.monotonic() < deadline:
        ledger = next(Path("results/simulations").glob("*/shard-0.zarr/journal.jsonl"), None)
        if ledger is not None and ledger.read_text().count('"checksum"') >= 5:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    committed = ledger.read_text().count('"checksum"')
    assert 5 <= committed < 60
    assert not Path("results/linear/simulations.json").exists()
    found, _ = manifest_of(FILES, dask={"chunk_size": 1000})
    np.testing.assert_array_equal(reading.load_simulations(found).theta, theta)
    assert ledger.read_text().count('"checksum"') == 60

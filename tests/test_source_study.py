"""Tables of parameters and reused simulations in the workflow: real Snakemake on the tiny study."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from test_rerun import rows_simulated, snakemake, stages_run

from sbi_pipeline.storage import reading

TESTS = Path(__file__).parent
MANIFEST = "results/tiny/simulations.json"
GROWN = {"sample_prior": 1, "simulate": 1, "manifest": 1}
pytestmark = pytest.mark.slow


def configure(folder, estimators=("npe", "nle"), **entries):
    """Write the tiny study with entries of its own."""
    shutil.copy(TESTS / "tiny.py", folder)
    config = yaml.safe_load((TESTS / "config.yaml").read_text())
    config["campaigns"]["tiny"] |= entries
    config["estimators"] = {name: config["estimators"][name] for name in estimators}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return config


def draws(rows, width=1.0, seed=1):
    rng = np.random.default_rng(seed)
    slope, scatter = width * rng.normal(size=rows), np.abs(0.3 * rng.normal(size=rows))
    return pd.DataFrame({"chain": 0, "a": slope, "scatter": scatter})


def check_of(folder, name):
    checks = json.loads((folder / "results/tiny/verdict.json").read_text())["checks"]
    return {each["subject"]: each["status"] for each in checks if each["name"] == name}


def test_a_table_from_its_rows_to_the_report(tmp_path):
    source = {"table": "draws.csv", "columns": {"slope": "a"}}
    table = draws(2050)
    table.to_csv(tmp_path / "draws.csv", index=False)
    configure(tmp_path, source=source)
    ran = stages_run(snakemake(tmp_path, "--cores", "2"))
    assert (ran["sample_prior"], ran["simulate"], ran["train"], ran["report"]) == (2, 2, 2, 1)
    found = reading.load_simulations(tmp_path / MANIFEST)
    np.testing.assert_array_equal(found.theta[:, [0, 2]], table[["a", "scatter"]][:2000])
    assert (np.abs(found.theta[:, 1]) <= 1).all()
    assert found.theta[:, 1].std() == pytest.approx(3**-0.5, rel=0.05)  # of the prior
    assert check_of(tmp_path, "prior of the rows") == {"npe": "pass", "nle": "pass"}
    (tmp_path / "draws.csv").touch()
    assert stages_run(snakemake(tmp_path)) == {}
    configure(tmp_path, source=source, simulations=2050)
    ran = stages_run(snakemake(tmp_path, MANIFEST))
    assert (ran, rows_simulated(tmp_path)) == (
        {"sample_prior": 1, "simulate": 1, "manifest": 1},
        2100,
    )
    table.loc[7, "a"] = 0.5
    table.to_csv(tmp_path / "draws.csv", index=False)
    snakemake(tmp_path, MANIFEST)
    assert rows_simulated(tmp_path) == 4200  # a table with another content is another campaign's
    again = reading.load_simulations(tmp_path / MANIFEST)
    assert (again.theta[7, 0], len(again.row)) == (0.5, 2050)


def test_a_bad_table_ends_in_one_line_before_anything_is_simulated(tmp_path):
    table = draws(2000)
    configure(tmp_path, source={"table": "draws.csv", "columns": {"slope": "a"}})
    table.assign(scatter=table["scatter"].where(table.index != 1700)).to_csv(
        tmp_path / "draws.csv", index=False
    )
    line = "sample_prior: table draws.csv: line 1702, column 'scatter': it is empty, NaN or inf"
    with pytest.raises(AssertionError, match=line) as caught:
        snakemake(tmp_path, MANIFEST, "--cores", "2")
    assert "Traceback" not in str(caught.value)
    assert rows_simulated(tmp_path) == 0
    draws(2000, width=0.2).to_csv(tmp_path / "draws.csv", index=False)
    line = (
        r"sample_prior: table draws.csv does not follow the prior \(.* of slope .*, and npe would"
    )
    with pytest.raises(AssertionError, match=line):
        snakemake(tmp_path, MANIFEST, "--cores", "2")
    assert rows_simulated(tmp_path) == 0


def test_a_table_that_departs_serves_likelihoods_and_the_page_says_so(tmp_path):
    """An estimator of the posterior that is added later is refused before it is trained."""
    source = {"table": "draws.csv", "columns": {"slope": "a"}}
    draws(2000, width=0.5).to_csv(tmp_path / "draws.csv", index=False)
    configure(tmp_path, ["nle"], source=source)
    said = snakemake(tmp_path, "--cores", "2")
    assert "does not follow the prior" in said
    assert "bands of predictions will have nuisances of the prior: the rows do not follow" in said
    assert check_of(tmp_path, "prior of the rows") == {"nle": "warn"}
    assert "ask about truths of the table" in (tmp_path / "results/tiny/report.html").read_text()
    configure(tmp_path, source=source)
    line = r"train: results/tiny/simulations.json has rows that do not follow .*, and npe would"
    with pytest.raises(AssertionError, match=line):
        snakemake(tmp_path, "results/tiny/npe/estimator.pt")


def two(folder, simulations=3000, tiny=2000):
    config = configure(folder, simulations=tiny)
    more = {"simulations": simulations, "seed": 4, "reuse": ["tiny"], "block_size": 50}
    config["campaigns"]["more"] = {**config["campaigns"]["tiny"], **more}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.mark.study
def test_reused_simulations_from_their_shards_to_the_report(tmp_path):
    two(tmp_path)
    ran = stages_run(snakemake(tmp_path, "results/more/report.html", "--cores", "2"))
    assert (ran["simulate"], ran["manifest"], ran["train"], ran["report"]) == (3, 1, 2, 1)
    assert rows_simulated(tmp_path) == 3000
    found = reading.load_simulations(tmp_path / "results/more/simulations.json")
    snakemake(tmp_path, MANIFEST)
    tiny = reading.load_simulations(tmp_path / MANIFEST)
    np.testing.assert_array_equal(found.x[1000:], tiny.x)
    assert len(np.unique(found.theta[:, 0])) == 3000
    assert stages_run(snakemake(tmp_path, "results/more/report.html")) == {}
    manifest = "results/more/simulations.json"
    two(tmp_path, 3400)
    ran = stages_run(snakemake(tmp_path, manifest))
    assert (ran, rows_simulated(tmp_path)) == (
        {"sample_prior": 1, "simulate": 1, "manifest": 1},
        3400,
    )
    two(tmp_path, 3400, 2300)  # what is reused grows, and no own row is lost
    ran = stages_run(snakemake(tmp_path, manifest))
    assert (ran["simulate"], ran["manifest"], rows_simulated(tmp_path)) == (1, 1, 3700)
    grown = reading.load_simulations(tmp_path / manifest)
    assert len(grown.row) == 3400
    np.testing.assert_array_equal(grown.x[1100:3100], tiny.x)
    (shard,) = tmp_path.glob("results/simulations/*/shard-2.json")
    shard.unlink()  # of tiny
    ran = stages_run(snakemake(tmp_path, manifest))
    assert ran == {"simulate": 1, "manifest": 1}
    assert rows_simulated(tmp_path) == 3700

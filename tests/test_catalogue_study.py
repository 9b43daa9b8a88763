"""Catalogues in the workflow: real Snakemake, from a table to the page; growth and kills."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from shared_for_tests import made_once

ROOT = Path(__file__).parents[1]
TESTS = Path(__file__).parent
OBJECTS = "results/tiny/npe/survey"
pytestmark = pytest.mark.slow


def write_table(path, objects, *, first=0):
    """Write objects of the tiny simulator, with truths of all but the first."""
    from tiny import Tiny

    rng = np.random.default_rng(first)
    theta = np.column_stack(
        [rng.normal(0, 1, objects), rng.normal(0, 1, objects), rng.uniform(0.1, 0.3, objects)]
    )
    table = pd.DataFrame(Tiny()(theta, rng), columns=["y1", "y2", "y3", "y4"])
    table.insert(0, "star", [f"star_{first + number}" for number in range(objects)])
    table["slope_true"] = np.where(np.arange(objects) + first == 0, np.nan, theta[:, 0])
    if path.exists():
        table = pd.concat([pd.read_csv(path), table])
    table.to_csv(path, index=False)


def configure(folder, **changes):
    config = yaml.safe_load((TESTS / "config.yaml").read_text())
    entry = {"table": "stars.csv", "name": "star", "truth": {"slope": "slope_true"}, "draws": 200}
    config["campaigns"]["tiny"]["observations"] = {"survey": entry}
    config |= {"objects_per_job": 20, "predictive_draws": 50, **changes}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def command(folder, *arguments):
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--configfile", str(folder / "config.yaml"), "--directory", str(folder)),
        *("--cores", "2", *arguments),
    ]


def environment(folder):
    path = os.pathsep.join([str(folder), str(ROOT)])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def snakemake(folder, *arguments):
    """Run Snakemake; return how often each stage ran."""
    done = subprocess.run(
        command(folder, *arguments),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", output))


def make_study(folder):
    shutil.copy(TESTS / "tiny.py", folder)
    write_table(folder / "stars.csv", 50)
    configure(folder)
    ran = snakemake(folder)
    assert (ran["collect"], ran["infer"], ran["tabulate"]) == (1, 6, 2)
    assert (ran["observe"], ran["sample"], ran["diagnose"]) == (0, 0, 0)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    return made_once(tmp_path_factory, "catalogue", make_study)


@pytest.fixture
def study(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "study")


def why(study):
    """Return what `sbi-pipeline why` says."""
    told = subprocess.run(
        [sys.executable, "-m", "sbi_pipeline.cli", "why", "--configfile", "config.yaml"],
        cwd=study, env=environment(study), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return told.stdout


def keys(study):
    """Return the key of every block, by estimator."""
    import zarr

    stores = study.glob("results/tiny/*/survey/draws.zarr")
    return {
        store.parts[-3]: zarr.open_group(store, mode="r")["made"][:].tolist() for store in stores
    }


def test_every_object_is_listed_once_in_order(study):
    table = pd.read_csv(study / OBJECTS / "objects.csv")
    assert table["object"].tolist() == [f"star_{number}" for number in range(50)]
    assert (
        pd.read_parquet(study / OBJECTS / "objects.parquet")["object"].tolist()
        == table["object"].tolist()
    )
    assert table["slope_truth"].isna().tolist() == [True, *[False] * 49]
    assert (table["predictions"] == 50).all()


def test_the_table_agrees_with_the_draws(study):
    table = pd.read_csv(study / OBJECTS / "objects.csv")
    draws = xr.open_zarr(study / OBJECTS / "draws.zarr", group="posterior", consolidated=False)
    assert dict(draws.sizes) == {"object": 50, "draw": 200}
    assert table["slope_mean"].to_numpy() == pytest.approx(draws["slope"].mean("draw").to_numpy())
    rank = (draws["slope"] < table["slope_truth"].to_numpy()[:, None]).mean("draw")
    assert table["slope_rank"][1:].to_numpy() == pytest.approx(rank[1:].to_numpy())


def test_posteriors_of_objects_are_those_of_single_observations(study):
    """An object given as an observation of its own has the same posterior."""
    stars = pd.read_csv(study / "stars.csv")
    np.save(study / "star.npy", stars.loc[7, ["y1", "y2", "y3", "y4"]].to_numpy(float))
    config = yaml.safe_load((study / "config.yaml").read_text())
    config["campaigns"]["tiny"]["observations"]["star"] = {"file": "star.npy"}
    (study / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    ran = snakemake(study, "results/tiny/npe/star/posterior.nc")
    assert ran["infer"] == 0
    one = xr.open_dataset(study / "results/tiny/npe/star/posterior.nc", group="posterior")["slope"]
    many = pd.read_csv(study / OBJECTS / "objects.csv").loc[7]
    error = one.std().item() / np.sqrt(200)
    assert many["slope_mean"] == pytest.approx(one.mean().item(), abs=4 * error)


def test_nothing_runs_twice(study):
    assert not snakemake(study)


def test_objects_that_are_added_are_drawn_for_and_no_others(study):
    before = keys(study)
    write_table(study / "stars.csv", 15, first=50)
    ran = snakemake(study)
    assert (ran["collect"], ran["tabulate"], ran["train"]) == (1, 2, 0)
    after = keys(study)
    for name in ("npe", "nle"):
        assert after[name][:2] == before[name][:2]
        assert after[name][2] != before[name][2]
        assert len(after[name]) == 4
    assert len(pd.read_csv(study / OBJECTS / "objects.csv")) == 65


def test_an_object_that_changed_is_drawn_for_with_its_block(study):
    before = keys(study)["npe"]
    table = pd.read_csv(study / "stars.csv")
    table.loc[25, "y1"] += 0.1
    table.to_csv(study / "stars.csv", index=False)
    snakemake(study, f"{OBJECTS}/objects.csv")
    after = keys(study)["npe"]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_a_store_that_was_deleted_is_made_again(study):
    shutil.rmtree(study / OBJECTS / "draws.zarr")
    assert "infer tiny/npe/survey: draws.zarr is gone" in why(study)
    ran = snakemake(study)
    assert (ran["collect"], ran["infer"], ran["tabulate"]) == (0, 3, 1)
    assert all(keys(study)["npe"])


def test_a_store_of_another_estimator_is_refused(study):
    shutil.rmtree(study / OBJECTS / "draws.zarr")
    shutil.copytree(study / "results/tiny/nle/survey/draws.zarr", study / OBJECTS / "draws.zarr")
    (study / OBJECTS / "objects.csv").unlink()
    done = subprocess.run(
        command(study, f"{OBJECTS}/objects.csv"),
        cwd=study, env=environment(study), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode
    assert "draws.zarr was made with another estimator" in done.stdout + done.stderr


def test_other_texts_draw_for_nothing(study):
    config = yaml.safe_load((study / "config.yaml").read_text())
    config["campaigns"]["tiny"]["priors"]["slope"]["label"] = "$s$"
    (study / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    assert snakemake(study)["infer"] == 0


def test_a_killed_job_goes_on_with_the_next_block(study):
    """SIGKILL in the middle: what was committed stays, and the rest is made."""
    write_table(study / "stars.csv", 1450, first=50)
    configure(study, objects_per_job=1500)  # two blocks of 750
    target = f"{OBJECTS}/objects.csv"
    with subprocess.Popen(
        command(study, target),
        cwd=study, env=environment(study), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and sum(map(bool, blocks(study))) != 1:
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGKILL)
    first, second = blocks(study)
    assert first
    assert not second
    written = (study / OBJECTS / "draws.zarr/posterior/slope/c/0/0").stat().st_mtime_ns
    snakemake(study, target, "--nolock", "--rerun-incomplete")
    assert blocks(study)[0] == first
    assert all(blocks(study))
    assert (study / OBJECTS / "draws.zarr/posterior/slope/c/0/0").stat().st_mtime_ns == written
    receipt = json.loads((study / OBJECTS / "infer-0.json").read_text())
    assert receipt["objects"] == [0, 1500]


def blocks(study):
    """Return the keys of the two blocks of a store that has 750 objects a block."""
    import zarr

    try:
        group = zarr.open_group(study / OBJECTS / "draws.zarr", mode="r", use_consolidated=False)
        made = group["made"][:].tolist()
        return made if group.attrs["form"]["block"] == 750 else [0, 0]
    except (FileNotFoundError, KeyError):
        return [0, 0]

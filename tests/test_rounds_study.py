"""Rounds in the workflow: real Snakemake on a linear Gaussian, whose posterior is known exactly."""

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
from scipy import stats
from shared_for_tests import made_once

import sbi_pipeline
from sbi_pipeline import priors
from sbi_pipeline.priors.boxes import BoxedPrior
from sbi_pipeline.stages.rounds import simulated_rows
from sbi_pipeline.storage import reading

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

NOISE = 0.01
SIMULATOR = f'''"""Two parameters seen through noise, beside one that is not asked for."""

import numpy as np


class Line:
    parameters = ("level", "slope", "jitter")
    x_shape = (4,)

    def __call__(self, parameters, rng):
        level, slope, jitter = parameters.T[..., None]
        signal = level + slope * np.array([-1.0, -1.0, 1.0, 1.0])
        return signal + {NOISE} * rng.normal(size=(len(parameters), 4)) + 0 * jitter
'''
CONFIG = {
    "campaigns": {
        "line": {
            "simulator": "line:Line",
            "simulations": 4000,
            "priors": {
                "level": {"type": "uniform", "min": -1, "max": 1},
                "slope": {"type": "normal", "mean": "0.2 * level", "sd": 1},
                "jitter": {"type": "integer", "min": 0, "max": 3},
            },
            "inferred_parameters": ["level", "slope"],
            "nuisance_parameters": ["jitter"],
            "observations": {"obs": {"parameters": {"level": 0.3, "slope": -0.4}}},
            "rounds": {"at_most": 3, "simulations": 1500},
            "shard_size": 1000,
            "block_size": 100,
        }
    },
    "estimators": {"npe": {"method": "npe", "training": {"max_epochs": 30}}},
    "calibration": {"simulations": 200, "draws": 100},
    "predictive_draws": 100,
    "predictive": {"nuisances": "prior"},
}
LAST = "results/line/npe/obs/posterior.nc"


def environment(folder):
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}


def command(*arguments):
    start = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return [*start, "--configfile", "config.yaml", "--cores", "1", *arguments]


def snakemake(folder, *arguments):
    """Run Snakemake; return how often each rule ran."""
    done = subprocess.run(
        command(*arguments), cwd=folder, env=environment(folder), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Counter(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", done.stderr, re.MULTILINE))


def configure(folder, change=lambda config: None):
    (folder / "line.py").write_text(SIMULATOR)
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    def make(folder):
        configure(folder)
        snakemake(folder)

    return made_once(tmp_path_factory, "rounds", make)


@pytest.fixture
def rounds(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def boxes(folder):
    found = sorted((folder / "results").glob("line_round_*/box.json"))
    return [json.loads(path.read_text()) for path in found]


def simulated(folder):
    """Return how many rows each round has simulated."""
    content = json.loads((folder / "results/line/simulations.json").read_text())
    return [*(each["before"]["simulated"] for each in boxes(folder)), simulated_rows(content)]


def rows(folder):
    """Return the rows in all journals by key of simulations: they only ever grow."""
    found = Counter()
    for journal in (folder / "results/simulations").glob("*/*.zarr/journal*"):
        lines = [json.loads(line) for line in journal.read_text().splitlines() if line.strip()]
        found[journal.parent.parent.name] += sum(
            each["stop"] - each["start"] for each in lines if "checksum" in each
        )
    return found


def test_the_last_posterior_is_the_exact_one(finished):
    x_o = xr.open_dataset(finished / "results/line/observations/obs.nc", engine="h5netcdf")["x"]
    a, b = x_o[:2].mean().item(), x_o[2:].mean().item()
    mean = np.array([(a + b) / 2, (b - a) / 2])
    sd = NOISE / 2
    tree = xr.open_datatree(finished / LAST, engine="h5netcdf")
    for name, exact in zip(("level", "slope"), mean, strict=True):
        draws = tree[f"posterior/{name}"].to_numpy().ravel()
        assert abs(draws.mean() - exact) < 0.3 * sd
        assert draws.std() == pytest.approx(sd, rel=0.15)
    found = boxes(finished)
    assert [each["ratio"] < 1 for each in found] == [True] * len(found)
    assert found[-1]["volume"] < 2e-3
    verdict = json.loads((finished / "results/line/verdict.json").read_text())
    status = {each["name"]: each["status"] for each in verdict["checks"]}
    for name in ("boxes hold truths", "box faces", "truth in box", "rounds agree"):
        assert status[name] == "pass", name


def test_rows_of_all_rounds_follow_the_prior_within_the_box(finished):
    view = reading.load_simulations(finished / "results/line/simulations.json")
    entries = CONFIG["campaigns"]["line"]["priors"]
    prior = BoxedPrior(priors.build(entries, tuple(entries)), boxes(finished)[-1]["faces"])
    assert 4000 <= len(view.theta) < 6000
    assert prior.contains(view.theta).all()
    z = prior.to_normal(view.theta)
    for column in range(2):
        assert stats.kstest(z[:, column], "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z[:, :2].T)[0, 1]) < 4 / np.sqrt(len(z))
    assert np.bincount(view.theta[:, 2].astype(int)) == pytest.approx(len(z) / 4, rel=0.2)


def test_each_round_has_simulated_what_it_says(finished):
    """Rows in the journals, whole blocks of 100, are those that boxes and the last round tell."""
    told = simulated(finished)
    content = json.loads((finished / "results/line/simulations.json").read_text())
    assert sorted(rows(finished).values()) == sorted(-(-each // 100) * 100 for each in told)
    assert boxes(finished)[-1]["faces"] == content["box"]


def test_a_loaded_estimator_knows_its_box(finished):
    posterior = sbi_pipeline.load(finished / "results/line/npe/estimator.pt")
    assert posterior.prior.faces == boxes(finished)[-1]["faces"]
    theta = np.array([[0.3, -0.4], [0.9, 0.9]])
    log_prob = posterior.log_prob(theta, x=np.array([0.7, 0.7, -0.1, -0.1]))
    assert np.isfinite(log_prob).tolist() == [True, False]


@pytest.mark.study
def test_a_sweep_over_rounds_tells_how_many_are_worth_it(rounds):
    def change(config):
        config["sweeps"] = {"depth": {"campaign": "line", "rounds": [1, 3]}}

    before = rows(rounds)
    configure(rounds, change)
    snakemake(rounds, "results/depth/comparison.html")
    fits = pd.read_csv(rounds / "results/depth/comparison.csv").set_index("rounds")
    prior = priors.build(CONFIG["campaigns"]["line"]["priors"], ("level", "slope", "jitter"))
    at_truth = prior.keep(("level", "slope")).log_prob(np.array([[0.3, -0.4]]))[0]
    exact = -at_truth - np.log(2 * np.pi * np.e * (NOISE / 2) ** 2)
    assert fits["least_nats"].to_numpy() == pytest.approx([exact, exact], abs=0.3)
    assert fits["sd_ratio_level"].to_numpy() == pytest.approx(NOISE / 2 * np.sqrt(3), rel=0.15)
    assert fits["simulations"].to_list() == [4000, sum(simulated(rounds))]
    fresh = rows(rounds) - before
    assert sum(fresh.values()) == 4000 - 1500  # of the whole prior: boxes are those of before


def test_nothing_runs_again(rounds):
    assert snakemake(rounds) == Counter()
    shutil.rmtree(rounds / ".snakemake")
    assert snakemake(rounds) == Counter()


def test_more_simulations_of_the_last_round_leave_the_others_alone(rounds):
    before = rows(rounds)
    configure(rounds, lambda config: config["campaigns"]["line"].update(simulations=4200))
    ran = snakemake(rounds)
    assert (ran["truncate"], ran["train"], ran["report"]) == (0, 1, 1)
    after = rows(rounds)
    assert set(after) == set(before)
    assert sum(after.values()) == sum(before.values()) + 200


@pytest.mark.study
def test_another_learning_rate_reuses_the_first_round(rounds):
    before = rows(rounds)

    def slower(config):
        config["estimators"]["npe"]["training"]["learning_rate"] = 1.5e-3

    configure(rounds, slower)
    snakemake(rounds, LAST)
    after = rows(rounds)
    assert {name: after[name] for name in before} == before  # nothing is lost or made again
    first = reading.open_campaign(rounds / "results/line_round_1/simulations.json")
    assert first.rows == 1500
    content = json.loads((rounds / "results/line/simulations.json").read_text())
    last = len(content["stocks"])  # one a round
    assert content["box"] == boxes(rounds)[last - 2]["faces"]  # none of before is left in use


def test_killed_at_any_moment_the_same_comes_out(finished, tmp_path):
    configure(tmp_path)
    rng = np.random.default_rng(0)
    for _ in range(10):
        with subprocess.Popen(
            command(LAST, "--nolock", "--rerun-incomplete"), cwd=tmp_path,
            env=environment(tmp_path), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as running:  # fmt: skip
            end = time.monotonic() + rng.uniform(3, 15)
            while time.monotonic() < end and running.poll() is None:
                time.sleep(0.1)
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
    snakemake(tmp_path, LAST, "--nolock", "--rerun-incomplete")
    alike = ("faces", "ratio", "rows", "widening")
    assert [[each[key] for key in alike] for each in boxes(tmp_path)] == [
        [each[key] for key in alike] for each in boxes(finished)
    ]
    assert rows(tmp_path) == rows(finished)
    for name in ("line_round_1", "line_round_2", "line"):
        whole, resumed = (
            reading.load_simulations(folder / f"results/{name}/simulations.json")
            for folder in (finished, tmp_path)
        )
        np.testing.assert_array_equal(whole.theta, resumed.theta)
        np.testing.assert_array_equal(whole.x, resumed.x)

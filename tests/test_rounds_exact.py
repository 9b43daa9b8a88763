"""Last rounds in boxes of 1e-2, 1e-4 and 1e-6 of the prior, and an oblique one: closed forms."""

import json

import numpy as np
import pytest
import xarray as xr
import yaml
from shared_for_tests import made_once
from test_rounds_study import snakemake

import sbi_pipeline
from sbi_pipeline.simulators.polynomial import Polynomial

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

NOISE = {"wide": 0.03, "narrow": 0.003, "speck": 0.0003}
VOLUME = {"wide": 1e-2, "narrow": 1e-4, "speck": 1e-6}
UNIFORM = {"type": "uniform", "min": -1, "max": 1}


def campaign(noise):
    return {
        "simulator": "polynomial",
        "options": {"degree": 1, "points": 2, "noise": noise},
        "simulations": 40_000,
        "seed": 1,
        "priors": {"c0": UNIFORM, "c1": UNIFORM},
        "inferred_parameters": ["c0", "c1"],
        "observations": {"obs": {"parameters": {"c0": 0.3, "c1": -0.5}}},
        "rounds": {"simulations": 1500},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    def make(folder):
        config = {
            "campaigns": {name: campaign(noise) for name, noise in NOISE.items()},
            "estimators": {"npe": {"method": "npe"}},
            "calibration": {"simulations": 300, "draws": 100},
            "predictive_draws": 0,
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        snakemake(folder, *(f"results/{name}/npe/obs/posterior.nc" for name in NOISE))

    return made_once(tmp_path_factory, "rounds_exact", make)


@pytest.mark.study
@pytest.mark.parametrize("name", NOISE)
def test_the_last_posterior_is_the_exact_one(finished, name):
    boxes = [json.loads(path.read_text()) for path in finished.glob(f"results/{name}*/box.json")]
    volume = min(box["volume"] for box in boxes)
    assert VOLUME[name] / 5 < volume < VOLUME[name] * 5
    tree = xr.open_datatree(finished / f"results/{name}/npe/obs/posterior.nc", engine="h5netcdf")
    draws = np.stack([tree[f"posterior/{each}"].to_numpy().ravel() for each in ("c0", "c1")], 1)
    simulator = Polynomial(degree=1, points=2, noise=NOISE[name])
    mean, covariance = simulator.posterior(tree["observed_data/x"].to_numpy())
    sd = np.sqrt(np.diag(covariance))
    assert np.abs(draws.mean(0) - mean).max() < 0.05 * sd.min()
    assert draws.std(0) / sd == pytest.approx(1, abs=0.05)


DESIGN, SMALL = np.array([[1.0, 1.0], [0.0709, -0.0709]]), 0.003
"""Of two parameters whose sum is known 14 times better than their difference: they correlate by
-0.99."""
SIMULATOR = f'''"""Sum and difference of two parameters, seen through noise."""

import numpy as np


class Sum:
    parameters = ("c0", "c1")
    x_shape = (2,)

    def __call__(self, parameters, rng):
        x = parameters @ np.array({DESIGN.T.tolist()})
        return x + {SMALL} * rng.normal(size=x.shape)
'''


@pytest.fixture(scope="module")
def oblique(tmp_path_factory):
    def make(folder):
        entry = {
            **campaign(SMALL),
            "simulator": "sum:Sum",
            "rounds": {"simulations": 1500, "axes": "principal"},
        }
        del entry["options"]
        config = {
            "campaigns": {"sum": entry},
            "estimators": {"npe": {"method": "npe"}},
            "calibration": {"simulations": 300, "draws": 100},
            "predictive_draws": 50,
        }
        (folder / "sum.py").write_text(SIMULATOR)
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        snakemake(folder)

    return made_once(tmp_path_factory, "rounds_oblique", make)


@pytest.mark.study
def test_an_oblique_box_holds_the_exact_posterior(oblique):
    path = oblique / "results/sum/npe/obs/posterior.nc"
    tree = xr.open_datatree(path, engine="h5netcdf")
    draws = np.stack([tree[f"posterior/{each}"].to_numpy().ravel() for each in ("c0", "c1")], 1)
    mean = np.linalg.solve(DESIGN, tree["observed_data/x"].to_numpy())
    factor = SMALL * np.linalg.inv(DESIGN)  # of the covariance
    white = np.linalg.solve(factor, (draws - mean).T).T
    np.testing.assert_allclose(white.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(white.T), np.eye(2), atol=0.1)  # 5 % of the sd
    sd = np.sqrt(np.diag(factor @ factor.T))
    along_parameters = np.prod(2 * 3.9 * sd / 2)
    boxes = [json.loads(path.read_text()) for path in oblique.glob("results/sum_round_*/box.json")]
    assert min(box["volume"] for box in boxes) < 0.4 * along_parameters
    verdict = json.loads((oblique / "results/sum/verdict.json").read_text())
    status = {each["name"]: each["status"] for each in verdict["checks"]}
    for name in ("boxes hold truths", "box faces", "truth in box", "rounds agree"):
        assert status[name] == "pass", name
    page = (oblique / "results/sum/report.html").read_text()
    assert "for each of its principal axes" in page
    loaded = sbi_pipeline.load(oblique / "results/sum/npe/estimator.pt")
    x = tree["observed_data/x"].to_numpy()
    outside = np.array([[mean[0] + sd[0], mean[1] + sd[1]]])  # both alone are likely
    assert np.isfinite(loaded.log_prob(draws[:10], x=x)).all()
    assert np.isneginf(loaded.log_prob(outside, x=x)).all()

"""Last rounds in boxes of 1e-2, 1e-4 and 1e-6 of the prior, against closed forms."""

import json

import numpy as np
import pytest
import xarray as xr
import yaml
from shared_for_tests import made_once
from test_rounds_study import snakemake

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

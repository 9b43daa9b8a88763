"""The example of a user's own simulator, from a clone and with two methods, against quadrature."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import special, stats

from sbi_pipeline import new_study


def exact_moments(n_on: int, n_off: int, alpha: float = 0.2) -> tuple[float, float]:
    """Return posterior mean and sd of the signal, the background integrated out on a grid."""
    signal, background = np.linspace(0.005, 80, 1601)[:, None], np.linspace(0.005, 60, 1201)
    log_density = (
        stats.poisson.logpmf(n_on, signal + background)
        + stats.poisson.logpmf(n_off, background / alpha)
        + stats.expon.logpdf(signal, scale=10)
        + stats.gamma.logpdf(background, 2, scale=5)
    )
    density = np.exp(log_density - log_density.max()).sum(axis=1)
    density /= density.sum()
    mean = density @ signal[:, 0]
    return mean, np.sqrt(density @ (signal[:, 0] - mean) ** 2)


def which_model_evidences(counts: np.ndarray) -> dict[str, float]:
    """Return log evidences of a spectrum with and without a line, by quadrature on quantiles."""
    energy = np.arange(320, 720, 20.0)
    share = np.exp(-0.5 * ((energy - 511) / 20) ** 2)
    share /= share.sum()
    middles = (np.arange(120) + 0.5) / 120
    norm = np.exp(3 + 0.3 * stats.norm.ppf(middles))[:, None, None]
    index = stats.norm.ppf(middles, 2, 0.5)[:, None]
    continuum = norm * (energy / 511) ** -index
    found = {}
    for label, line in {
        "without_line": [0.0],
        "with_line": stats.expon.ppf(middles, scale=30),
    }.items():
        fits = [stats.poisson.logpmf(counts, continuum + each * share).sum(axis=2) for each in line]
        found[label] = float(special.logsumexp(fits) - np.log(np.size(fits)))
    return found


@pytest.mark.slow
def test_on_off_marginalises_the_background(tmp_path: Path) -> None:
    study = tmp_path / "on off"
    new_study.begin(study)
    config = study / "config.yaml"
    config.write_text(config.read_text().replace("# nle:", "nle:"))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1"],
        cwd=study,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (study / "results/on_off/report.html").is_file()
    mean, sd = exact_moments(18, 45)
    for estimator in ("npe", "nle"):
        tree = xr.open_datatree(
            study / f"results/on_off/{estimator}/night/posterior.nc", engine="h5netcdf"
        )
        draws = tree["posterior"]["signal"].to_numpy()
        assert draws.mean() == pytest.approx(mean, abs=0.1 * sd)
        assert draws.std() == pytest.approx(sd, rel=0.1)
        assert draws.min() >= 0

"""The wheel in an environment of its own, every example run from a folder with a space in its name.

What the package depends on is taken from the environment that the tests run in; the package itself
is not, and where it comes from is asked.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from test_examples import exact_moments as on_off_moments
from test_examples import which_model_evidences
from test_programs import exact_moments as decay_moments

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.timeout(3600)


def run(*command: object, folder: Path | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment into which the wheel was installed."""
    home = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    # Without hatchling here pip fetches it.
    alone = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    run(*pip, "wheel", ROOT, "--no-deps", *alone, "--wheel-dir", home)
    (wheel,) = home.glob("sbi_pipeline-*.whl")
    venv.create(home / "environment", with_pip=False)
    programs = home / "environment/bin"
    run(*pip, "--python", programs / "python", "install", "--no-deps", "--no-index", wheel)
    (packages,) = (home / "environment/lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    asked = "from sbi_pipeline import shipped; print(shipped.HOME)"
    where = run(programs / "python", "-c", asked, folder=home)
    assert Path(where.strip()) == packages / "sbi_pipeline"
    assert (packages / "sbi_pipeline/CITATION.cff").is_file()
    return programs


@pytest.fixture(scope="module")
def study(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes an example study and runs it, as its README says."""

    def made(example: str) -> Path:
        folder = tmp_path_factory.mktemp(example) / "a study"
        run(installed / "sbi-pipeline", "init", folder, "--example", example)
        run(installed / "python", "-m", "snakemake", "--cores", 1, folder=folder)
        run(installed / "python", "-m", "pytest", "-q", folder=folder)
        for path in sorted(folder.glob("results/*/verdict.json")):
            verdict = json.loads(path.read_text())
            assert verdict["status"] == "pass", f"{path.parent.name}: {verdict['sentence']}"
        clean = run(installed / "sbi-pipeline", "clean", folder=folder)
        assert clean == "everything in results is named by config.yaml\n"
        return folder

    return made


def draws_of(posterior: Path) -> xr.Dataset:
    return xr.open_datatree(posterior, engine="h5netcdf")["posterior"].to_dataset().load()


def assert_moments(draws: xr.DataArray, mean: float, sd: float, within: float) -> None:
    assert float(draws.mean()) == pytest.approx(mean, abs=within * sd)
    assert float(draws.std()) == pytest.approx(sd, rel=within)


def moments(values: np.ndarray, log_density: np.ndarray) -> tuple[float, float]:
    """Return mean and sd of a density on a grid; axes after the first are integrated over."""
    density = np.exp(log_density - log_density.max())
    weight = density.reshape(len(values), -1).sum(axis=1)
    mean = np.average(values, weights=weight)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weight)))


@pytest.mark.slow
def test_on_off(study: Callable[[str], Path]) -> None:
    draws = draws_of(study("on_off") / "results/on_off/npe/night/posterior.nc")
    assert_moments(draws["signal"], *on_off_moments(18, 45), within=0.1)


@pytest.mark.study
def test_series(study: Callable[[str], Path]) -> None:
    draws = draws_of(study("series") / "results/bell/npe/recording/posterior.nc")
    for name, (mean, sd) in exact_bell().items():
        assert_moments(draws[name], mean, sd, within=0.35)


def exact_bell() -> dict[str, tuple[float, float]]:
    """Return moments of frequency and log decay, amplitude and phase on a grid of their priors."""
    time, x = np.loadtxt(ROOT / "examples/series/series.csv", delimiter=",", skiprows=1).T
    frequency, log_decay = np.linspace(1.2, 1.6, 81), np.linspace(np.log(0.5), np.log(3), 60)
    amplitude, phase = np.linspace(1, 4, 61), np.linspace(0, 2 * np.pi, 72, endpoint=False)
    fits = np.empty((len(frequency), len(log_decay), len(amplitude), len(phase)))
    for i, each in enumerate(frequency):
        turning = 2 * np.pi * each * time
        envelope = np.exp(-time / np.exp(log_decay)[:, None])
        cosine, sine = envelope * np.cos(turning), envelope * np.sin(turning)
        a = amplitude[:, None] * np.cos(phase)
        b = -amplitude[:, None] * np.sin(phase)
        square = (
            a**2 * (cosine**2).sum(1)[:, None, None]
            + b**2 * (sine**2).sum(1)[:, None, None]
            + 2 * a * b * (cosine * sine).sum(1)[:, None, None]
        )
        product = a * (cosine @ x)[:, None, None] + b * (sine @ x)[:, None, None]
        fits[i] = (product - square / 2) / 0.5**2
    density = np.exp(fits - fits.max()).sum(axis=(2, 3))
    decay = np.exp(log_decay)
    return {
        "frequency": moments(frequency, np.log(density)),
        "decay": moments(decay, np.log(density.T)),
    }


@pytest.mark.study
def test_image(study: Callable[[str], Path]) -> None:
    draws = draws_of(study("image") / "results/star/npe/exposure/posterior.nc")
    for name, (mean, sd) in exact_star().items():
        assert_moments(draws[name], mean, sd, within=0.5)


def exact_star() -> dict[str, tuple[float, float]]:
    """Return moments by weighing draws of a normal around the best fit by the exact posterior."""
    image = np.loadtxt(ROOT / "examples/image/image.csv", delimiter=",")
    pixel, rng = np.arange(16.0), np.random.default_rng(1)

    def log_density(theta: np.ndarray) -> np.ndarray:
        flux, x, y, sky, seeing = (each[:, None, None] for each in theta.T)
        along = (pixel - x) ** 2 + (pixel[:, None] - y) ** 2
        mean = flux * np.exp(-along / (2 * seeing**2)) / (2 * np.pi * seeing**2) + sky
        inside = (np.abs(theta[:, 4] - 1.5) < 0.5) & (theta[:, 0] > 200) & (theta[:, 3] > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (image * np.log(mean) - mean).sum(axis=(1, 2)) - np.log(theta[:, 0])
        found += stats.gamma.logpdf(theta[:, 3], 4)
        return np.where(inside, found, -np.inf)

    centre, spread = np.array([600, 7.3, 6.2, 4, 1.4]), np.array([40, 0.1, 0.1, 0.2, 0.1])
    for _ in range(4):  # each time closer to the posterior's own mean and covariance
        covariance = np.diag(spread**2) if spread.ndim == 1 else spread
        proposal = stats.multivariate_t(centre, covariance, df=10, seed=rng)
        theta = proposal.rvs(20000)
        log_weight = log_density(theta) - proposal.logpdf(theta)
        weight = np.exp(log_weight - log_weight.max())
        centre = np.average(theta, axis=0, weights=weight)
        spread = np.cov(theta.T, aweights=weight)
    assert weight.sum() ** 2 / (weight**2).sum() > 2000
    sd = np.sqrt(np.diag(spread))
    return {name: (centre[i], sd[i]) for i, name in enumerate(("flux", "x", "y"))}


@pytest.mark.study
def test_sets(study: Callable[[str], Path]) -> None:
    folder = study("sets")
    x = np.loadtxt(folder / "masses.csv")
    index = np.linspace(1.505, 3.995, 250)[:, None, None]
    field = np.linspace(0.0025, 0.9975, 200)[None, :, None]
    steep = index - 1
    member = steep * np.exp(-steep * x) / (1 - 100**-steep)
    density = (1 - field) * member + field / np.log(100)
    log_density = np.log(density).sum(axis=2) + stats.beta.logpdf(field[..., 0], 1, 9)
    draws = draws_of(folder / "results/masses/npe/cluster/posterior.nc")
    assert_moments(draws["index"], *moments(index.ravel(), log_density), within=0.3)


@pytest.mark.study
def test_catalogue(study: Callable[[str], Path]) -> None:
    objects = pd.read_csv(study("catalogue") / "results/bursts/npe/survey/objects.csv")
    double = objects["object"].str.endswith("D")
    flagged = objects["flags"].fillna("").str.contains("unlike simulations|misfit")
    assert flagged[double].all()
    assert flagged[~double].mean() < 0.05
    ranks = objects.loc[~double, "peak_rank"]
    assert stats.kstest(ranks, "uniform").pvalue > 0.001


@pytest.mark.study
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_program(study: Callable[[str], Path]) -> None:
    folder = study("program")
    counts = np.loadtxt(folder / "counts.csv", delimiter=",")
    draws = draws_of(folder / "results/decay/npe/source/posterior.nc")
    for name, (mean, sd) in decay_moments(counts).items():
        assert_moments(draws[name], mean, sd, within=0.25)


@pytest.mark.study
def test_rounds(study: Callable[[str], Path]) -> None:
    folder = study("rounds")
    time, x = np.loadtxt(folder / "points.csv", delimiter=",", skiprows=1).T
    design = np.column_stack([np.ones_like(time), time])
    best, (misfit,), *_ = np.linalg.lstsq(design, x)
    # Given the scale of the noise the posterior is normal; its variance goes as that squared.
    log_scale = np.linspace(-1.5, 1.5, 301)
    variance = (0.01 * np.exp(log_scale)) ** 2
    log_weight = stats.norm.logpdf(log_scale, 0, 0.3) - 8 * log_scale - misfit / (2 * variance)
    mean_variance = np.average(variance, weights=np.exp(log_weight - log_weight.max()))
    sd = np.sqrt(mean_variance * np.diag(np.linalg.inv(design.T @ design)))
    draws = draws_of(folder / "results/line/npe/points/posterior.nc")
    for i, name in enumerate(("offset", "slope")):
        assert_moments(draws[name], best[i], sd[i], within=0.3)


@pytest.mark.study
def test_which_model(study: Callable[[str], Path]) -> None:
    folder = study("which_model")
    found = pd.read_csv(folder / "results/line/comparison.csv").set_index("model")
    exact = which_model_evidences(
        np.loadtxt(folder / "counts.csv", delimiter=",", skiprows=2)[:, 1]
    )
    for model, log_evidence in exact.items():
        error = found.loc[model, "log_evidence_error"]
        assert found.loc[model, "log_evidence"] == pytest.approx(log_evidence, abs=4 * error + 0.01)
    told = found.loc["without_line"]
    assert told["log_bayes_factor_by_classifier"] == pytest.approx(
        exact["without_line"] - exact["with_line"],
        abs=3 * told["log_bayes_factor_by_classifier_error"],
    )

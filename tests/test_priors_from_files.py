"""Priors that stand in files: densities, samples, chains of GetDist, ArviZ, and files of bilby."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from sbi_pipeline import priors, streams
from sbi_pipeline.priors.bilby import read_bilby
from sbi_pipeline.study import ConfigurationError, load_configuration
from sbi_pipeline.study.given_priors import priors_written_out
from sbi_pipeline.study.texts import described

HEAD = """
campaigns:
  line:
    simulator: sims:simulate
    simulations: 1000
    inferred_parameters: [a, b]
    priors:
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(entries: dict) -> priors.NamedPrior:
    config = priors_written_out({"campaigns": {"c": {"priors": entries}}})
    found = config["campaigns"]["c"]["priors"]
    prior = priors.build(found, list(found))
    assert isinstance(prior, priors.NamedPrior)
    return prior


def draw(prior: priors.NamedPrior, rows: int = 20_000) -> np.ndarray:
    return prior.from_uniform(streams.uniforms(1, "test", 0, rows, len(prior.names)))


def test_samples_of_one_parameter() -> None:
    true = stats.gamma(3, scale=2)
    pd.DataFrame({"a": true.rvs(20_000, random_state=1)}).to_csv("s.csv", index=False)
    prior = made({"alpha": {"table": "s.csv", "column": "a", "unit": "Jy"}})
    values = draw(prior)
    assert stats.kstest(values[:, 0], true.cdf).statistic < 0.015
    z = prior.to_normal(values)
    np.testing.assert_allclose(prior.from_normal(z), values, rtol=1e-9)
    at = true.ppf([0.05, 0.3, 0.5, 0.7, 0.95])[:, None]
    np.testing.assert_allclose(prior.log_prob(at), true.logpdf(at[:, 0]), atol=0.3)
    grid = np.linspace(0, 40, 400_001)
    mass = np.exp(prior.log_prob(grid[:, None])).sum() * (grid[1] - grid[0])
    assert mass == pytest.approx(1, abs=1e-3)


def test_weights_of_samples_count() -> None:
    x = np.random.default_rng(0).uniform(-5, 5, 40_000)
    table = pd.DataFrame({"a": x, "w": stats.norm.pdf(x)})
    table.to_csv("s.csv", index=False)
    values = draw(made({"a": {"table": "s.csv", "weights": "w"}}))
    assert stats.kstest(values[:, 0], "norm").statistic < 0.02


def test_a_density_on_a_grid() -> None:
    x = np.linspace(-6, 6, 601)
    pd.DataFrame({"x": x, "p": 7 * stats.norm.pdf(x, 1, 0.7)}).to_csv("d.csv", index=False)
    values = draw(made({"a": {"table": "d.csv", "column": "x", "density": "p"}}))
    assert stats.kstest(values[:, 0], stats.norm(1, 0.7).cdf).pvalue > 1e-3


def normal_chain(rows: int = 20_000) -> pd.DataFrame:
    covariance = [[1.0, 1.2, 0.0], [1.2, 4.0, -0.8], [0.0, -0.8, 1.0]]
    rng = np.random.default_rng(5)
    drawn = rng.multivariate_normal([1, -2, 0], covariance, rows)
    return pd.DataFrame(drawn, columns=["a", "b", "c"])


def test_samples_of_several_parameters_keep_margins_and_correlations() -> None:
    chain = normal_chain()
    chain["b"] = np.exp(chain["b"])  # margins may be of any form
    chain.to_csv("chain.csv", index=False)
    prior = made({name: {"samples": "chain.csv"} for name in ("a", "b", "c")})
    values = draw(prior)
    for column, name in enumerate(prior.names):
        assert stats.ks_2samp(values[:, column], chain[name]).statistic < 0.02
    found, wanted = (np.asarray(stats.spearmanr(each).statistic) for each in (values, chain))
    np.testing.assert_allclose(found, wanted, atol=0.02)
    np.testing.assert_allclose(prior.from_normal(prior.to_normal(values)), values, rtol=1e-6)
    z = prior.to_normal(values)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.03)
    assert stats.kstest(z[:, 1], "norm").statistic < 0.015


def test_the_density_of_a_copula_is_that_of_the_chain() -> None:
    normal_chain(50_000).to_csv("chain.csv", index=False)
    prior = made({name: {"samples": "chain.csv"} for name in ("a", "b", "c")})
    covariance = [[1.0, 1.2, 0.0], [1.2, 4.0, -0.8], [0.0, -0.8, 1.0]]
    exact = stats.multivariate_normal([1, -2, 0], covariance)
    values = normal_chain(500).to_numpy()
    inside = (np.abs((values - [1, -2, 0]) / [1, 2, 1]) < 2).all(axis=1)
    away = prior.log_prob(values[inside]) - exact.logpdf(values[inside])
    assert abs(away.mean()) < 0.05
    assert away.std() < 0.25


def test_what_a_copula_loses_is_measured_and_told() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=20_000)
    bent = pd.DataFrame({"a": a, "b": a**2 + 0.3 * rng.normal(size=20_000)})
    bent.to_csv("chain.csv", index=False)
    normal_chain().to_csv("straight.csv", index=False)
    for file, said in (("chain.csv", "lost: a correlation of 0."), ("straight.csv", "no corr")):
        entries = {name: {"samples": file} for name in ("a", "b")}
        config = priors_written_out({"campaigns": {"c": {"priors": entries}}})
        campaign = {**config["campaigns"]["c"], "inferred_parameters": ["a", "b"]}
        told = described(campaign)
        assert f"samples of {file}, column a, Gaussian copula ({said}" in told[0]["prior"]


def test_a_chain_of_getdist() -> None:
    chain = normal_chain(4000)
    weights = np.random.default_rng(1).integers(1, 5, 4000)
    rows = np.column_stack([weights, np.zeros(4000), chain.to_numpy()])
    np.savetxt("planck_1.txt", rows[:2000])
    np.savetxt("planck_2.txt", rows[2000:])
    Path("planck.paramnames").write_text("a \\Omega_a\nb b\nc* c\n")
    prior = made({"a": {"samples": "planck"}, "c": {"samples": "planck"}})
    mean = np.average(chain[["a", "c"]], axis=0, weights=weights)
    np.testing.assert_allclose(draw(prior).mean(axis=0), mean, atol=0.03)


def test_a_posterior_of_arviz() -> None:
    chain = normal_chain(4000)
    variables = {name: (("chain", "draw"), chain[name].to_numpy().reshape(4, -1)) for name in chain}
    xr.Dataset(variables).to_netcdf("post.nc", group="posterior", engine="h5netcdf")
    prior = made({"a": {"samples": "post.nc"}, "b": {"samples": "post.nc"}})
    assert stats.spearmanr(draw(prior)).statistic == pytest.approx(0.58, abs=0.04)


BILBY = """
# a comment
mass_1 = Uniform(name='mass_1', minimum=5, maximum=2*50, unit='$M_{\\\\odot}$')  # more
dec = Cosine(name='dec')
theta_jn = bilby.core.prior.Sine(minimum=0, maximum=np.pi, latex_label='$\\\\theta$')
phase = Uniform(0, 2 * np.pi, boundary='periodic')
luminosity_distance = PowerLaw(alpha=2, minimum=50, maximum=2000)
a = LogUniform(1e-3, 1)
b = Gaussian(mu=1, sigma=2)
c = TruncatedGaussian(0, 1, -1, 3)
"""


def test_prior_files_of_bilby() -> None:
    Path("gw.prior").write_text(BILBY)
    entries = read_bilby(Path("gw.prior"))
    assert entries["mass_1"] == {"type": "uniform", "min": 5, "max": 100, "unit": r"$M_{\odot}$"}
    assert entries["theta_jn"]["label"] == r"$\theta$"
    assert entries["phase"]["periodic"] is True
    assert entries["dec"]["min"] == -np.pi / 2
    prior = made({"bilby": "gw.prior", "b": {"type": "normal", "mean": 5, "sd": 1}})
    assert set(prior.names) == set(entries)
    values = dict(zip(prior.names, draw(prior).T, strict=True))
    assert values["b"].mean() == pytest.approx(5, abs=0.05)
    distance = values["luminosity_distance"]
    below = (distance**3 - 50**3) / (2000**3 - 50**3)
    assert stats.kstest(below, "uniform").pvalue > 1e-3
    assert stats.kstest(np.sin(values["dec"]), stats.uniform(-1, 2).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a = DeltaFunction(3)", "line 1, a: DeltaFunction: it is a constant"),
        ("a = 3.0", "line 1, a: it is a constant"),
        ("a = Constraint(minimum=0, maximum=1)", "a constraint on derived parameters is no"),
        ("a = FromFile('x')", "FromFile is not known here; known are Uniform"),
        ("a = Uniform(0)", "Uniform wants maximum"),
        ("a = Uniform(0, 1, width=3)", "Uniform takes minimum, maximum; got width"),
        ("a = Uniform(0, x)", "got x; wanted a number"),
        ("a = Beta(1, 2, maximum=3)", "maximum of a beta prior is 1 here; scale it"),
        ("a : Uniform", "line 1, a : Uniform: invalid syntax"),
        ("# nothing", "it has no priors"),
    ],
)
def test_what_bilby_has_and_this_has_not(line: str, message: str) -> None:
    Path("gw.prior").write_text(line)
    with pytest.raises(ValueError, match=message):
        read_bilby(Path("gw.prior"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("{a: {table: none.csv}}", "priors.a.table: table none.csv: no such file"),
        ("{a: {table: s.csv, column: x}}", "no column 'x'"),
        ("{a: {table: s.csv, colum: a}}", "unknown key; did you mean 'column'"),
        ("{a: {table: s.csv, samples: s.csv}}", "both table and samples; wanted one"),
        ("{a: {samples: s.csv, density: a}}", "has no effect: samples have no density"),
        ("{a: {table: s.csv, column: few}}", "column 'few' has 2 different values; wanted 20"),
        ("{a: {table: s.csv, column: gaps}}", "column 'gaps' has 1 entries that are NaN"),
        ("{a: {samples: s.csv}, b: {samples: s.csv, column: twice}}", "'b' follows from a; leave"),
        ("{a: {table: s.csv, density: few}}", "column 'a' does not rise"),
        ("{bilby: none.prior}", "none.prior: no such file"),
    ],
)
def test_one_line_with_its_place(entries: str, message: str) -> None:
    a = np.random.default_rng(0).normal(size=1000)
    table = pd.DataFrame({"a": a, "twice": 2 * a, "few": np.arange(1000) % 2, "gaps": a})
    table.loc[3, "gaps"] = np.nan
    table.to_csv("s.csv", index=False)
    Path("c.yaml").write_text(
        HEAD.rstrip() + " " + entries + "\nestimators: {npe: {method: npe}}\n"
    )
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_configuration(["c.yaml"])
    assert len(str(caught.value).splitlines()) == 1
    assert "c.yaml:7" in str(caught.value)

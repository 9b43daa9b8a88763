"""Posteriors in the files of other programs, read back by these where they are installed."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sbi_pipeline import cli, priors
from sbi_pipeline.commands import exporting
from sbi_pipeline.exports import FORMATS, export
from sbi_pipeline.exports.bilby import CLASSES
from sbi_pipeline.exports.draws import read_posterior
from sbi_pipeline.exports.labels import as_math, as_text
from sbi_pipeline.priors.families import TYPES

PRIORS = {
    "rate": {"type": "uniform", "min": 0, "max": 5},
    "slope": {"type": "normal", "mean": 1, "sd": 2},
}
N = 400


def posterior(
    folder: Path, origin: Any = None, new_priors: str = "", **attrs: Mapping[str, Any]
) -> Path:
    """Write a posterior of two parameters and a derived one, as `sample` and `refine` write it."""
    rng = np.random.default_rng(1)
    rate, slope = rng.uniform(1, 3, N), rng.normal(1, 0.5, N)
    stats: dict[str, Any] = {"lp": (("chain", "draw"), -(slope**2).reshape(4, -1))}
    if origin is not None:  # copies lie next to each other
        rate, slope = rate[origin], slope[origin]
        stats["lp"] = (("chain", "draw"), -(slope**2).reshape(4, -1))
        stats["origin"] = (("chain", "draw"), origin.reshape(4, -1))
        stats["weight"] = (("chain", "draw"), np.full((4, N // 4), 1 / N))
    texts = {
        "rate": {"label": r"$\Gamma$", "unit": "1/s"},
        "slope": {"label": "my_slope", "unit": ""},
        "twice": {"label": "twice", "unit": "km s$^{-1}$", "derived": "2 * rate"},
    }
    values = {"rate": rate, "slope": slope, "twice": 2 * rate}
    group = {
        name: (("chain", "draw"), each.reshape(4, -1), {**texts[name], **attrs.get(name, {})})
        for name, each in values.items()
    }
    told = {"campaign": "demo", "estimator": "npe", "observation": "night"}
    told |= {"proposal": "npe", "estimator": "better"} if origin is not None else {}
    told |= {"new_priors": new_priors}
    facts = {"sampler": "direct", "independent": 1, "log_evidence": -3.5, "log_evidence_error": 0.1}
    home = folder / "results/demo" / told["estimator"] / "night"
    home.mkdir(parents=True)
    tree = {
        "/": xr.Dataset(attrs=told),
        "/posterior": xr.Dataset(group),
        "/sample_stats": xr.Dataset(stats, attrs=facts),
    }
    xr.DataTree.from_dict(tree).to_netcdf(home / "posterior.nc", engine="h5netcdf")
    header = {"priors": PRIORS, "parameters": list(PRIORS), "inferred_parameters": list(PRIORS)}
    (folder / "results/demo/npe").mkdir(exist_ok=True)
    (folder / "results/demo/npe/estimator.json").write_text(json.dumps(header))
    table = {"parameter": ["rate", "slope", "twice"], "truth": [2.0, np.nan, 4.0]}
    pd.DataFrame(table).to_csv(home / "diagnostics.csv", index=False)
    return home / "posterior.nc"


def resampled() -> Any:
    """Return which draw each of N is a copy of: a third of them are there several times."""
    rng = np.random.default_rng(2)
    return np.sort(rng.choice(N, N, p=np.arange(1, N + 1) / np.arange(1, N + 1).sum()))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_command_knows_all_formats() -> None:
    assert set(exporting.FORMATS) == set(FORMATS)


@pytest.mark.parametrize(
    ("kind", "read_back"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)]
)
def test_tables_hold_draws_density_and_weight(
    kind: str, read_back: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    path = posterior(tmp_path)
    cli.main(["export", str(path), "--to", kind])
    table = read_back(tmp_path / f"demo-npe-night.{kind}")
    assert list(table) == ["rate", "slope", "twice", "log_posterior", "weight"]
    np.testing.assert_array_equal(table["twice"], 2 * table["rate"])
    np.testing.assert_array_equal(table["log_posterior"], -(table["slope"] ** 2))
    assert len(table) == N
    assert (table["weight"] == 1).all()


def test_resampled_draws_are_each_there_once_with_their_copies_as_weight(tmp_path: Path) -> None:
    origin = resampled()
    path = posterior(tmp_path, origin)
    said = list(export(path, "csv", tmp_path / "out.csv"))
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["weight"].sum() == N
    assert len(table) == len(np.unique(origin)) < N
    draws = read_posterior(path)
    mean = np.average(table["slope"], weights=table["weight"])
    assert mean == pytest.approx(draws.repeated()["slope"].mean(), rel=1e-12)
    assert any("resampled by weight" in sentence for sentence in said)


def test_what_is_no_posterior_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no such file; name a posterior\.nc"):
        cli.main(["export", "none.nc", "--to", "csv"])
    (tmp_path / "text.nc").write_text("text")
    with pytest.raises(SystemExit, match="cannot be read as netCDF"):
        cli.main(["export", "text.nc", "--to", "csv"])
    xr.Dataset({"x": 1.0}).to_netcdf("other.nc", engine="h5netcdf")
    with pytest.raises(SystemExit, match="holds no posterior"):
        cli.main(["export", "other.nc", "--to", "csv"])
    path = posterior(tmp_path)
    with pytest.raises(SystemExit, match="is the posterior itself"):
        cli.main(["export", str(path), "--to", "csv", "--out", str(path)])
    with pytest.raises(SystemExit, match="nowhere: no such folder"):
        cli.main(["export", str(path), "--to", "csv", "--out", "nowhere/out.csv"])


def test_priors_and_truths_are_found_from_a_copy_in_recommended(tmp_path: Path) -> None:
    path = posterior(tmp_path)
    copy = tmp_path / "results/demo/recommended/night.nc"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert read_posterior(copy).truth == {"rate": 2.0, "twice": 4.0}
    assert list(read_posterior(copy).priors) == ["rate", "slope"]


def test_a_changed_prior_is_that_of_the_refinement(tmp_path: Path) -> None:
    path = posterior(tmp_path, resampled(), new_priors="rate")
    assert read_posterior(path).priors == {}  # nobody tells how it was changed
    narrower = {"rate": {"type": "uniform", "min": 1, "max": 2}}
    spec = {"arguments": {"new_priors": narrower}}
    path.with_name("refine.spec.json").write_text(json.dumps(spec))
    assert read_posterior(path).priors["rate"].given({}).support() == (1, 2)


def test_a_latex_table_has_labels_units_and_rounded_errors(tmp_path: Path) -> None:
    levels = {"values": np.array([0.0, 1.0]), "probabilities": np.array([0.126, 0.874])}
    path = posterior(tmp_path, slope=levels)
    cli.main(["export", str(path), "--to", "latex", "--out", "table.tex"])
    text = (tmp_path / "table.tex").read_text()
    low, middle, high = np.quantile(read_posterior(path).draws["rate"], [0.16, 0.5, 0.84])
    value = f"${middle:.2f}^{{+{high - middle:.2f}}}_{{-{middle - low:.2f}}}$"
    assert rf"$\Gamma$ & 1/s & {value} \\" in text
    assert r"my\_slope &  & $1$ ($P = 0.87$) \\" in text
    assert "twice & km s$^{-1}$ & $" in text


def test_a_periodic_parameter_is_cut_opposite_to_its_mean(tmp_path: Path) -> None:
    path = posterior(tmp_path, slope={"period": [0.0, 1.0]})
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        tree = opened.load()
    near_the_end = np.random.default_rng(3).normal(1, 0.01, (4, N // 4)) % 1
    tree["posterior/slope"] = tree["posterior/slope"].copy(data=near_the_end)
    tree.to_netcdf(tmp_path / "round.nc", engine="h5netcdf")
    list(export(tmp_path / "round.nc", "latex", tmp_path / "table.tex"))
    (line,) = (
        each for each in (tmp_path / "table.tex").read_text().splitlines() if "slope" in each
    )
    errors = [float(each) for each in (line.split("+")[1][:5], line.split("_{-")[1][:5])]
    assert all(0.005 < error < 0.02 for error in errors)


@pytest.mark.parametrize(
    ("written", "text", "formula"),
    [
        ("$s$", "$s$", "s"),
        ("my_slope & co", r"my\_slope \& co", r"\mathrm{my\_slope~\&~co}"),
        ("km s$^{-1}$", "km s$^{-1}$", r"\mathrm{km~s}^{-1}"),
        ("5$ a day", r"5\$ a day", r"\mathrm{5\$~a~day}"),
    ],
)
def test_labels_are_latex(written: str, text: str, formula: str) -> None:
    assert as_text(written) == text
    assert as_math(written) == formula


def test_getdist_reads_chains(tmp_path: Path) -> None:
    getdist = pytest.importorskip("getdist", reason="pip install getdist")
    path = posterior(tmp_path, resampled())
    cli.main(["export", str(path), "--to", "getdist", "--out", "chains.txt"])
    found = getdist.loadMCSamples(str(tmp_path / "chains"), no_cache=True)
    draws = read_posterior(path)
    assert found.getParamNames().list() == ["rate", "slope", "twice"]
    assert [each.isDerived for each in found.getParamNames().names] == [False, False, True]
    assert found.getParamNames().names[0].label == r"\Gamma\;[\mathrm{1/s}]"
    np.testing.assert_array_equal(found.weights, draws.weight)
    np.testing.assert_allclose(found.loglikes, -draws.log_posterior, rtol=1e-15)
    for column, values in enumerate(draws.draws.values()):
        np.testing.assert_array_equal(found.samples[:, column], values)
    assert (found.ranges.getLower("rate"), found.ranges.getUpper("rate")) == (0, 5)
    assert found.ranges.getLower("slope") is None
    assert found.sampler == "uncorrelated"


def test_chainconsumer_reads_chains(tmp_path: Path) -> None:
    # Chainconsumer 1 wants pandas 2, and an older one a SciPy of long ago: not beside this package.
    needed = {"reason": "pip install 'chainconsumer>=1'", "exc_type": ImportError}
    pytest.importorskip("chainconsumer", minversion="1.0", **needed)
    from chainconsumer import Chain, ChainConsumer

    path = posterior(tmp_path, resampled())
    cli.main(["export", str(path), "--to", "chainconsumer", "--out", "chain.csv"])
    chain = Chain(samples=pd.read_csv(tmp_path / "chain.csv"), name="npe")
    draws = read_posterior(path)
    assert chain.data_columns == [r"$\Gamma$ [1/s]", "my_slope", "twice [km s$^{-1}$]"]
    np.testing.assert_array_equal(chain.weights, draws.weight)
    np.testing.assert_allclose(chain.log_posterior, draws.log_posterior, rtol=1e-12)
    summary = ChainConsumer().add_chain(chain).analysis.get_summary()
    assert summary["npe"]["my_slope"].center == pytest.approx(1, abs=0.3)


def test_bilby_reads_a_result(tmp_path: Path) -> None:
    bilby = pytest.importorskip("bilby", reason="pip install bilby")
    path = posterior(tmp_path, resampled())
    said = list(export(path, "bilby", tmp_path / "demo_result.json"))
    assert any("all count alike" in sentence for sentence in said)
    result = bilby.read_in_result(filename=str(tmp_path / "demo_result.json"))
    draws = read_posterior(path)
    assert result.search_parameter_keys == ["rate", "slope"]
    np.testing.assert_array_equal(result.posterior["slope"], draws.repeated()["slope"])
    assert result.injection_parameters == {"rate": 2.0, "twice": 4.0}
    assert result.log_evidence == -3.5
    assert result.parameter_labels_with_unit == [r"$\Gamma$ [1/s]", r"my\_slope"]
    assert result.priors["rate"].maximum == 5
    result.plot_corner(save=False, parameters=["rate", "slope"])


WRITTEN = {
    "uniform": {"min": -1, "max": 2},
    "loguniform": {"min": 0.1, "max": 2},
    "powerlaw": {"exponent": 1.5, "min": 0.1, "max": 2},
    "sine": {"min": 0.1, "max": 3},
    "cosine": {"min": -1, "max": 1},
    "triangular": {"min": -1, "mode": 0.5, "max": 2},
    "normal": {"mean": 0.3, "sd": 2},
    "lognormal": {"mean": 0.3, "sd": 0.5},
    "halfnormal": {"sd": 2},
    "truncnormal": {"mean": 0.3, "sd": 2, "min": -1, "max": 2},
    "exponential": {"scale": 2},
    "student": {"df": 3, "location": 0.3, "scale": 2},
    "cauchy": {"location": 0.3, "scale": 2},
    "logistic": {"mean": 0.3, "scale": 2},
    "gamma": {"shape": 2, "scale": 0.5},
    "beta": {"a": 2, "b": 3},
}


def test_all_families_that_bilby_has_are_compared() -> None:
    assert set(WRITTEN) == set(CLASSES) <= set(TYPES)


@pytest.mark.parametrize("family", CLASSES)
def test_priors_of_bilby_are_ours(family: str, tmp_path: Path) -> None:
    bilby = pytest.importorskip("bilby", reason="pip install bilby")
    entry = {"type": family, **WRITTEN[family]}
    path = posterior(tmp_path)
    header = {"priors": {**PRIORS, "rate": entry}, "parameters": list(PRIORS)}
    (tmp_path / "results/demo/npe/estimator.json").write_text(json.dumps(header))
    list(export(path, "bilby", tmp_path / "demo_result.json"))
    theirs = bilby.read_in_result(filename=str(tmp_path / "demo_result.json")).priors["rate"]
    ours = priors.parameter("rate", entry).given({})
    places = np.linspace(*np.quantile(ours.ppf(np.linspace(0.001, 0.999, 999)), [0, 1]), 50)
    # Densities of bilby's Sine and Cosine are not normalised within limits of one's own.
    np.testing.assert_allclose(theirs.cdf(places), ours.cdf(places), rtol=1e-6)

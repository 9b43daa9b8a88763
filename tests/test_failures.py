import numpy as np
import pytest
import synthetic
import torch
from shard_for_tests import NAMES, make, manifest_of

import sbi_pipeline
from sbi_pipeline.posterior import log_posterior
from sbi_pipeline.stages import train
from sbi_pipeline.storage.reading import open_campaign
from sbi_pipeline.training import failures, learning

NOISE, SLOPE = 0.4, 8.0
UNIFORM = {"type": "uniform", "min": 0, "max": 1}
SPLIT = {"seed": 3, "validation": 0.1, "test": 0.05}


def works(a):
    return 1 / (1 + np.exp(-SLOPE * (a - 0.5)))


class Fails:
    """x = a + noise, and NaN but for a share of rows that rises with a."""

    parameters = NAMES

    def __call__(self, parameters, rng):
        a = parameters[:, :1]
        x = a + NOISE * rng.normal(size=a.shape)
        return np.where(rng.random(a.shape) < works(a), x, np.nan)


def simulate(folder, rows):
    make(folder, rows, "Fails", rows, simulator_name="test_failures:Fails", max_failed_fraction=0.9)
    return manifest_of(folder / "shard-0.zarr", rows, **SPLIT)


def trained(manifest, method, network=None, **training):
    folder = manifest.parent
    train(
        simulations=manifest,
        estimator=folder / "estimator.pt",
        header=folder / "estimator.json",
        history=folder / "history.csv",
        method=method,
        inferred_parameters=["a"],
        parameters=NAMES,
        priors={"a": UNIFORM, "b": UNIFORM},
        seed=1,
        key="t",
        network=network,
        training={"progress": False, **training},
    )
    return sbi_pipeline.load(folder / "estimator.pt")


def test_the_probability_to_work_is_learnt_from_status(tmp_path):
    reader = open_campaign(simulate(tmp_path, 10_000), ["a"])
    validity = failures.learn_validity(reader, lambda theta: 4 * theta - 2, seed=1, threads=1)
    a = np.linspace(0.02, 0.98, 50)
    learnt = validity.log_prob(torch.as_tensor(4 * a - 2).float()[:, None]).exp().detach().numpy()
    np.testing.assert_allclose(learnt, works(a), atol=0.06)


@pytest.mark.parametrize(
    ("option", "fraction", "target", "wanted"),
    [
        ("auto", 0.0009, "likelihood", False),
        ("auto", 0.0011, "likelihood", True),
        ("auto", 0.5, "ratio", True),
        ("auto", 0.5, "posterior", False),
        ("model", 0.0001, "likelihood", True),
        ("model", 0.0, "likelihood", False),
        ("ignore", 0.5, "likelihood", False),
    ],
)
def test_failures_are_modelled_where_they_matter(option, fraction, target, wanted):
    assert failures.is_wanted(option, fraction, target) == wanted


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match="failures is 'drop'; it can be auto, model, ignore"):
        failures.is_wanted("drop", 0.1, "likelihood")


def test_what_was_learnt_is_saved_and_added_to_the_density(tmp_path):
    quick = {"max_epochs": 1}
    posterior = trained(simulate(tmp_path, 2000), "nle", **quick)
    assert posterior.header["failures"]["modelled"]
    z = np.linspace(-2, 2, 9)[None, :, None]
    with_it = log_posterior(posterior.estimator, np.array([[0.5]]))(z)
    expected = posterior.estimator.validity.log_prob(torch.as_tensor(z[0]).float())
    posterior.estimator.validity = None
    without = log_posterior(posterior.estimator, np.array([[0.5]]))(z)
    np.testing.assert_allclose((with_it - without)[0], expected.detach().numpy(), rtol=1e-4)
    ignored = trained(tmp_path / "simulations.json", "nle", failures="ignore", **quick)
    assert ignored.estimator.validity is None


def test_failures_are_learnt_on_the_device_of_the_training(tmp_path, monkeypatch):
    told = {}
    learn = learning.learn_validity

    def noted(*args, **options):
        told.update(options)
        return learn(*args, **options)

    monkeypatch.setattr(learning, "learn_validity", noted)
    trained(simulate(tmp_path, 2000), "nle", max_epochs=1, device="cpu")
    assert told["device"] == "cpu"


def _modelled(who, **told):
    known = {"simulated": 1000, "failed": 30, **told}
    return synthetic.judged("modelled_failures", known, who)


def test_the_report_says_what_was_done():
    said = _modelled("nle", target="likelihood", modelled=True)
    assert said.status == "pass"
    assert said.advice.startswith("3 % of simulations failed; log p(valid | theta) was learnt and")
    ignored = _modelled("nre", target="ratio", modelled=False)
    assert ignored.status == "warn"
    dropped = _modelled("npe", target="posterior", modelled=False)
    assert dropped.status == "pass"


def moments(posterior, x_o):
    grid = (np.arange(400) + 0.5) / 400
    return weighted(np.exp(posterior.log_prob(grid[:, None], np.array([x_o]))), grid)


def exact(x_o):
    grid = (np.arange(400) + 0.5) / 400
    return weighted(works(grid) * np.exp(-0.5 * ((x_o - grid) / NOISE) ** 2), grid)


def weighted(weight, grid):
    weight = weight / weight.sum()
    mean = weight @ grid
    return mean, np.sqrt(weight @ (grid - mean) ** 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", ["npe", "nle", "nre"])
def test_failures_that_depend_on_theta_leave_the_posterior_right(tmp_path, method):
    """Against the closed form on a grid; likelihood and ratio are wrong if they ignore failures."""
    manifest = simulate(tmp_path, 40_000)
    found = trained(manifest, method)
    for x_o in (0.0, 0.5, 1.0):
        mean, sd = exact(x_o)
        estimated, width = moments(found, x_o)
        assert abs(estimated - mean) < 0.1 * sd
        assert abs(width / sd - 1) < 0.07
    if method != "npe":
        mean, sd = exact(0.0)
        found.estimator.validity = None
        assert abs(moments(found, 0.0)[0] - mean) > 0.5 * sd

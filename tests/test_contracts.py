"""What every estimator and every sampler keeps to, those of a user's own module included."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from estimators_for_tests import METHODS, gaussian, small, train
from samplers_for_tests import emcee
from test_discrete import MIXED, Known, shifted
from test_samplers import Exact

from sbi_pipeline import estimators, priors, registry, samplers
from sbi_pipeline.diagnostics.ranks import rank
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.posterior import log_posterior
from sbi_pipeline.registry import Part
from sbi_pipeline.samplers.ensemble import Emcee
from sbi_pipeline.study import take_configuration
from sbi_pipeline.trained import Posterior
from sbi_pipeline.types import Traits

ROOT = Path(__file__).parents[1]
OWN = ["toy:ToyEstimator", "toy:ToyRatio"]
SAMPLERS = [*registry.SAMPLERS, "toy:ToySampler"]
NORMAL = {"type": "normal", "mean": 0, "sd": 1}


def options(method):
    return {} if method in OWN else small(method)


def made(method, members=1, n=200):
    z, x = gaussian(n)
    return z, x, estimators.build(method, z, x, seed=1, members=members, **options(method))


# Estimators ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("method", [*METHODS, *OWN])
def test_an_estimator_keeps_its_contract(method, members, tmp_path):
    z, x, estimator = made(method, members)
    assert isinstance(estimator, Estimator)
    assert estimator.traits == estimators.traits(method)
    train(estimator, z, x, max_epochs=2)
    estimators.save_estimator(tmp_path / "estimator.pt", estimator, {})
    again, _ = estimators.load_estimator(tmp_path / "estimator.pt")
    assert again.traits == estimator.traits
    assert again.validity is None
    assert isinstance(again.spec["network"], dict)
    holds_its_traits(again, z[:6], x[:6])


def holds_its_traits(estimator, z, x):
    if estimator.traits.density:
        with torch.no_grad():
            paired, single = estimator.log_prob(z, x), estimator.log_prob(z, x[0])
        assert paired.shape == single.shape == (6,)
        torch.testing.assert_close(paired[0], single[0], atol=0.02, rtol=0)
    else:
        with pytest.raises(ValueError, match="has no density; take"):
            estimator.log_prob(z, x)
    if estimator.traits.draws:
        assert estimator.sample_many(5, x).shape == (6, 5, 2)
        assert estimator.sample(5, x[0]).shape == (5, 2)
    else:
        with pytest.raises(ValueError, match="cannot draw parameters; sample it by MCMC, or take"):
            estimator.sample_many(5, x)
    if estimator.traits.steps:
        assert estimator.sample_many(5, x, 3).shape == (6, 5, 2)
    summary = estimator.summarise(x)
    if summary is not None:
        torch.testing.assert_close(
            estimator.log_prob_of_summary(z, summary), estimator.log_prob(z, x)
        )


@pytest.mark.parametrize("method", [*METHODS, *OWN])
def test_an_estimator_is_sampled_without_being_known_by_name(method):
    z, x, estimator = made(method)
    train(estimator, z, x, max_epochs=1)
    drawn = samplers.draw(estimator, x[:2].numpy(), 100, seed=1, quick=True)
    assert drawn.flat(100).shape == (2, 100, 2)
    assert drawn.independent == estimator.traits.draws
    assert drawn.normalised == (estimator.traits.draws and estimator.traits.density)


@pytest.mark.parametrize("method", [*METHODS, *OWN])
def test_traits_are_a_record_of_the_class(method):
    found = estimators.estimator_class(method)
    assert isinstance(inspect.getattr_static(found, "traits"), Traits)
    assert set(vars(Estimator())) >= {"spec", "validity"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("toy:NoEstimator", "is no estimator; wanted a subclass of sbi_pipeline.estimators"),
        ("toy:ToySampler", "is no estimator; wanted a subclass"),
        ("toy:NoTraits", r"has no traits; write traits = Traits\(target=...\) in its class"),
        ("toy:Nothing", "has no 'Nothing'"),
        ("ntp", "'ntp' is not known; write one of auto, cmpe, fmpe, mnre, nle, npe, nre, or"),
    ],
)
def test_what_is_no_estimator_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        estimators.traits(name)


def test_what_a_method_forgot_is_named():
    z, x = gaussian(50)
    with pytest.raises(ValueError, match=r"Estimator has no loss\(z, x\); it needs one"):
        Estimator().loss(z, x)
    with pytest.raises(ValueError, match="Estimator has summarise, but no log_prob_of_summary"):
        Estimator().log_prob_of_summary(z, x)


def test_options_of_a_users_estimator_are_its_own():
    z, x = gaussian(50)
    assert estimators.build("toy:ToyEstimator", z, x, seed=1, sd=2.0).spec["network"] == {"sd": 2.0}
    with pytest.raises(ValueError, match=r"network options of toy:ToyEstimator: .*'hiden'"):
        estimators.build("toy:ToyEstimator", z, x, seed=1, hiden=3)


def test_alternatives_near_the_answer_need_the_whole_prior():
    z, x = gaussian(50)
    assert estimators.build("nre", z, x, seed=1, **small("nre")).near == 0.5
    assert estimators.build("nre", z, x, seed=1, complete=False, **small("nre")).near == 0


def test_adding_an_estimator_is_a_file_and_a_line(monkeypatch):
    config = yaml.safe_load((ROOT / "tests/config.yaml").read_text())
    config["estimators"]["mine"] = {"method": "toy"}
    for campaign in config["campaigns"].values():
        campaign["estimators"] = ["mine"]
    with pytest.raises(ValueError, match="'toy' is not known"):
        estimators.traits("toy")
    monkeypatch.setitem(registry.ESTIMATORS, "toy", Part("toy:ToyEstimator"))
    take_configuration(config)
    z, x, _ = made("toy:ToyEstimator")
    assert estimators.build("toy", z, x, seed=1).spec["method"] == "toy"
    with pytest.raises(
        ValueError, match=r"CMPE has no density; take npe, mnre, fmpe or toy for one"
    ):
        made("cmpe")[2].log_prob(z, x)


# Samplers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_keeps_its_contract(name):
    x = np.array([[0.0, 1.0], [-2.0, 0.5]], dtype="f4")
    estimator = Exact("posterior")
    drawn = samplers.draw(estimator, x, 2000, seed=1, name=name)
    targets, chains, n, dim = drawn.z.shape
    assert (targets, dim) == (2, 2)
    assert chains * n >= 2000
    assert drawn.sampler == name
    assert len(drawn.ensemble) == chains
    assert drawn.converged.all()
    flat = drawn.z.reshape(2, -1, 2)
    density = log_posterior(estimator, x)(flat).reshape(drawn.log_prob.shape)
    np.testing.assert_allclose(drawn.log_prob, density, atol=1e-4)
    np.testing.assert_allclose(flat.mean(axis=1), 0.8 * x, atol=0.06)
    np.testing.assert_allclose(flat.std(axis=1), 0.5 * np.sqrt(0.8), rtol=0.1)
    again = samplers.draw(estimator, x, 2000, seed=1, name=name)
    np.testing.assert_array_equal(again.z, drawn.z)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_takes_its_own_options_only(name):
    with pytest.raises(ValueError, match=rf"options of sampler '{name}': .*'wlkers'"):
        samplers.draw(Exact("posterior"), np.zeros((1, 2)), 100, seed=1, name=name, wlkers=8)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_says_in_the_file_whether_it_made_a_chain(name):
    drawn = samplers.draw(Exact("posterior"), np.zeros((1, 2)), 400, seed=1, name=name)
    prior = priors.build({"a": NORMAL, "b": NORMAL}, ("a", "b"))
    prior_draws = np.zeros((5, 2))
    tree = samplers.labelled(
        drawn, 0, prior, x_o=np.zeros(2), prior_draws=prior_draws, derived={}, texts={}, attrs={}
    )
    attrs = tree["sample_stats"].attrs
    assert attrs["independent"] == (name != "emcee")
    assert attrs["normalised"] == (name == "direct")


@pytest.mark.parametrize("name", ["emcee", "toy:ToySampler"])
def test_discrete_parameters_are_no_business_of_a_sampler(name):
    prior = priors.build(MIXED, ("kind", "mu"))
    drawn = samplers.draw(
        Known(prior, shifted), np.array([[1.2]]), 500, seed=1, name=name, prior=prior
    )
    assert drawn.z.shape[-1] == 2
    assert drawn.probability is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("toy:NoEstimator", "is no sampler; wanted a subclass of sbi_pipeline.samplers.Sampler"),
        ("toy:NoNeeds", "does not say what it needs; write needs = 'draws' or 'density'"),
        ("hmc", "'hmc' is not known; write one of direct, emcee, or"),
    ],
)
def test_what_is_no_sampler_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        samplers.sampler_class(name, Traits(target="posterior"))


def test_auto_is_the_first_that_suits(monkeypatch):
    def chosen(**traits):
        return samplers.sampler_class("auto", Traits(**traits)).__name__

    assert chosen(target="posterior") == "Direct"
    assert chosen(target="posterior", density=False) == "Direct"
    assert chosen(target="likelihood") == chosen(target="ratio") == "Emcee"
    table = {"toy": Part("toy:ToySampler"), **registry.SAMPLERS}
    monkeypatch.setattr(registry, "SAMPLERS", table)
    assert chosen(target="ratio") == "ToySampler"
    assert chosen(target="posterior", density=False) == "Direct"


def test_adding_a_sampler_is_a_file_and_a_line(monkeypatch):
    x = np.zeros((1, 2), dtype="f4")
    with pytest.raises(ValueError, match="'toy' is not known"):
        samplers.draw(Exact("likelihood"), x, 100, seed=1, name="toy")
    monkeypatch.setitem(registry.SAMPLERS, "toy", Part("toy:ToySampler"))
    drawn = samplers.draw(Exact("likelihood"), x, 100, seed=1, name="toy", candidates=5000)
    assert drawn.sampler == "toy"
    prior = priors.build({"a": NORMAL, "b": NORMAL}, ("a", "b"))
    posterior = Posterior(Exact("likelihood"), prior, {})
    assert posterior.sample(100, x[0], name="toy").shape == (100, 2)
    theta, data = np.random.default_rng(1).normal(size=(2, 20, 2))
    found = rank(posterior, theta, data, seed=1, sampler={"name": "toy"})
    assert found["ranks"].shape == (20, 2)
    config = yaml.safe_load((ROOT / "tests/config.yaml").read_text())
    config["estimators"]["nle"]["sampler"] = {"name": "toy", "candidates": 5000}
    take_configuration(config)


@pytest.mark.parametrize("dim", [1, 8, 9, 20])
def test_quick_mcmc_has_walkers_for_its_dimension(dim):
    assert Emcee.quick(dim)["walkers"] == max(16, 2 * dim)
    few = {**Emcee.quick(dim), "max_steps": 50}
    drawn = emcee(lambda z: -0.5 * np.sum(z**2, axis=-1), 1, dim, 50, seed=1, **few)
    assert drawn.z.shape[-1] == dim

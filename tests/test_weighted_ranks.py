"""Ranks by weight: exact for the right posterior, whatever proposes, and blind to nothing seen."""

import numpy as np
import pytest
import synthetic
import xarray as xr
from faults_refined import PRIOR, weighed
from scipy import stats

from sbi_pipeline import priors
from sbi_pipeline.diagnostics.weighted_ranks import (
    WeighedTruths,
    positions,
    ranked_by_weight,
    ranks_in_pool,
)
from sbi_pipeline.refinement import exact_at_truth, exact_likelihood
from sbi_pipeline.reports.assessment import assess
from sbi_pipeline.simulators.linear_gaussian import LinearGaussian
from sbi_pipeline.subjects import TrainedEstimator


@pytest.mark.parametrize(("off", "proposed", "of"), [(0, 1.3, 500), (1, 0.7, 30), (3, 0.5, 100)])
def test_ranks_are_uniform_however_bad_the_proposal_is(off: float, proposed: float, of: int):
    """With a proposal far off the truth is nearly all of the weight, and its rank still uniform."""
    data = weighed(1, off=off, proposed=proposed, of=of, n=4000)
    for name in ("ranks", "joint_ranks"):
        for ranks in data[name].to_numpy().T:
            assert stats.kstest((ranks + 0.5) / 201, "uniform").pvalue > 0.003
    scores = data["scores"].to_numpy()
    for member in range(scores.shape[1]):
        assert stats.kstest(scores[:, member, 0], "norm").pvalue > 0.003


def test_the_density_at_the_truth_is_that_of_the_posterior():
    data = weighed(2, n=2000)
    gain = (data["log_prob"] - data["prior_log_prob"]).to_numpy()
    entropy = -2 * np.log(0.5 / np.sqrt(1.25)) - 1  # E log N(z; 0, 1) is -1/2 a dimension more
    assert gain.mean() == pytest.approx(entropy + 1, abs=4 * stats.sem(gain))
    poor = weighed(2, n=2000, off=3, proposed=0.5)
    assert poor["log_prob"].mean() < data["log_prob"].mean() - 0.5


def test_few_draws_that_count_are_said_and_then_not_judged():
    bad, good = weighed(3, proposed=15), weighed(3)
    assert synthetic.asked("held_out_weights", good).status == "pass"
    said = synthetic.asked("held_out_weights", bad)
    assert (said.status, "were not judged" in said.advice) == ("warn", True)
    assert synthetic.estimator(bad).ranked is None
    assert good["effective"].median() > 100


def test_a_proposal_that_is_not_where_truths_are_fails():
    """Its weights look well: the mode is out of their sight."""
    one_mode = two_modes_from_one(0)
    said = synthetic.asked("held_out_weights", one_mode)
    assert (said.status, "a mode that it does not know" in said.advice) == ("fail", True)
    for fault in ({"proposed": 15}, {"proposed": 0.5}, {"off": 1, "proposed": 0.8}):
        assert synthetic.asked("held_out_weights", weighed(0, **fault)).status == "warn"


def two_modes_from_one(seed, *, n=200, draws=800, leak=0.001):
    """Ranks by weight of theta ~ N(0, 1), x = |theta| + noise, from a proposal of theta > 0.

    A small part of it, ``leak``, is spread as the prior is.
    """
    rng, noise = np.random.default_rng(seed), 0.1
    prior = priors.build({"theta": {"type": "normal", "mean": 0, "sd": 1}}, ("theta",))
    truth = rng.normal(size=n)
    x = (np.abs(truth) + noise * rng.normal(size=n))[:, None]
    low, high = (0 - x) / noise, np.full_like(x, np.inf)
    drawn = stats.truncnorm.rvs(low, high, x, noise, size=(n, draws), random_state=rng)
    drawn = np.where(rng.random((n, draws)) < leak, rng.normal(size=(n, draws)), drawn)
    z = np.concatenate([truth[:, None], drawn], axis=1)
    inside = (1 - leak) * stats.truncnorm.pdf(z, low, high, x, noise)
    target = stats.norm.logpdf(z) + stats.norm.logpdf(x, np.abs(z), noise)
    weight = target - np.log(inside + leak * stats.norm.pdf(z))
    return ranked_by_weight(
        prior, truth[:, None], WeighedTruths(z[..., None], target, weight), 200, seed
    )


def test_weights_say_which_member_is_the_truth():
    rng = np.random.default_rng(1)
    values = np.array([[2.0, 1.0, 3.0], [2.0, 1.0, 3.0], [1.0, 1.0, 1.0]]).repeat(4000, axis=0)
    chance = np.array([[0.1, 0.2, 0.7], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]]).repeat(4000, axis=0)
    first, second, tied = ranks_in_pool(values[..., None], chance, 99, rng).reshape(3, 4000)
    assert (first.min(), first.max()) == (20, 29)
    assert set(second) == {99}
    assert stats.kstest((tied + 0.5) / 100, "uniform").pvalue > 1e-3


def test_a_refined_posterior_is_asked_as_an_estimator_is():
    found = {bias: refined(weighed(4, bias=bias, n=500)) for bias in (0.0, 0.5)}
    checks = {
        bias: {each.checks[0].name: each.checks[0] for each in assess([[one]], {})}
        for bias, one in found.items()
    }
    assert {each.status for each in checks[0.0].values()} == {"pass"}
    assert "training" not in checks[0.0]
    assert checks[0.5]["calibration"].status == "fail"
    assert "mend the likelihood that its weights are of" in checks[0.5]["calibration"].advice


def refined(data):
    """What is known of a refined posterior that was asked about held-out simulations."""
    told = data.assign_attrs(method="reweighted")
    own = {"prior": PRIOR, "others": {"another that knows as much": told}}
    return TrainedEstimator("exact", "reweighted", None, told, **own)


def averaged(truth_is_one: bool, n: int = 1500, draws: int = 2) -> xr.Dataset:
    """Ranks by a likelihood averaged over two draws of a strong nuisance."""
    simulator, rng = LinearGaussian(theta_dim=1, nuisances=1, x_dim=2), np.random.default_rng(1)
    names = simulator.parameters
    sds = dict(zip(names, (1, 5), strict=True))
    entries = {name: {"type": "normal", "mean": 0, "sd": sd} for name, sd in sds.items()}
    whole = priors.build(entries, names)
    every = rng.normal(size=(n, 2)) * [*sds.values()]
    data, z = simulator(every, rng), rng.normal(size=(n, 31, 1))
    z[:, 0] = every[:, :1]  # the proposal is the prior
    found = np.empty((n, 31))
    for row, x in enumerate(data):
        columns = {"theta_1": z[row, :, 0]}
        found[row] = exact_likelihood(simulator, whole, columns, x, draws, rng)
        if truth_is_one:
            truth = dict(zip(names, every[row], strict=True))
            found[row, 0] = exact_at_truth(simulator, whole, truth, names[:1], x, draws, rng)
    pool = WeighedTruths(z, found - 0.5 * z[..., 0] ** 2, found)
    return ranked_by_weight(whole.keep(names[:1]), every[:, :1], pool, 200, 1)


def test_true_nuisances_among_those_averaged_over_make_ranks_exact():
    fractions = {
        each: (averaged(each)["ranks"].to_numpy().ravel() + 0.5) / 201 for each in (True, False)
    }
    assert stats.kstest(fractions[True], "uniform").pvalue > 0.003
    assert np.abs(fractions[False] - 0.5).mean() - 0.25 > 5 * 0.144 / 1500**0.5


def test_a_point_lies_among_its_equals_at_random():
    values, weight = np.array([[[1.0], [1.0], [0.0]]]), np.array([[0.3, 0.3, 0.4]])
    rng = np.random.default_rng(1)
    found = [positions(values, weight, np.array([0]), rng).item() for _ in range(2000)]
    assert stats.kstest(found, stats.uniform(0.4, 0.6).cdf).pvalue > 0.003

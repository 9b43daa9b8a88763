"""Calibration measures on ranks of a known law: uniform ones pass, every mutation shows."""

import numpy as np
import pytest
import synthetic
import torch
import xarray as xr
from toy import ToyRatio

from sbi_pipeline import diagnostics, estimators, priors
from sbi_pipeline.diagnostics import calibration, coverage, probability_plot, tarp, uniform
from sbi_pipeline.diagnostics.information import (
    information,
    judge_information,
    measure_information,
)
from sbi_pipeline.diagnostics.parameter_order import swapped
from sbi_pipeline.diagnostics.ranks import rank, tarp_ranks
from sbi_pipeline.plots.style import Look
from sbi_pipeline.subjects import TrainedEstimator
from sbi_pipeline.trained import Posterior

REPEATS = 200


def _rejected(p_value, ranks_of, level):
    return np.mean(
        [p_value(ranks_of(np.random.default_rng(i)), 99) < level for i in range(REPEATS)]
    )


P_VALUES = {
    "chi2": uniform.chi2_p_value,
    "ks": uniform.ks_p_value,
    "ecdf": lambda ranks, draws: uniform.ecdf_difference(ranks, draws).p_value,
}


@pytest.mark.parametrize("name", P_VALUES)
def test_p_values_are_honest_for_uniform_ranks(name):
    uniform = lambda rng: rng.integers(0, 100, size=300)  # noqa: E731
    # 200 repeats at level 0.1: 20 ± 4.2.
    assert 0.03 < _rejected(P_VALUES[name], uniform, 0.1) < 0.18


@pytest.mark.parametrize("name", P_VALUES)
def test_p_values_see_a_shifted_posterior(name):
    skewed = lambda rng: (100 * rng.beta(0.8, 1.4, size=300)).astype(int)  # noqa: E731
    assert _rejected(P_VALUES[name], skewed, 0.01) > 0.95


def test_the_ecdf_sees_a_narrow_posterior_where_kolmogorov_smirnov_is_weak():
    hollow = lambda rng: (100 * rng.beta(0.6, 0.6, size=300)).astype(int)  # noqa: E731
    assert _rejected(P_VALUES["ecdf"], hollow, 0.01) > 0.95
    assert _rejected(P_VALUES["ks"], hollow, 0.01) < 0.9


def test_the_ecdf_band_is_simultaneous():
    left = 0
    for seed in range(REPEATS):
        ranks = np.random.default_rng(seed).integers(0, 100, size=300)
        ecdf = uniform.ecdf_difference(ranks, 99, prob=0.9)
        left += bool(((ecdf.difference < ecdf.low) | (ecdf.difference > ecdf.high)).any())
        if ecdf.p_value < 0.05:
            assert ((ecdf.difference < ecdf.low) | (ecdf.difference > ecdf.high)).any()
    assert 0.03 < left / REPEATS < 0.17


def test_tiny_p_values_are_resolved():
    assert uniform.ecdf_difference(np.zeros(500, dtype=int), 99).p_value < 1e-100


def test_coverage_is_exact_for_ranks_that_fill_every_slot():
    ranks = np.repeat(np.arange(100), 5)
    found = coverage.coverage(ranks, 99)
    np.testing.assert_allclose(found.observed, found.levels, atol=1e-12)


@pytest.mark.parametrize(("width", "expected"), [(0.5, 0.383), (2.0, 0.954)])
def test_coverage_of_a_wrong_width_is_the_known_number(width, expected):
    data = synthetic.calibration(n=2000, draws=199, width=width)
    ranks = data["ranks"].sel(parameter="mass").to_numpy()
    found = coverage.coverage(ranks, 199, np.array([0.6827]))
    assert found.observed[0] == pytest.approx(expected, abs=0.04)
    assert not found.low[0] <= found.observed[0] <= found.high[0]


def test_histogram_bins_hold_whole_ranks():
    found = uniform.rank_histogram(np.repeat(np.arange(64), 10), draws=63, bins=20)
    assert found.counts.sum() == 640
    np.testing.assert_allclose(found.counts, found.expected)
    assert (found.low <= found.counts).all()
    assert (found.counts <= found.high).all()


def test_bias_points_the_right_way():
    low = calibration.uniformity(synthetic.calibration(shift=-0.5)).set_index("parameter")
    assert low.loc["mass", "bias"] > 0.05


def test_information_is_the_exact_gain():
    found = information(synthetic.calibration(n=4000))
    exact = -0.5 * np.log(1 - synthetic.SHRINK).sum()
    assert abs(found.nats - exact) < 4 * found.standard_error
    entropy = np.log(synthetic.EXACT_SD * np.sqrt(2 * np.pi * np.e)).sum()
    assert abs(found.log_q + entropy) < 4 * found.standard_error
    for i, name in enumerate(synthetic.NAMES):
        assert found.sd_ratio[name] == pytest.approx(np.sqrt(1 - synthetic.SHRINK[i]), rel=0.05)
        assert found.correlation[name] > 0.8


def test_information_of_the_prior_is_nothing():
    found = information(synthetic.calibration(prior_only=True))
    assert found.nats == pytest.approx(0.0, abs=1e-12)
    assert set(found.correlation.values()) == {0.0}


def test_a_heavy_tailed_prior_that_comes_back_is_as_wide_as_the_prior():
    prior = priors.build({"size": {"type": "lognormal", "mean": 0, "sd": 1.5}}, ("size",))
    z, x = torch.randn(400, 1), torch.randn(400, 3)
    untrained = estimators.build("npe", z, x, seed=1, linear=False).eval()  # the prior itself
    truth = prior.from_normal(z.numpy())
    found = information(rank(Posterior(untrained, prior, {}), truth, x.numpy(), seed=1))
    assert found.sd_ratio["size"] == pytest.approx(1, abs=0.1)


def test_where_there_is_no_density_truths_are_not_ranked_by_it():
    prior = priors.build({"size": {"type": "normal", "mean": 0, "sd": 1}}, ("size",))
    z, x = torch.randn(40, 1), torch.randn(40, 3)
    for method, joint in (("cmpe", ["TARP"]), ("npe", ["log density", "TARP"])):
        untrained = estimators.build(method, z, x, seed=1, members=2, hidden=8).eval()
        ranked = rank(Posterior(untrained, prior, {}), z.numpy(), x.numpy(), seed=1, draws=20)
        assert list(calibration.all_ranks(ranked)) == ["size", *joint]


def test_information_without_density_is_nan_and_of_an_impossible_truth_minus_infinity():
    assert np.isnan(information(synthetic.calibration(density=False)).nats)
    data = synthetic.calibration()
    data["log_prob"][3] = -np.inf
    assert information(data).nats == -np.inf


def test_an_event_within_a_box_need_not_tell_anything():
    """The box holds the posterior of many; what one event adds there is nothing to judge by."""
    made = {"history": synthetic.history(), "calibration": synthetic.calibration(prior_only=True)}
    whole = TrainedEstimator("nle", "nle", **made)
    assert judge_information(measure_information(whole), "nle").status == "fail"
    assert measure_information(TrainedEstimator("nle", "nle", **made, events_in_box=True)) is None


def test_swapped_parameters_are_named():
    assert swapped(synthetic.calibration()) == []
    assert swapped(synthetic.calibration(swap=True)) == [("mass", "spin")]


def _joint(n, draws, rng, *, correlated, dim=6):
    """Draws of an exact posterior with correlations 0.9, or of the product of its marginals."""
    factor = np.linalg.cholesky(0.9 * np.ones((dim, dim)) + 0.1 * np.eye(dim))
    centre = 3 * rng.normal(size=(n, dim))
    truth = centre + rng.normal(size=(n, dim)) @ factor.T
    noise = rng.normal(size=(n, draws, dim))
    return centre[:, None] + (noise @ factor.T if correlated else noise), truth


def test_tarp_sees_wrong_correlations_that_marginals_hide():
    caught = {True: 0, False: 0}
    for seed in range(20):
        for correlated in caught:
            rng = np.random.default_rng(seed)
            draws, truth = _joint(1000, 49, rng, correlated=correlated)
            ranks = tarp_ranks(draws, truth, rng)
            caught[correlated] += uniform.ecdf_difference(ranks, 49).p_value < 0.01
            marginal = (draws[..., 0] < truth[:, None, 0]).sum(axis=1)
            assert uniform.ecdf_difference(marginal, 49).p_value > 1e-4
    assert caught[True] <= 2
    assert caught[False] >= 19


@pytest.mark.parametrize(("width", "sign"), [(0.8, -1), (1.25, 1)])
def test_tarp_has_the_sign_of_the_fault(width, sign):
    data = synthetic.calibration(n=4000, width=width)
    error, scatter = tarp.tarp_error(data["joint_ranks"].to_numpy()[:, 0], 99)
    assert sign * error > 5 * scatter
    assert abs(error) == pytest.approx(0.025, rel=0.35)


def test_tarp_error_scatters_as_it_says():
    rng = np.random.default_rng(0)
    found = [tarp.tarp_error(rng.integers(0, 100, size=500), 99) for _ in range(400)]
    errors, scatters = np.array(found).T
    # The scatter of an sd from 400 values is 3.5 %.
    assert errors.std() == pytest.approx(scatters[0], rel=0.12)
    assert abs(errors.mean()) < 4 * scatters[0] / 20


def test_joint_ranks_join_the_parameters():
    table = calibration.uniformity(synthetic.calibration())
    assert list(table["parameter"]) == ["mass", "spin", "TARP"]


def of_many(count=60, biased="p41"):
    """Return a calibration of many parameters, one of which is ranked too low."""
    rng = np.random.default_rng(3)
    ranks = rng.integers(0, 100, size=(300, count))
    names = [f"p{number}" for number in range(count)]
    ranks[:, names.index(biased)] //= 2
    coords = {"parameter": names}
    data = xr.Dataset({"ranks": (("simulation", "parameter"), ranks)}, coords, {"draws": 99})
    return TrainedEstimator("npe", "npe", None, data)


def test_of_many_quantities_those_that_are_least_uniform_are_drawn():
    asked, look = [of_many()], Look({"npe": "#0072B2"})
    drawn = [axis.get_title() for axis in calibration.draw_ranks(asked, look).axes]
    assert len(drawn) == calibration.MOST_DRAWN
    assert "p41" in drawn
    assert drawn == sorted(drawn, key=lambda name: int(name[1:]))
    assert calibration.which_are_drawn(asked).startswith(" Of 60 quantities the 12 with")
    assert calibration.which_are_drawn([of_many(12, "p3")]) == ""


def test_of_many_curves_those_that_are_least_uniform_are_named():
    (axis,) = probability_plot.draw_probability_plot([of_many()], Look({"npe": "#0072B2"})).axes
    named = [each.get_text().partition(":")[0] for each in axis.get_legend().get_texts()]
    assert len(named) == probability_plot.MOST_LISTED
    assert "p41" in named
    assert len(axis.lines) == 60 + 1


def test_ranks_beyond_the_number_of_draws_are_refused():
    with pytest.raises(ValueError, match=r"0\.\.50"):
        coverage.coverage(np.array([3, 60]), 50)


def test_chains_that_have_not_converged_are_counted():
    data = synthetic.calibration(n=200)
    data["converged"] = "simulation", (np.arange(200) >= 10).astype("i1")
    assert "; MCMC of 10 of 200 has not converged)" in synthetic.asked("calibration", data).quantity
    assert "MCMC" not in synthetic.asked("calibration", synthetic.calibration(n=200)).quantity


def _chains(missed):
    data = synthetic.calibration(n=200, seed=3)
    converged = (np.arange(200) >= missed).astype(np.int8)
    return data.assign(converged=("simulation", converged)).assign_attrs(independent=0)


@pytest.mark.parametrize(("missed", "status"), [(0, "pass"), (10, "pass"), (11, "warn")])
def test_ranks_of_chains_that_fell_short_are_not_judged(missed, status):
    asked = synthetic.estimator(_chains(missed))
    known = diagnostics.registered()
    (check,) = known["held_out_chains"].ask("held_out_chains", asked, {}).checks
    assert check.status == status
    assert check.value == missed / 200
    for name in ("calibration", "coverage", "probability_plot", "tarp", "parameter_order"):
        assert (known[name].ask(name, asked, {}) is None) == (status == "warn")


def test_draws_that_are_no_chain_have_none_that_could_fall_short():
    asked = synthetic.estimator(_chains(100).assign_attrs(independent=1))
    assert diagnostics.registered()["held_out_chains"].ask("held_out_chains", asked, {}) is None


@pytest.mark.parametrize(("options", "converged"), [({}, 1), ({"max_steps": 10}, 0.5)])
def test_chains_that_fall_short_get_longer_unless_their_steps_are_given(options, converged):
    """Of the posteriors of a toy half need 40 steps; the draws of the others stay."""
    prior = priors.build({"a": {"type": "normal", "mean": 0, "sd": 1}}, ["a"])
    toy = ToyRatio(1, (1,))
    toy.spec = {"theta_dim": 1, "x_shape": (1,)}
    theta = np.arange(20.0)[:, None]
    sampler = {"name": "samplers_for_tests:Patient", **options}
    posterior = Posterior(toy, prior, {})
    found = rank(posterior, theta, theta.astype(np.float32), seed=1, draws=20, sampler=sampler)
    assert found["converged"].mean() == converged
    drawn = found["mean"].to_numpy()[:, 0]
    assert set(drawn[:10].round()) == {1}
    assert set(drawn[10:].round()) == {4 if converged == 1 else 1}

"""Summaries and R-hat on draws whose answers are known."""

import numpy as np
import pytest
import synthetic

from sbi_pipeline.diagnostics import convergence
from sbi_pipeline.diagnostics.sampling import SAMPLING


def test_summary_recovers_the_exact_posterior():
    table = convergence.summary(synthetic.posterior(), truth={"mass": 1.1}).set_index("parameter")
    mean = synthetic.SHRINK * [1.0, 0.3]
    assert list(table.index) == ["mass", "spin", "total"]
    for i, name in enumerate(synthetic.NAMES):
        row = table.loc[name]
        assert abs(row["mean"] - mean[i]) < 5 * row["mcse_mean"]
        assert row["sd"] == pytest.approx(synthetic.EXACT_SD[i], rel=0.05)
        assert row["q95"] - row["q05"] == pytest.approx(2 * 1.645 * row["sd"], rel=0.05)
        assert row["sd_ratio"] == pytest.approx(np.sqrt(1 - synthetic.SHRINK[i]), rel=0.1)
        gained = -0.5 * np.log(1 - synthetic.SHRINK[i]) - synthetic.SHRINK[i] / 2
        gained += mean[i] ** 2 / (2 * synthetic.PRIOR_SD[i] ** 2)
        assert row["kl_nats"] == pytest.approx(gained, abs=0.06)
        assert row["ess_bulk"] == pytest.approx(4800, rel=0.15)
        assert 0.99 < row["r_hat"] < 1.01
    assert table.loc["mass", "truth"] == 1.1
    assert np.isnan(table.loc["spin", "truth"])
    assert table.loc["mass", "unit"] == r"$M_\odot$"
    assert table.loc["mass", "autocorrelation_time"] == 3.0
    assert table.loc["mass", "acceptance"] == pytest.approx(0.4)
    assert np.isnan(table.loc["total", "autocorrelation_time"])
    assert table.loc["total", "derived"] == "mass + spin"


def test_truths_of_derived_parameters_follow():
    whole = convergence.summary(synthetic.posterior(), truth={"mass": 1.1, "spin": 0.2})
    assert whole.set_index("parameter").loc["total", "truth"] == pytest.approx(1.3)
    part = convergence.summary(synthetic.posterior(), truth={"mass": 1.1})
    assert np.isnan(part.set_index("parameter").loc["total", "truth"])


def test_draws_at_the_edge_of_the_prior_are_counted():
    tree = synthetic.posterior()
    assert (convergence.summary(tree)["at_edge"] < 0.02).all()
    tree["prior/mass"] = tree["prior/mass"] * 0.1
    table = convergence.summary(tree).set_index("parameter")
    assert table.loc["mass", "at_edge"] > 0.5
    assert table.loc["spin", "at_edge"] < 0.02
    del tree["prior"]
    assert convergence.summary(tree)[["prior_mean", "prior_sd", "at_edge"]].isna().all(axis=None)


def test_independent_draws_have_no_r_hat():
    table = convergence.summary(synthetic.posterior(method="npe"))
    assert table["r_hat"].isna().all()
    assert table["acceptance"].isna().all()
    assert (table["ess_bulk"] > 4000).all()


def test_r_hat_sees_ensembles_that_disagree():
    table = convergence.summary(synthetic.posterior(apart=1.0))
    assert (table["r_hat"] > 1.1).all()


def test_r_hat_compares_ensembles_not_walkers():
    """Walkers stuck apart inside each ensemble: per-walker R-hat is huge, across ensembles fine."""
    tree = synthetic.posterior()
    offset = np.tile(np.linspace(-3, 3, 8), 2)[:, None]
    tree["posterior/mass"] = tree["posterior/mass"] + offset
    values = tree["posterior/mass"].to_numpy()
    assert convergence.r_hat(values) > 1.5
    assert convergence.r_hat(convergence.ensembles(tree, "mass")) < 1.01


def test_ensembles_are_ordered_by_step_then_walker():
    tree = synthetic.posterior(walkers=4, steps=5)
    chains = convergence.ensembles(tree, "spin")
    values = tree["posterior/spin"].to_numpy()
    assert chains.shape == (2, 10)
    np.testing.assert_array_equal(chains[0, :4], [*values[:2, 0], *values[:2, 1]])


def test_r_hat_sees_a_drifting_chain():
    drift = np.linspace(0, 5, 400)
    draws = np.random.default_rng(0).normal(size=(2, 400))
    assert convergence.r_hat(draws) < 1.02
    assert convergence.r_hat(draws + drift) > 1.2


def test_ensembles_of_different_size_are_refused():
    tree = synthetic.posterior(walkers=4)
    labels = ("chain", [0, 0, 0, 1])
    tree["sample_stats"] = tree["sample_stats"].to_dataset().assign_coords(ensemble=labels)
    with pytest.raises(ValueError, match="as many walkers"):
        convergence.ensembles(tree, "mass")


def test_the_divergence_of_equal_draws_is_none_and_of_discrete_ones_unknown():
    rng = np.random.default_rng(0)
    for draw in (rng.normal, rng.random):
        assert convergence.divergence(draw(size=10_000), draw(size=4_000)) == pytest.approx(
            0.0, abs=0.05
        )
    coins = rng.integers(0, 2, size=4000).astype(float)
    assert np.isnan(convergence.divergence(coins, coins))
    assert np.isnan(convergence.divergence(coins, np.empty(0)))


def test_the_divergence_of_a_narrow_posterior_is_its_logarithm():
    rng = np.random.default_rng(1)
    drawn = 0.3 + 0.001 * rng.random(5000)
    assert convergence.divergence(drawn, rng.random(4000)) == pytest.approx(np.log(1000), rel=0.05)


def test_rare_visits_to_the_middle_show_in_quantiles_alone():
    """Chains that seldom pass from a mode in the middle to two beside it, between which they jump.

    Ranks are 0 on average in the middle and outside, so that the bulk sees no time that is long.
    """
    rng = np.random.default_rng(0)
    outside = np.empty((16, 1000), bool)
    outside[:, 0] = rng.random(16) < 0.6
    for step in range(1, 1000):
        luck, stays = rng.random(16), outside[:, step - 1]
        outside[:, step] = np.where(stays, luck > 0.005 * 0.4 / 0.6, luck < 0.005)
    side = rng.choice([-4, 4], size=outside.shape)
    chains = outside * side + rng.normal(size=outside.shape)
    tree = synthetic.posterior(steps=1000)
    tree["posterior/mass"] = tree["posterior/mass"] * 0 + chains
    row = convergence.summary(tree).set_index("parameter").loc["mass"]
    assert min(row["ess_bulk"], row["ess_tail"]) > 1000
    assert row["ess_least"] < 400
    judged = {check.name: check for check in SAMPLING.ask("", synthetic.sampled(tree), {}).checks}
    assert judged["effective draws"].status == "warn"


def test_independent_draws_are_all_effective():
    sizes = [
        convergence.least_effective(np.random.default_rng(seed).normal(size=(4, 1000)))
        for seed in range(50)
    ]
    assert np.mean(np.array(sizes) > 0.75 * 4000) >= 0.95

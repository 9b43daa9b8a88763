"""Periodic parameters: what is told of draws of them, drawn, and judged; and what samplers do."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import special, stats

from sbi_pipeline import estimators, priors, samplers
from sbi_pipeline.diagnostics.convergence import summary
from sbi_pipeline.diagnostics.prior_edge import measure_prior_edge
from sbi_pipeline.diagnostics.ranks import uncut
from sbi_pipeline.plots.posterior import circles_of, corner_overlay, prior_to_posterior
from sbi_pipeline.priors import circles
from sbi_pipeline.priors.boxes import truncated
from sbi_pipeline.sampled_posteriors import SampledPosterior
from sbi_pipeline.samplers.turning import Cuts, cuts_of
from sbi_pipeline.summaries import of_parameters

PERIOD = (0.0, 2 * np.pi)
PHASE = {"type": "uniform", "min": 0, "max": "2 * pi", "periodic": True}


def at_the_cut(n: int = 4000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.02, 0.1, n) % (2 * np.pi)


def tree(draws: np.ndarray) -> xr.DataTree:
    values = {"phase": draws.reshape(4, -1), "size": draws.reshape(4, -1) ** 2}
    posterior = xr.Dataset({name: (("chain", "draw"), each) for name, each in values.items()})
    posterior["phase"].attrs |= {"period": list(PERIOD), "label": "phase"}
    prior = np.random.default_rng(1).uniform(*PERIOD, (1, 4000))
    before = {"phase": (("chain", "draw"), prior), "size": (("chain", "draw"), prior**2)}
    stats_ = xr.Dataset(coords={"chain": np.arange(4), "parameter": ["phase", "size"]})
    groups = {"posterior": posterior, "prior": xr.Dataset(before), "sample_stats": stats_}
    return xr.DataTree.from_dict(groups)


def test_moments_know_no_ends() -> None:
    draws = at_the_cut()
    mean, sd = circles.circular_mean(draws, PERIOD), circles.circular_sd(draws, PERIOD)
    assert mean == pytest.approx(stats.circmean(draws), abs=1e-12)
    assert sd == pytest.approx(stats.circstd(draws), rel=1e-9)
    degrees = circles.circular_sd(np.degrees(draws) - 180, (-180, 180))
    assert degrees == pytest.approx(np.degrees(sd), rel=1e-9)


def test_the_summary_is_of_a_circle_and_says_so() -> None:
    row = summary(tree(at_the_cut())).set_index("parameter").loc["phase"]
    assert row["mean"] == pytest.approx(0.02, abs=0.01)
    assert row["sd"] == pytest.approx(0.1, rel=0.05)
    assert row["period"] == pytest.approx(2 * np.pi)
    assert row["q05"] == pytest.approx(2 * np.pi + 0.02 - 0.1645, abs=0.02)
    assert row["q95"] == pytest.approx(0.02 + 0.1645, abs=0.02)
    assert row["r_hat"] < 1.01
    assert row["ess_bulk"] > 3000
    assert row["kl_nats"] == pytest.approx(np.log(2 * np.pi) - np.log(0.1) - 1.4189, abs=0.1)
    assert np.isnan(row["at_edge"])


def test_there_is_no_edge_of_a_circle() -> None:
    found = tree(at_the_cut())
    table = summary(found)
    asked = SampledPosterior.__new__(SampledPosterior)
    object.__setattr__(asked, "summary", table[table["parameter"] == "phase"])
    assert measure_prior_edge(asked) is None
    object.__setattr__(asked, "summary", table)
    assert measure_prior_edge(asked) is not None


def test_axes_are_cut_where_draws_are_fewest() -> None:
    found = {"npe": tree(at_the_cut())}
    circle = circles_of(found, ["phase"])["phase"]
    shown = circle.shown(at_the_cut())
    assert np.ptp(shown) < 1
    assert abs(circles.unrolled(circle.centre, PERIOD, 0.02) - 0.02) < 1
    assert circle.tick(-0.1) == f"{2 * np.pi - 0.1:.4g}"
    assert circle.tick(0.0) == "0"
    figure = corner_overlay(found, {"phase": 6.27})
    low, high = figure.axes[0].get_xlim()
    assert high - low < 1.5
    prior_to_posterior(found, {"phase": 6.27})


def test_two_modes_are_not_cut() -> None:
    draws = np.concatenate([at_the_cut(), at_the_cut() + np.pi]) % (2 * np.pi)
    centre = circles.across_the_emptiest(draws, PERIOD)
    shown = circles.unrolled(draws, PERIOD, centre)
    assert np.min(np.abs(shown - centre)) < np.pi
    assert np.mean(np.abs(np.abs(shown - centre) - np.pi) < 0.3) < 0.01


def test_objects_are_told_of_as_on_circles() -> None:
    draws = {"phase": np.stack([at_the_cut(), at_the_cut() + 1])}
    truth = {"phase": np.array([6.27, 1.0])}
    found = of_parameters(draws, truth, np.random.default_rng(0), {"phase": PERIOD})
    np.testing.assert_allclose(found["phase_sd"], 0.1, rtol=0.05)
    np.testing.assert_allclose(found["phase_mean"], [0.02, 1.02], atol=0.01)
    assert found["phase_rank"][0] == pytest.approx(
        stats.norm.cdf((6.27 - 2 * np.pi - 0.02) / 0.1), abs=0.03
    )


def test_ranks_stay_uniform_and_widths_are_those_of_the_circle() -> None:
    rng = np.random.default_rng(3)
    centre = rng.random((2000, 1))
    u = (centre + 0.02 * rng.normal(size=(2000, 100))) % 1
    z = special.ndtri(u)[..., None]
    draws, truth = uncut(z[:, 1:], z[:, 0], [0])
    ranks = (draws[..., 0] < truth).sum(axis=1)
    assert stats.kstest((ranks + rng.random(2000)) / 100, "uniform").pvalue > 1e-3
    np.testing.assert_allclose(draws.std(axis=1), 0.05, atol=0.02)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "normal", "mean": 0, "sd": 1},
        {"type": "uniform", "min": 0, "max": "other"},
        {"type": "integer", "min": 0, "max": 5},
    ],
)
def test_a_circle_wants_two_ends(entry: dict) -> None:
    with pytest.raises(ValueError, match=r"prior of 'phase': periodic wants a continuous prior"):
        priors.parameter("phase", {**entry, "periodic": True})


def test_a_box_that_cuts_a_circle_makes_it_a_line() -> None:
    prior = priors.build({"phase": PHASE}, ["phase"])
    assert circles.periodic_columns(prior) == (0,)
    assert circles.periods_of(prior)["phase"] == pytest.approx(PERIOD)
    assert circles.periodic_columns(truncated(prior, {"phase": (-1.0, 1.0)})) == ()


@pytest.mark.parametrize("method", ["npe", "fmpe"])
def test_a_posterior_is_turned_for_each_data_set(method: str) -> None:
    """Densities stay normalised; draws follow them."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, 2000)
    x = torch.from_numpy(
        np.stack([np.cos(phase), np.sin(phase)], 1) + 0.1 * rng.normal(size=(2000, 2))
    )
    z = torch.from_numpy(special.ndtri(phase / (2 * np.pi)))[:, None].float()
    made = estimators.build(method, z, x, seed=1, periodic=[0], hidden=8)
    assert made.spec["periodic"] == [0]
    u = torch.arange(0.5, 1000) / 1000
    grid = torch.special.ndtri(u.double())[:, None].float()
    for angle in (0.0, 3.0):
        one = torch.tensor([np.cos(angle), np.sin(angle)])
        with torch.no_grad():
            log_q = made.log_prob(grid, one) + 0.5 * grid[:, 0] ** 2 + 0.5 * np.log(2 * np.pi)
            drawn = made.sample(4000, one)[:, 0]
        mass = (log_q.exp() / 1000).numpy()
        assert mass.sum() == pytest.approx(1, abs=0.01)
        places = torch.special.ndtr(drawn.double()).numpy()
        direction = np.angle(np.mean(np.exp(2j * np.pi * places)))
        expected = np.angle(np.sum(mass * np.exp(2j * np.pi * u.numpy())))
        assert np.angle(np.exp(1j * (direction - expected))) == pytest.approx(0, abs=0.1)
        assert np.angle(np.exp(1j * (direction - angle))) == pytest.approx(0, abs=0.3)


def test_chains_are_of_a_circle_cut_where_the_posterior_is_not() -> None:
    """A density at the cut, in five dimensions: one clump in the coordinates of the sampler."""

    def log_density(z: np.ndarray) -> np.ndarray:
        angle = 2 * np.pi * special.ndtr(z[..., 0])
        rest = ((z[..., 1:] - 1) ** 2).sum(-1) / 0.5
        return 100 * np.cos(angle - 0.02) - 0.5 * z[..., 0] ** 2 - rest

    problem = samplers.Problem(log_density=log_density, targets=2, theta_dim=5, seed=1)
    cuts = cuts_of(problem, [0])
    assert np.abs(np.angle(np.exp(2j * np.pi * cuts.centres) * np.exp(-0.02j))).max() < 0.3
    z = np.random.default_rng(0).normal(size=(2, 300, 5))
    np.testing.assert_allclose(cuts.turn_back(cuts.turn(z)), z, atol=1e-9)
    at = cuts.problem(problem).log_density(cuts.turn(z))
    np.testing.assert_allclose(at - cuts.gain(z, cuts.turn(z)), log_density(z), atol=1e-6)
    sampler = samplers.sampler_class("emcee", estimators.traits("nle"))()
    drawn = cuts.undone(sampler(cuts.problem(problem), 4000))
    angle = 2 * np.pi * special.ndtr(drawn.z[..., 0])
    assert circles.circular_mean(angle, PERIOD) == pytest.approx(0.02, abs=0.02)
    assert circles.circular_sd(angle, PERIOD) == pytest.approx(0.1, rel=0.1)
    assert drawn.converged.all()
    np.testing.assert_allclose(
        drawn.log_prob,
        log_density(drawn.z.reshape(2, -1, 5)).reshape(drawn.log_prob.shape),
        atol=1e-6,
    )


def test_cuts_of_some_are_those_of_the_same() -> None:
    cuts = Cuts([1], np.array([[0.1], [0.5], [0.9]]))
    assert cuts.of([2, 0]).centres[:, 0].tolist() == [0.9, 0.1]

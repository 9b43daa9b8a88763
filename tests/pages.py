"""Whole pages of posteriors that are exact: how often do their checks warn of nothing?

theta ~ N(0, 1) in three dimensions, x a series of twenty elements, linear in theta with noise of
one, so that every posterior is normal. All estimators are asked about the same simulations.
"""

import numpy as np
import synthetic
import xarray as xr
from scipy import stats

from sbi_pipeline.diagnostics import convergence
from sbi_pipeline.diagnostics.ranks import normal_scores, tarp_ranks
from sbi_pipeline.diagnostics.statements import statements
from sbi_pipeline.priors import build
from sbi_pipeline.reports.assessment import assess, subjects_of
from sbi_pipeline.sampled_posteriors import ObservedData, SampledPosterior
from sbi_pipeline.storage.reading import View
from sbi_pipeline.subjects import SimulatedRows, beside_each_other

NAMES = ("a", "b", "c")
ELEMENTS = 20
TIME = np.linspace(0, 1, ELEMENTS)
DESIGN = np.stack([np.sin(2 * np.pi * TIME), np.cos(2 * np.pi * TIME), 1 - 2 * TIME], axis=1)
COVARIANCE = np.linalg.inv(np.eye(3) + DESIGN.T @ DESIGN)
PREDICTED = 1000
PRIOR = build({name: {"type": "normal", "mean": 0, "sd": 1} for name in NAMES}, NAMES)


def simulated(rng, theta):
    """Data of parameters ``(n, 3)``."""
    return theta @ DESIGN.T + rng.normal(size=(len(theta), ELEMENTS))


def drawn(rng, x, draws, width):
    """Draws of the posteriors of data ``(n, elements)``, their sds times ``width``."""
    noise = rng.multivariate_normal(np.zeros(3), COVARIANCE, size=(len(x), draws))
    return (x @ DESIGN @ COVARIANCE)[:, None] + width * noise


def calibrated(rng, theta, x, width, draws=99):
    """What an estimator says of held-out simulations."""
    made = drawn(rng, x, draws, width)
    off = theta - x @ DESIGN @ COVARIANCE
    squared = np.einsum("ni,ij,nj->n", off, np.linalg.inv(COVARIANCE), off) / width**2
    log_det = np.linalg.slogdet(COVARIANCE)[1] + 6 * np.log(width)
    outside = (np.abs(made) > stats.norm.isf(0.005)).mean(axis=1)
    dims = ("simulation", "parameter")
    exact, gap = x @ DESIGN @ COVARIANCE, 0.05  # a regression sees all; rows learnt by heart: none
    off_exact = np.einsum("ni,ij,nj->n", off, np.linalg.inv(COVARIANCE), off)
    gain = 0.5 * ((theta**2).sum(axis=1) - off_exact - np.linalg.slogdet(COVARIANCE)[1])
    data = {
        "pulls": (dims, (theta - made.mean(axis=1)) / made.std(axis=1)),
        "normal_truth": (dims, theta),
        "regressed": (dims, exact),
        "regressed_square": (dims, exact**2 + np.diag(COVARIANCE)),
        "regression_gain": ("simulation", gain),
        "ranks": (dims, (made < theta[:, None]).sum(axis=1)),
        "joint_ranks": (("simulation", "quantity"), tarp_ranks(made, theta, rng)[:, None]),
        "scores": (("simulation", "member", "parameter"), normal_scores(made, theta, 4)),
        "said": (("simulation", "statement"), statements(made, PRIOR)),
        "truth": (dims, theta),
        "mean": (dims, made.mean(axis=1)),
        "sd": (dims, made.std(axis=1)),
        "at_edge": ("simulation", outside.max(axis=1)),
        "sd_ratio": (dims, made.std(axis=1) / theta.std(axis=0)),
        "log_prob": ("simulation", -0.5 * (squared + log_det + 3 * np.log(2 * np.pi))),
        "prior_log_prob": ("simulation", -0.5 * (theta**2 + np.log(2 * np.pi)).sum(axis=1)),
    }
    coords = {"parameter": list(NAMES), "quantity": ["TARP"]}
    told = {"draws": draws, "key": "k", "method": "npe"}
    return xr.Dataset(data, coords, {**told, "over_fit": gap * rng.normal(), "over_fit_error": gap})


def of_observation(rng, name, x_o, width, edges):
    """What an estimator says of the observation, and data of one draw of it."""
    draws = drawn(rng, x_o[None], 4000, width)[0]
    columns = {
        each: (("chain", "draw"), draws[None, :, place], {"label": each, "unit": ""})
        for place, each in enumerate(NAMES)
    }
    prior = {each: (("chain", "draw"), rng.normal(size=(1, 2000))) for each in NAMES}
    facts = {"sampler": "direct", "independent": 1, "steps": 4000, "converged": 1}
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(columns),
            "prior": xr.Dataset(prior),
            "sample_stats": xr.Dataset(attrs=facts),
            "observed_data": xr.Dataset({"x": ("x_dim_0", x_o)}),
            "/": xr.Dataset(attrs={"key": "k", "method": "npe", "estimator": name}),
        }
    )
    replicates = simulated(rng, np.repeat(draws[:1], PREDICTED, axis=0))
    data = {
        "x": (("draw", "x_dim_0"), simulated(rng, draws[:PREDICTED])),
        "replicates": (("replicate", "x_dim_0"), replicates),
        "x_o": ("x_dim_0", x_o),
    }
    summary = convergence.summary(tree, {})
    return SampledPosterior(name, "event", tree, summary, xr.Dataset(data), edges)


def page(seed, *, estimators=5, held_out=500, width=1.0):
    """All checks of a campaign of so many exact estimators, or of some whose widths are wrong."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(held_out, 3))
    x = simulated(rng, theta)
    x_o = simulated(rng, rng.normal(size=(1, 3)))[0]
    names = [f"npe {place}" for place in range(1, estimators + 1)]
    trained = beside_each_other(
        [synthetic.estimator(calibrated(rng, theta, x, width), name, prior=PRIOR) for name in names]
    )
    posteriors = {
        each.name: of_observation(rng, each.name, x_o, width, each.edges) for each in trained
    }
    observed = ObservedData("event", "simulated", posteriors, x, list(NAMES), detailed=False)
    view = View(theta, x, np.arange(held_out), NAMES)
    groups = subjects_of(SimulatedRows(10 * held_out, {}), trained, [observed], view)
    return [check for each in assess(groups, {}) for check in each.checks]

"""Every check can fail: a known fault is caught by the check meant for it, the truth passes.

Each fault is repeated with other random numbers: a few times in the quick tests, 200 times in
those of whole studies, where "95 % of repeats" means something. `docs/checks.md` lists what was
measured.
"""

from functools import partial

import faults_events
import faults_refined
import faults_whole
import numpy as np
import pytest
import surveys
import synthetic
import xarray as xr
from faults_near import honest_there, near_the_observation
from samplers_for_tests import emcee
from scipy import stats

from sbi_pipeline.diagnostics.in_distribution import in_distribution
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.diagnostics.sampling import SAMPLING
from sbi_pipeline.posterior import log_normal
from sbi_pipeline.priors import build
from sbi_pipeline.priors.boxes import BoxedPrior
from sbi_pipeline.samplers.draws import labelled

REPEATS = [20, pytest.param(200, marks=[pytest.mark.study, pytest.mark.timeout(3600)])]
N = 500
"""Held-out simulations of a calibration, of which makers take others as ``n``."""
DRAWS = 1000
"""Data sets of one draw of the posterior."""
DAYS = np.arange(120)


def of_estimator(seed, *, n=N, **fault):
    return synthetic.checks_of(synthetic.calibration(n=n, seed=seed, **fault))


def without_a_column(seed, *, n=N):
    """An estimator that does not see the column of one parameter, beside a regression on all."""
    whole, blind = (
        synthetic.calibration(n=n, seed=seed, sees=(True, told)) for told in (True, False)
    )
    seen = ("regressed", "regressed_square", "regression_gain", "normal_truth")
    return synthetic.checks_of(blind.assign({name: whole[name] for name in seen}))


def of_ranks(truth, drawn):
    """Checks of one parameter from its truths, ``(n,)``, and draws, ``(n, draws)``."""
    ranks = (drawn < truth[:, None]).sum(axis=1, keepdims=True)
    data = xr.Dataset(
        {"ranks": (("simulation", "parameter"), ranks)},
        {"parameter": ["theta"]},
        {"draws": drawn.shape[1]},
    )
    return [synthetic.asked(name, data) for name in ("calibration", "probability_plot", "coverage")]


def two_modes(seed, *, n=N, lost=False, draws=99):
    """theta ~ N(0, 2), x = |theta| + noise: two modes, of which an estimator may know only one."""
    rng = np.random.default_rng(seed)
    truth = 2 * rng.normal(size=n)
    x = np.abs(truth) + 0.2 * rng.normal(size=n)
    # |theta| given x is a normal cut at 0; the sign is anyone's guess.
    shrink = 4 / 4.04
    mean, sd = (shrink * x)[:, None], 0.2 * np.sqrt(shrink)
    size = stats.truncnorm.ppf(rng.random((n, draws)), -mean / sd, np.inf, mean, sd)
    sign = 1 if lost else rng.choice([-1, 1], size=(n, draws))
    return of_ranks(truth, sign * size)


def shared_nuisance(seed, *, n=N, per_event=False, draws=99, events=10):
    """x_j = theta + b + noise_j with one b for all events; or, wrongly, one for each."""
    rng = np.random.default_rng(seed)
    prior_sd, shared_sd, noise_sd = 3.0, 1.0, 1.0
    truth = prior_sd * rng.normal(size=n)
    error = shared_sd * rng.normal(size=n) + rng.normal(size=n) * noise_sd / events**0.5
    variance = shared_sd**2 + noise_sd**2 / events
    if per_event:
        variance = (shared_sd**2 + noise_sd**2) / events
    shrink = prior_sd**2 / (prior_sd**2 + variance)
    scatter = np.sqrt(variance * shrink) * rng.normal(size=(n, draws))
    return of_ranks(truth, shrink * (truth + error)[:, None] + scatter)


def within_a_box(seed, *, n=N, width=1.0, shift=0.0, draws=99):
    """theta of a box of its prior, seen through noise."""
    rng = np.random.default_rng(seed)
    faces, noise = (0.5, 0.7), 0.1  # the posteriors reach the faces
    prior = BoxedPrior(
        build({"theta": {"type": "normal", "mean": 0, "sd": 1}}, ("theta",)), {"theta": faces}
    )
    truth = prior.from_uniform(rng.random((n, 1)))[:, 0]
    x = truth + noise * rng.normal(size=n)
    sd = noise / np.sqrt(1 + noise**2)
    mean, sd = (x * sd**2 / noise**2 + shift * sd)[:, None], width * sd
    low, high = ((face - mean) / sd for face in faces)
    return of_ranks(truth, stats.truncnorm.ppf(rng.random((n, draws)), low, high, mean, sd))


def chain(seed, *, steps=2000):
    """A real chain on a normal of two dimensions."""
    drawn = emcee(log_normal, 1, 2, 4000, seed=seed, max_steps=steps, walkers=16, ess=400)
    prior = build({name: {"type": "normal", "mean": 0, "sd": 1} for name in "ab"}, ("a", "b"))
    tree = labelled(
        drawn,
        0,
        prior,
        x_o=np.zeros(1),
        prior_draws=np.zeros((9, 2)),
        derived={},
        texts={},
        attrs={},
    )
    return SAMPLING.ask("sampling", synthetic.sampled(tree), {}).checks


def observation(seed, *, noise=1.0, bump=0.0):
    """An observation of a wave of uncertain amplitude, among data of one draw of its posterior."""
    rng = np.random.default_rng(seed)
    amplitude = rng.normal(5, 0.2, size=(DRAWS + 1, 1))
    wave = np.sin(DAYS / 8)
    x = amplitude * wave + rng.normal(size=(DRAWS + 1, DAYS.size))
    x_o = x[0] + np.sqrt(noise**2 - 1) * rng.normal(size=DAYS.size)
    x_o += bump * np.exp(-0.5 * ((DAYS - 40) / 2) ** 2)
    variance = 1 / (1 / 0.2**2 + wave @ wave)
    draw = rng.normal(variance * (5 / 0.2**2 + wave @ x_o), variance**0.5)
    replicates = draw * wave + rng.normal(size=(DRAWS, DAYS.size))
    return [
        synthetic.judged("predictive", typicality(replicates, x_o), "npe"),
        synthetic.judged("in_distribution", in_distribution(x[1:], x_o), "event"),
    ]


def catalogue(seed, **fault):
    """What an estimator says of 1 000 objects."""
    return surveys.checks_of(surveys.population(1000, seed, **fault))


FAULTS = {
    "posterior sd x 0.5": (
        of_estimator,
        {"width": 0.5},
        {"calibration", "coverage", "P-P", "TARP"},
    ),
    "posterior sd x 2": (of_estimator, {"width": 2.0}, {"calibration", "coverage", "P-P", "TARP"}),
    "mean shifted by 0.5 sd": (of_estimator, {"shift": 0.5}, {"calibration", "P-P"}),
    "two parameters swapped": (
        of_estimator,
        {"swap": True},
        {"calibration", "coverage", "parameter order"},
    ),
    "posterior = prior": (
        of_estimator,
        {"prior_only": True},
        {"information", "lost information"},
    ),
    "a column lost": (without_a_column, {}, {"information", "lost information"}),
    "0.8 nats learnt by heart": (of_estimator, {"over_fit": 0.8}, {"lost information"}),
    "one mode lost": (two_modes, {"lost": True}, {"calibration", "coverage", "P-P"}),
    "shared nuisance taken for one per event": (
        shared_nuisance,
        {"per_event": True},
        {"calibration", "coverage", "P-P"},
    ),
    "within a box, sd x 0.5": (within_a_box, {"width": 0.5}, {"calibration", "coverage", "P-P"}),
    "within a box, mean shifted by 1 sd": (within_a_box, {"shift": 1.0}, {"calibration", "P-P"}),
    "width x 0.5 near the observation": (
        near_the_observation,
        {"near": 0.5, "n": 500},
        {"local calibration"},
    ),
    "width x 0.6 near the observation, x 1.06 elsewhere, 50 elements": (
        near_the_observation,
        {"near": 0.6, "far": 1.06},
        {"local calibration"},
    ),
    "the same of 200 elements": (
        near_the_observation,
        {"near": 0.6, "far": 1.06, "elements": 200},
        {"local calibration"},
    ),
    "the same of 200 elements and five parameters": (
        near_the_observation,
        {"near": 0.6, "far": 1.06, "elements": 200, "parameters": 5},
        {"local calibration"},
    ),
    "posterior SBC: width x 0.7 near the observation": (
        honest_there,
        {"near": 0.7},
        {"posterior SBC"},
    ),
    "posterior SBC: mean off by 0.5 sd near the observation": (
        honest_there,
        {"shift": 0.5},
        {"posterior SBC"},
    ),
    "an observation that nothing is near": (
        near_the_observation,
        {"at": 4.0},
        {"local calibration"},
    ),
    "chain stopped at 20 steps": (chain, {"steps": 20}, {"chain length", "effective draws"}),
    "noise x 1.5 in the observation": (observation, {"noise": 1.5}, {"predictive"}),
    "a component missing from the simulator": (observation, {"bump": 6.0}, {"predictive"}),
    "5 % of 1 000 objects are outliers": (
        catalogue,
        {"outliers": 0.05},
        {"objects in distribution", "objects predicted"},
    ),
    "biased NLE behind good weights": (faults_refined.refined, {"bias": 0.5}, {"calibration"}),
    "sd of 1 000 objects x 1.3": (catalogue, {"width": 1.3}, {"coverage of truths"}),
    "means of 1 000 objects off by 0.2 sd": (catalogue, {"shift": 0.2}, {"mean pull"}),
    **faults_events.FAULTS,
    **faults_whole.FAULTS,
}
TRUTHS = {
    "estimator": of_estimator,
    "two modes": two_modes,
    "shared nuisance": shared_nuisance,
    "within a box": within_a_box,
    "near the observation": near_the_observation,
    "posterior SBC": honest_there,
    "chain": chain,
    "observation": observation,
    "catalogue of 1 000": catalogue,
    "recalibrated": partial(faults_refined.corrected, width=0.7, shift=0.3),
    "refined": faults_refined.refined,
    "refined, from few draws that count": faults_refined.from_few,
    **faults_events.TRUTHS,
    **faults_whole.TRUTHS,
}


# A walker that never moved in 20 steps has no autocorrelation.
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning:emcee")
@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught(name, repeats):
    make, fault, meant = FAULTS[name]
    caught = dict.fromkeys(meant, 0)
    for seed in range(repeats):
        for check in make(seed, **fault):
            if check.name in meant:
                caught[check.name] += check.status != "pass"
    assert all(count >= 0.95 * repeats for count in caught.values()), caught


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("name", TRUTHS)
def test_the_truth_passes(name, repeats):
    passed = sum(
        all(check.status == "pass" for check in TRUTHS[name](seed)) for seed in range(repeats)
    )
    assert passed >= 0.95 * repeats


@pytest.mark.parametrize("repeats", REPEATS)
def test_data_that_say_nothing_are_no_fault(repeats):
    """The posterior is the prior, and right: that it says nothing is told, and nothing fails."""
    meant = {"information": "warn", "lost information": "pass"}
    told = 0
    for seed in range(repeats):
        found = {check.name: check.status for check in of_estimator(seed, sees=(False, False))}
        told += found == found | meant and "fail" not in found.values()
    assert told >= 0.95 * repeats


@pytest.mark.slow
def test_data_that_say_nothing_warn_of_nothing_else():
    """Not asked of 20 repeats: each of these checks warns by chance in one of a few hundred."""
    clean = 0
    for seed in range(200):
        checks = of_estimator(seed, sees=(False, False))
        clean += {check.name for check in checks if check.status != "pass"} == {"information"}
    assert clean >= 0.95 * 200


def test_a_fault_is_said_in_words():
    wrong = {check.name: check.advice for check in shared_nuisance(0, per_event=True)}
    assert "error bars are too narrow;" in wrong["coverage"]
    (near,) = near_the_observation(0, near=0.5)
    assert near.advice.startswith("For data like the observation the width of theta_")

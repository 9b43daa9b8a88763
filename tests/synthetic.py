"""Synthetic posteriors and calibrations with known answers, healthy or broken on purpose.

The model is conjugate: theta_i ~ N(0, prior_sd_i^2), x_i = theta_i + N(0, noise_i^2), so the exact
posterior is N(shrink x, prior_sd^2 (1 - shrink)) with shrink = prior_sd^2 / (prior_sd^2 + noise^2).
"""

import numpy as np
import pandas as pd
import xarray as xr

from sbi_pipeline import diagnostics, priors
from sbi_pipeline.comparison.asked import AskedClassifier, AskedObservation, by_evidence
from sbi_pipeline.comparison.probabilities import ComparedModels
from sbi_pipeline.comparison.weighed import Evidence
from sbi_pipeline.diagnostics import convergence
from sbi_pipeline.diagnostics.accumulation import measure_accumulation
from sbi_pipeline.diagnostics.ranks import normal_scores, tarp_ranks
from sbi_pipeline.diagnostics.statements import statements
from sbi_pipeline.priors.boxes import BoxedPrior
from sbi_pipeline.rounds import DescribedRound, SimulatedRounds
from sbi_pipeline.sampled_posteriors import ManyEvents, SampledPosterior
from sbi_pipeline.study import thresholds
from sbi_pipeline.study.binding import Binding
from sbi_pipeline.study.files import Written
from sbi_pipeline.subjects import Nuisances, TrainedEstimator

NAMES = ("mass", "spin")
LABELS = {"mass": ("$M$", r"$M_\odot$"), "spin": (r"$\chi$", "")}
PRIOR_SD = np.array([2.0, 1.0])
NOISE = np.array([0.5, 0.6])
SHRINK = PRIOR_SD**2 / (PRIOR_SD**2 + NOISE**2)
EXACT_SD = PRIOR_SD * np.sqrt(1 - SHRINK)
ENTRIES = dict(
    zip(NAMES, ({"type": "normal", "mean": 0, "sd": sd} for sd in PRIOR_SD), strict=True)
)
PRIOR = priors.build(ENTRIES, NAMES)


def calibration(
    n=600,
    draws=99,
    seed=0,
    *,
    width=1.0,
    shift=0.0,
    swap=False,
    prior_only=False,
    density=True,
    sees=(True, True),
    over_fit=0.0,
):
    """A calibration dataset of the exact posterior, or of one with a known fault.

    ``sees`` says of which parameters the data tell anything; the regression beside it is exact.
    """
    rng = np.random.default_rng(seed)
    truth = PRIOR_SD * rng.normal(size=(n, 2))
    told = np.where(sees, truth, PRIOR_SD * rng.normal(size=(n, 2)))
    x = told + NOISE * rng.normal(size=(n, 2))
    best = np.where(sees, SHRINK * x, 0.0), np.where(sees, EXACT_SD, PRIOR_SD)
    mean, sd = best[0] + shift * best[1], np.broadcast_to(width * best[1], x.shape)
    if prior_only:
        mean, sd = np.zeros_like(x), np.broadcast_to(PRIOR_SD, x.shape)
    if swap:
        mean, sd = mean[:, ::-1], sd[:, ::-1]
    drawn = mean[:, None] + sd[:, None] * rng.normal(size=(n, draws, 2))
    tarp = tarp_ranks(drawn / PRIOR_SD, truth / PRIOR_SD, rng)
    log_prob = _normal(truth, mean, sd) if density else np.full(n, np.nan)
    dims = ("simulation", "parameter")
    return xr.Dataset(
        {
            "ranks": (dims, (drawn < truth[:, None]).sum(axis=1)),
            "joint_ranks": (("simulation", "quantity"), tarp[:, None]),
            "scores": (("simulation", "member", "parameter"), normal_scores(drawn, truth, 4)),
            "said": (("simulation", "statement"), statements(drawn / PRIOR_SD, PRIOR)),
            "x": (dims, x),
            "truth": (dims, truth),
            "mean": (dims, mean),
            "sd": (dims, sd.copy()),
            "sd_ratio": (dims, sd / truth.std(axis=0)),
            "pulls": (dims, (truth - mean) / sd),
            "normal_truth": (dims, truth / PRIOR_SD),
            "regressed": (dims, best[0] / PRIOR_SD),
            "regressed_square": (dims, (best[0] ** 2 + best[1] ** 2) / PRIOR_SD**2),
            "regression_gain": (
                "simulation",
                _normal(truth, *best) - _normal(truth, 0.0, PRIOR_SD),
            ),
            "log_prob": ("simulation", log_prob),
            "prior_log_prob": ("simulation", _normal(truth, 0.0, PRIOR_SD)),
        },
        coords={"parameter": list(NAMES), "quantity": ["TARP"]},
        attrs={
            **{"draws": draws, "key": "k", "method": "npe"},
            **{"over_fit": over_fit, "over_fit_error": 0.03},
        },
    )


def judged(name, found, subject="npe", **limits):
    """The checks that a diagnostic makes of what was measured: one, or a list."""
    return diagnostics.registered()[name].judge(found, subject, **limits)


def estimator(data, name="npe", **told):
    """A trained estimator with this calibration dataset, or None."""
    return TrainedEstimator(name, name, history(), data, **{"prior": PRIOR, **told})


def asked(name, data, **limits):
    """The one check that a diagnostic makes of an estimator with this calibration dataset."""
    (check,) = diagnostics.registered()[name].ask(name, estimator(data), limits).checks
    return check


def checks_of(data):
    """Every check of one estimator that asks its calibration alone."""
    known = diagnostics.registered().items()
    names = [name for name, each in known if each.of is TrainedEstimator]
    others = (
        *("training", "modelled_failures", "rows", "screening"),
        *("missing_elements", "held_out_chains", "held_out_weights"),
    )
    alone = [name for name in names if name not in others]
    return [asked(name, data) for name in alone]


def sampled(tree, name="nle", observation="event", truth=None, predictive=None, sbc=None):
    """A posterior with its summary, as a diagnostic is asked of it."""
    table = convergence.summary(tree, truth)
    return SampledPosterior(name, observation, tree, table, predictive, sbc=sbc)


def posterior(seed=0, *, method="nle", walkers=16, steps=300, shift=0.0, width=1.0, apart=0.0):
    """A posterior tree of x = (1, 0.3): emcee with two ensembles for nle, direct for npe.

    ``apart`` moves the second ensemble by so many posterior sds: chains that disagree.
    """
    rng = np.random.default_rng(seed)
    mean = SHRINK * np.array([1.0, 0.3]) + shift * EXACT_SD
    mcmc = method == "nle"
    shape = (walkers, steps) if mcmc else (1, walkers * steps)
    ensemble = np.arange(shape[0]) // max(1, walkers // 2)
    draws = mean + width * EXACT_SD * rng.normal(size=(*shape, 2))
    if mcmc:
        draws = draws + apart * EXACT_SD * ensemble[:, None, None]
    prior = PRIOR_SD * rng.normal(size=(1, 2000, 2))
    stats = xr.Dataset(
        {"lp": (("chain", "draw"), _normal(draws, mean, EXACT_SD))},
        attrs={
            "sampler": "emcee" if mcmc else "direct",
            "independent": int(not mcmc),
            "steps": steps,
            "converged": 1,
        },
    )
    if mcmc:
        stats = stats.assign(
            acceptance_rate=("chain", np.full(walkers, 0.4)),
            autocorrelation_time=("parameter", [3.0, 4.0]),
        ).assign_coords(ensemble=("chain", ensemble), parameter=list(NAMES))
    return xr.DataTree.from_dict(
        {
            "posterior": _variables(draws),
            "prior": _variables(prior),
            "sample_stats": stats,
            "observed_data": xr.Dataset({"x": ("x_dim_0", [1.0, 0.3])}),
            "/": xr.Dataset(attrs={"key": "k", "method": method, "estimator": method}),
        }
    )


def rounds(*, width=4.0, moved=0.0, truth=(1.0, 0.3), widening=1.0, missed=0):
    """Three rounds about x = (1, 0.3), whose boxes reach so many posterior sds to each side."""
    whole = PRIOR
    mean = SHRINK * np.array([1.0, 0.3])
    made = [whole]
    for reach in (2 * width, width):
        ends = np.stack([mean - reach * EXACT_SD, mean + reach * EXACT_SD]) / PRIOR_SD
        faces = dict(zip(NAMES, ends.T.tolist(), strict=True))
        made.append(BoxedPrior(whole, faces))
    found = {"widening": dict.fromkeys(NAMES, widening), "near": 100, "missed": missed}
    found["beyond"] = {}
    last = posterior(3, shift=moved)
    return SimulatedRounds(
        observation="event",
        estimator="nle",
        rounds=[DescribedRound(n, 1000, 1000 - 100 * n, each) for n, each in enumerate(made, 1)],
        boxes=[found, found],
        earlier=[posterior(1, width=1.2), posterior(2)],
        last={"nle": sampled(last, truth=dict(zip(NAMES, truth, strict=True)))},
        mass=1e-4,
    )


def history(epochs=40, best=30):
    """A training history whose validation loss is lowest at ``best``."""
    epoch = np.arange(1, epochs + 1)
    train = 2 * np.exp(-epoch / 8) - 1
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": train,
            "validation_loss": train + 0.05 + 0.0004 * (epoch - best) ** 2,
            "learning_rate": np.full(epochs, 1e-3),
            "seconds": epoch * 0.5,
        }
    )


def _variables(draws):
    """Label draws, ``(chain, draw, 2)``, and derive their sum."""
    columns = {
        name: (
            ("chain", "draw"),
            draws[..., i],
            dict(zip(("label", "unit"), LABELS[name], strict=True)),
        )
        for i, name in enumerate(NAMES)
    }
    columns["total"] = (
        ("chain", "draw"),
        draws.sum(-1),
        {"label": r"$M + \chi$", "unit": "", "derived": "mass + spin"},
    )
    return xr.Dataset(columns)


def _normal(value, mean, sd):
    """Log density of independent normals, summed over the last axis."""
    return (-0.5 * ((value - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)).sum(-1)


def predictive(seed=0, elements=14):
    """A predictive dataset whose observation is one more draw, of many and of one."""
    rng = np.random.default_rng(seed)
    day = np.arange(1, elements + 1)
    mean = 250 * np.exp(-0.5 * ((day - 7) / 2.4) ** 2)
    data = rng.poisson(mean * rng.gamma(20, 1 / 20, (501, elements)))
    coords = {"x_dim_0": ("x_dim_0", day, {"label": "day"})}
    observed = xr.DataArray(data[0], coords, ("x_dim_0",), attrs={"label": "boys in bed"})
    halves = {"x": "draw", "replicates": "replicate"}
    made = {name: ((each, "x_dim_0"), data[1:]) for name, each in halves.items()}
    return xr.Dataset({**made, "x_o": observed})


def with_scores(data, events=200, n=2000):
    """Predictions with scores of events, as an honest likelihood of so many has them."""
    score = np.random.default_rng(7).normal(size=(n, 2)) / np.sqrt(events)
    dims = ("event", "direction", "other_direction")
    return data.assign(
        event_score=(dims[:2], score),
        event_curvature=(dims, np.tile(np.eye(2) / events, (n, 1, 1))),
        event_prior=(dims[1:], np.zeros((2, 2))),
    )


def of_events(posterior):
    """What is measured of errors that add up over the events of a posterior."""
    return measure_accumulation(ManyEvents(estimator(calibration(n=50), "nle"), posterior))


def nuisances(n=500, draws=200, shift=0.0):
    """What was learnt of two nuisances, as its ranks tell; ``shift`` moves them all."""
    rng = np.random.default_rng(3)
    ranks = np.clip(rng.integers(draws + 1, size=(n, 2)) + shift * draws, 0, draws)
    data = {
        "ranks": (("simulation", "parameter"), ranks.astype(int)),
        "joint_ranks": (("simulation", "quantity"), rng.integers(draws + 1, size=(n, 1))),
    }
    coords = {"parameter": ["flat", "steep"], "quantity": ["TARP"]}
    return Nuisances(xr.Dataset(data, coords, {"draws": draws, "seconds": 1.0, "problem": ""}))


def bind_thresholds(given):
    """Bind thresholds to the diagnostics; a ValueError says what is wrong."""
    binding = Binding()
    thresholds.bind_thresholds(binding, given)
    if binding.problems:
        raise ValueError("\n".join(problem.line(Written({})) for problem in binding.problems))


MODELS = ("one", "two")


def asked_classifier(n=2000, seed=0):
    """A classifier of two normal distributions whose probabilities are right."""
    rng = np.random.default_rng(seed)
    model = np.arange(n) % 2
    log_odds = 2 * (rng.normal(size=n) + model) - 1
    log_p = -np.logaddexp(0, np.column_stack([log_odds, -log_odds]))
    return AskedClassifier(MODELS, log_p, model)


def asked_observation(seed=0):
    """An observation of the second of two models, which both ways favour alike."""
    rng = np.random.default_rng(seed)
    held_out = asked_classifier()
    evidence = {
        label: Evidence(value, 0.01, 0.0, 0.1, 5000.0, 0.001, np.array([0.1]))
        for label, value in zip(MODELS, (-6.0, -5.0), strict=True)
    }
    odds = np.zeros(2)
    compared, taken = by_evidence(MODELS, {"exact": evidence}, odds, np.zeros(2))
    return AskedObservation(
        name="event",
        labels=MODELS,
        x=np.array([0.5, 0.7, 0.2]),
        evidences={"exact": evidence},
        by_evidence=compared,
        by_classifier=ComparedModels(MODELS, np.array([-0.5, 0.6]), 0.01 * np.eye(2), odds, 6.0),
        taken=taken,
        simulated=[rng.normal(size=(1000, 3)) + k for k in (0, 1)],
        simulated_known=None,
        missing=None,
        near=held_out.log_p[:300],
        near_model=held_out.model[:300],
    )

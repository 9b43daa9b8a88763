"""Log Bayes factors of nested linear Gaussians, with their errors, against closed forms.

One classifier errs alike for data sets that are alike, so that the mean of its squared pulls over
200 of them scatters about 1 more than that of independent ones: 0.4 to 1.7 were found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models_for_tests import Campaign, half_of_each, learnt, nested
from simulated_models import Nested, log_normal

from sbi_pipeline.comparison import evidence as evidence_module
from sbi_pipeline.comparison.evidence import evidence_of
from sbi_pipeline.comparison.likelihoods import exact_target
from sbi_pipeline.conditions import conditions_in
from sbi_pipeline.samplers import scouting
from sbi_pipeline.types import Array

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DATA_SETS = 200
FEWEST, MOST = 0.2, 2.2
"""Of mean squared pulls."""


def check(value: Array, error: Array, truth: Array, most: float = np.inf) -> None:
    """Hold log Bayes factors against the true ones, where rows can tell these."""
    near = np.abs(truth) < most - np.log(10)
    assert near.mean() > 0.7
    pull = ((value - truth) / error)[near]
    told = {
        "mean square": np.mean(pull**2),
        "within 3": np.mean(np.abs(pull) < 3),
        "error": np.sqrt(np.mean(error[near] ** 2)),
    }
    assert told["within 3"] >= 0.98, told
    assert FEWEST < told["mean square"] < MOST, told
    assert told["error"] < 0.5, told


def closed(campaign: Campaign) -> Nested:
    simulator = campaign.model.build_simulator()
    assert isinstance(simulator, Nested)
    return simulator


# Evidences of the exact likelihood ----------------------------------------------------------------


@pytest.mark.parametrize("nuisances", [0, 100])
def test_evidences_of_the_exact_likelihood(nuisances: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_module, "LOOKED", 2000)
    monkeypatch.setattr(evidence_module, "DRAWS", 1000)
    monkeypatch.setattr(scouting, "SCOUTS", 8)
    campaigns = [nested(dim, seed=dim, nuisances=nuisances) for dim in (1, 2)]
    x, _ = half_of_each(campaigns, DATA_SETS, seed=5)
    value, error = (
        np.array(each).T for each in zip(*(_evidences(one, x) for one in campaigns), strict=True)
    )
    truth = [closed(one).log_evidence(x) for one in campaigns]
    check(value[:, 1] - value[:, 0], np.hypot(*error.T), truth[1] - truth[0])


def _evidences(campaign: Campaign, x: Array) -> tuple[list[float], list[float]]:
    simulator, rng = closed(campaign), np.random.default_rng(1)
    names, dim = campaign.inferred, len(campaign.inferred)
    prior, every = campaign.model.build_prior().keep(tuple(names)), len(campaign.model.parameters)
    values, errors = [], []
    for seed, x_o in enumerate(x):
        mean, covariance = simulator.posterior(x_o, np.zeros(every), np.eye(every))
        theta = rng.multivariate_normal(mean[:dim], covariance[:dim, :dim], 500)
        target = exact_target(campaign.model, prior, theta, x_o, {}, {}, 1, rng)
        found = evidence_of(target, seed, exact=True)
        values.append(found.log_evidence)
        errors.append(found.error)
    return values, errors


# The classifier -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Campaigns of both models, and what is compared.

    Attributes:
        campaigns: The simpler model first.
        network: Options of the classifier.
        known: What is known of data sets, from a generator, ``(n, known)``.
    """

    campaigns: tuple[Campaign, Campaign]
    network: Mapping[str, Any] = field(default_factory=dict)
    gaps: float = 0.0
    known: bool = False


def case(rows: tuple[int, int] = (5000, 5000), **options: Any) -> tuple[Campaign, Campaign]:
    return tuple(
        nested(dim, seed=dim, rows=n, **options) for dim, n in zip((1, 2), rows, strict=True)
    )  # type: ignore[return-value]


def changed(campaigns: tuple[Campaign, Campaign], **changes: Any) -> tuple[Campaign, Campaign]:
    one, other = (replace(each, **changes) for each in campaigns)
    return one, other


PAIRS = {"pairs": 4}
CASES: dict[str, Case] = {
    "no nuisance": Case(case((10_000, 10_000))),
    "100 nuisances": Case(case((10_000, 10_000), nuisances=100)),
    "rows fail": Case((nested(1, 1, 5000), nested(2, 2, 5000, fail_above=0.5)), PAIRS),
    "noise at load": Case(case(noise_at_load=True), PAIRS),
    "gaps": Case(changed(case(), missing={"probability": 0.2}), PAIRS, gaps=0.2),
    "known conditions": Case(changed(case(nuisances=1), known=("eta_1",)), PAIRS, known=True),
    "unequal rows": Case(case((10_000, 2000)), PAIRS),
}


@pytest.mark.parametrize("name", CASES)
def test_odds_of_the_classifier(name: str, tmp_path: Path) -> None:
    each, rng = CASES[name], np.random.default_rng(3)
    readers = [one.reader(tmp_path / str(i)) for i, one in enumerate(each.campaigns)]
    joint = each.campaigns[0].model.build_prior()
    conditions = conditions_in(joint, each.campaigns[0].known)
    made = learnt(readers, tmp_path, conditions=conditions, network=each.network)
    x, model = half_of_each(each.campaigns, 2 * DATA_SETS, seed=900)
    known = np.empty((len(x), 0))
    if each.known:
        known = np.stack(
            [one.drawn(DATA_SETS, 900 + i)[:, -1:] for i, one in enumerate(each.campaigns)], axis=1
        ).reshape(-1, 1)
    worked = np.isfinite(x).all(axis=1)
    x, known = x[worked][:DATA_SETS], known[worked][:DATA_SETS]
    x = np.where(rng.random(x.shape) < each.gaps, np.nan, x)
    truth = np.subtract(*(log_evidence(one, x, known) for one in reversed(each.campaigns)))
    value, error = made.odds(conditions.beside(x, known).astype(np.float32)).log_bayes_factor(1, 0)
    pull = (value - truth) / error
    near = np.abs(truth) < made.most - np.log(10)
    print(
        "RESULT",
        name,
        (pull[near] ** 2).mean(),
        (np.abs(pull[near]) < 3).mean(),
        near.mean(),
        np.sqrt((error[near] ** 2).mean()),
        np.sqrt(((value - truth)[near] ** 2).mean()),
        made.recalibration.scale,
        made.recalibration.shifts,
        made.estimator.spec["network"]["normal"],
    )
    check(value, error, truth, made.most)


def log_evidence(campaign: Campaign, x: Array, known: Array) -> Array:
    """Exact, of data with gaps, given known nuisances."""
    simulator = closed(campaign)
    spread = simulator.A @ simulator.A.T + (
        simulator.noise**2 * np.eye(6) if known.size else simulator.scatter
    )
    if known.size:
        x = x - known @ simulator.B.T
    found = np.empty(len(x))
    for row, x_o in enumerate(x):
        there = np.isfinite(x_o)
        found[row] = log_normal(x_o[None, there], spread[np.ix_(there, there)])[0]
    return found

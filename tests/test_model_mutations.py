"""Every check of a comparison of models can fail: known faults are caught, the truth passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import synthetic
from scipy import special, stats

from sbi_pipeline.comparison import evidence as evidence_module
from sbi_pipeline.comparison.asked import AskedClassifier, AskedObservation, by_evidence
from sbi_pipeline.comparison.evidence import Evidence, Target, evidence_of, with_prior
from sbi_pipeline.comparison.probabilities import ComparedModels
from sbi_pipeline.diagnostics.check import Check
from sbi_pipeline.types import Array

REPEATS = [20, pytest.param(200, marks=[pytest.mark.study, pytest.mark.timeout(3600)])]
LABELS = ["one", "other"]
SPREAD = 2.0
"""Sd of log odds of data sets."""
ERROR = 0.15
"""Of log Bayes factors of the classifier."""


def rows(n: int, seed: int, *, factor: float = 1.0, models: int = 2) -> tuple[Array, Array]:
    """Log probabilities of held-out rows, ``(n, models)``, and their models."""
    rng = np.random.default_rng(seed)
    logits = SPREAD / math.sqrt(2) * rng.normal(size=(n, models))
    p = special.softmax(logits, axis=1)
    model = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=models - 1)
    return special.log_softmax(factor * logits, axis=1), model


def classified(seed: int, *, n: int = 1000, factor: float = 1.0, models: int = 2) -> list[Check]:
    """A classifier judged by as many rows as 10 000 simulations of two models leave."""
    log_p, model = rows(n, seed, factor=factor, models=models)
    asked = AskedClassifier([f"m{i}" for i in range(models)], log_p, model)
    return checks("model_classifier", asked)


def neighbours(seed: int, *, n: int = 200, factor: float = 1.0, models: int = 2) -> list[Check]:
    """The same near an observation that speaks for the first model."""
    log_p, model = rows(20 * n, seed, factor=factor, models=models)
    chosen = np.argsort(np.abs(log_p[:, 0] - math.log(0.85)))[:n]
    asked = observed(np.zeros(models), near=log_p[chosen], near_model=model[chosen])
    return checks("model_neighbours", asked)


def observed(
    by_classifier: Array,
    evidences: Mapping[str, Mapping[str, Evidence]] | None = None,
    error: float = ERROR,
    **changes: Any,
) -> AskedObservation:
    """An observation of a number, under models with these log evidences by the classifier."""
    labels = [f"m{i}" for i in range(len(by_classifier))] if len(by_classifier) > 2 else LABELS
    odds = np.zeros(len(labels))
    weighed, taken = by_evidence(labels, evidences or {}, odds, odds)
    covariance = error**2 / 2 * np.eye(len(labels))
    given: dict[str, Any] = {
        "x": np.zeros(1),
        "simulated": [np.zeros((2, 1))] * len(labels),
        "simulated_known": None,
        "missing": None,
        "near": np.empty((0, len(labels))),
        "near_model": np.empty(0, int),
    }
    return AskedObservation(
        name="event",
        labels=labels,
        evidences=evidences or {},
        by_evidence=weighed,
        by_classifier=ComparedModels(labels, by_classifier, covariance, odds, math.log(9000)),
        taken=taken,
        **{**given, **changes},
    )


def checks(diagnostic: str, asked: Any) -> list[Check]:
    known = synthetic.diagnostics.registered()[diagnostic]
    found = known.ask(diagnostic, asked, {})
    return list(found.checks)


# Two modes in ten dimensions, one of which the posterior may lack -------------------------------

DIM, WIDTH, PLACE = 10, 0.15, 0.8


def two_modes(z: Array) -> Array:
    parts = [
        math.log(weight) + stats.norm(place, WIDTH).logpdf(z).sum(axis=1)
        for weight, place in ((0.7, PLACE), (0.3, -PLACE))
    ]
    return np.asarray(np.logaddexp(*parts))


LOG_EVIDENCE = DIM * float(stats.norm(0, math.hypot(1, WIDTH)).logpdf(PLACE))


def evidence_of_modes(seed: int, *, lost: bool) -> Evidence:
    """Without scouts, which would find it; draws of the prior would, in fewer dimensions."""
    rng = np.random.default_rng(seed)
    shrunk = 1 / (1 + WIDTH**2)
    upper = np.zeros(2000, bool) if lost else rng.random(2000) < 0.7
    centre = np.where(upper, PLACE, -PLACE)[:, None] * shrunk
    z = centre + WIDTH * math.sqrt(shrunk) * rng.normal(size=(2000, DIM))
    return evidence_of(Target(with_prior(two_modes), z, 0.0, lambda each: each), seed, exact=True)


def agreement(
    seed: int, *, lost: bool = False, swapped: bool = False, less: float = 2.0
) -> list[Check]:
    """An evidence of two modes beside one that is so much smaller, and what a classifier says."""
    rng = np.random.default_rng([seed, 3])
    evidences = {
        "one": evidence_of_modes(seed, lost=lost),
        "other": Evidence(LOG_EVIDENCE - less, 0.02, 0.0, 0.1, 9000.0, 0.0),
    }
    told = np.array([less, 0.0]) + ERROR / math.sqrt(2) * rng.normal(size=2)
    return checks(
        "model_agreement", observed(told[::-1] if swapped else told, {"exact": evidences})
    )


def made_by(seed: int, *, kind: str = "poisson") -> list[Check]:
    """Twenty counts, put among simulations of two models that scatter, each with its own rate."""
    rng = np.random.default_rng([seed, 5])
    rate = rng.lognormal(2.5, 0.5, size=(2, 1000, 1))
    size = rng.uniform(1, 10, size=(1000, 1))
    poisson, scattered = (
        rng.poisson(rate[0] * np.ones(20)),
        rng.poisson(rate[1] * rng.gamma(size, 1 / size, (1000, 20))),
    )
    own = rng.lognormal(2.5, 0.5)
    x = {
        "poisson": lambda: rng.poisson(own, 20),
        "regular": lambda: np.rint(own + 0.1 * rng.normal(size=20)),
        "drifting": lambda: rng.poisson(own * np.exp(np.linspace(-2.5, 2.5, 20))),
        "half empty": lambda: rng.poisson(60, 20) * (np.arange(20) % 2),
    }[kind]()
    asked = observed(
        np.zeros(2), x=x.astype(float), simulated=[poisson.astype(float), scattered.astype(float)]
    )
    return checks("model_likeness", asked)


Maker = Callable[..., list[Check]]
AGREEMENT, ANY = "agreement of two ways", "any of the models"
FAULTS: dict[str, tuple[Maker, dict[str, Any], str]] = {
    "log odds x 2": (classified, {"factor": 2.0}, "odds as often"),
    "log odds x 0.5": (classified, {"factor": 0.5}, "odds as often"),
    "log odds of five models x 2": (classified, {"factor": 2.0, "models": 5}, "odds as often"),
    "an evidence lacks the mode of 0.7": (agreement, {"lost": True}, AGREEMENT),
    "models swapped": (agreement, {"swapped": True}, AGREEMENT),
    "models swapped, log Bayes factor 1": (agreement, {"swapped": True, "less": 1.0}, AGREEMENT),
    "counts of a third model: half of them 0": (made_by, {"kind": "half empty"}, ANY),
    "counts of a third model: regular ones": (made_by, {"kind": "regular"}, ANY),
    "counts of a third model: rising ones": (made_by, {"kind": "drifting"}, ANY),
}
TRUTHS: dict[str, Callable[[int], list[Check]]] = {
    "classifier": classified,
    "classifier of five models": lambda seed: classified(seed, models=5),
    "neighbours": neighbours,
    "neighbours of four models": lambda seed: neighbours(seed, models=4),
    "agreement": agreement,
    "one of the models": made_by,
}


@pytest.fixture(autouse=True)
def no_scouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the evidence know only what the draws of the posterior know."""

    def nothing(problem: Any, looked: int) -> list[Any]:
        far = evidence_module.Mixture(
            np.ones(1), np.zeros((1, problem.theta_dim)), np.eye(problem.theta_dim)[None]
        )
        return [far]

    monkeypatch.setattr(evidence_module, "scout", nothing)


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught(name: str, repeats: int) -> None:
    make, fault, meant = FAULTS[name]
    caught = sum(
        {check.name: check.status for check in make(seed, **fault)}[meant] != "pass"
        for seed in range(repeats)
    )
    assert caught >= 0.95 * repeats


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("name", TRUTHS)
def test_the_truth_passes(name: str, repeats: int) -> None:
    passed = sum(
        all(check.status == "pass" for check in TRUTHS[name](seed)) for seed in range(repeats)
    )
    assert passed >= 0.95 * repeats


def test_the_evidence_that_lacks_a_mode_looks_good_by_itself() -> None:
    found = evidence_of_modes(1, lost=True)
    assert found.k_hat < 0.5
    assert found.log_evidence == pytest.approx(LOG_EVIDENCE + math.log(0.3), abs=0.05)
    whole = evidence_of_modes(1, lost=False)
    assert whole.log_evidence == pytest.approx(LOG_EVIDENCE, abs=4 * whole.error)

"""Evidences by importance sampling, against integrals that are known."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from models_for_tests import NORMAL
from scipy import special, stats

from sbi_pipeline import priors
from sbi_pipeline.comparison import evidence as evidence_module
from sbi_pipeline.comparison.evidence import (
    Evidence,
    Target,
    evidence_of,
    points_weighed,
    with_prior,
)
from sbi_pipeline.comparison.likelihoods import learnt_target, log_mass
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.priors.boxes import BoxedPrior
from sbi_pipeline.priors.discrete import combinations
from sbi_pipeline.samplers import scouting
from sbi_pipeline.trained import Posterior
from sbi_pipeline.types import Array, Traits

DRAWS = 2000


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A normal likelihood under N(0, I): ``x = z + noise``, noise of some covariance."""

    x: Array
    noise: Array

    @classmethod
    def drawn(cls, dim: int, seed: int = 1) -> "Gaussian":
        rng = np.random.default_rng(seed)
        root = 0.3 * rng.normal(size=(dim, dim))
        return cls(rng.normal(size=dim), root @ root.T + 0.05 * np.eye(dim))

    @property
    def log_evidence(self) -> float:
        return float(stats.multivariate_normal(cov=np.eye(len(self.x)) + self.noise).logpdf(self.x))

    def log_likelihood(self, z: Array) -> Array:
        return np.atleast_1d(stats.multivariate_normal(self.x, self.noise).logpdf(z))

    def posterior(self, seed: int, draws: int = DRAWS) -> Array:
        precision = np.linalg.inv(self.noise)
        covariance = np.linalg.inv(np.eye(len(self.x)) + precision)
        mean = covariance @ precision @ self.x
        rng = np.random.default_rng([seed, 5])
        return np.asarray(rng.multivariate_normal(mean, covariance, size=draws))

    def target(self, seed: int = 1, **changes: object) -> Target:
        made = Target(with_prior(self.log_likelihood), self.posterior(seed), 0.0, lambda z: z)
        return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_evidences_are_the_exact_ones(dim: int) -> None:
    problem = Gaussian.drawn(dim)
    found = evidence_of(problem.target(), seed=1, exact=True)
    assert abs(found.log_evidence - problem.log_evidence) < 4 * found.error
    assert found.error < 0.02
    assert found.network_error == 0
    assert found.k_hat < 0.5
    assert found.lost < 0.01
    sd = problem.posterior(1, 20_000).std(axis=0)
    np.testing.assert_allclose(found.widths, sd, rtol=0.05)


def test_a_likelihood_that_says_nothing_has_the_evidence_of_the_prior() -> None:
    made = Target(
        with_prior(lambda z: np.full(len(z), -3.0)),
        np.random.default_rng(1).normal(size=(500, 2)),
        0.5,
        lambda z: z,
    )
    found = evidence_of(made, seed=1, exact=True)
    assert found.log_evidence == pytest.approx(-2.5, abs=4 * found.error)


def test_draws_that_are_too_narrow_or_off_do_no_harm() -> None:
    problem = Gaussian.drawn(2)
    draws = problem.posterior(1)
    for wrong in (
        draws.mean(axis=0) + 0.3 * (draws - draws.mean(axis=0)),
        draws + 2 * draws.std(axis=0),
    ):
        found = evidence_of(problem.target(posterior=wrong), seed=1, exact=True)
        assert abs(found.log_evidence - problem.log_evidence) < 4 * found.error


# A mode that draws of the posterior lack ----------------------------------------------------------


def two_modes(z: Array) -> Array:
    """One of 0.7 at 1.2, one of 0.3 at -1.2, each of an sd of 0.2 in all dimensions."""
    parts = [
        math.log(weight) + stats.norm(place, 0.2).logpdf(z).sum(axis=1)
        for weight, place in ((0.7, 1.2), (0.3, -1.2))
    ]
    return np.asarray(np.logaddexp(*parts))


def evidence_of_modes(dim: int) -> tuple[float, Array]:
    each = [
        math.log(weight) + dim * stats.norm(0, math.sqrt(1.04)).logpdf(place)
        for weight, place in ((0.7, 1.2), (0.3, -1.2))
    ]
    return float(np.logaddexp(*each)), np.array(each)


def draws_of_a_mode(dim: int, place: float) -> Array:
    rng = np.random.default_rng(1)
    return np.asarray(place / 1.04 + math.sqrt(0.04 / 1.04) * rng.normal(size=(DRAWS, dim)))


@pytest.mark.parametrize("dim", [1, 2, 4])
@pytest.mark.parametrize(("place", "missing"), [(1.2, 0.3), (-1.2, 0.7)])
def test_a_mode_that_the_posterior_lacks_is_found_and_told(
    dim: int, place: float, missing: float
) -> None:
    log_evidence, _ = evidence_of_modes(dim)
    given = Target(with_prior(two_modes), draws_of_a_mode(dim, place), 0.0, lambda z: z)
    found = evidence_of(given, seed=1, exact=True)
    assert abs(found.log_evidence - log_evidence) < 4 * found.error
    assert found.lost == pytest.approx(missing, abs=0.05)
    both = np.concatenate(
        [draws_of_a_mode(dim, each)[::step] for each, step in ((1.2, 1), (-1.2, 2))]
    )
    whole = evidence_of(dataclasses.replace(given, posterior=both), seed=1, exact=True)
    assert whole.lost < 0.01


# What else belongs to it --------------------------------------------------------------------------


def test_the_shift_is_added() -> None:
    problem = Gaussian.drawn(2)
    one, other = (
        evidence_of(problem.target(shift=shift), seed=1, exact=True) for shift in (0.0, -2.5)
    )
    assert other.log_evidence == pytest.approx(one.log_evidence - 2.5)


def test_changed_priors_have_their_own_evidence() -> None:
    problem = Gaussian.drawn(2)

    def ratio(sd: float) -> Callable[[Array], Array]:
        return lambda z: (stats.norm(0, sd).logpdf(z) - stats.norm.logpdf(z)).sum(axis=1)

    found = evidence_of(
        problem.target(
            log_ratios={
                "narrow": ratio(0.7),
                "wide": ratio(3.0),
                "none": lambda z: np.full(len(z), -np.inf),
            }
        ),
        seed=1,
        exact=True,
    )
    for name, sd in (("narrow", 0.7), ("wide", 3.0)):
        exact = stats.multivariate_normal(cov=sd**2 * np.eye(2) + problem.noise).logpdf(problem.x)
        value, error = found.changed[name]
        assert abs(value - exact) < 4 * error
    assert np.isnan(found.changed["none"]).all()


def test_networks_that_disagree_give_an_error() -> None:
    problem = Gaussian.drawn(2)
    off = np.array([-0.3, 0.0, 0.3])
    found = evidence_of(
        problem.target(of_members=lambda z: np.broadcast_to(off[:, None], (3, len(z)))),
        seed=1,
        exact=False,
    )
    assert found.network_error == pytest.approx(0.3)
    assert found.whole_error == pytest.approx(math.hypot(0.3, found.error))
    assert np.isnan(evidence_of(problem.target(), seed=1, exact=False).network_error)


def test_no_parameters_leave_the_likelihood() -> None:
    made = Target(lambda z: np.full((1, 1), -7.0), np.empty((10, 0)), 1.0, lambda z: z)
    found = evidence_of(made, seed=1, exact=True)
    assert (found.log_evidence, found.error) == (-6.0, 0.0)


def test_a_likelihood_without_numbers_says_why_there_is_no_evidence() -> None:
    made = Target(
        lambda z: np.full(z.shape[:2], np.nan),
        np.zeros((50, 1)) + np.arange(50)[:, None],
        0.0,
        lambda z: z,
    )
    found = evidence_of(made, seed=1, exact=True)
    assert "weight above zero" in found.problem
    assert np.isnan(found.log_evidence)


def test_the_same_seed_gives_the_same_evidence() -> None:
    problem = Gaussian.drawn(1)
    one, again, other = (evidence_of(problem.target(), seed=each, exact=True) for each in (1, 1, 2))
    assert one.log_evidence == again.log_evidence != other.log_evidence


# Priors that are no whole normal space ------------------------------------------------------------

NOISE = 0.5
UNIFORM = {"type": "uniform", "min": -1, "max": 1}


class Likelihood(Estimator):
    """N(x; from z, `NOISE`) of parameters that are known, as a network that learnt it would be."""

    traits = Traits(target="likelihood")

    def __init__(self, prior: priors.NamedPrior | BoxedPrior) -> None:
        super().__init__()
        self.prior = prior
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        network = {"columns": [0]}
        self.spec = {"theta_dim": len(prior.names), "x_shape": [1], "network": network}

    def loss(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return -self.log_prob(z, x)

    def log_prob(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        total = self.prior.from_normal(z.double().numpy()).sum(axis=1)
        seen = np.broadcast_to(x.double().numpy().reshape(-1), total.shape)
        return torch.as_tensor(stats.norm(total, NOISE).logpdf(seen))


HEADER = {"failures": {"failed": 0, "simulated": 1}}


def of_prior(
    prior: priors.NamedPrior | BoxedPrior, x: float, header: object = None, **new: object
) -> Evidence:
    trained = Posterior(Likelihood(prior), prior, header or HEADER)  # type: ignore[arg-type]
    theta = prior.from_uniform(np.random.default_rng(1).random((5000, len(prior.names))))
    weight = stats.norm(theta.sum(axis=1), NOISE).pdf(x)
    drawn = theta[np.random.default_rng(2).choice(5000, DRAWS, p=weight / weight.sum())]
    target = learnt_target(trained, drawn, np.array([x]), np.empty(0), new)  # type: ignore[arg-type]
    return evidence_of(target, seed=1, exact=False)


def uniform_evidence(low: float, high: float, x: float) -> float:
    """Of a uniform density over -1 to 1, from low to high alone."""
    return float(np.log(np.diff(stats.norm(x, NOISE).cdf([low, high]))[0] / 2))


def test_a_prior_with_an_end() -> None:
    found = of_prior(priors.build({"a": UNIFORM}, ("a",)), 0.9)
    assert abs(found.log_evidence - uniform_evidence(-1, 1, 0.9)) < 4 * found.error


def test_the_evidence_within_a_box_is_that_of_the_whole_prior() -> None:
    whole = priors.build({"a": UNIFORM}, ("a",))
    faces = {"a": tuple(float(each) for each in whole.to_normal(np.array([[-0.8], [0.9]]))[:, 0])}
    box = BoxedPrior(whole, faces)
    narrow = priors.build({"a": {"type": "uniform", "min": -0.5, "max": 0.5}}, ("a",))
    assert math.exp(log_mass(box)) == pytest.approx(0.85)
    assert log_mass(whole) == 0
    found = of_prior(box, 0.1, narrow=narrow)
    assert abs(found.log_evidence - uniform_evidence(-0.8, 0.9, 0.1)) < 4 * found.error
    value, error = found.changed["narrow"]
    assert abs(value - (uniform_evidence(-0.5, 0.5, 0.1) + math.log(2))) < 4 * error


def test_the_share_that_works_enters() -> None:
    prior = priors.build({"a": UNIFORM}, ("a",))
    told = {"failures": {"failed": 3, "simulated": 10}}
    found = of_prior(prior, 0.2, told)
    expected = uniform_evidence(-1, 1, 0.2) + math.log(0.7)
    assert abs(found.log_evidence - expected) < 4 * found.error


def test_discrete_parameters_are_summed_over() -> None:
    few = {"type": "categorical", "probabilities": [0.5, 0.3, 0.2]}
    prior = priors.build({"a": NORMAL, "n": few}, ("a", "n"))
    known = combinations(prior)
    assert known is not None
    each = stats.norm(known.values[:, 0], math.sqrt(1 + NOISE**2)).logpdf(1.7)
    exact = special.logsumexp(known.log_prior + each)
    found = of_prior(prior, 1.7)
    assert abs(found.log_evidence - exact) < 4 * found.error
    assert len(found.widths) == 1


def test_discrete_parameters_alone_are_summed_exactly() -> None:
    prior = priors.build({"n": {"type": "integer", "min": 0, "max": 3}}, ("n",))
    known = combinations(prior)
    assert known is not None
    exact = special.logsumexp(known.log_prior + stats.norm(known.values[:, 0], NOISE).logpdf(1.2))
    found = of_prior(prior, 1.2)
    assert found.log_evidence == pytest.approx(exact, abs=1e-5)
    assert found.error == 0


@pytest.mark.slow
def test_errors_are_those_of_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("LOOKED", 1000), ("DRAWS", 1000), ("FIRST", 1000), ("FITTED", 500)):
        monkeypatch.setattr(evidence_module, name, size)
    monkeypatch.setattr(scouting, "SCOUTS", 8)
    pulls = []
    for seed in range(200):
        problem = Gaussian.drawn(1 + seed % 3, seed)
        found = evidence_of(problem.target(seed), seed=seed, exact=True)
        pulls.append((found.log_evidence - problem.log_evidence) / found.error)
    assert stats.chi2(200).ppf(1e-3) < np.sum(np.square(pulls)) < stats.chi2(200).ppf(1 - 1e-3)
    assert np.abs(pulls).max() < 4.5


def test_an_evidence_says_how_many_points_it_asks_for() -> None:
    given, asked = Gaussian.drawn(8).target(), 0

    def log_density(z: Array) -> Array:
        nonlocal asked
        asked += z.shape[1]
        return given.log_density(z)

    evidence_of(dataclasses.replace(given, log_density=log_density), seed=1, exact=True)
    assert asked == points_weighed(8)

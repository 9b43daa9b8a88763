"""Which likelihood an evidence is the mean of, what has none, and what densities are per."""

import numpy as np
import pytest
import torch
from estimators_for_tests import small, train
from models_for_tests import NORMAL, nested
from simulated_models import Counts, Nested

from sbi_pipeline import estimators, priors
from sbi_pipeline.comparison.evidence import Evidence, evidence_of
from sbi_pipeline.comparison.likelihoods import (
    NoEvidence,
    changed_priors,
    exact_target,
    learnt_target,
    likelihood_of,
    unit_of,
)
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.model import Model
from sbi_pipeline.portfolio import Portfolio
from sbi_pipeline.stages.evidences import comparable
from sbi_pipeline.trained import Posterior
from sbi_pipeline.types import Array

HEADER = {"failures": {"failed": 0, "simulated": 1}}


def rows(columns: int = 6, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(200, 1))
    x = z + rng.normal(size=(200, columns))
    return torch.as_tensor(z).float(), torch.as_tensor(x).float()


def built(method: str = "nle", x: torch.Tensor | None = None, **network: object) -> Estimator:
    z, data = rows()
    return estimators.build(method, z, data if x is None else x, seed=1, **network)  # type: ignore[arg-type]


def test_a_likelihood_of_all_data_is_taken() -> None:
    made = built(columns="all")
    assert likelihood_of(made) is made


@pytest.mark.parametrize("method", ["npe", "nre"])
def test_what_learnt_no_likelihood_has_no_evidence(method: str) -> None:
    with pytest.raises(NoEvidence, match="no part of it learnt a likelihood"):
        likelihood_of(built(method))


def test_a_likelihood_of_summaries_has_none() -> None:
    made = built(columns="all", summaries={"name": "svd", "components": 2})
    with pytest.raises(
        NoEvidence, match=r"likelihood of summaries.*write network: \{summaries: null"
    ):
        likelihood_of(made)


def test_a_likelihood_of_some_columns_has_none() -> None:
    with pytest.raises(
        NoEvidence, match=r"likelihood of 2 of 6 numbers.*network: \{columns: all\}"
    ):
        likelihood_of(built(columns=[0, 3]))


def test_columns_that_never_vary_are_missing_too() -> None:
    """They are not learnt, and a model in which they vary says more of them."""
    _, x = rows()
    x[:, 2] = 1
    with pytest.raises(NoEvidence, match="likelihood of 5 of 6 numbers"):
        likelihood_of(built(x=x, columns="all"))


def test_the_part_that_learnt_it_is_taken_of_several() -> None:
    parts = [built("npe"), built(columns="all")]
    mixed = Portfolio.__new__(Portfolio)
    torch.nn.Module.__init__(mixed)
    mixed.members = torch.nn.ModuleList(parts)
    assert likelihood_of(mixed) is parts[1]
    mixed.members = torch.nn.ModuleList(parts[:1])
    with pytest.raises(NoEvidence, match="no part"):
        likelihood_of(mixed)


def test_units_tell_counts_from_real_numbers() -> None:
    rng = np.random.default_rng(1)
    counts = torch.as_tensor(rng.poisson(50, (200, 6))).float()
    halves = counts / 2
    flags = torch.as_tensor(rng.integers(0, 2, (200, 6))).float()
    _, real = rows()
    told = {
        name: unit_of(built(x=x, columns="all"))
        for name, x in (("real", real), ("counts", counts), ("halves", halves), ("flags", flags))
    }
    assert told["real"] == " ".join(["real"] * 6)
    assert told["counts"] == " ".join(["1"] * 6)
    assert told["halves"] == " ".join(["0.5"] * 6)
    assert told["flags"] == told["counts"]  # probabilities, of whole numbers
    censored = real.clone()
    censored[:, 0] = censored[:, 0].clamp(max=0)
    told = unit_of(built(x=censored, columns="all"))
    assert told == " ".join(["partly", *["real"] * 5])


def test_evidences_per_different_things_are_not_compared() -> None:
    ways = [({"model": "a", "way": "nle"}, "mock"), ({"model": "b", "way": "nle"}, "mock")]
    alike = [Evidence(1.0, unit="1 1"), Evidence(2.0, unit="1 1")]
    assert comparable(ways, alike) == alike
    unlike = comparable(ways, [alike[0], Evidence(2.0, unit="real real")])
    assert [each.problem for each in unlike] == [
        "numbers of the data are discrete to a, nle and not to b, nle, or otherwise so; write "
        "dequantise or discrete alike for both"
    ] * 2
    exact = Evidence(3.0)
    kept = comparable([*ways, ({"model": "a", "way": "exact"}, "mock")], [*alike, exact])
    assert kept[-1] is exact


# What is integrated -------------------------------------------------------------------------------


def test_the_exact_likelihood_is_that_of_the_simulator() -> None:
    campaign = nested(2, seed=1, nuisances=3)
    simulator, prior = Nested(2, 3), campaign.model.build_prior().keep(("theta_1", "theta_2"))
    x = campaign.data(1, 7)[0]
    mean, covariance = simulator.posterior(x, np.zeros(5), np.eye(5))
    theta = np.random.default_rng(1).multivariate_normal(mean[:2], covariance[:2, :2], 2000)
    target = exact_target(campaign.model, prior, theta, x, {}, {}, 64, np.random.default_rng(1))
    found = evidence_of(target, seed=1, exact=True)
    assert abs(found.log_evidence - simulator.log_evidence(x[None])[0]) < 4 * found.error


def test_nuisances_are_averaged_over_where_the_simulator_cannot() -> None:
    """Its likelihood is noisy then, and its mean is right, as is the error."""
    model = Model("linear_gaussian", {"theta_dim": 1, "nuisances": 2, "x_dim": 2, "noise": 1.0},
                  ("theta_1", "eta_1", "eta_2"), {"*": NORMAL})  # fmt: skip
    simulator = model.build_simulator()
    prior, x = model.build_prior().keep(("theta_1",)), np.array([0.5, -1.0])
    design = np.hstack([simulator.A, simulator.B])  # type: ignore[attr-defined]
    exact = float(np.squeeze(_log_normal(x, design @ design.T + np.eye(2))))
    theta = np.random.default_rng(1).normal(0, 0.8, size=(2000, 1))
    target = exact_target(model, prior, theta, x, {}, {}, 16, np.random.default_rng(1))
    found = evidence_of(target, seed=1, exact=True)
    assert abs(found.log_evidence - exact) < 4 * found.error
    assert found.error < 0.03


def _log_normal(x: Array, covariance: Array) -> float:
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    return float(-0.5 * (log_det + x @ np.linalg.solve(covariance, x)))


def test_known_conditions_enter_the_exact_likelihood() -> None:
    model = Model("linear_gaussian", {"theta_dim": 1, "nuisances": 1, "x_dim": 2},
                  ("theta_1", "eta_1"), {"*": NORMAL})  # fmt: skip
    simulator, x = model.build_simulator(), np.array([0.5, -1.0])
    prior = model.build_prior().keep(("theta_1",))
    theta = np.random.default_rng(1).normal(0, 0.5, size=(2000, 1))
    for eta in (-1.0, 2.0):
        target = exact_target(
            model, prior, theta, x, {"eta_1": eta}, {}, 64, np.random.default_rng(1)
        )
        found = evidence_of(target, seed=1, exact=True)
        rest = x - simulator.B[:, 0] * eta  # type: ignore[attr-defined]
        covariance = simulator.A @ simulator.A.T + 0.25 * np.eye(2)  # type: ignore[attr-defined]
        assert abs(found.log_evidence - _log_normal(rest, covariance)) < 4 * found.error


def test_members_of_an_ensemble_are_compared_with_the_whole() -> None:
    z, x = rows()
    made = estimators.build("nle", z, x, seed=1, members=3, columns="all", **small("nle"))
    train(made, z, x, max_epochs=2)
    prior = priors.build({"a": NORMAL}, ("a",))
    target = learnt_target(
        Posterior(made, prior, HEADER), np.zeros((100, 1)), x[0].numpy(), np.empty(0), {}
    )
    points = np.random.default_rng(1).normal(size=(50, 1))
    assert target.of_members is not None
    each = target.of_members(points)
    assert each.shape == (3, 50)
    weights = made.mixture.double().numpy()  # type: ignore[operator, union-attr]
    np.testing.assert_allclose(np.log(weights @ np.exp(each)), 0, atol=1e-4)
    alone = learnt_target(
        Posterior(built(columns="all"), prior, HEADER),
        np.zeros((100, 1)),
        x[0].numpy(),
        np.empty(0),
        {},
    )
    assert alone.of_members is None


def test_changed_priors_are_those_of_the_inferred_parameters() -> None:
    model = Model(
        "linear_gaussian", {"nuisances": 1}, ("theta_1", "theta_2", "eta_1"), {"*": NORMAL}
    )
    new = {"narrow": {"theta_1": {"type": "normal", "mean": 0, "sd": 0.5}}}
    made = changed_priors(model, ["theta_1", "theta_2"], new)
    assert set(made) == {"narrow"}
    point = np.array([[0.4, 0.2]])
    expected = -0.5 * (0.4 / 0.5) ** 2 - np.log(0.5) - 0.5 * 0.2**2 - np.log(2 * np.pi)
    assert made["narrow"].log_prob(point)[0] == pytest.approx(expected)
    assert (
        changed_priors(Model("linear_gaussian", {}, ("theta_1",), "joint_prior:Disc"), ["a"], new)
        == {}
    )


def test_the_counts_of_the_tests_are_what_they_say() -> None:
    """Their likelihoods sum to one, and the scattered ones become Poisson without excess."""
    every = np.arange(400)[:, None]
    for simulator, theta in ((Counts(1), [[1.5]]), (Counts(1, True), [[1.5, 0.4]])):
        total = sum(np.exp(simulator.log_likelihood(np.array(theta), x)[0]) for x in every)
        assert total == pytest.approx(1)
    x = np.array([3.0, 7.0, 4.0])
    near = Counts(3, True).log_likelihood(np.array([[1.5, 1e-6]]), x)
    np.testing.assert_allclose(near, Counts(3).log_likelihood(np.array([[1.5]]), x), atol=1e-4)

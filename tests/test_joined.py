"""Several observations of one source: their joint posterior, without training again."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from sbi_pipeline import estimators, observations, predictions, priors, samplers
from sbi_pipeline.campaigns.given_rows import Replicates
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.posterior import log_posterior
from sbi_pipeline.trained import Posterior
from sbi_pipeline.training.fit import fit
from sbi_pipeline.types import Array, Traits

SDS = np.array([1.0, 0.5])  # of the noise; the prior is N(0, 4) for each parameter
PRIOR = {name: {"type": "normal", "mean": 0, "sd": 2} for name in ("a", "b")}
OBSERVED = [np.array([0.5, 1.0]), np.array([1.5, 0.2]), np.array([1.2, 0.7])]


def exact(observed: list[Array]) -> tuple[Array, Array]:
    """Return mean and sd of the joint posterior of x_i = theta + noise."""
    precision = len(observed) / SDS**2
    variance = 1 / (precision + 0.25)
    return variance * np.sum(observed, axis=0) / SDS**2, np.sqrt(variance)


class Exact(Estimator):
    """The posterior, likelihood or ratio of that problem in closed form; z is theta / 2."""

    def __init__(self, **traits: Any) -> None:
        super().__init__()
        self.traits = Traits(**traits)
        self.spec = {"theta_dim": 2, "x_shape": [2], "method": "exact"}
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def _normal(self, x: torch.Tensor) -> torch.distributions.Normal:
        precision = 4 / torch.as_tensor(SDS) ** 2 + 1
        return torch.distributions.Normal(
            2 * x / torch.as_tensor(SDS) ** 2 / precision, precision**-0.5
        )

    def log_prob(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if self.traits.target == "posterior":
            return self._normal(x).log_prob(z).sum(1)
        return torch.distributions.Normal(2 * z, torch.as_tensor(SDS)).log_prob(x).sum(1)

    def sample_many(self, n: int, x: torch.Tensor) -> torch.Tensor:
        return self._normal(x[:, None].expand(-1, n, -1)).sample().float()


def prior() -> priors.NamedPrior:
    built = priors.build(PRIOR, ("a", "b"))
    assert isinstance(built, priors.NamedPrior)
    return built


KINDS: dict[str, dict[str, Any]] = {
    "posterior": {"target": "posterior"},
    "likelihood": {"target": "likelihood"},
    "ratio": {"target": "ratio"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("several", [2, 3])
def test_the_joint_posterior_is_the_exact_one(kind: str, several: int) -> None:
    posterior = Posterior(Exact(**KINDS[kind]), prior(), {"method": kind})
    observed = OBSERVED[:several]
    theta = posterior.sample(4000, x=observed, seed=1)
    mean, sd = exact(observed)
    assert theta.shape == (4000, 2)
    np.testing.assert_allclose((theta.mean(0) - mean) / sd, 0, atol=0.08)
    np.testing.assert_allclose(theta.std(0) / sd, 1, atol=0.06)


@pytest.mark.parametrize("kind", KINDS)
def test_the_joint_density_counts_the_prior_once(kind: str) -> None:
    posterior = Posterior(Exact(**KINDS[kind]), prior(), {"method": kind})
    mean, sd = exact(OBSERVED)
    theta = mean + sd * np.array([[0.0, 0.0], [1.0, -2.0], [-3.0, 0.5]])
    found = posterior.log_prob(theta, x=OBSERVED)
    wanted = -0.5 * np.sum(((theta - mean) / sd) ** 2, axis=1)
    np.testing.assert_allclose(found - found[0], wanted - wanted[0], atol=1e-4)


def test_an_array_is_of_several_sources_and_a_list_of_one() -> None:
    posterior = Posterior(Exact(**KINDS["posterior"]), prior(), {"method": "npe"})
    apart = posterior.sample(100, x=np.stack(OBSERVED))
    assert apart.shape == (3, 100, 2)
    assert posterior.sample(100, x=OBSERVED).shape == (100, 2)
    assert posterior.sample(100, x=[0.5, 1.0]).shape == (100, 2)  # numbers of one data set
    np.testing.assert_array_equal(
        posterior.sample(100, x=OBSERVED[:1]), posterior.sample(100, x=OBSERVED[0])
    )


def test_draws_of_a_posterior_are_reweighted_and_judged() -> None:
    made = Exact(**KINDS["posterior"])
    drawn = samplers.draw(made, np.stack(OBSERVED)[None], 4000, seed=1, joined=True)
    told = drawn.told(0)
    assert told["sampler"] == "reweighted"
    assert told["k_hat"] < 0.5
    assert not drawn.normalised


def test_events_of_several_observations_are_one_set() -> None:
    made = Exact(**KINDS["likelihood"])
    posterior = Posterior(made, prior(), {"method": "nle", "events": True})
    theta = np.array([[0.3, 0.2], [1.0, 0.8]])
    sets = [np.stack(OBSERVED[:2]), np.stack(OBSERVED[2:])]
    np.testing.assert_allclose(
        posterior.log_prob(theta, x=sets), posterior.log_prob(theta, x=np.stack(OBSERVED))
    )


def test_what_has_no_joint_density_is_refused() -> None:
    x = np.stack(OBSERVED)[None]
    without = Exact(target="posterior", density=False)
    with pytest.raises(ValueError, match=r"has no density: observations cannot be joined; take"):
        log_posterior(without, x, joined=True)
    margins = Exact(target="posterior", joint=False)
    with pytest.raises(ValueError, match="learns margins, which do not multiply"):
        samplers.draw(margins, x, 100, seed=1, joined=True)
    made = Posterior(Exact(**KINDS["posterior"]), prior(), {"method": "npe"})
    with pytest.raises(ValueError, match="'direct' draws for one observation, not for several"):
        made.sample(10, x=OBSERVED, name="direct")
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\); those of one source have one"):
        made.sample(10, x=[OBSERVED[0], np.zeros(3)])


NONE = np.empty(0)


def test_what_is_known_of_parts_is_known_of_the_whole(caplog: pytest.LogCaptureFixture) -> None:
    first, second = np.array([1.0, 2.0, np.nan]), np.array([1.0, 3.0, np.nan])
    names, data = ("a", "b", "c"), [np.zeros(2), np.ones(2)]
    under = np.array([0.5]), np.array([0.7])
    x, truth, known = observations.join_observations(
        [(data[0], first, under[0]), (data[1], second, under[1])], False, {"a"}, names
    )
    np.testing.assert_array_equal(x, data)
    np.testing.assert_array_equal(known, [[0.5], [0.7]])
    np.testing.assert_array_equal(truth, [1, np.nan, np.nan])
    assert not caplog.text
    _, truth, _ = observations.join_observations(
        [(data[0], first, NONE), (data[1], None, NONE)], False, {"a"}, names
    )
    np.testing.assert_array_equal(truth, first)
    assert (
        observations.join_observations([(each, None, NONE) for each in data], False, {"a"}, names)[
            1
        ]
        is None
    )
    observations.join_observations(
        [(data[0], first, NONE), (data[1], second, NONE)], False, {"b"}, names
    )
    assert "joined as of one source, with b from 2 to 3" in caplog.text
    sets = [(np.zeros((n, 1)), None, np.empty((n, 0))) for n in (2, 3)]
    assert observations.join_observations(sets, True, {"a"}, names)[0].shape == (5, 1)


@pytest.mark.parametrize("shape", [(3,), (2, 5, 4)])
def test_predictions_of_parts_stand_one_after_the_other(shape: tuple[int, ...]) -> None:
    rows = np.arange(8 * np.prod(shape), dtype=float).reshape(8, *shape)
    worked = np.array([True, True, True, False, True, True, True, True])
    made = Replicates(rows[worked], worked, {"raised": 1}, np.zeros((len(worked), 1)))
    seen = xr.DataArray(rows[:2], dims=["part", *(f"x_dim_{i}" for i in range(len(shape)))])
    found = predictions.predicted_jointly(made, seen, {"label": "flux", "axis": {"start": 3}})
    assert found["x"].shape == (1, 2 * shape[0], *shape[1:])  # the second set lacks a part
    assert found["replicates"].shape == (2, 2 * shape[0], *shape[1:])
    np.testing.assert_array_equal(found["x"][0], np.concatenate(rows[:2]))
    np.testing.assert_array_equal(found["x_o"], np.concatenate(rows[:2]))
    np.testing.assert_array_equal(found["replicates"][1], np.concatenate(rows[6:]))
    assert found["x_o"].attrs == {"label": "flux"}
    assert found.attrs["parts"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["npe", "nle", "nre"])
def test_trained_estimators_join_three_observations(method: str) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    theta = prior().from_uniform(rng.random((20_000, 2)))
    x = (theta + SDS * rng.normal(size=theta.shape)).astype("f4")
    z, data = torch.as_tensor(prior().to_normal(theta)).float(), torch.as_tensor(x)
    made = estimators.build(method, z, data, seed=1)
    held_out = np.arange(len(z)) % 10 == 0
    fit(made, z, data, train=~held_out, validation=held_out, seed=1, threads=1, max_epochs=15)
    posterior = Posterior(made.eval(), prior(), {"method": method})
    found = posterior.sample(10_000, x=[each.astype("f4") for each in OBSERVED], seed=1)
    mean, sd = exact(OBSERVED)
    np.testing.assert_allclose((found.mean(0) - mean) / sd, 0, atol=0.1)
    np.testing.assert_allclose(found.std(0) / sd, 1, atol=0.07)

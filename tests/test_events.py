"""Sets of events, from simulations of single ones to the posterior of all: against closed forms."""

import json
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

from sbi_pipeline import (
    estimators,
    event_predictions,
    observations,
    predictions,
    priors,
    samplers,
)
from sbi_pipeline.campaigns.given_rows import Engine
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.event_predictions import Selected
from sbi_pipeline.model import Model
from sbi_pipeline.trained import Posterior
from sbi_pipeline.training.fit import fit
from sbi_pipeline.types import Array, Traits

OWN, NOISE = 0.3, 0.5
SPECS = {
    "kind": {"type": "bernoulli", "probability": 0.5},
    "mu": {"type": "normal", "mean": 0, "sd": 1},
    "own": {"type": "normal", "mean": 0, "sd": OWN},
}


class Line:
    """One event: N(mu + kind / 2 + own, NOISE^2), where ``own`` is the event's own."""

    parameters = ("kind", "mu", "own")

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        kind, mu, own = parameters.T
        return (mu + kind / 2 + own + NOISE * rng.normal(size=len(mu)))[:, None]


def engine(simulator: str = "Line") -> Engine:
    return Engine(Model(f"test_events:{simulator}", {}, Line.parameters, SPECS), "test")


def simulated(made: Engine, truth: dict[str, float], events: int, seed: int) -> tuple[Array, Array]:
    _, row = observations.simulate_observation(made, prior(), truth, seed)
    inferred = ("kind", "mu")
    return observations.simulate_events(made, prior(), truth, row, inferred, events, seed)[:2]


def prior() -> priors.NamedPrior:
    built = priors.build(SPECS, Line.parameters)
    assert isinstance(built, priors.NamedPrior)
    return built


def test_events_of_an_observation_share_theta_and_not_the_nuisance() -> None:
    truth = {"kind": 1.0, "mu": 0.2}
    with engine() as made:
        x, row = simulated(made, truth, 4000, 1)
    assert x.shape == (4000, 1)
    np.testing.assert_array_equal(row[:2], [1.0, 0.2])
    assert np.isnan(row[2])
    assert x.mean() == pytest.approx(0.7, abs=0.05)
    assert x.std() == pytest.approx(np.hypot(OWN, NOISE), rel=0.05)
    with engine() as made:
        held, row = simulated(made, {**truth, "own": 0.0}, 4000, 1)
    assert held.std() == pytest.approx(NOISE, rel=0.05)
    assert row[2] == 0


def test_quantiles_stand_where_events_stood() -> None:
    x = np.arange(101.0)[None, :, None] * np.array([1.0, 2.0])
    found = observations.event_quantiles(x, axis=1)
    assert found.shape == (1, 5, 2)
    np.testing.assert_allclose(found[0, :, 1], [10, 50, 100, 150, 190])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nle", pytest.param("nre", marks=pytest.mark.study)])
def test_the_posterior_of_fifty_events(method: str) -> None:
    """mu and kind together have a line of equal likelihood, so P(kind) is known to be soft."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    parameters = prior().from_uniform(rng.random((20_000, 3)))
    kept = prior().keep(("kind", "mu"))
    z = torch.as_tensor(kept.to_normal(parameters[:, :2])).float()
    x = torch.as_tensor(Line()(parameters, rng)).float()
    made = estimators.build(method, z, x, seed=1)
    masks = {"train": np.arange(20_000) % 20 > 0, "validation": np.arange(20_000) % 20 == 0}
    fit(made, z, x, **masks, seed=1, threads=1, max_epochs=10, progress=False)
    posterior = Posterior(made.eval(), kept, {"events": True})
    truth = {"kind": 1.0, "mu": 0.2}
    with engine() as line:
        x_o, _ = simulated(line, truth, 50, 2)
    theta = posterior.sample(8000, x_o.astype("f4"), seed=1)
    chance, mean, sd = exact(x_o[:, 0])
    assert theta[:, 0].mean() == pytest.approx(chance, abs=0.1)
    for kind in (0, 1):
        mu = theta[theta[:, 0] == kind, 1]
        assert mu.mean() == pytest.approx(mean - kind * mean_shift(), abs=0.5 * sd)
        assert mu.std() == pytest.approx(sd, rel=0.2)


def variance() -> float:
    return (OWN**2 + NOISE**2) / 50


def mean_shift() -> float:
    return 0.5 / (1 + variance())


def exact(x: Array) -> tuple[float, float, float]:
    """Return P(kind = 1), and mean and sd of mu for kind 0."""
    shrink, average = 1 / (1 + variance()), x.mean()
    log_evidence: Any = -0.5 * (average - np.array([0, 0.5])) ** 2 / (1 + variance())
    chance = 1 / (1 + np.exp(log_evidence[0] - log_evidence[1]))
    return float(chance), float(shrink * average), float(np.sqrt(shrink * variance()))


def normal_events() -> Any:
    """An estimator of single events x = z + N(0, 0.5^2)."""
    made: Any = Estimator()
    made.device = torch.nn.Parameter(torch.zeros(1))
    made.spec = {"theta_dim": 1, "x_shape": [1]}
    made.traits = Traits(target="likelihood")
    made.log_prob = lambda z, x: torch.distributions.Normal(z, 0.5).log_prob(x)[:, 0]
    return made


def test_arviz_leaves_one_event_out() -> None:
    """With z ~ N(0, 1) the prediction of an event from the 19 others has a closed form."""
    x = np.random.default_rng(3).normal(0.3, 0.5, size=(20, 1)).astype("f4")
    made = normal_events()
    drawn = samplers.draw(made, x[None], 8000, seed=1, events=True)
    group = samplers.log_likelihood(drawn, 0, made, x)
    assert group["x"].dims == ("chain", "draw", "event")
    mu = xr.Dataset({"mu": (("chain", "draw"), drawn.z[0, ..., 0])})
    found = az.loo(az.InferenceData(posterior=mu, log_likelihood=group), pointwise=True)
    others = x.sum() - x[:, 0]
    precision = 1 + 19 / 0.25
    wanted = stats.norm.logpdf(x[:, 0], others / 0.25 / precision, np.sqrt(0.25 + 1 / precision))
    np.testing.assert_allclose(found.loo_i, wanted, atol=0.02)


def test_shapes_of_events_for_notebooks() -> None:
    posterior = Posterior(
        normal_events(), priors.build({"mu": SPECS["mu"]}, ("mu",)), {"events": True}
    )
    short = {"min_steps": 20, "max_steps": 20}
    assert posterior.sample(100, np.zeros((7, 1), "f4"), **short).shape == (100, 1)
    assert posterior.sample(100, np.zeros((3, 7, 1), "f4"), **short).shape == (3, 100, 1)
    log_prob = posterior.log_prob(np.array([[0.0], [0.1]]), np.zeros((7, 1), "f4"))
    assert log_prob[1] - log_prob[0] == pytest.approx(-0.5 * 0.01 * (7 / 0.25 + 1), rel=1e-3)
    with pytest.raises(ValueError, match=r"learnt data sets of \(events, ...\) of \(1,\)"):
        posterior.sample(100, np.zeros((7, 2), "f4"))


class Refusing(Line):
    """Raises for large ``mu``."""

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        if (parameters[:, 1] > 1).any():
            raise ValueError("mu is too large")
        return super().__call__(parameters, rng)


def test_events_that_raise_are_left_out_of_predictions() -> None:
    mu = np.array([0.0, 2.0, 0.5, 3.0])
    draws = xr.Dataset({"kind": ("draw", np.zeros(4)), "mu": ("draw", mu)})
    x_o = xr.DataArray(np.zeros((50, 1)), dims=("event", "column"))
    with engine("Refusing") as made:
        predictor = predictions.Predictor(made, prior(), 4, 1, Path("unused"))
        rows = event_predictions.tried_rows(predictor, draws, 4, 4, Selected(50), {})
        replicates = made.replicate(rows, seed=1)
    one = rows[-1, 1]
    assert (rows[200:, 1] == one).all()
    tried = event_predictions.TriedEvents(4, replicates)
    found = event_predictions.predicted_events(tried, x_o, Selected(50))
    x = found["x"].to_numpy()
    assert x.shape == (2, 5, 1)  # two of the four sets have no event
    assert np.isfinite(x).all()
    assert x[:, 2, 0] == pytest.approx([0.0, 0.5], abs=0.4)
    assert len(found["replicates"]) == (4 if one < 1 else 0)
    failed = 100 if one < 1 else 300
    assert (found.attrs["simulated"], found.attrs["failed"]) == (400, failed)
    assert json.loads(found.attrs["failures"]) == {"raised": failed}

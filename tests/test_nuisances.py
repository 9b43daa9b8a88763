"""Nuisances given theta and x: the linear Gaussian's closed form, and what cannot be learnt."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from sbi_pipeline import estimators, nuisances, priors
from sbi_pipeline.diagnostics.nuisances import fault_of, judge_nuisances
from sbi_pipeline.diagnostics.ranks import rank_nuisances
from sbi_pipeline.estimators.nuisances import NuisanceNPE
from sbi_pipeline.storage.reading import View

TIMES = np.linspace(0, 1, 6)
DESIGN = np.stack([np.sin(2 * np.pi * TIMES), np.cos(2 * np.pi * TIMES), 1 - 2 * TIMES], axis=1)
NOISE = 0.5
PRIOR = priors.build(
    {
        "signal": {"type": "normal", "mean": 0, "sd": 1},
        "offset": {"type": "normal", "mean": 1, "sd": 2},
        "slope": {"type": "normal", "mean": "0.5 * signal", "sd": 1},
    },
    ("signal", "offset", "slope"),
)


def line(theta, rng):
    return theta @ DESIGN.T + NOISE * rng.normal(size=(len(theta), len(TIMES)))


@dataclass
class Rows:
    """The rows of a campaign, as a reader gives them."""

    simulate: object
    prior: object
    rows: int
    test: int = 300
    missing: None = None

    def __post_init__(self):
        rng = np.random.default_rng(1)
        self.names, self.views = self.prior.names, {}
        for part, n in (("train", self.rows), ("validation", 500), ("test", self.test)):
            theta = self.prior.from_uniform(rng.random((n, len(self.names))))
            self.views[part] = View(theta, self.simulate(theta, rng), np.arange(n), self.names)
        self.x_shape = self.views["train"].x.shape[1:]

    def collect(self, limits):
        return {part: self.views[part] for part in limits}


@pytest.fixture(scope="module")
def learnt():
    """A linear regression comes first, and is the answer: few epochs are enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nuisances, "EPOCHS", 5)
        return nuisances.learn(Rows(line, PRIOR, 10_000), PRIOR, ("signal",), {}, seed=1)


def test_the_closed_form_of_the_linear_gaussian(learnt):
    signal, n = 0.7, 4000
    x = line(np.array([[signal, 2.0, -0.3]]), np.random.default_rng(3))[0]
    drawn = learnt[0].complete({"signal": np.full(n, signal)}, x, seed=2)
    of_eta, precision = DESIGN[:, 1:], np.diag([1 / 4, 1.0])
    covariance = np.linalg.inv(precision + of_eta.T @ of_eta / NOISE**2)
    rest = x - DESIGN[:, 0] * signal
    mean = covariance @ (of_eta.T @ rest / NOISE**2 + precision @ [1, 0.5 * signal])
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_array_equal(drawn[:, 0], signal)
    np.testing.assert_allclose((drawn[:, 1:].mean(axis=0) - mean) / sd, 0, atol=0.15)
    np.testing.assert_allclose(drawn[:, 1:].std(axis=0) / sd, 1, atol=0.1)


def test_what_is_learnt_is_honest_on_held_out_rows(learnt):
    posterior, test = learnt
    ranks = rank_nuisances(posterior, test.theta, test.x, seed=0)
    assert ranks["parameter"].to_numpy().tolist() == ["offset", "slope"]
    assert judge_nuisances(ranks, "nuisances").status == "pass"
    assert fault_of(ranks) == ""


def test_a_fault_of_what_was_learnt_is_found_and_said(learnt):
    posterior, test = learnt
    moved = test.x + 2 * NOISE  # as if the data were others than those learnt from
    ranks = rank_nuisances(posterior, test.theta, moved, seed=0)
    assert fault_of(ranks).startswith("The posterior of ")
    check = judge_nuisances(ranks.assign_attrs(problem=fault_of(ranks)), "nuisances")
    assert check.status == "warn"  # no study fails for it
    assert check.advice.endswith("Bands of predictions have nuisances of the prior instead.")


def test_it_is_read_as_it_was_written(learnt, tmp_path):
    path, x = tmp_path / "nuisances.pt", np.zeros(len(TIMES))
    nuisances.save_nuisances(path, learnt[0], {"key": "k", "problem": ""})
    found, header = nuisances.load_nuisances(path, PRIOR)
    assert header["key"] == "k"
    theta = {"signal": np.linspace(-1, 1, 5)}
    drawn = [each.complete(theta, x, seed=4) for each in (learnt[0], found)]
    np.testing.assert_array_equal(*drawn)


def test_where_nothing_was_learnt_the_file_says_why(tmp_path):
    path = tmp_path / "nuisances.pt"
    nuisances.save_nuisances(path, None, {"key": "k", "problem": "too few"})
    assert nuisances.load_nuisances(path, PRIOR) == (None, {"key": "k", "problem": "too few"})


@pytest.mark.parametrize(
    ("rows", "test", "message"),
    [
        (900, 300, "900 simulations are too few to learn from; 1000 would do"),
        (2000, 20, "20 simulations are too few to check; 50 would do"),
    ],
)
def test_too_few_rows_are_no_error_of_a_study(rows, test, message):
    with pytest.raises(nuisances.NotLearnt, match=message):
        nuisances.learn(Rows(line, PRIOR, rows, test), PRIOR, ("signal",), {}, seed=1)


def test_a_training_that_fails_is_no_error_of_a_study():
    rows = Rows(lambda theta, rng: np.full((len(theta), 2), np.nan), PRIOR, 1000)
    with pytest.raises(nuisances.NotLearnt, match="could not be learnt: x has NaN"):
        nuisances.learn(rows, PRIOR, ("signal",), {}, seed=1)


def test_bounds_of_a_prior_hold(monkeypatch):
    monkeypatch.setattr(nuisances, "EPOCHS", 2)
    prior = priors.build(
        {
            "signal": {"type": "uniform", "min": 0, "max": 1},
            "offset": {"type": "uniform", "min": "signal", "max": 2},
        },
        ("signal", "offset"),
    )

    def counts(theta, rng):
        return rng.poisson(100 * theta)

    posterior, _ = nuisances.learn(Rows(counts, prior, 1500), prior, ("signal",), {}, seed=1)
    signal = np.linspace(0, 1, 200)  # both bounds are at infinity in normal space
    drawn = posterior.complete({"signal": signal}, np.array([50, 190]), seed=1)
    assert np.isfinite(drawn).all()
    assert (drawn[:, 1] >= signal).all()
    assert (drawn[:, 1] <= 2).all()


@pytest.mark.parametrize(
    ("shape", "network"),
    [
        ((1, 8, 8), {}),
        ((5, 2), {"embedding": "deep_set"}),
        ((80,), {"transform": "asinh", "embedding": {"name": "cnn1d"}}),
    ],
)
def test_data_of_any_shape(shape, network):
    x = torch.randn(200, int(np.prod(shape)))
    rows = torch.cat([torch.randn(200, 2), x], dim=1)
    z = torch.randn(200, 3)
    made = estimators.build(nuisances.METHOD, z, rows, seed=1, known=2, data_shape=shape, **network)
    assert isinstance(made, NuisanceNPE)
    assert made.sample_many(4, rows[:7]).shape == (7, 4, 3)
    assert torch.isfinite(made.loss(z, rows)).all()

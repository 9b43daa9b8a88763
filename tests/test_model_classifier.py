"""The classifier of models: halves, pairs, normal distributions, errors; what it says of rows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from models_for_tests import nested
from scipy import special, stats
from torch import Tensor

from sbi_pipeline import estimators
from sbi_pipeline.comparison.calibration import Recalibration, fit_recalibration
from sbi_pipeline.comparison.classifier import (
    METHOD,
    CalibratedClassifier,
    learn_classifier,
    load_classifier,
    logits_of,
    save_classifier,
)
from sbi_pipeline.comparison.likeness import FEWEST, Likeness
from sbi_pipeline.conditions import NO_CONDITIONS
from sbi_pipeline.estimators.classifier import Classifier, ModelNormals
from sbi_pipeline.estimators.estimator import Preview
from sbi_pipeline.training.fit import fit
from sbi_pipeline.types import Array

torch.set_num_threads(1)
SDS = (1.0, 1.6)


def rows(
    n: int = 2000, columns: int = 3, seed: int = 1, in_turns: bool = True
) -> tuple[Tensor, Tensor]:
    """Normal data of two models that differ in their scatter, with their "parameters"."""
    rng = np.random.default_rng(seed)
    model = np.arange(n) % 2 if in_turns else np.arange(n) * 2 // n
    x = np.array(SDS)[model, None] * rng.normal(size=(n, columns))
    z = np.column_stack([np.eye(2)[model], rng.random(n)])
    return torch.as_tensor(z).float(), torch.as_tensor(x).float()


def truth(x: Array) -> Array:
    one, other = (stats.norm(0, sd).logpdf(x).sum(axis=1) for sd in SDS)
    return np.asarray(one - other)


def built(z: Tensor, x: Tensor, **network: object) -> Classifier:
    made = estimators.build(METHOD, z, x, seed=1, **network)  # type: ignore[arg-type]
    assert isinstance(made, Classifier)
    return made


# Members ------------------------------------------------------------------------------------------


def test_pairs_learn_from_complementary_halves_drawn_anew() -> None:
    z, x = rows()
    made = built(z, x, pairs=4)
    halves = [set(made._half(z, place).tolist()) for place in range(8)]
    for pair in range(4):
        one, other = halves[2 * pair : 2 * pair + 2]
        assert one | other == set(range(len(z)))
        assert not one & other
    for pair in range(1, 4):
        assert len(halves[0] & halves[2 * pair]) == pytest.approx(len(z) / 4, rel=0.1)


def test_a_member_learns_from_its_half_alone() -> None:
    z, x = rows(100)
    made = built(z, x, pairs=3, normal=False).train()
    made.loss(z[made._half(z, 0)], x[made._half(z, 0)]).sum().backward()
    learnt = [
        any(p.grad is not None and p.grad.abs().sum() > 0 for p in member.parameters())
        for member in made.members
    ]
    assert learnt[:2] == [True, False]
    assert all(learnt[2:])


def test_rows_are_told_of_by_members_that_did_not_learn_from_them() -> None:
    z, x = rows(50)
    made = built(z, x, pairs=3, normal=True).eval()
    with torch.inference_mode():
        told, others = made.logits(x), made.logits_of_others(z, x)
    for row in range(len(z)):
        allowed = [p for p in range(6) if row not in made._half(z, p).tolist()]
        assert len(allowed) == 3
        torch.testing.assert_close(others[row], told[allowed, row].mean(0))
    torch.testing.assert_close(told.sum(-1), torch.zeros(6, 50), atol=1e-4, rtol=0)


def test_the_loss_of_held_out_rows_is_that_of_the_mean() -> None:
    z, x = rows(50)
    made = built(z, x, pairs=3, normal=True).eval()
    expected = -(z[:, :2] * made.logits(x).mean(0).log_softmax(1)).sum(1)
    torch.testing.assert_close(made.loss(z, x), expected)
    torch.testing.assert_close(made.log_prob(z, x), -expected)


def test_normal_distributions_of_each_model_are_those_of_its_rows() -> None:
    z, x = rows(3000)
    z, x = z[:2500], x[:2500] + torch.tensor([0.0, 1.0, -2.0])
    z[:500, :2] = torch.tensor([1.0, 0.0])
    made = ModelNormals(2, 3)
    made.fit(z[:, :2], x)
    told = made(x[:50])
    expected = []
    for k in (0, 1):
        own = x[z[:, k] > 0.5].double().numpy()
        known = stats.multivariate_normal(own.mean(axis=0), np.cov(own.T, bias=True))
        expected.append(known.logpdf(x[:50].numpy()) + np.log(len(own) / len(x)))
    np.testing.assert_allclose(told[:, 0] - told[:, 1], expected[0] - expected[1], atol=1e-3)


def test_numbers_that_never_vary_do_no_harm() -> None:
    z, x = rows(500)
    made = ModelNormals(2, 5)
    constant = torch.cat((x, torch.ones(len(x), 1), x.sum(1, keepdim=True)), 1)
    made.fit(z[:, :2], constant)
    alone = ModelNormals(2, 3)
    alone.fit(z[:, :2], x)
    torch.testing.assert_close(made(constant), alone(x), atol=0.02, rtol=0.02)


@pytest.mark.parametrize("in_turns", [True, False])
def test_normal_distributions_are_taken_where_they_tell_models_apart(in_turns: bool) -> None:
    z, x = rows(in_turns=in_turns)
    assert Classifier.choose(Preview(z, x, len(z)))["normal"]
    assert not Classifier.choose(Preview(z, torch.randn(len(z), 3), len(z)))["normal"]
    assert not Classifier.choose(Preview(z[:40], x[:40], 40))["normal"]
    few = torch.where(torch.rand(x.shape) < 0.1, torch.nan, x)
    assert not Classifier.choose(Preview(z, few, len(z), gaps=True))["normal"]


def test_many_numbers_have_few_pairs() -> None:
    z, _ = rows(100)
    assert Classifier.choose(Preview(z, torch.randn(100, 400), 100))["pairs"] == 5
    assert Classifier.choose(Preview(z, torch.randn(100, 501), 100))["pairs"] == 3
    assert Classifier.choose(Preview(z, torch.randn(100, 501), 100), pairs=7)["pairs"] == 7


# What is made of it -------------------------------------------------------------------------------


class Told(Classifier):
    """Says what it was given."""

    def __init__(self, told: Array) -> None:
        torch.nn.Module.__init__(self)
        self.told = torch.as_tensor(told)

    def logits(self, x: Tensor) -> Tensor:
        return self.told[:, x[:, 0].long()]


def calibrated(
    told: Array, *, scale: float = 1.0, most: float = 20.0, **changes: Array
) -> CalibratedClassifier:
    models = told.shape[-1]
    nothing = Recalibration(scale, np.zeros(models), np.zeros((models, models)))
    given = {"log_frequency": np.zeros(models), "log_valid": np.zeros(models),
             "log_valid_error": np.zeros(models)}  # fmt: skip
    return CalibratedClassifier(Told(told), nothing, **{**given, **changes}, most=most)


def test_odds_are_of_frequencies_and_of_what_works() -> None:
    told = np.tile(np.array([[[1.0, -1.0], [0.5, -0.5]]]), (6, 1, 1))
    made = calibrated(
        told,
        log_frequency=np.log([0.8, 0.2]),
        log_valid=np.log([0.5, 1.0]),
        log_valid_error=np.array([0.1, 0.0]),
    )
    value, error = made.odds(np.array([[0], [1]])).log_bayes_factor(0, 1)
    np.testing.assert_allclose(value, np.array([2, 1]) - np.log(4) + np.log(0.5))
    np.testing.assert_allclose(error, 0.1)
    doubled = calibrated(told, scale=0.5).odds(np.array([[0]])).log_bayes_factor(0, 1)
    np.testing.assert_allclose(doubled[0], 1)


def test_the_error_is_that_of_pairs() -> None:
    """Members err by twice the variance of the mean of all rows, and as one where they pair up."""
    rng = np.random.default_rng(1)
    n, pairs, sd = 4000, 5, 0.3
    mean = sd * rng.normal(size=(1, n))
    halves = sd * rng.normal(size=(pairs, n))
    difference = mean + np.stack([halves, -halves], axis=1).reshape(2 * pairs, n)
    told = np.stack([difference, -difference], axis=2) / 2
    value, error = calibrated(told).odds(np.arange(n)[:, None]).log_bayes_factor(0, 1)
    # Student's t with as many degrees of freedom as there are pairs has this variance.
    assert np.mean((value / error) ** 2) == pytest.approx(1, abs=0.06)
    assert np.mean(np.abs(value) > 3 * error) < 0.015


def test_probabilities_follow_prior_odds() -> None:
    made = calibrated(np.zeros((6, 1, 3)), log_frequency=np.log([0.6, 0.3, 0.1]))
    x = np.array([[0]])
    np.testing.assert_allclose(np.exp(made.log_p_of_rows(x)), 1 / 3)
    log_evidence = made.odds(x).log_evidence
    np.testing.assert_allclose(special.softmax(log_evidence, axis=1), [[1 / 9, 2 / 9, 6 / 9]])
    as_rows = special.softmax(log_evidence + np.log([6, 3, 1]), axis=1)
    np.testing.assert_allclose(as_rows, [[1 / 3, 1 / 3, 1 / 3]])


def test_beyond_what_rows_can_tell_the_error_grows_with_the_log_odds() -> None:
    difference = np.array([3.0, 6.0, 9.0, 30.0])
    told = np.tile(np.stack([difference, -difference], axis=1) / 2, (6, 1, 1))
    made = calibrated(told, most=np.log(10_000))
    value, error = made.odds(np.arange(4)[:, None]).log_bayes_factor(0, 1)
    np.testing.assert_allclose(value, difference)
    np.testing.assert_allclose(error, np.maximum(difference - np.log(1000), 0))


def test_of_three_models_only_those_far_below_the_best_are_uncertain() -> None:
    told = np.tile(np.array([[[0.0, -1.0, -50.0]]]), (6, 1, 1))
    made = calibrated(told, most=np.log(10_000)).odds(np.array([[0]]))
    assert made.log_bayes_factor(0, 1)[1] == 0
    assert made.log_bayes_factor(0, 2)[1] == pytest.approx(50 - np.log(1000))
    assert made.log_bayes_factor(1, 2)[1] == pytest.approx(50 - np.log(1000))
    assert not made.of_rows.any()


@pytest.mark.parametrize("models", [2, 5])
def test_variances_from_rows_are_those_of_errors_that_know_nothing_of_each_other(
    models: int,
) -> None:
    rng = np.random.default_rng(2)
    halves = rng.normal(size=(10, 400, models))
    told = np.stack([halves, -halves], axis=1).reshape(20, 400, models)
    made = calibrated(told - told.mean(axis=2, keepdims=True)).odds(np.arange(400)[:, None])
    variance = made.from_rows
    assert np.mean(variance) == pytest.approx(10 / 8, rel=0.05)
    error = made.log_bayes_factor(0, 1)[1]
    assert np.mean(variance[:, 0] + variance[:, 1]) == pytest.approx(np.mean(error**2), rel=0.1)


def test_what_is_saved_says_the_same_when_it_is_read(tmp_path: Path) -> None:
    z, x = rows(200)
    made = built(z, x).eval()
    recalibration = fit_recalibration(
        logits_of(made, x.numpy()).mean(0), z[:, :2].argmax(1).numpy()
    )
    whole = CalibratedClassifier(
        made, recalibration, np.log([0.7, 0.3]), np.array([0.0, -0.1]), np.array([0.0, 0.02]), 5.0
    )
    save_classifier(tmp_path / "classifier.pt", whole, {"key": "k", "models": ["a", "b"]})
    read, header = load_classifier(tmp_path / "classifier.pt")
    assert header["models"] == ["a", "b"]
    one, other = whole.odds(x.numpy()), read.odds(x.numpy())
    np.testing.assert_array_equal(one.log_evidence, other.log_evidence)
    np.testing.assert_array_equal(one.covariance, other.covariance)
    assert read.most == 5


def test_a_classifier_learns_what_is_true() -> None:
    z, x = rows(4000)
    made = built(z, x, pairs=3)
    held_out = np.arange(4000) % 10 < 2
    fit(
        made,
        z,
        x,
        train=~held_out,
        validation=held_out,
        seed=1,
        threads=1,
        progress=False,
        max_epochs=3,
    )
    _, other = rows(2000, seed=2)
    told = logits_of(made.eval(), other.numpy()).mean(0)
    assert np.std(told[:, 0] - told[:, 1] - truth(other.numpy())) < 0.25


# Rows like an observation -------------------------------------------------------------------------


def test_the_rows_most_like_an_observation_are_near_it() -> None:
    z, x = rows(3000)
    made = built(z, x, normal=False).eval()
    whole = CalibratedClassifier(made, *_nothing())
    like = Likeness(whole, x.numpy(), z[:, :2].numpy())
    for observed in (np.zeros(3), np.array([2.0, 0, 0]), np.array([-1.0, 1.0, 0.5])):
        near = like.nearest(observed.astype(np.float32))
        assert len(near) == 300
        distance = np.linalg.norm(x.numpy() - observed, axis=1)
        assert distance[near].mean() < 0.6 * distance.mean()
        assert len(set(near)) == 300
    few = Likeness(whole, x.numpy()[:400], z[:400, :2].numpy())
    assert len(few.nearest(np.zeros(3, np.float32))) == FEWEST
    fewest = Likeness(whole, x.numpy()[:50], z[:50, :2].numpy())
    assert len(fewest.nearest(np.zeros(3, np.float32))) == 50


def _nothing() -> tuple[Recalibration, Array, Array, Array, float]:
    zero = np.zeros(2)
    return Recalibration(1.0, zero, np.zeros((2, 2))), zero, zero, zero, 9.0


# Learning from campaigns --------------------------------------------------------------------------


def test_too_few_rows_are_refused_with_the_name_of_the_model(tmp_path: Path) -> None:
    readers = [nested(1, 1, rows).reader(tmp_path / str(rows)) for rows in (1000, 20)]
    with pytest.raises(ValueError, match=r"^model thin: "):
        learn_classifier(
            readers,
            {},
            labels=["broad", "thin"],
            conditions=NO_CONDITIONS,
            seed=1,
            checkpoint=tmp_path / "checkpoint",
            boards=tmp_path,
        )

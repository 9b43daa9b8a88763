"""Importance weights against Gaussians, whose evidence and posteriors are known."""

import numpy as np
import pytest
import synthetic
from arviz_stats.base import array_stats
from scipy import stats

from sbi_pipeline import priors
from sbi_pipeline.importance import Weights, resample, weigh
from sbi_pipeline.priors.supports import check_covers
from sbi_pipeline.types import Array

RNG = np.random.default_rng(1)


def weighted(proposal_sd: float, n: int = 20_000) -> tuple[Array, Weights]:
    """Draws of N(0.3, proposal_sd^2) weighted to 0.01 N(0, 1)."""
    theta = RNG.normal(0.3, proposal_sd, n)
    log_target = stats.norm(0, 1).logpdf(theta) + np.log(0.01)
    return theta, weigh(log_target - stats.norm(0.3, proposal_sd).logpdf(theta), RNG)


def test_moments_and_evidence_are_the_known_ones() -> None:
    theta, found = weighted(1.3)
    assert found.weight.sum() == pytest.approx(1)
    assert found.k_hat < 0.5
    assert found.weight @ theta == pytest.approx(0, abs=0.03)
    assert found.weight @ theta**2 == pytest.approx(1, abs=0.05)
    assert abs(found.log_mean - np.log(0.01)) < 4 * found.log_mean_error < 0.05
    assert 0.5 < found.effective / len(theta) < 1
    drawn = theta[resample(found.weight, 10_000, RNG)]
    assert stats.kstest(drawn[:1000], stats.norm(0, 1).cdf).pvalue > 0.001


def test_the_error_of_the_evidence_is_its_scatter() -> None:
    found = [weighted(1.3, 1000)[1] for _ in range(60)]
    scatter = np.std([each.log_mean for each in found])
    assert np.mean([each.log_mean_error for each in found]) == pytest.approx(scatter, rel=0.35)


def test_the_error_of_k_hat_is_its_scatter() -> None:
    found = [weighted(0.8, 2000)[1] for _ in range(60)]
    scatter = np.std([max(each.k_hat, 0) for each in found])
    assert np.median([each.k_hat_jitter for each in found]) == pytest.approx(scatter, rel=0.4)


def test_a_proposal_too_narrow_is_noticed() -> None:
    _, found = weighted(0.4)
    assert found.k_hat > 0.7
    status = {
        check.name: check.status
        for check in synthetic.judged("refinement", _facts(found), "npe, mock")
    }
    assert status["weights"] == "fail"
    good = synthetic.judged("refinement", _facts(weighted(1.3)[1]), "npe, mock")
    assert {check.status for check in good} == {"pass"}


def _facts(found: Weights) -> dict[str, float]:
    return {
        "k_hat": found.k_hat,
        "k_hat_jitter": found.k_hat_jitter,
        "top_weight": found.top,
        "efficiency": found.effective / len(found.weight),
        "efficiency_of_more": found.efficiency_of_more,
    }


@pytest.mark.parametrize("shape", [0.2, 0.4, 0.5, 0.6, 0.7])
def test_the_efficiency_of_ten_times_as_many_draws_is_foretold(shape: float) -> None:
    """Of weights whose tail falls by a known power; beyond 0.5 their variance is infinite."""
    rng = np.random.default_rng(7)
    found = [weigh(-shape * np.log(rng.random(5000)), rng, subsets=0) for _ in range(40)]
    many = [_kish(rng.random(50_000) ** -shape) for _ in range(40)]
    foretold = np.median([each.efficiency_of_more for each in found])
    assert foretold == pytest.approx(np.median(many), rel=0.25)
    now = np.median([each.effective / 5000 for each in found])
    assert now >= foretold
    assert (now > 1.5 * np.median(many)) == (shape > 0.5)


def test_more_draws_are_as_good_where_weights_have_no_tail() -> None:
    _, found = weighted(1.3)
    assert found.efficiency_of_more == pytest.approx(found.effective / 20_000, rel=0.02)
    (said,) = (
        check.quantity
        for check in synthetic.judged("refinement", _facts(found), "x")
        if check.name == "efficiency"
    )
    assert said.startswith("effective over all draws, at most; 0.8")
    assert said.endswith("expected of 10 times as many")


def _kish(weight: Array) -> float:
    return float(weight.sum() ** 2 / np.sum(weight**2) / len(weight))


def test_one_draw_that_outweighs_all_is_noticed() -> None:
    log_weight = np.append(np.zeros(1000), np.log(2000))
    found = weigh(log_weight, RNG)
    assert found.top == pytest.approx(2 / 3)
    by_name = {
        check.name: check for check in synthetic.judged("refinement", _facts(found), "npe, mock")
    }
    assert by_name["largest weight"].status == "fail"
    assert "single draw" in by_name["largest weight"].advice


def test_a_draw_just_above_a_limit_of_weights_is_no_tail() -> None:
    log_weight = np.append(-0.01 * np.random.default_rng(1).normal(size=2000) ** 2, 1e-4)
    found = weigh(log_weight, RNG)
    assert found.k_hat == 0
    assert {c.status for c in synthetic.judged("refinement", _facts(found), "x")} == {"pass"}


def test_weights_that_are_nearly_equal_are_no_tail() -> None:
    rng = np.random.default_rng(1)
    weight = rng.uniform(0.9, 1.08, 10_000)
    weight[:500] = 1.09 + 1e-4 * rng.random(500) ** 3
    weight[:50] = rng.uniform(1.16, 1.51, 50)
    assert _pareto_shape(np.log(weight)) > 1
    found = weigh(np.log(weight), RNG)
    assert found.k_hat < 0.5
    assert {c.status for c in synthetic.judged("refinement", _facts(found), "x")} == {"pass"}


def test_a_heavy_tail_has_its_shape() -> None:
    shapes = [weighted(0.4)[1].k_hat for _ in range(10)]
    assert np.mean(shapes) == pytest.approx(1 - 0.4**2, abs=0.15)


def _pareto_shape(log_weight: Array) -> float:
    return float(array_stats.psislw(-log_weight)[1])


def test_equal_weights_and_zero_weights() -> None:
    found = weigh(np.full(500, -3.0), RNG)
    assert found.effective == pytest.approx(500)
    assert found.log_mean_error < 1e-6
    assert {c.status for c in synthetic.judged("refinement", _facts(found), "x")} == {"pass"}
    half = weigh(np.where(np.arange(1000) % 2, 0.0, -np.inf), RNG)
    assert half.log_mean == pytest.approx(np.log(0.5))
    assert half.weight[::2].max() == 0


def test_weights_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="only 5 of 1000 draws have a weight above zero"):
        weigh(np.where(np.arange(1000) < 5, 0.0, -np.inf), RNG)
    with pytest.raises(ValueError, match="a weight is NaN or infinite"):
        weigh(np.array([0.0, np.nan]), RNG)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ({"type": "uniform", "min": -1, "max": 3}, "'a' reaches from -1 to 3, the one trained on"),
        ({"type": "normal", "mean": 1, "sd": 0.1}, "'a' reaches from -inf to inf"),
        ({"type": "uniform", "min": 0.5, "max": "b"}, "% of its probability where the one"),
        ({"type": "uniform", "min": 0.5, "max": 2}, None),
    ],
)
def test_wider_priors_are_refused(new: dict[str, object], message: str | None) -> None:
    b = {"type": "uniform", "min": 1, "max": 5}
    old = priors.build({"a": {"type": "uniform", "min": 0, "max": 2}, "b": b}, ("a", "b"))
    target = priors.build({"a": new, "b": b}, ("a", "b"))
    if message is None:
        check_covers(old, target)
    else:
        with pytest.raises(ValueError, match=message):
            check_covers(old, target)

"""What is said of the objects of a catalogue."""

import numpy as np
import pytest
from scipy import stats

from sbi_pipeline import object_predictions, summaries
from sbi_pipeline.campaigns.given_rows import Engine
from sbi_pipeline.diagnostics.in_distribution import Reference
from sbi_pipeline.model import Model
from sbi_pipeline.priors.edges import at_edge

PRIORS = {name: {"type": "normal", "mean": 0, "sd": 1} for name in ("m", "eta")}


@pytest.fixture
def predictor(tmp_path):
    """Return what predicts objects with data of x = m + eta + noise, and some other settings."""

    def made(wanted=200, objects_=8, **options):
        model = Model("simulators_for_tests:Shifted", options, ("m", "eta"), PRIORS)
        engine = Engine(model, "predictive/simulate")
        engines.append(engine.__enter__())
        return object_predictions.ObjectPredictor(
            engine, model.build_prior(), wanted, objects_, 1, tmp_path / "predictive"
        )

    engines = []
    yield made
    for each in engines:
        each.__exit__(None, None, None)


def test_draws_that_are_all_the_same_have_no_width():
    draws = {"m": np.full((2, 200), [[0.1], [37.51937934714449]])}
    found = summaries.of_parameters(draws, {}, np.random.default_rng(1))
    np.testing.assert_array_equal(found["m_sd"], 0)


def test_summaries_are_those_of_the_draws():
    rng = np.random.default_rng(0)
    draws = {"m": rng.normal([[0.0], [5.0]], 1.0, (2, 4000))}
    found = summaries.of_parameters(draws, {"m": np.array([0.0, np.nan])}, rng)
    assert found["m_mean"] == pytest.approx([0, 5], abs=0.08)
    assert found["m_sd"] == pytest.approx([1, 1], abs=0.05)
    assert found["m_q50"] == pytest.approx([0, 5], abs=0.08)
    assert found["m_rank"][0] == pytest.approx(0.5, abs=0.05)
    assert np.isnan(found["m_rank"][1])


def test_ranks_of_discrete_truths_are_uniform():
    rng, objects, draws = np.random.default_rng(5), 20_000, 100
    values = rng.integers(0, 3, (objects, 1 + draws)).astype(float)
    truth, drawn = {"n": values[:, 0]}, {"n": values[:, 1:]}
    rank = np.rint(summaries.of_parameters(drawn, truth, rng)["n_rank"] * draws).astype(int)
    assert stats.chisquare(np.bincount(rank, minlength=draws + 1)).pvalue > 0.01


def test_an_object_at_the_edge_is_told():
    prior = {"m": np.linspace(0, 1, 1001)}
    draws = {"m": np.stack([np.linspace(0.4, 0.6, 100), np.linspace(0.9, 1.0, 100)])}
    inside, outside = at_edge(draws, prior)
    assert inside == 0
    assert outside == pytest.approx(0.05, abs=0.011)


def test_the_table_has_truths_beside_ranks_and_no_empty_columns():
    columns = summaries.columns_of(["m"])
    summary = {name: np.full(2, np.nan) for name in columns}
    summary |= {"m_mean": np.array([1.0, 2.0]), "m_rank": np.array([0.1, np.nan])}
    summary |= {"in_distribution_p": np.array([0.001, 0.5])}
    table = summaries.rows(["a", "b"], summary, {"m": np.array([0.9, np.nan])})
    assert list(table) == ["object", "m_mean", "m_truth", "m_rank", "in_distribution_p", "flags"]
    assert table["flags"].tolist() == ["unlike simulations", ""]


def test_the_worst_objects_come_first():
    columns = {
        "in_distribution_p": np.array([0.5, 0.004, 0.9, 0.001]),
        "predictive_p": np.array([0.002, np.nan, 0.9, 0.3]),
    }
    assert summaries.worst(columns).tolist() == [3, 0, 1]
    assert summaries.worst(columns, 1).tolist() == [3]


def test_p_values_among_simulations_are_uniform_for_their_like():
    rng = np.random.default_rng(1)
    x = rng.standard_t(3, size=(26_000, 5)) @ rng.normal(size=(5, 5))
    p = Reference(x[:6000]).p_values(x[6000:])
    for level in (0.01, 0.1, 0.5):  # the 2 000 simulations that p is ranked among vary, too
        spread = np.sqrt(level * (1 - level) * (1 / 2000 + 1 / len(p)))
        assert abs((p <= level).mean() - level) < 4 * spread


def test_p_values_among_simulations_find_what_is_unlike_them():
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 2 * np.pi, 6000)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.02, (6000, 2))
    reference = Reference(ring)
    assert (reference.p_values(np.array([[0.0, 0.0], [4.0, 4.0]])) < 0.005).all()


@pytest.mark.parametrize("simulations", [900, 1500, 3000])
def test_the_least_p_value_is_that_of_what_is_unlike_all_simulations(simulations):
    far, least = [], []
    for seed in range(10):
        reference = Reference(np.random.default_rng(seed).normal(size=(simulations, 3)))
        far.append(reference.p_values(np.full((1, 3), 60.0))[0])
        least.append(reference.least_p)
    np.testing.assert_array_equal(far, least)
    assert np.median(far) <= 2.1 / (1 + reference.compared)  # not hidden among ties


def test_too_few_simulations_to_compare_with_are_refused():
    with pytest.raises(ValueError, match="got 30 simulations; wanted 60"):
        Reference(np.zeros((30, 2)))


def test_objects_that_come_from_their_posteriors_have_uniform_p_values(predictor):
    rng = np.random.default_rng(3)
    m, eta = rng.normal(size=(2, 400))
    x = (m + eta)[:, None] + rng.normal(size=(400, 3))
    gain = 1 / (1 + 1 + 1 / 3)  # of m: prior variance 1, noise of the mean 1 + 1/3
    mean, sd = gain * x.mean(axis=1), np.sqrt(1 - gain)
    draws = {"m": rng.normal(mean[:, None], sd, (400, 300))}
    found = predictor(wanted=100).compare(draws, x, 0)
    assert found.predictions.tolist() == [100] * 400
    assert stats.kstest(found.p_value, "uniform").pvalue > 0.01


def test_objects_that_their_posterior_cannot_have_made_are_found(predictor):
    rng = np.random.default_rng(4)
    draws = {"m": rng.normal(0, 0.1, (4, 400))}
    x = rng.normal(0, 1, (4, 3))
    x[2] += 20
    p = predictor().compare(draws, x, 0).p_value
    assert p[2] == pytest.approx(1 / 201)
    assert (p[[0, 1, 3]] > 0.01).all()


def test_bands_hold_what_the_posterior_predicts(predictor):
    rng = np.random.default_rng(6)
    draws = {"m": rng.normal(1, 0.5, 4000)}
    low, *_, high = predictor(wanted=4000).bands(draws, np.zeros(3), 0, 4000)
    sd = np.sqrt(0.5**2 + 1 + 1)
    assert low == pytest.approx(1 - 1.645 * sd, abs=0.15)
    assert high == pytest.approx(1 + 1.645 * sd, abs=0.15)


def test_an_object_none_of_whose_predictions_work_keeps_the_others(predictor):
    draws = {"m": np.stack([np.full(400, 5.0), np.zeros(400)])}
    found = predictor(highest=3.0).compare(draws, np.zeros((2, 3)), 0)
    assert found.predictions[0] == 0
    assert np.isnan(found.p_value[0])
    assert found.predictions[1] == 200


def test_a_catalogue_that_is_large_gets_no_predictions_of_a_dear_simulator(predictor):
    draws = {"m": np.zeros((2, 400))}
    found = predictor(wanted="auto", objects_=10**6).compare(draws, np.zeros((2, 3)), 0)
    assert found.predictions.tolist() == [0, 0]
    assert "predictive_draws" in found.problem

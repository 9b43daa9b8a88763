"""Predictive p-values: honest for the right model, small for a wrong one, by name."""

import json

import numpy as np
import pytest
import xarray as xr
from synthetic import judged, posterior, sampled

from sbi_pipeline.diagnostics.in_distribution import in_distribution
from sbi_pipeline.diagnostics.predictive import measure_predictive, typicality
from sbi_pipeline.diagnostics.typicality import rank_among, upper

DAYS = np.arange(80)
REPEATS = 60


def _curve(rng, n=400):
    """Data sets of a wave of uncertain amplitude, unit noise."""
    amplitude = rng.normal(5, 0.2, size=(n, 1))
    return amplitude * np.sin(DAYS / 8) + rng.normal(size=(n, DAYS.size))


def _p_values(mutate):
    found = []
    for seed in range(REPEATS):
        rng = np.random.default_rng(seed)
        found.append(typicality(_curve(rng), mutate(_curve(rng, 1)[0], rng)).p_value)
    return np.array(found)


def test_p_values_are_honest_for_the_right_model():
    found = _p_values(lambda x, rng: x)
    # 60 uniforms: 12 ± 3.1 below 0.2.
    assert 3 <= np.sum(found < 0.2) <= 22
    assert np.sum(found < 0.01) <= 3


MUTATIONS = {
    "noise x 1.5": lambda x, rng: x + np.sqrt(1.25) * rng.normal(size=x.shape),
    "a missing component": lambda x, rng: x + 6 * np.exp(-0.5 * ((DAYS - 40) / 2) ** 2),
    "one glitch": lambda x, rng: x + 9 * (DAYS == 40),
    "shifted by one wave": lambda x, rng: np.roll(x, 25),
    "a constant": lambda x, rng: np.zeros_like(x),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_p_values_see(name):
    assert np.mean(_p_values(MUTATIONS[name]) < 0.01) >= 0.95


def test_the_guilty_statistic_is_named():
    rng = np.random.default_rng(0)
    x = _curve(rng)
    glitch = _curve(rng, 1)[0] + 20 * (DAYS == 40)
    p_values = typicality(x, glitch).p_values
    assert p_values["largest residual"] == pytest.approx(1 / 401)
    assert p_values["mean"] > 0.01


def test_a_calibrated_posterior_that_learnt_nothing_is_found_and_not_only_the_model_blamed():
    checks = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        of_prior, truth = rng.normal(5, 3, size=2)  # known to 0.16 from the data
        x = of_prior * np.sin(DAYS / 8) + rng.normal(size=(600, DAYS.size))
        x_o = truth * np.sin(DAYS / 8) + rng.normal(size=DAYS.size)
        checks.append(judged("predictive", typicality(x, x_o), "npe, event"))
    caught = [each for each in checks if each.status == "fail"]
    assert len(caught) >= 16
    assert all("wider than it need be" in each.advice for each in caught)


def test_units_do_not_matter():
    rng = np.random.default_rng(1)
    x, x_o = _curve(rng), _curve(rng, 1)[0]
    scale = 10.0 ** rng.integers(-8, 8)
    one, other = (typicality(x * s, x_o * s).p_values for s in (1.0, scale))
    assert one == other


def test_images_are_taken_whole():
    rng = np.random.default_rng(3)
    images = rng.normal(size=(300, 12, 12))
    x_o = rng.normal(size=(12, 12))
    assert typicality(images, x_o).p_value > 0.01
    x_o[3:6, 3:6] += 5
    assert typicality(images, x_o).p_value < 0.01


def test_in_distribution_is_honest():
    found = []
    for seed in range(REPEATS):
        rng = np.random.default_rng(seed)
        x = rng.normal(0, 5, size=(401, 1)) * np.sin(DAYS / 8) + rng.normal(size=(401, DAYS.size))
        found.append(in_distribution(x[1:], x[0]).p_value)
    assert 3 <= np.sum(np.array(found) < 0.2) <= 22
    assert np.sum(np.array(found) < 0.01) <= 3


def test_in_distribution_sees_data_off_a_curved_sheet():
    rng = np.random.default_rng(4)
    angle = rng.uniform(0, 2 * np.pi, size=800)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) + 0.05 * rng.normal(size=(800, 2))
    assert in_distribution(ring[1:], ring[0]).p_value > 0.01
    centre = in_distribution(ring, np.zeros(2))
    assert centre.p_value < 0.01
    assert centre.p_values["distance"] > 0.5  # the bulk's middle: only the density tells


@pytest.mark.parametrize(
    ("x", "x_o", "message"),
    [
        (np.zeros((50, 3)), np.zeros(4), "shape"),
        (np.zeros((5, 3)), np.zeros(3), "too few"),
        (np.zeros((50, 3)), np.array([0.0, np.inf, 1.0]), "observation has infinite"),
        (np.full((50, 3), np.inf), np.zeros(3), "simulated data has infinite"),
    ],
)
def test_bad_data_are_refused(x, x_o, message):
    with pytest.raises(ValueError, match=message):
        typicality(x, x_o)


def predicted(draws, failed=0):
    """Predictions of three elements, and the attributes of those that failed."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(draws, 3))
    data = {"x": (("draw", "element"), x), "replicates": (("replicate", "element"), x)}
    data["x_o"] = ("element", [0, 0, 0])
    told = {"simulated": draws + failed, "failed": failed}
    return xr.Dataset(data, attrs={**told, "failures": json.dumps({"timed out": failed})})


@pytest.mark.parametrize(
    ("predictive", "note", "measured"),
    [
        (None, "No data were predicted (predictive_draws: 0", False),
        (xr.Dataset(attrs={"problem": "all failed"}), "No data could be predicted: all fai", False),
        (
            predicted(15, 5),
            "15 predictions of one draw are too few to compare the observation",
            False,
        ),
        (
            predicted(250),
            "250 data sets were predicted of one draw: a p-value below 0.004 cannot be told",
            True,
        ),
        (predicted(995, 5), "5 of 1000 predictions failed (5 timed out).", True),
    ],
)
def test_what_there_is_to_know_of_predictions_is_said(predictive, note, measured):
    asked = sampled(posterior(), predictive=predictive)
    assert any(each.startswith(note) for each in asked.notes)
    assert (measure_predictive(asked) is not None) == measured


def among_a_thousand(rng, off=0.0):
    """Rank one number among a thousand normal ones."""
    return rank_among(np.zeros((1001, 1)), {"a": upper(np.append(off, rng.normal(size=1000)))})


def test_one_of_many_observations_is_not_unlike_all_that_is_simulated_by_chance():
    """Of 2 000 good ones two are the most unusual; of a page of so many, 0.00002 is unusual."""
    rng = np.random.default_rng(1)
    found = [among_a_thousand(rng, off) for off in rng.normal(size=2000)]
    assert any(each.p_value == each.least_rank for each in found)
    assert sum(each.p_by_tail < 1e-4 for each in found) <= 2
    assert all(among_a_thousand(rng, 8.0).p_by_tail < 1e-5 for _ in range(100))

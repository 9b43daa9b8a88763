"""Models of counts, of sets and of maps: the right one is found, and data of none are told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models_for_tests import Campaign, half_of_each, learnt, on_a_grid
from scipy import special
from simulated_models import Counts
from test_model_mutations import checks, observed

from sbi_pipeline.comparison.calibration import scores
from sbi_pipeline.comparison.classifier import CalibratedClassifier, held_out_rows
from sbi_pipeline.comparison.rows import ModelRows
from sbi_pipeline.conditions import NO_CONDITIONS
from sbi_pipeline.storage.reading import Reader
from sbi_pipeline.types import Array

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SETS = 400
RATE = {"type": "normal", "mean": 2, "sd": 0.5}
COUNTS = [
    Campaign("simulated_models:Counts", {}, {"log_rate": RATE}, ["log_rate"], rows=5000, seed=1),
    Campaign(
        "simulated_models:Counts",
        {"scattered": True},
        {"log_rate": RATE, "excess": {"type": "uniform", "min": 0.05, "max": 0.6}},
        ["log_rate"],
        rows=5000,
        seed=2,
    ),
]
ARCS = {
    "d": {"type": "uniform", "min": 0.2, "max": 0.8},
    "sigma": {"type": "uniform", "min": 0.05, "max": 0.2},
    "t": {"type": "uniform", "min": 0.7, "max": 1.4},
}
MOONS = [
    Campaign("moons", {"points": 50}, ARCS, ["d"], rows=3000, seed=1),
    Campaign(
        "simulated_models:ThreeMoons",
        {},
        {**ARCS, "third": {"type": "uniform", "min": 0.1, "max": 0.4}},
        ["d"],
        rows=3000,
        seed=2,
    ),
]
SOURCES = {
    "number": {"type": "uniform", "min": 1, "max": 20},
    "sigma": {"type": "uniform", "min": 0.3, "max": 1},
    "height": {"type": "uniform", "min": 2, "max": 15},
    "longitude_*": {"type": "normal", "mean": 0, "sd": 20},
    "latitude_*": {"type": "normal", "mean": 0, "sd": 8},
    "flux_*": {"type": "lognormal", "mean": 0, "sd": 0.7},
}
SKY = [
    Campaign(
        "source_counts",
        {"most": 20, "pixels": 16, "background": 0.2},
        SOURCES,
        ["number"],
        rows=3000,
        seed=1,
    ),
    Campaign(
        "simulated_models:Glow",
        {},
        {**SOURCES, "glow": {"type": "uniform", "min": 0.2, "max": 1}},
        ["number"],
        rows=3000,
        seed=2,
    ),
]


def compared(
    campaigns: Sequence[Campaign], folder: Path, **options: Any
) -> tuple[CalibratedClassifier, list[Reader]]:
    readers = [one.reader(folder / str(i)) for i, one in enumerate(campaigns)]
    return learnt(readers, folder, **options), readers


def any_of_them(x: Array, readers: Sequence[Reader]) -> str:
    simulated = [each.collect({"validation": 300})["validation"].x for each in readers]
    (found,) = checks("model_likeness", observed(np.zeros(2), x=x, simulated=simulated))
    return str(found.status)


def check_calibrated(made: CalibratedClassifier, readers: Sequence[Reader]) -> None:
    x, model, _ = held_out_rows(ModelRows.of(readers, ["one", "other"], 1), NO_CONDITIONS)
    assert scores(made.log_p_of_rows(x), model).p_value > 0.001


GRID = special.ndtri((np.arange(100) + 0.5) / 100)


def evidences_of_counts(x: Array) -> Array:
    """On a grid of equally likely points of both priors, ``(n, 2)``."""
    rate = 2 + 0.5 * GRID
    excess = 0.05 + 0.55 * (np.arange(50) + 0.5) / 50
    both = np.stack([each.ravel() for each in np.meshgrid(rate, excess)], axis=1)
    points = rate[:, None], both
    one, other = Counts(20), Counts(20, scattered=True)
    return np.array(
        [[_evidence(one, points[0], each), _evidence(other, points[1], each)] for each in x]
    )


def _evidence(simulator: Counts, points: Array, x: Array) -> float:
    return on_a_grid(lambda theta: simulator.log_likelihood(theta, x), points)


def test_poisson_against_negative_binomial_counts(tmp_path: Path) -> None:
    made, readers = compared(COUNTS, tmp_path, network={"pairs": 4})
    x, model = half_of_each(COUNTS, SETS, seed=70)
    exact = evidences_of_counts(x)
    best, right = (each.argmax(axis=1) == model for each in (exact, made.odds(x).log_evidence))
    value, error = made.odds(x).log_bayes_factor(1, 0)
    truth = exact[:, 1] - exact[:, 0]
    near = np.abs(truth) < made.most - np.log(10)
    pull = ((value - truth) / error)[near]
    assert right.mean() > best.mean() - 0.03
    assert np.mean(np.abs(pull) < 3) > 0.9
    check_calibrated(made, readers)
    rng = np.random.default_rng(1)
    strange = rng.poisson(40, 20) * (np.arange(20) % 2.0)
    assert any_of_them(strange, readers) == "fail"
    assert any_of_them(x[0], readers) == any_of_them(x[1], readers) == "pass"


def test_two_against_three_moons(tmp_path: Path) -> None:
    made, readers = compared(
        MOONS, tmp_path, network={"pairs": 3, "embedding": "deep_set"}, max_epochs=4
    )
    x, model = half_of_each(MOONS, SETS, seed=70)
    right = made.odds(x.astype(np.float32)).log_evidence.argmax(axis=1) == model
    assert right.mean() > 0.97
    check_calibrated(made, readers)
    assert any_of_them(np.random.default_rng(1).uniform(-1, 2, size=(50, 2)), readers) != "pass"
    assert any_of_them(x[0], readers) == any_of_them(x[1], readers) == "pass"


def test_sources_with_and_without_a_glow(tmp_path: Path) -> None:
    made, readers = compared(SKY, tmp_path, network={"pairs": 3}, max_epochs=10)
    x, model = half_of_each(SKY, SETS, seed=70)
    right = made.odds(x.astype(np.float32)).log_evidence.argmax(axis=1) == model
    assert right.mean() > 0.9
    check_calibrated(made, readers)
    edge = np.zeros((16, 16), np.float32)
    edge[:, :4] = 3
    assert any_of_them(edge, readers) == "fail"
    assert any_of_them(x[0], readers) == any_of_them(x[1], readers) == "pass"

"""From log evidences to probabilities and words, fractions of a catalogue, averaged posteriors."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy import special, stats

from sbi_pipeline.comparison.asked import by_evidence, is_believed
from sbi_pipeline.comparison.averaging import averaged_posterior, parameters_of_all
from sbi_pipeline.comparison.evidence import Evidence
from sbi_pipeline.comparison.fractions import probabilities_among, sample_fractions
from sbi_pipeline.comparison.probabilities import ComparedModels
from sbi_pipeline.types import Array


def compared(
    log_evidence: list[float],
    error: float = 0.1,
    log_odds: list[float] | None = None,
    most: float = math.inf,
) -> ComparedModels:
    value = np.array(log_evidence)
    odds = np.zeros(len(value)) if log_odds is None else np.array(log_odds)
    covariance = error**2 * np.eye(len(value))
    return ComparedModels([f"m{i}" for i in range(len(value))], value, covariance, odds, most)


def test_bayes_factors_have_the_errors_of_both() -> None:
    covariance = np.array([[0.04, 0.01], [0.01, 0.09]])
    made = ComparedModels(["a", "b"], np.array([-3.0, -5.0]), covariance, np.zeros(2))
    value, error = made.log_bayes_factor(0, 1)
    assert value == pytest.approx(2)
    assert error == pytest.approx(math.sqrt(0.04 + 0.09 - 0.02))
    assert made.log_bayes_factor(1, 0) == (-value, error)


def test_probabilities_are_evidences_times_odds() -> None:
    made = compared([-1000.0, -1001.0, -1003.0], log_odds=[0.0, 2.0, 0.0])
    assert made.order == [1, 0, 2]
    assert made.best == 1
    np.testing.assert_allclose(made.probability, special.softmax([0, 1, -3]))


def test_a_model_without_evidence_has_no_probability_and_comes_last() -> None:
    made = compared([math.nan, 0.0, -1.0])
    assert made.order == [1, 2, 0]
    assert made.probability[0] == 0
    assert made.probability.sum() == pytest.approx(1)
    low, high = made.probability_ends()
    assert low[0] == high[0] == 0
    assert low[1] < made.probability[1] < high[1]


def test_ends_of_probabilities_are_those_of_the_errors() -> None:
    made = compared([0.7, 0.0], error=0.3)
    low, high = made.probability_ends()
    sd = 0.3 * math.sqrt(2)
    np.testing.assert_allclose(low[0], special.expit(0.7 - 1.96 * sd), atol=0.01)
    np.testing.assert_allclose(high[0], special.expit(0.7 + 1.96 * sd), atol=0.01)
    np.testing.assert_allclose(low + high[::-1], 1)


WORDS = [
    (
        compared([2.0, 0.0], 0.1),
        "The data favour m0 over m1 by a factor of 7.4 (log Bayes factor 2.00 ± 0.14); "
        "m0 has probability 0.88 (0.85 to 0.906) with equal prior odds.",
    ),
    (
        compared([0.1, 0.0], 0.1),
        "The data do not tell m0 from m1 within the error (log Bayes factor 0.10 ± 0.14); "
        "m0 has probability 0.52 (0.46 to 0.59) with equal prior odds.",
    ),
    (
        compared([0.0, 1.0], 0.1, [3.0, 0.0]),
        "The data favour m1 over m0 by a factor of 2.7, but the prior odds outweigh that "
        "(log Bayes factor -1.00 ± 0.14); m0 has probability 0.88 (0.85 to 0.906) with the prior "
        "odds given.",
    ),
    (compared([50.0, 0.0]), "by a factor of 1e22 (log Bayes factor 50.00"),
    (compared([50.0, 0.0]), "m0 has probability more than 0.999999 with equal prior odds"),
    (compared([6.0, 0.0]), "by a factor of 403 (log Bayes factor 6.00"),
    (compared([6.0, 0.0]), "m0 has probability 0.9975 (0.9968 to 0.9981)"),
    (
        compared([12.0, 0.0], most=9.2),
        "The data favour m0 over m1 by a factor of 9897 at least: more than so many simulations "
        "can tell (log Bayes factor 12.00 ± 0.14)",
    ),
    (
        compared([0.0, 12.0], log_odds=[30.0, 0.0], most=9.2),
        "favour m1 over m0 by a factor of 9897 at least: more than so many simulations can tell, "
        "but the prior odds outweigh that",
    ),
    (compared([0.0, 0.1], log_odds=[3.0, 0.0]), "do not tell m1 from m0 within the error (log"),
    (compared([math.nan, 0.0]), "Fewer than two models have an evidence."),
    (compared([3.0, math.nan, 0.0]), "favour m0 over m2 by a factor of 20"),
]


@pytest.mark.parametrize(("made", "told"), WORDS, ids=range(len(WORDS)))
def test_what_is_said(made: ComparedModels, told: str) -> None:
    assert told in made.in_words()


# Which evidence is believed -----------------------------------------------------------------------


def evidence(log_evidence: float, **changes: float | str) -> Evidence:
    good = {"error": 0.01, "network_error": 0.0, "k_hat": 0.1, "effective": 4000.0}
    return Evidence(log_evidence, **{**good, **changes})  # type: ignore[arg-type]


def test_evidences_of_bad_weights_are_not_believed() -> None:
    assert is_believed(evidence(0))
    assert not is_believed(evidence(0, k_hat=0.71))
    assert not is_believed(evidence(0, k_hat=math.nan))
    assert not is_believed(evidence(0, effective=99.0))
    assert not is_believed(Evidence(problem="none"))
    assert is_believed(evidence(0, k_hat=0.9, effective=15000.0))  # of 20 000: no tail can matter


@pytest.mark.parametrize(
    ("ways", "taken"),
    [
        ({"nle": "ab", "exact": "ab"}, {"a": "exact", "b": "exact"}),
        ({"nle": "ab", "exact": "a"}, {"a": "nle", "b": "nle"}),
        ({"nle": "b", "exact": "a"}, {"a": "exact", "b": "nle"}),
        ({"zz": "ab", "nle": "ab"}, {"a": "nle", "b": "nle"}),
    ],
)
def test_a_way_of_all_models_comes_first(ways: dict[str, str], taken: dict[str, str]) -> None:
    given = {
        way: {label: evidence(place) for place, label in enumerate(labels)}
        for way, labels in ways.items()
    }
    made, found = by_evidence(["a", "b"], given, np.zeros(2), np.zeros(2))
    assert found == taken
    assert made is not None
    assert np.isfinite(made.log_evidence).all()


def test_errors_of_draws_and_networks_add_up() -> None:
    given = {"nle": {"a": evidence(1, network_error=0.3, error=0.4), "b": evidence(0, error=0.1)}}
    made, _ = by_evidence(["a", "b"], given, np.zeros(2), np.zeros(2))
    assert made is not None
    np.testing.assert_allclose(made.covariance, np.diag([0.25, 0.01]))
    made, _ = by_evidence(["a", "b"], given, np.zeros(2), np.array([0.04, 0.04]))
    assert made is not None
    np.testing.assert_allclose(made.covariance, np.diag([0.25, 0.05]))
    exact, _ = by_evidence(["a", "b"], {"exact": given["nle"]}, np.zeros(2), np.full(2, 0.04))
    assert exact is not None
    np.testing.assert_allclose(exact.covariance, np.diag([0.16, 0.01]))
    assert evidence(0, network_error=math.nan, error=0.4).whole_error == 0.4


def test_fewer_than_two_evidences_compare_nothing() -> None:
    given = {"nle": {"a": evidence(1), "b": evidence(0, k_hat=0.9)}}
    assert by_evidence(["a", "b"], given, np.zeros(2), np.zeros(2)) == (None, {"a": "nle"})
    made, taken = by_evidence(
        ["a", "b", "c"], {"nle": {**given["nle"], "c": evidence(2)}}, np.zeros(3), np.zeros(3)
    )
    assert taken == {"a": "nle", "c": "nle"}
    assert made is not None
    assert np.isnan(made.log_evidence).tolist() == [False, True, False]


# Fractions ----------------------------------------------------------------------------------------


def objects(n: int, fraction: float, seed: int, apart: float = 1.5) -> Array:
    """Log evidences of objects of two models, whose data are a number each."""
    rng = np.random.default_rng(seed)
    x = rng.normal(apart * (rng.random(n) < fraction), 1)
    return np.stack([stats.norm(0, 1).logpdf(x), stats.norm(apart, 1).logpdf(x)], axis=1)


@pytest.mark.parametrize(
    ("n", "fraction", "apart"),
    [(300, 0.3, 1.5), (30, 0.9, 1.5), (1, 0.5, 1.5), (2000, 0.25, 0.3)],
)
def test_fractions_are_those_on_a_grid(n: int, fraction: float, apart: float) -> None:
    told = objects(n, fraction, n, apart)
    grid = (np.arange(4000) + 0.5) / 4000
    mixed = np.exp(told[:, :1]) * (1 - grid) + np.exp(told[:, 1:]) * grid
    log_p = np.log(mixed).sum(axis=0)
    p = np.exp(log_p - special.logsumexp(log_p))
    mean = p @ grid
    sd = np.sqrt(p @ (grid - mean) ** 2)
    drawn = sample_fractions(told, seed=1, draws=20_000)
    assert drawn.shape == (20_000, 2)
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    assert abs(drawn[:, 1].mean() - mean) < 0.1 * sd
    assert drawn[:, 1].std() == pytest.approx(sd, rel=0.06)
    for level in (0.05, 0.95):
        exact = grid[np.searchsorted(np.cumsum(p), level)]
        assert abs(np.quantile(drawn[:, 1], level) - exact) < 0.15 * sd


def test_fractions_of_three_models_on_a_grid() -> None:
    rng = np.random.default_rng(5)
    centres = np.array([0.0, 2.0, 4.0])
    x = rng.normal(centres[rng.choice(3, 100, p=[0.6, 0.3, 0.1])], 1)
    told = stats.norm(centres, 1).logpdf(x[:, None])
    one, two = np.meshgrid((np.arange(300) + 0.5) / 300, (np.arange(300) + 0.5) / 300)
    inside = one + two < 1
    f = np.stack([one[inside], two[inside], 1 - one[inside] - two[inside]])
    log_p = np.log(np.exp(told) @ f).sum(axis=0)
    exact = f @ special.softmax(log_p)
    drawn = sample_fractions(told, seed=2, draws=10_000)
    np.testing.assert_allclose(drawn.mean(axis=0), exact, atol=0.01)


def test_a_constant_of_each_object_changes_nothing() -> None:
    told = objects(50, 0.5, 1)
    far = told + 1e4 * np.random.default_rng(1).normal(size=(50, 1))
    np.testing.assert_allclose(sample_fractions(told, 3), sample_fractions(far, 3), atol=1e-6)


def test_probabilities_among_a_population_know_its_fractions() -> None:
    told = objects(400, 0.1, 6)
    fractions = sample_fractions(told, seed=1)
    among = probabilities_among(told, fractions)
    np.testing.assert_allclose(among.sum(axis=1), 1)
    np.testing.assert_allclose(among.mean(axis=0), fractions.mean(axis=0), atol=0.02)
    at_mean = special.softmax(told + np.log(fractions.mean(axis=0)), axis=1)
    np.testing.assert_allclose(among, at_mean, atol=0.03)


# Averaged posteriors ------------------------------------------------------------------------------


def tree(seed: int, **centres: float) -> xr.DataTree:
    rng = np.random.default_rng(seed)
    columns = {
        name: (("chain", "draw"), rng.normal(centre, 0.1, (4, 500)), {"label": f"${name}$"})
        for name, centre in centres.items()
    }
    return xr.DataTree.from_dict({"posterior": xr.Dataset(columns)})


def test_posteriors_are_averaged_by_probability() -> None:
    trees = {"one": tree(1, mass=0.0, spin=2.0), "two": tree(2, mass=1.0, angle=0.0)}
    made = averaged_posterior(trees, np.array([0.3, 0.7]), {"key": "k"}, seed=1)
    assert made is not None
    posterior, stats_ = made["posterior"].to_dataset(), made["sample_stats"].to_dataset()
    assert list(posterior) == ["mass"]
    assert posterior["mass"].attrs["label"] == "$mass$"
    mass, model = posterior["mass"].to_numpy(), stats_["model"].to_numpy()
    assert model.mean() == pytest.approx(0.7, abs=0.015)
    assert mass[model == 0].mean() == pytest.approx(0, abs=0.01)
    assert mass[model == 1].mean() == pytest.approx(1, abs=0.01)
    assert stats_.attrs["models"] == ["one", "two"]
    assert made.attrs["key"] == "k"


def test_draws_of_a_model_without_probability_are_not_there() -> None:
    trees = {"one": tree(1, mass=0.0), "two": tree(2, mass=1.0)}
    made = averaged_posterior(trees, np.array([1.0, 0.0]), {}, seed=1)
    assert made is not None
    assert made["sample_stats"]["model"].to_numpy().max() == 0
    assert made["posterior"]["mass"].to_numpy().max() < 0.6


def test_nothing_shared_is_nothing_averaged() -> None:
    trees = {"one": tree(1, mass=0.0), "two": tree(2, spin=1.0)}
    assert averaged_posterior(trees, np.array([0.5, 0.5]), {}, seed=1) is None


def test_parameters_of_several_numbers_are_not_shared() -> None:
    curve = xr.Dataset(
        {
            "mass": (("chain", "draw"), np.zeros((1, 2))),
            "f": (("chain", "draw", "t"), np.zeros((1, 2, 3))),
        }
    )
    assert parameters_of_all([curve, curve]) == ["mass"]

from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from sbi_pipeline import priors, streams
from sbi_pipeline.priors.families import TYPES
from sbi_pipeline.study.texts import OF_NUMBERS

SPECS: dict[str, dict[str, Any]] = {
    "uniform": {"min": -2, "max": 5},
    "normal": {"mean": 1, "sd": 2},
    "lognormal": {"mean": 0.4, "sd": 0.5},
    "halfnormal": {"sd": 0.3},
    "loguniform": {"min": 1e-3, "max": 10},
    "beta": {"a": 2, "b": 3},
    "gamma": {"shape": 2, "scale": 1.5},
    "exponential": {"scale": 2},
    "truncnormal": {"mean": 1, "sd": 2, "min": 0, "max": 3},
    "powerlaw": {"exponent": -2.3, "min": 0.5, "max": 40},
    "sine": {"min": 0, "max": np.pi},
    "cosine": {"min": -1.1, "max": 0.7},
    "triangular": {"min": -1, "mode": 0.5, "max": 4},
    "student": {"df": 3, "location": 1, "scale": 2},
    "cauchy": {"location": -1, "scale": 0.5},
    "halfcauchy": {"scale": 2},
    "laplace": {"mean": 1, "scale": 0.5},
    "logistic": {"mean": -2, "scale": 3},
    "weibull": {"shape": 1.7, "scale": 2},
    "invgamma": {"shape": 3, "scale": 2},
    "bernoulli": {"probability": 0.3},
    "integer": {"min": 2, "max": 6},
    "categorical": {"probabilities": [0.2, 0.5, 0.3]},
}


class Angle:
    """Density proportional to sin(y + pole), by the formulas of a first course."""

    def __init__(self, low: float, high: float, pole: float) -> None:
        self.low, self.high, self.pole = low, high, pole
        self.size = np.cos(low + pole) - np.cos(high + pole)

    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def cdf(self, y: np.ndarray) -> np.ndarray:
        below = (np.cos(self.low + self.pole) - np.cos(y + self.pole)) / self.size
        return np.where(y < self.low, 0, np.where(y > self.high, 1, below))

    def sf(self, y: np.ndarray) -> np.ndarray:
        return 1 - self.cdf(y)

    def logpdf(self, y: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            log_density = np.log(np.sin(y + self.pole) / self.size)
        return np.where((y < self.low) | (y > self.high), -np.inf, log_density)

    def ppf(self, q: np.ndarray) -> np.ndarray:
        q = np.where((q >= 0) & (q <= 1), q, np.nan)
        return np.arccos(np.cos(self.low + self.pole) - q * self.size) - self.pole

    def isf(self, q: np.ndarray) -> np.ndarray:
        return self.ppf(1 - q)


EXPECTED: dict[str, Any] = {
    "uniform": stats.uniform(-2, 7),
    "normal": stats.norm(1, 2),
    "lognormal": stats.lognorm(0.5, scale=np.exp(0.4)),
    "halfnormal": stats.halfnorm(scale=0.3),
    "loguniform": stats.loguniform(1e-3, 10),
    "beta": stats.beta(2, 3),
    "gamma": stats.gamma(2, scale=1.5),
    "exponential": stats.expon(scale=2),
    "truncnormal": stats.truncnorm(-0.5, 1, 1, 2),
    "powerlaw": stats.truncpareto(1.3, 80, scale=0.5),
    "sine": Angle(0, np.pi, 0),
    "cosine": Angle(-1.1, 0.7, np.pi / 2),
    "triangular": stats.triang(0.3, -1, 5),
    "student": stats.t(3, 1, 2),
    "cauchy": stats.cauchy(-1, 0.5),
    "halfcauchy": stats.halfcauchy(scale=2),
    "laplace": stats.laplace(1, 0.5),
    "logistic": stats.logistic(-2, 3),
    "weibull": stats.weibull_min(1.7, scale=2),
    "invgamma": stats.invgamma(3, scale=2),
}
FIRST = (
    "uniform",
    "normal",
    "lognormal",
    "halfnormal",
    "loguniform",
    "beta",
    "gamma",
    "exponential",
)
DISCRETE = sorted(set(SPECS) - set(EXPECTED))


def build(**specs: dict[str, Any]) -> priors.NamedPrior:
    prior = priors.build(specs, tuple(specs))
    assert isinstance(prior, priors.NamedPrior)
    return prior


def draw(prior: priors.NamedPrior, rows: int = 20_000) -> np.ndarray:
    return prior.from_uniform(streams.uniforms(1, "test", 0, rows, len(prior.names)))


def test_every_type_is_tested() -> None:
    assert {*SPECS, *OF_NUMBERS} == set(TYPES)  # the latter in test_priors_from_files.py


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_draws_follow_their_distribution(kind: str) -> None:
    prior = build(a={"type": kind, **SPECS[kind]})
    values = draw(prior)
    assert stats.kstest(values[:, 0], EXPECTED[kind].cdf).pvalue > 1e-3
    np.testing.assert_allclose(prior.log_prob(values), EXPECTED[kind].logpdf(values[:, 0]))


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_what_lies_far_outside_is_still_a_number(kind: str) -> None:
    """An estimator may draw from there, for data far from all simulations."""
    prior = build(a={"type": kind, **SPECS[kind]})
    values = prior.from_normal(np.array([[-np.inf], [-1e9], [-30.0], [30.0], [1e9], [np.inf]]))
    assert np.isfinite(values).all()
    assert (np.diff(values[:, 0]) >= 0).all()
    assert np.isnan(prior.from_normal([[np.nan]])).all()


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_normal_space_and_back(kind: str) -> None:
    prior = build(a={"type": kind, **SPECS[kind]})
    z = np.linspace(-6, 6, 101)[:, None]
    values = prior.from_normal(z)
    assert np.isfinite(values).all()
    assert np.isfinite(prior.log_prob(values)).all()
    np.testing.assert_allclose(prior.to_normal(values), z, atol=2e-4)


@pytest.mark.parametrize(
    ("kind", "probabilities"),
    [
        ("bernoulli", {0: 0.7, 1: 0.3}),
        ("integer", dict.fromkeys(range(2, 7), 0.2)),
        ("categorical", {0: 0.2, 1: 0.5, 2: 0.3}),
    ],
)
def test_discrete_types(kind: str, probabilities: dict[int, float]) -> None:
    assert kind in DISCRETE
    prior = build(a={"type": kind, **SPECS[kind]})
    values = draw(prior)
    for value, probability in probabilities.items():
        assert np.mean(values == value) == pytest.approx(probability, abs=0.015)
        at = np.array([[float(value)]])
        assert prior.log_prob(at)[0] == pytest.approx(np.log(probability))
        assert prior.from_normal(prior.to_normal(at))[0, 0] == value
    assert set(np.unique(values)) == set(probabilities)


@pytest.mark.parametrize("kind", sorted(set(EXPECTED) - {"normal"}))
def test_density_is_zero_outside(kind: str) -> None:
    low, high = EXPECTED[kind].support()
    prior = build(a={"type": kind, **SPECS[kind]})
    outside = np.array([edge for edge in (low - 1, high + 1) if np.isfinite(edge)])[:, None]
    assert np.isneginf(prior.log_prob(outside)).all()


def test_conditional_prior_is_the_hierarchy_it_says() -> None:
    prior = build(
        mass={"type": "uniform", "min": 1, "max": 3},
        offset={"type": "normal", "mean": "0.5 * mass", "sd": "0.1 * mass"},
    )
    values = draw(prior)
    standard = (values[:, 1] - 0.5 * values[:, 0]) / (0.1 * values[:, 0])
    assert stats.kstest(standard, stats.norm.cdf).pvalue > 1e-3
    assert abs(stats.spearmanr(standard, values[:, 0]).statistic) < 0.03
    assert stats.spearmanr(values).statistic > 0.8
    np.testing.assert_allclose(prior.from_normal(prior.to_normal(values)), values, rtol=1e-9)
    expected = stats.norm.logpdf(values[:, 1], 0.5 * values[:, 0], 0.1 * values[:, 0])
    np.testing.assert_allclose(prior.log_prob(values), expected - np.log(2))


def test_order_of_columns_is_the_simulators_and_changes_no_draw() -> None:
    specs = {
        "b": {"type": "normal", "mean": "a", "sd": 1},
        "a": {"type": "uniform", "min": 0, "max": 1},
    }
    one = priors.build(specs, ("a", "b"))
    two = priors.build(dict(reversed(specs.items())), ("a", "b"))
    u = streams.uniforms(1, "test", 0, 100, 2)
    np.testing.assert_array_equal(one.from_uniform(u), two.from_uniform(u))


def test_complete_draws_the_others_given_the_known() -> None:
    prior = build(
        mass={"type": "uniform", "min": 1, "max": 3},
        offset={"type": "normal", "mean": "10 * mass", "sd": 0.1},
    )
    u = streams.uniforms(2, "test", 0, 500, 2)
    values = prior.complete({"mass": np.full(500, 2.0)}, u)
    assert (values[:, 0] == 2).all()
    assert values[:, 1].mean() == pytest.approx(20, abs=0.02)


def test_keep_returns_the_marginal_or_says_why_not() -> None:
    prior = build(
        mass={"type": "uniform", "min": 1, "max": 3},
        offset={"type": "normal", "mean": "mass", "sd": 1},
        free={"type": "normal", "mean": 0, "sd": 1},
    )
    assert prior.keep(("free", "mass")).names == ("free", "mass")
    with pytest.raises(ValueError, match="'offset' is kept but its prior depends on 'mass'"):
        prior.keep(("offset",))


def test_a_pattern_is_the_prior_of_all_that_match() -> None:
    specs = {
        "height": {"type": "uniform", "min": 1, "max": 2},
        "latitude_*": {"type": "normal", "mean": 0, "sd": "height"},
        "latitude_2": {"type": "normal", "mean": 7, "sd": 1},
    }
    prior = priors.build(specs, ["height", "latitude_1", "latitude_2"])
    np.testing.assert_allclose(prior.from_normal(np.zeros((1, 3))), [[1.5, 0.0, 7.0]])
    with pytest.raises(ValueError, match=r"'lat\*' and 'latitude_\*' both match"):
        priors.build({"lat*": {}, **specs}, ["height", "latitude_1"])
    with pytest.raises(ValueError, match=r"a prior for 'flux_\*'"):
        priors.build({**specs, "flux_*": {}}, ["height", "latitude_2"])


def test_a_joint_prior_of_the_users_own() -> None:
    prior = priors.build("joint_prior:Disc", ("right", "up"))
    values = prior.from_uniform(streams.uniforms(3, "test", 0, 1000, 2))
    assert (np.hypot(*values.T) < 1).all()
    with pytest.raises(ValueError, match="wants left"):
        priors.build("joint_prior:Disc", ("left",))


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"a": {"type": "uniform", "min": 1, "max": 1}}, "'a'.*wanted min < max"),
        ({"a": {"type": "integer", "min": 3, "max": 3}}, "'a'.*whole numbers, min < max"),
        ({"a": {"type": "normal", "mean": 0, "sd": 0}}, "'a'.*wanted sd > 0"),
        ({"a": {"type": "normal", "mean": 0, "sd": -1}}, "'a'.*wanted sd > 0"),
        ({"a": {"type": "gauss"}}, "got type 'gauss'; wanted one of uniform"),
        ({"a": {"type": "normal", "mean": 0}}, "a normal prior wants mean, sd"),
        ({"a": {"type": "normal", "mean": "c", "sd": 1}}, "depends on 'c', which is none of a"),
        ({"b": {"type": "normal", "mean": 0, "sd": 1}}, "no prior for 'a'"),
        ({"a": {"type": "categorical", "probabilities": [0.5, 0.6]}}, "sum to 1"),
    ],
)
def test_bad_entries_say_what_was_wanted(specs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        priors.build(specs, ("a",))


def test_priors_that_depend_on_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match=r"depend on each other: (a -> b -> a|b -> a -> b)"):
        build(
            a={"type": "normal", "mean": "b", "sd": 1},
            b={"type": "normal", "mean": "a", "sd": 1},
        )


def test_a_wrong_shape_names_the_parameters() -> None:
    prior = build(a={"type": "normal", "mean": 0, "sd": 1})
    with pytest.raises(ValueError, match=r"shape \(5, 2\); the prior has 1 parameters \(a\)"):
        prior.to_normal(np.zeros((5, 2)))


@pytest.mark.parametrize("kind", sorted(set(EXPECTED) - {"truncnormal"}))
def test_closed_forms_are_those_of_scipy(kind: str) -> None:
    made, scipy = TYPES[kind].distribution(**SPECS[kind]), EXPECTED[kind]
    inside = np.random.default_rng(1).random(10_000)
    far = [] if kind == "halfnormal" else [1e-300, 1e-16]  # SciPy has 0 there
    q = np.concatenate([[0.0, 1.0, 1 - 1e-16, -0.1, 1.1, np.nan, *far], inside])
    if kind in FIRST:  # whose draws are in campaigns, so they may not change
        np.testing.assert_array_equal(made.ppf(q), scipy.ppf(q))
    q = q if kind in FIRST else inside
    np.testing.assert_allclose(made.ppf(q), scipy.ppf(q), rtol=1e-11)
    np.testing.assert_allclose(made.isf(q), scipy.isf(q), rtol=1e-11)
    values = np.concatenate([scipy.ppf(inside), scipy.support(), [-3.0, -1e-12, 0.0, 11.0, np.nan]])
    for name in ("cdf", "sf", "logpdf"):
        with np.errstate(invalid="ignore"):  # SciPy's gamma subtracts infinities
            wanted = getattr(scipy, name)(values)
        np.testing.assert_allclose(getattr(made, name)(values), wanted, rtol=1e-11, atol=1e-15)
    assert made.support() == pytest.approx(scipy.support(), rel=1e-15)


@pytest.mark.parametrize(
    ("kind", "tails"),
    [
        ("uniform", ""),
        ("normal", "both"),
        ("lognormal", "both"),
        ("halfnormal", "both"),
        ("beta", "lower"),
        ("gamma", "both"),
        ("exponential", "both"),
        ("student", "both"),
        ("cauchy", "both"),
        ("halfcauchy", "both"),
        ("laplace", "both"),
        ("logistic", "both"),
        ("weibull", "both"),
        ("sine", "lower"),
    ],
)
def test_tails_keep_their_digits(kind: str, tails: str) -> None:
    """Those at 0 and at infinity to the end; ends elsewhere as far as values can be told apart."""
    prior = build(a={"type": kind, **SPECS[kind]})
    z = np.linspace(-37, 37, 75)
    found = prior.to_normal(prior.from_normal(z[:, None]))[:, 0]
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    if tails:
        np.testing.assert_allclose(found[z < 0], z[z < 0], atol=2e-6)
    if tails == "both":
        np.testing.assert_allclose(found[z > 0], z[z > 0], atol=2e-6)


@pytest.mark.parametrize(
    ("exponent", "low", "high"),
    [(-1, 0.5, 40), (2, 0.5, 40), (2, 0, 3), (-0.5, 0, 2), (-11, 1e-15, 1e15), (11, 1e-15, 1e15)],
)
def test_power_laws_of_every_slope(exponent: float, low: float, high: float) -> None:
    prior = build(a={"type": "powerlaw", "exponent": exponent, "min": low, "max": high})
    values, k = draw(prior)[:, 0], exponent + 1
    size = np.log(high / low) if k == 0 else (high**k - low**k) / k
    below = np.log(values / low) if k == 0 else (values**k - low**k) / k
    assert stats.kstest(below / size, "uniform").pvalue > 1e-3
    expected = exponent * np.log(values) - np.log(size)
    np.testing.assert_allclose(prior.log_prob(values[:, None]), expected, atol=1e-12)


NEAR_ENDS: list[dict[str, Any]] = [
    {"type": "uniform", "min": 1126259462.3, "max": 1126259462.5},
    {"type": "uniform", "min": 1, "max": 1 + 1e-12},
    {"type": "uniform", "min": -1e9, "max": 1},
    {
        "type": "truncnormal",
        "mean": 1126259462.4,
        "sd": 1,
        "min": 1126259462.3,
        "max": 1126259462.5,
    },
    {"type": "triangular", "min": 1, "mode": 1, "max": 1 + 1e-12},
    {"type": "cosine", "min": 1, "max": 1 + 1e-12},
    {"type": "powerlaw", "exponent": 2, "min": 1, "max": 1 + 1e-12},
    {"type": "loguniform", "min": 1e-15, "max": 1e15},
    {"type": "gamma", "shape": 0.01, "scale": 1},
    {"type": "beta", "a": 0.01, "b": 0.01},
    {"type": "beta", "a": 0.3, "b": 0.3},
    {"type": "lognormal", "mean": 0, "sd": 80},
]


@pytest.mark.parametrize("spec", NEAR_ENDS, ids=lambda spec: f"{spec['type']}")
def test_draws_lie_strictly_inside(spec: dict[str, Any]) -> None:
    """Rounded to an end they would be infinite in normal space, and no estimator could train."""
    prior = build(a=spec)
    values = draw(prior, 100_000)
    low, high = prior.parameters[0].given({}).support()
    assert ((low < values) & (values < high)).all()
    assert np.isfinite(prior.log_prob(values)).all()
    z = prior.to_normal(values)
    assert np.abs(z).max() < 8.3
    np.testing.assert_allclose(prior.from_normal(z), values, rtol=1e-12)
    ends = prior.from_uniform(np.array([[0.0], [1 - 2.0**-53]]))
    assert ((low < ends) & (ends < high)).all()


def test_values_precise_to_the_last_digit_of_a_time() -> None:
    low, high = 1126259462.3, 1126259462.5
    prior = build(a={"type": "uniform", "min": low, "max": high})
    values = np.linspace(low, high, 1002)[1:-1, None]
    z = prior.to_normal(values)
    np.testing.assert_allclose(special.ndtr(z), (values - low) / (high - low), rtol=1e-12)
    np.testing.assert_array_equal(prior.from_normal(z), values)


def test_a_value_on_a_bound_is_within_reach() -> None:
    prior = build(a={"type": "uniform", "min": 2, "max": 5})
    z = prior.to_normal(np.array([[2.0], [5.0], [1.9], [5.1], [np.nan]]))[:, 0]
    np.testing.assert_allclose(z[:2], [-8.1, 8.1], atol=0.15)  # of one value next to it
    assert z[2:4].tolist() == [-np.inf, np.inf]
    assert np.isnan(z[4])

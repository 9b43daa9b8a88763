"""Known conditions: travelling with the data, seen by every method, given when observing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from estimators_for_tests import METHODS, small, train
from scipy import special
from synthetic import asked

from sbi_pipeline import catalogues, estimators, priors
from sbi_pipeline.conditions import Conditions, check_independent, conditions_in
from sbi_pipeline.diagnostics.in_distribution import Reference, in_distribution
from sbi_pipeline.diagnostics.ranks import rank
from sbi_pipeline.estimators import Estimator, add_validity
from sbi_pipeline.event_predictions import Selected, tried_rows
from sbi_pipeline.networks.conditioned import ConditionedRegression
from sbi_pipeline.networks.packing import packed, packed_shape, unpacked
from sbi_pipeline.networks.validity import Validity
from sbi_pipeline.objects import Layout
from sbi_pipeline.posterior import log_posterior
from sbi_pipeline.predictions import Predictor
from sbi_pipeline.refinement import Proposed, estimated_likelihood, exact_likelihood
from sbi_pipeline.trained import Posterior
from sbi_pipeline.types import Array

NOISE, OFFSET = 0.3, 2.0
NORMAL = {"type": "normal", "mean": 0, "sd": 1}
JOINT = priors.build({"theta": NORMAL, "offset": NORMAL}, ("theta", "offset"))
OFFSETS = conditions_in(JOINT, ("offset",))
SPECS = {
    "theta": NORMAL,
    "exposure": {"type": "uniform", "min": 1, "max": 5},
    "band": {"type": "categorical", "probabilities": [0.5, 0.25, 0.25]},
    "eta": NORMAL,
}
KNOWN = conditions_in(priors.build(SPECS, tuple(SPECS)), ("exposure", "band"))


def simulate(rows: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """Return theta, a known offset, and data N(theta + OFFSET offset, NOISE^2)."""
    rng = np.random.default_rng(seed)
    theta, offset, noise = rng.normal(size=(3, rows, 1))
    return theta, offset, theta + OFFSET * offset + NOISE * noise


def exact(x: float, offset: float) -> tuple[float, float]:
    """Return mean and sd of the posterior of theta."""
    shrink = 1 / (1 + NOISE**2)
    return shrink * (x - OFFSET * offset), NOISE * shrink**0.5


def trained(method: str, rows: int = 2000, members: int = 1, **training: Any) -> Posterior:
    theta, offset, x = simulate(rows)
    z, shown = torch.from_numpy(theta).float(), torch.from_numpy(OFFSETS.beside(x, offset)).float()
    options = small(method) if method in METHODS else {}
    told = {"conditions": 1, "x_shape": (1,), "members": members}
    made = estimators.build(method, z, shown, seed=1, **told, **options)
    train(made, z, shown, **{"max_epochs": 5, **training})
    return Posterior(made.eval(), JOINT.keep(("theta",)), {"method": method}, OFFSETS)


def moments(posterior: Posterior, x: float, offset: float) -> tuple[float, float]:
    """Return mean and sd, by draws or on a grid."""
    if posterior.estimator.traits.draws:
        theta = posterior.sample(4000, np.array([x]), known={"offset": offset})
        return float(theta.mean()), float(theta.std())
    grid = np.linspace(-4, 4, 801)[:, None]
    log_prob = posterior.log_prob(grid, np.array([x]), known={"offset": offset})
    weight = np.exp(log_prob - log_prob.max())
    weight /= weight.sum()
    mean = float(weight @ grid[:, 0])
    return mean, float(np.sqrt(weight @ (grid[:, 0] - mean) ** 2))


class Tilted:
    """A joint prior of two correlated parameters, as far as it is asked."""

    names = ("slope", "level")

    def from_uniform(self, u: Array) -> Array:
        slope, rest = special.ndtri(u).T
        return np.column_stack([slope, 0.8 * slope + 0.6 * rest])

    def log_prob(self, parameters: Array) -> Array:
        slope, level = parameters.T
        return -0.5 * (slope**2 + ((level - 0.8 * slope) / 0.6) ** 2)

    def keep(self, names: tuple[str, ...]) -> Any:
        return self if names == self.names else priors.build({names[0]: NORMAL}, names)


# Packing and values -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["i2", "u4", "i8", "f4", "f8", "?"])
def test_packed_data_come_back_as_they_were(kind: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2 if kind == "?" else 30_000, size=(5, 2, 3)).astype(kind)
    if kind in ("i8", "f8"):
        x += 2**40
    known = rng.normal(size=(5, 2))
    rows = packed(known, x)
    assert rows.shape == (5, *packed_shape(2, (2, 3)))
    beside, data = unpacked(torch.from_numpy(rows), 2, (2, 3))
    np.testing.assert_array_equal(data.numpy(), x.astype(rows.dtype))
    np.testing.assert_array_equal(data.numpy().astype(kind), x)
    np.testing.assert_allclose(beside.numpy(), known, rtol=1e-6)


def test_without_conditions_data_stay_as_they_are() -> None:
    x = np.arange(12).reshape(2, 2, 3)
    assert packed(np.empty((2, 0)), x) is x
    assert Conditions().beside(x, np.empty((2, 0))) is x
    assert packed_shape(0, (2, 3)) == (2, 3)


def test_values_are_taken_by_name_and_shown_in_normal_space() -> None:
    known = KNOWN.of({"band": 1, "exposure": [1.0, 3.0, 5.0]}, (3,))
    np.testing.assert_array_equal(known, [[1, 1], [3, 1], [5, 1]])
    shown = KNOWN.beside(np.zeros((3, 2)), known)
    assert shown.shape == (3, 4)
    np.testing.assert_allclose(shown[:, 0], [-4, 0, 4])  # a bound is no value that is far out
    np.testing.assert_allclose(shown[:, 1], 0.3186, atol=1e-4)  # of 0.5 + 0.25 / 2


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"exposure": 2}, "value of 'band' is not given, and known parameters are exposure, band"),
        ({"exposure": 2, "band": 1, "expo": 1}, "'expo' is given as known"),
        ({"exposure": 7, "band": 1}, "known exposure = 7 lies outside its prior"),
        ({"exposure": 2, "band": 3}, "known band = 3 lies outside its prior"),
        ({"exposure": float("nan"), "band": 1}, "known exposure is nan"),
        ({"exposure": "long", "band": 1}, "known exposure is 'long'; wanted a number"),
        ({"exposure": [1, 2, 3], "band": 1}, r"known exposure has 3 values; wanted one, or .*\(2,"),
        (None, "value of 'exposure' is not given"),
    ],
)
def test_values_that_make_no_sense_are_one_line(given: Any, line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        KNOWN.of(given, (2,))
    assert "\n" not in str(caught.value)


def test_the_prior_of_conditions_depends_on_no_inferred_parameter() -> None:
    specs = {"theta": NORMAL, "noise": {"type": "normal", "mean": "theta", "sd": 1}}
    joint = priors.build(specs, tuple(specs))
    with pytest.raises(ValueError, match="'noise' is kept but its prior depends on 'theta'"):
        conditions_in(joint, ("noise",))
    check_independent(JOINT, ["theta"], ["offset"])
    with pytest.raises(ValueError, match="the prior of slope depends on level"):
        check_independent(Tilted(), ["slope"], ["level"])


# Every method -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*METHODS, "toy:ToyEstimator"])
def test_every_method_sees_the_known_value(method: str) -> None:
    slow_learner = {"max_epochs": 30, "learning_rate": 0.03} if ":" in method else {}
    posterior = trained(method, **slow_learner)
    unknown = OFFSET / (1 + OFFSET**2) ** 0.5  # the width where the offset is not seen, about
    for x, offset in ((1.0, 0.0), (1.0, 0.6), (-1.0, -0.6)):
        mean, sd = exact(x, offset)
        found = moments(posterior, x, offset)
        assert found[0] == pytest.approx(mean, abs=0.5 * sd)
        assert found[1] < 0.5 * unknown


@pytest.mark.parametrize("method", ["npe", "nle"])
def test_members_of_an_ensemble_see_it(method: str) -> None:
    found = moments(trained(method, members=2), 1.0, 0.6)
    assert found == pytest.approx(exact(1.0, 0.6), abs=0.15)


def test_shuffled_conditions_fail_the_calibration() -> None:
    posterior = trained("npe")
    theta, offset, x = simulate(400, seed=1)
    status = {}
    for name, known in {"own": offset, "of another": np.roll(offset, 1, axis=0)}.items():
        data = rank(posterior, theta, OFFSETS.beside(x, known), seed=1)
        status[name] = asked("calibration", data).status
    assert status == {"own": "pass", "of another": "fail"}


def test_one_condition_for_each_data_set() -> None:
    posterior, offsets = trained("npe"), np.array([-0.5, 0.0, 0.5])
    theta = posterior.sample(4000, np.ones((3, 1)), known={"offset": offsets})
    wanted = [exact(1.0, each)[0] for each in offsets]
    np.testing.assert_allclose(theta.mean(axis=(1, 2)), wanted, atol=0.1)
    with pytest.raises(ValueError, match="the value of 'offset' is not given"):
        posterior.sample(10, np.ones(1))


def test_joined_data_sets_have_each_its_own() -> None:
    """Their likelihoods multiply, each under its own condition, and the prior counts once."""
    posterior, x, offsets = trained("nle", rows=500, max_epochs=1), np.ones((2, 1)), [-0.5, 0.8]
    theta = np.linspace(-1, 1, 5)[:, None]
    both = posterior.log_prob(theta, list(x), known={"offset": offsets})
    apart = [
        posterior.log_prob(theta, one, known={"offset": offset})
        for one, offset in zip(x, offsets, strict=True)
    ]
    np.testing.assert_allclose(both, np.sum(apart, 0) - posterior.prior.log_prob(theta), atol=1e-4)
    assert posterior.sample(50, list(x), known={"offset": offsets}).shape == (50, 1)


def test_an_estimator_is_read_with_its_conditions(tmp_path: Any) -> None:
    posterior = trained("npe", rows=500, max_epochs=1)
    header = {
        "priors": {"theta": NORMAL, "offset": NORMAL},
        "parameters": ["theta", "offset"],
        "inferred_parameters": ["theta"],
        "known_parameters": ["offset"],
    }
    estimators.save_estimator(tmp_path / "estimator.pt", posterior.estimator, header)
    from sbi_pipeline import load

    again = load(tmp_path / "estimator.pt")
    assert again.conditions.names == ("offset",)
    drawn = (each.sample(10, np.ones(1), known={"offset": 0.3}) for each in (posterior, again))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("embedding", ["cnn2d", "deep_set"])
def test_conditions_stand_beside_images_and_sets(embedding: str) -> None:
    rng = np.random.default_rng(1)
    z, known, x = (rng.normal(size=shape) for shape in ((50, 1), (50, 2), (50, 8, 8)))
    rows = torch.from_numpy(packed(known, x)).float()
    options = {"embedding": embedding, "seed": 1, "conditions": 2, "x_shape": (8, 8)}
    made = estimators.build("npe", torch.from_numpy(z).float(), rows, **options, **small("npe"))
    other = rows[:1].clone()
    other[:, 0] += 1
    context = made.conditioner(torch.cat((rows[:1], other)))  # type: ignore[operator, union-attr]
    differ = ~torch.isclose(*context, rtol=0, atol=1e-4)
    assert differ.sum() == 2  # the number itself, and its rank


def test_events_may_each_have_their_own() -> None:
    posterior = trained("nle")
    events = Posterior(posterior.estimator, posterior.prior, {"events": True}, OFFSETS)
    rng = np.random.default_rng(2)
    offset = rng.normal(size=20)
    x = 0.4 + OFFSET * offset[:, None] + NOISE * rng.normal(size=(20, 1))
    grid = np.linspace(-1, 2, 601)[:, None]
    log_prob = events.log_prob(grid, x, known={"offset": offset})
    weight = np.exp(log_prob - log_prob.max())
    precision = 1 + 20 / NOISE**2
    mean = (x[:, 0] - OFFSET * offset).sum() / NOISE**2 / precision
    assert float(weight @ grid[:, 0] / weight.sum()) == pytest.approx(mean, abs=0.05)


def test_what_failed_under_a_condition_is_accounted_for() -> None:
    estimator = trained("nle", rows=500, max_epochs=1).estimator
    rng = np.random.default_rng(3)
    z, known, x = rng.normal(size=(2, 4, 1)), rng.normal(size=(2, 3, 1)), rng.normal(size=(2, 3, 1))
    shown = packed(known, x).astype(np.float32)
    worked = np.full(2, 3)  # of as many that were tried
    without = log_posterior(estimator, shown, events=True, tried=worked)(z)
    torch.manual_seed(1)
    validity = Validity(2)
    torch.nn.init.normal_(validity.net.last.weight)
    add_validity(estimator, validity.eval())
    gained = log_posterior(estimator, shown, events=True, tried=worked)(z) - without
    with torch.no_grad():
        for m, n in np.ndindex(2, 4):
            given = np.column_stack([np.full(3, z[m, n, 0]), known[m]])
            wanted = validity.log_prob(torch.from_numpy(given).float()).sum()
            assert gained[m, n] == pytest.approx(float(wanted), abs=1e-4)


# The linear start ---------------------------------------------------------------------------------


def noisy(rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return z, the normal deviate of a noise level from 0.1 to 1, and x = z + noise."""
    generator = torch.Generator().manual_seed(4)
    z, known, noise = torch.randn(3, rows, 1, generator=generator)
    level = 10 ** (torch.special.ndtr(known) - 1)
    return z, known, torch.cat((known, torch.special.ndtr(known), z + level * noise), 1)


def test_the_linear_start_has_the_width_of_the_condition() -> None:
    z, known, inputs = noisy(20_000)
    start = ConditionedRegression(3, 1, [0, 1])
    start.fit(inputs, z)
    level = 10 ** (torch.special.ndtr(known) - 1)
    wanted = level / (1 + level.square()).sqrt()
    found = start.log_scale(inputs).exp() * start.root
    assert ((found / wanted).log().abs().quantile(0.95)) < 0.15
    for low, high in ((0.1, 0.2), (0.5, 1.0)):
        some = ((level > low) & (level < high))[:, 0]
        assert start.residual(z, inputs)[some].std().item() == pytest.approx(1, abs=0.1)


def test_the_linear_start_counts_its_scales_in_densities() -> None:
    z, _, inputs = noisy(2000)
    start = ConditionedRegression(3, 1, [0, 1])
    start.fit(inputs, z)
    for row in range(3):
        one = inputs[row : row + 1]
        at = z[:1].clone().requires_grad_()
        (slope,) = torch.autograd.grad(start.residual(at, one).sum(), at)
        assert slope.abs().log().item() == pytest.approx(
            start.log_det(start.told(one)).item(), abs=1e-4
        )


# Checks and predictions ---------------------------------------------------------------------------


def test_data_are_compared_under_their_conditions() -> None:
    rng = np.random.default_rng(5)
    known = rng.normal(size=(600, 1))
    x = known + 0.1 * rng.normal(size=(600, 1))
    x_o = np.zeros(1)
    assert in_distribution(x, x_o).p_value > 0.1  # among all it is as usual as can be
    assert in_distribution(x, x_o, known=np.vstack([[2.0], known])).p_value < 0.01
    reference = Reference(x, known)
    usual, unusual = reference.p_values(np.zeros((2, 1)), np.array([[0.0], [2.0]]))
    assert (usual > 0.1, unusual < 0.02) == (True, True)


class Recorder:
    """An engine that is asked for nothing."""


def predictor() -> Predictor:
    return Predictor(Recorder(), priors.build(SPECS, tuple(SPECS)), 10, 1, None)  # type: ignore[arg-type]


def test_predictions_are_made_under_the_known_values() -> None:
    draws = xr.Dataset({"theta": (("chain", "draw"), np.linspace(0, 1, 40)[None])})
    known = {"exposure": np.array(2.5), "band": np.array(2.0)}
    rows = predictor().completed(draws, np.zeros(1), 10, known=known)
    assert rows.shape == (20, 4)
    assert (rows[:, 1:3] == [2.5, 2.0]).all()
    assert len(np.unique(rows[:, 3])) == 20  # nuisances are drawn


def test_predictions_of_events_have_those_of_each_event() -> None:
    draws = xr.Dataset({"theta": (("chain", "draw"), np.linspace(0, 1, 40)[None])})
    known = {"exposure": np.array([1.5, 2.5, 4.5]), "band": np.array([0.0, 1.0, 2.0])}
    rows = tried_rows(predictor(), draws, 5, 5, Selected(3), known)
    sets = rows.reshape(10, 3, 4)
    assert (sets[:, :, 1] == known["exposure"]).all()
    assert (sets[:, :, 0] == sets[:, :1, 0]).all()


class Gaussian:
    """Knows its likelihood, of all its parameters."""

    def log_likelihood(self, parameters: Array, x: Array) -> Array:
        theta, offset = parameters.T
        return -0.5 * ((x[0] - theta - OFFSET * offset) / NOISE) ** 2


def test_refinement_is_under_the_known_value() -> None:
    theta = np.linspace(-1, 1, 5)[:, None]
    given = Proposed("npe", ("theta",), theta, np.zeros(5), normalised=True, share=1.0)
    x_o, rng = np.array([0.7]), np.random.default_rng(0)
    found = exact_likelihood(Gaussian(), JOINT, given.columns, x_o, 64, rng, {"offset": 0.2})
    np.testing.assert_allclose(found, -0.5 * ((0.7 - theta[:, 0] - 0.4) / NOISE) ** 2)
    learnt = estimated_likelihood(trained("nle"), theta, x_o, np.array([0.2]))
    np.testing.assert_allclose(learnt - learnt.max(), found - found.max(), atol=1.0)


# Catalogues ---------------------------------------------------------------------------------------

TABLE = "name,flux,noise\nA,1.5,2\nB,2.5,4.5\nC,3.5,{last}\n"


def collected(tmp_path: Any, last: str, **known: Any) -> catalogues.Catalogue:
    path = tmp_path / "objects.csv"
    path.write_text(TABLE.format(last=last))
    layout = Layout(str(path), name="name", known={"exposure": "noise", "band": 1, **known})
    return catalogues.open_catalogue(layout)


def test_a_catalogue_has_conditions_of_each_object(tmp_path: Any) -> None:
    found = collected(tmp_path, "3")
    assert found.x_shape == (1,)  # the column of the condition is no data
    assert {name: values.tolist() for name, values in found.known.items()} == {
        "exposure": [2, 4.5, 3],
        "band": [1, 1, 1],
    }
    catalogues.check_conditions(found, KNOWN)


@pytest.mark.parametrize(
    ("last", "known", "line"),
    [
        (
            "6",
            {},
            r"object 'C' \(.*line 4.*\): known exposure = 6 lies outside its prior, which ",
        ),
        ("", {}, r"object 'C' \(.*line 4.*\): known exposure is empty, NaN or infinite"),
        ("3", {"band": 3}, "object 'A' .*known band = 3 lies outside its prior, .* 3 of 3 objects"),
        ("3", {"band": "bands"}, "no column 'bands' .the known band."),
        ("3", {"eta": 1}, "'eta' is given as known, and known parameters are exposure, band"),
    ],
)
def test_objects_without_a_condition_are_named(
    tmp_path: Any, last: str, known: Any, line: str
) -> None:
    with pytest.raises(ValueError, match=line):
        catalogues.check_conditions(collected(tmp_path, last, **known), KNOWN)


def test_discrete_conditions_are_seen() -> None:
    rng = np.random.default_rng(7)
    band = rng.choice(3, size=(3000, 1), p=[0.5, 0.25, 0.25]).astype(float)
    theta = rng.normal(size=(3000, 1))
    x = 2**band * theta + NOISE * rng.normal(size=(3000, 1))
    bands = KNOWN.only(["band"])
    z, shown = (torch.from_numpy(each).float() for each in (theta, bands.beside(x, band)))
    made: Estimator = estimators.build(
        "npe", z, shown, seed=1, conditions=1, x_shape=(1,), **small("npe")
    )
    train(made, z, shown, max_epochs=15)
    posterior = Posterior(made.eval(), JOINT.keep(("theta",)), {}, bands)
    for value in (0, 1, 2):
        drawn = posterior.sample(4000, np.array([1.0]), known={"band": value})
        slope = 2**value
        precision = 1 + (slope / NOISE) ** 2
        mean, sd = slope / NOISE**2 / precision, precision**-0.5
        assert float(drawn.mean()) == pytest.approx(mean, abs=0.5 * sd)
        assert float(drawn.std()) == pytest.approx(sd, rel=0.35)

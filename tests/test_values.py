"""What columns of data hold, found by their values, and what NLE makes of it."""

import logging

import numpy as np
import pytest
import torch
from estimators_for_tests import SMALL, train

from sbi_pipeline import estimators
from sbi_pipeline.networks.flows import flow
from sbi_pipeline.networks.regression import GaussianRegression
from sbi_pipeline.networks.values import FEW, Values, find_values
from sbi_pipeline.trained import Posterior
from sbi_pipeline.types import Array

ROWS = 5000


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def found(column: Array) -> Values:
    (values,) = find_values(torch.as_tensor(column)[:, None])
    return values


def poisson(mean: float) -> Array:
    return rng().poisson(mean * np.exp(rng().normal(size=ROWS))).astype(float)


NORMAL = rng().normal(size=ROWS)
SEEN = rng().random(ROWS) < 0.7


@pytest.mark.parametrize(
    ("column", "step", "origin"),
    [
        (poisson(20), 1, 0),
        (poisson(300), 1, 0),
        (poisson(300).astype("i8"), 1, 0),
        (2.0 * poisson(20), 2, 0),
        (1.7e-30 * poisson(300), 1.7e-30, 0),
        ((1.7e-30 * poisson(300)).astype("f4"), 1.7e-30, 0),
        ((0.37 * poisson(300)).astype("f4"), 0.37, 0),
        (0.3 + 2.5 * poisson(20), 2.5, 0.3),
        (0.5 * np.rint(NORMAL / 0.5), 0.5, 0),
        (0.01 * np.rint(NORMAL / 0.01) - 0.004, 0.01, 0.006),
    ],
)
def test_steps_are_found(column: Array, step: float, origin: float) -> None:
    values = found(column)
    assert values.step == pytest.approx(step, rel=1e-6)
    assert values.origin == pytest.approx(origin, rel=1e-6, abs=1e-6 * step)
    assert values.rest
    assert values.allow(torch.as_tensor(column)).all()


@pytest.mark.parametrize(
    ("column", "step"),
    [
        (0.1 * np.rint(NORMAL / 0.1) + 1126259462.3, 0.1),
        ((1e6 + NORMAL).astype("f4"), 2**-4),  # all that single precision leaves of them
    ],
)
def test_steps_far_from_zero_are_counted_from_the_least(column: Array, step: float) -> None:
    values = found(column)
    assert values.step == pytest.approx(step, rel=1e-6)
    assert values.origin == column.min()
    assert values.allow(torch.as_tensor(column)).all()


@pytest.mark.parametrize("unit", [1e-30, 1, 1e30])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_real_numbers_are_real(unit: float, dtype: str) -> None:
    many = rng().uniform(0.5, 1, 100_000)  # in single precision some occur twice
    for column in (NORMAL, np.exp(NORMAL), many):
        assert found((unit * column).astype(dtype)).are_real
    assert found((1e9 * np.exp(NORMAL)).astype("f4")).are_real  # whole, as all such numbers are


@pytest.mark.parametrize(
    ("column", "points", "step"),
    [
        (np.maximum(NORMAL, 0.5), (0.5,), 0),
        (np.clip(NORMAL, -1, 1).astype("f4"), (-1, 1), 0),
        (1e-30 * SEEN * np.exp(NORMAL), (0,), 0),
        (np.where(rng().random(ROWS) < 0.01, 3.3, NORMAL), (3.3,), 0),
        (np.where(rng().random(ROWS) < 0.1, rng().choice([0.0, 1, 5], ROWS), NORMAL), (0, 1, 5), 0),
        (SEEN * poisson(40), (0,), 1),
        (1e-30 * SEEN * poisson(40), (0,), 1e-30),
        (np.where(SEEN, 0.3 + 2.5 * poisson(20), -999.0), (-999,), 2.5),
        (np.minimum(np.rint(300 * NORMAL + 3800), 4095), (4095,), 1),
        (np.where(NORMAL > 0, 7.25, NORMAL), (7.25,), 0),  # constant in a part of the prior
    ],
)
def test_atoms_are_found(column: Array, points: tuple[float, ...], step: float) -> None:
    values = found(column)
    assert values.points == pytest.approx(points)
    assert values.step == pytest.approx(step, rel=1e-6)
    assert values.rest
    assert values.are_points(torch.as_tensor(column)).double().mean() > 0.005


@pytest.mark.parametrize(
    ("column", "points"),
    [
        (1.0 * SEEN, (0, 1)),
        (100.0 * SEEN, (0, 100)),
        (np.where(SEEN, 0.1, np.pi), (0.1, np.pi)),
        (1e-30 * np.minimum(poisson(1), 5), (0, 1e-30, 2e-30, 3e-30, 4e-30, 5e-30)),
        (np.repeat([0, 2, 3], [500, 100, 400]), (0, 1, 2, 3)),
    ],
)
def test_few_values_are_found(column: Array, points: tuple[float, ...]) -> None:
    values = found(column)
    assert values.points == pytest.approx(points, rel=1e-6)
    assert not values.rest
    assert values.levels == len(points) <= FEW


@pytest.mark.parametrize("name", ["nsf", "nsf_ar", "maf"])
def test_a_flow_leaves_out_what_is_not_present(name: str) -> None:
    """What is left is a density of the others, whatever stands where nothing is."""
    torch.manual_seed(1)
    made = flow(name, 3, 2, hidden=16, transforms=4).double()
    for weights in made.parameters():
        torch.nn.init.normal_(weights, std=0.2)
    axis = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    inputs = torch.zeros(len(axis), 3, dtype=torch.float64)
    inputs[:, 1] = axis
    present = torch.tensor([[False, True, False]]).expand(len(axis), 3)
    context = torch.tensor([[0.3, -1.0]], dtype=torch.float64).expand(len(axis), 2)
    density = made.log_prob(inputs, context, present).exp()
    assert density.sum().item() * 0.02 == pytest.approx(1, abs=0.01)
    every = torch.ones_like(present)
    torch.testing.assert_close(
        made.log_prob(inputs, context, every), made.log_prob(inputs, context)
    )


def test_a_regression_of_what_is_present_alone() -> None:
    torch.manual_seed(1)
    z = torch.randn(20_000, 1)
    x = torch.cat((2 * z, -z, z), 1) + 0.5 * torch.randn(20_000, 3)
    present = torch.ones(20_000, 3, dtype=torch.bool)
    present[:, 1] = torch.rand(20_000) < 0.3
    made = GaussianRegression(1, 3)
    made.fit(z, torch.where(present, x, -999.0), present)
    torch.testing.assert_close(made.weight, torch.tensor([[2.0], [-1], [1]]), atol=0.03, rtol=0)
    torch.testing.assert_close(made.root, 0.5 * torch.eye(3), atol=0.02, rtol=0)
    odd = torch.where(present, x, torch.nan)
    assert torch.isfinite(made.residual(odd, z, present)).all()


def both(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A flux that is cut at 2 and is zero where nothing is seen, and a count beside it."""
    generator = np.random.default_rng(1)
    z = generator.normal(size=n)
    seen = generator.random(n) < 0.8
    flux = np.minimum(np.exp(0.5 * z + 0.3 * generator.normal(size=n)), 2)
    counts = generator.poisson(np.where(seen, 20 * np.exp(0.5 * z), 5))
    return torch.as_tensor(z[:, None]).float(), torch.as_tensor(np.stack((seen * flux, counts), 1))


def test_the_density_of_atoms_counts_and_the_rest_is_one_in_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    z, x = both(4000)
    with caplog.at_level(logging.INFO):
        made = estimators.build("nle", z, x, seed=1, **SMALL)
    assert "x holds whole numbers in column 1" in caplog.text
    assert "% of column 0 of x are 2 exactly: learnt as a probability of its own" in caplog.text
    chosen = made.spec["network"]
    assert (chosen["atoms"], chosen["discrete"], chosen["dequantise"]) == ([0], None, True)
    assert (chosen["transform"], chosen["counts"]) == ("none", "log1p")
    train(made, z, x, max_epochs=5)
    counts = torch.arange(0, 200).double()
    with torch.no_grad():
        for one in (-0.8, 0.9):
            total = 0.0
            real = torch.arange(0.005, 4, 0.01).double()
            for flux, measure in ((torch.tensor([0.0, 2.0]).double(), 1.0), (real, 0.01)):
                grid = torch.cartesian_prod(flux, counts)
                at = torch.full((len(grid), 1), one)
                total += measure * made.log_prob(at, grid).exp().sum().item()
            assert total == pytest.approx(1, abs=0.03)
            at = torch.full((2, 1), one)
            at_zero, beside = made.log_prob(at, torch.tensor([[0.0, 5.0], [1e-4, 5.0]]).double())
            assert at_zero > beside + 2


def test_what_no_simulation_holds_is_said(caplog: pytest.LogCaptureFixture) -> None:
    z, x = both(1000)
    x = torch.cat((x, (x[:, :1] > 0.5).double()), 1)
    made = estimators.build("nle", z, x, seed=1, **SMALL)
    assert made.doubts(x[:50]) == []
    assert made.doubts(torch.tensor([0.7, 4.0, 1.0])) == []
    assert made.doubts(torch.tensor([[0.7, 1.5, 0.0], [0.7, 2.0, 3.0]])) == [
        "x is 1.5 in column 1, which holds whole numbers in simulations",
        "x is 3 in column 2, which holds no value but 0, 1 in simulations",
    ]
    several = estimators.build("nle", z, x, seed=1, members=2, **SMALL)
    assert len(several.doubts(torch.tensor([0.7, 1.5, 0.5]))) == 2


def test_options_say_what_columns_hold() -> None:
    z, x = both(1000)

    def network(**options: object) -> dict[str, object]:
        chosen: dict[str, object] = estimators.build("nle", z, x, seed=1, **SMALL, **options).spec[
            "network"
        ]
        return chosen

    real = network(atoms=None, dequantise=False)
    assert (real["atoms"], real["dequantise"], real["values"]) == (None, False, {})
    assert network(atoms=[0])["atoms"] == [0]
    assert network(transform="asinh")["counts"] == "asinh"
    few = network(discrete={"columns": [1], "levels": 200})
    assert few["discrete"] == {"columns": [1], "levels": 200}
    with pytest.raises(ValueError, match="atoms has 1; no value of column 1 stands out"):
        network(atoms=[1])
    with pytest.raises(ValueError, match=r"flow: mdn .* column 0 has values of a probability"):
        estimators.build("nle", z, x, seed=1, flow="mdn")


def test_members_learn_atoms_together() -> None:
    z, x = both(500)
    made = estimators.build("nle", z, x, seed=1, members=2, **SMALL)
    train(made, z, x, max_epochs=2)
    assert torch.isfinite(made.log_prob(z, x)).all()


def test_units_make_no_difference() -> None:
    z, x = both(1000)
    plain = estimators.build("nle", z, x, seed=1, **SMALL)
    tiny = estimators.build("nle", z, 1e-30 * x, seed=1, **SMALL)
    with torch.no_grad():
        away = tiny.log_prob(z, 1e-30 * x) - plain.log_prob(z, x)
    at_atom = (x[:, 0] == 0) | (x[:, 0] == 2)
    wanted = torch.where(at_atom, 0.0, np.log(1e30))  # per unit of the flux, and per count
    torch.testing.assert_close(away, wanted.float(), atol=2e-3, rtol=0)


def test_an_observation_of_another_kind_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    from sbi_pipeline import priors

    z, x = both(500)
    prior = priors.build({"a": {"type": "normal", "mean": 0, "sd": 1}}, ("a",))
    made = estimators.build("nle", z, x, seed=1, **SMALL).eval()
    Posterior(made, prior, {}).sample(10, np.array([0.5, 1.5]), max_steps=20, min_steps=20)
    assert "x is 1.5 in column 1, which holds whole numbers in simulations" in caplog.text

import numpy as np
import pytest

from sbi_pipeline.expressions import Expression


def test_evaluates_arithmetic_of_arrays() -> None:
    expression = Expression("2 * sqrt(mass) - exp(-spin / 2) ** 2 + pi")
    mass, spin = np.array([1.0, 4.0]), np.array([0.5, 1.0])
    assert expression.names == ("mass", "spin")
    np.testing.assert_allclose(
        expression({"mass": mass, "spin": spin}), 2 * np.sqrt(mass) - np.exp(-spin / 2) ** 2 + np.pi
    )


@pytest.mark.parametrize(
    "name", ["lambda", "is", "\u03d5", "caf\u00e9", "cafe\u0301", "Δm_21", "x1e5"]
)
def test_names_are_as_they_are_written(name: str) -> None:
    expression = Expression(f"2 * {name} + 1e5 - exp({name})")
    assert expression.names == (name,)
    assert expression({name: np.array(3.0)}) == pytest.approx(6 + 1e5 - np.exp(3))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "mass.real",
        "[1, 2]",
        "lambda: 1",
        "mass if spin else 1",
        "mass +",
        "'a'",
        "lambda.real",
    ],
)
def test_refuses_what_is_not_arithmetic(text: str) -> None:
    with pytest.raises(ValueError, match=r"understood|not an expression"):
        Expression(text)

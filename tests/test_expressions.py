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
    "text",
    [
        "__import__('os')",
        "mass.real",
        "[1, 2]",
        "lambda: 1",
        "mass if spin else 1",
        "mass +",
        "'a'",
    ],
)
def test_refuses_what_is_not_arithmetic(text: str) -> None:
    with pytest.raises(ValueError, match=r"understood|not an expression"):
        Expression(text)

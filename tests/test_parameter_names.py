"""Names of parameters: refused before anything runs, or written and read as they are."""

import pytest

from sbi_pipeline.study.binding import InconsistentError
from sbi_pipeline.study.names import check_parameter_names

ODD = ("x y", "x", "lp", "1st", "lambda", "ϕ", "log_prob", "obs", "target", "weights", "A", "a")


def check(*names: str, **campaign: object) -> None:
    priors = {name: {"type": "normal", "mean": 0, "sd": 1} for name in names}
    entry = {"priors": priors, "inferred_parameters": list(names), **campaign}
    check_parameter_names(entry, names, ())


def test_odd_names_are_taken() -> None:
    check(*ODD, derived_parameters={"mean": {"expression": "lambda + ϕ"}})


@pytest.mark.parametrize(
    "name", ["chain", "draw", "ensemble", "a/b", "", " a", "a ", ".", "..", ".a", "a\nb", "a\0"]
)
def test_names_that_files_cannot_hold(name: str) -> None:
    with pytest.raises(InconsistentError, match="cannot name a parameter in a file of draws"):
        check("a", name)


@pytest.mark.parametrize("pair", [("é", "e\u0301"), ("\u03bc", "\u00b5"), ("ϕ", "φ")])
def test_names_that_look_alike(pair: tuple[str, str]) -> None:
    with pytest.raises(InconsistentError, match="look alike"):
        check(*pair)


def test_a_parameter_called_pi() -> None:
    check("pi", "a")
    with pytest.raises(InconsistentError, match="pi is a parameter here, and a constant"):
        check("pi", "a", derived_parameters={"b": {"expression": "2 * pi"}})
    priors = {"pi": {"type": "normal", "mean": 0, "sd": 1}}
    priors["a"] = {"type": "normal", "mean": "pi / 2", "sd": 1}  # type: ignore[dict-item]
    with pytest.raises(InconsistentError, match="pi is a parameter here, and a constant"):
        check("pi", "a", priors=priors)

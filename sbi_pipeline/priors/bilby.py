"""Prior files of bilby: a line for each parameter, ``name = Uniform(minimum=0, maximum=1)``.

Read without bilby, whose names of the families stand in `FAMILIES`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..expressions import Expression

Entry = dict[str, Any]


@dataclass(frozen=True)
class BilbyFamily:
    """A class of bilby.

    Attributes:
        arguments: Its arguments in order, with their defaults; None for none.
        entry: What it is here, from the arguments by name.
    """

    arguments: Mapping[str, float | None]
    entry: Callable[[Mapping[str, float]], Entry]


def _bounded(type_: str) -> Callable[[Mapping[str, float]], Entry]:
    return lambda given: {"type": type_, "min": given["minimum"], "max": given["maximum"]}


def _normal(given: Mapping[str, float]) -> Entry:
    return {"type": "normal", "mean": given["mu"], "sd": given["sigma"]}


def _lognormal(given: Mapping[str, float]) -> Entry:
    return {"type": "lognormal", "mean": given["mu"], "sd": given["sigma"]}


def _halfnormal(given: Mapping[str, float]) -> Entry:
    return {"type": "halfnormal", "sd": given["sigma"]}


def _beta(given: Mapping[str, float]) -> Entry:
    if (given["minimum"], given["maximum"]) != (0, 1):
        raise ValueError("a beta prior lies between 0 and 1 here; scale it in the simulator")
    return {"type": "beta", "a": given["alpha"], "b": given["beta"]}


ENDS = {"minimum": None, "maximum": None}
MOMENTS = {"mu": None, "sigma": None}
GAUSSIAN, LOG_GAUSSIAN = BilbyFamily(MOMENTS, _normal), BilbyFamily(MOMENTS, _lognormal)
HALF_GAUSSIAN = BilbyFamily({"sigma": None}, _halfnormal)
TRUNCATED = BilbyFamily(
    {**MOMENTS, **ENDS},
    lambda given: {**_bounded("truncnormal")(given), "mean": given["mu"], "sd": given["sigma"]},
)
FAMILIES: dict[str, BilbyFamily] = {
    "Uniform": BilbyFamily(ENDS, _bounded("uniform")),
    "LogUniform": BilbyFamily(ENDS, _bounded("loguniform")),
    "PowerLaw": BilbyFamily(
        {"alpha": None, **ENDS},
        lambda given: {**_bounded("powerlaw")(given), "exponent": given["alpha"]},
    ),
    "Sine": BilbyFamily({"minimum": 0.0, "maximum": math.pi}, _bounded("sine")),
    "Cosine": BilbyFamily({"minimum": -math.pi / 2, "maximum": math.pi / 2}, _bounded("cosine")),
    "Gaussian": GAUSSIAN,
    "Normal": GAUSSIAN,
    "TruncatedGaussian": TRUNCATED,
    "TruncatedNormal": TRUNCATED,
    "HalfGaussian": HALF_GAUSSIAN,
    "HalfNormal": HALF_GAUSSIAN,
    "LogGaussian": LOG_GAUSSIAN,
    "LogNormal": LOG_GAUSSIAN,
    "Exponential": BilbyFamily(
        {"mu": None}, lambda given: {"type": "exponential", "scale": given["mu"]}
    ),
    "StudentT": BilbyFamily(
        {"df": None, "mu": 0.0, "scale": 1.0},
        lambda given: {
            "type": "student",
            "df": given["df"],
            "location": given["mu"],
            "scale": given["scale"],
        },
    ),
    "Cauchy": BilbyFamily(
        {"alpha": None, "beta": None},
        lambda given: {"type": "cauchy", "location": given["alpha"], "scale": given["beta"]},
    ),
    "Logistic": BilbyFamily(
        {"mu": None, "scale": None},
        lambda given: {"type": "logistic", "mean": given["mu"], "scale": given["scale"]},
    ),
    "Gamma": BilbyFamily(
        {"k": None, "theta": 1.0},
        lambda given: {"type": "gamma", "shape": given["k"], "scale": given["theta"]},
    ),
    "Beta": BilbyFamily({"alpha": None, "beta": None, "minimum": 0.0, "maximum": 1.0}, _beta),
    "Triangular": BilbyFamily(
        {"mode": None, **ENDS},
        lambda given: {**_bounded("triangular")(given), "mode": given["mode"]},
    ),
}
REFUSED = {
    "DeltaFunction": "it is a constant; give it to the simulator as an option",
    "Constraint": "a constraint on derived parameters is no density here; let the simulator refuse "
    "such rows, or write a joint prior of your own",
}
TEXTS = {"name": "", "latex_label": "label", "unit": "unit", "boundary": ""}
"""Arguments that are texts, and what they are here, if anything."""


def read_bilby(path: Path) -> dict[str, Entry]:
    """Return the entries of a file by parameter.

    Raises:
        ValueError: With the first line that makes no sense here.
    """
    if not path.is_file():
        raise ValueError(f"no such file (looked in {Path.cwd()})")
    found: dict[str, Entry] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        name, _, written = text.partition("=")
        try:
            found[name.strip()] = _entry(written.strip())
        except (ValueError, SyntaxError) as error:
            said = error.msg if isinstance(error, SyntaxError) else error
            raise ValueError(f"line {number}, {name.strip()}: {said}") from error
    if not found:
        raise ValueError("it has no priors; wanted lines such as mass = Uniform(1, 2)")
    return found


def _entry(written: str) -> Entry:
    """Return what stands right of an equals sign."""
    node = ast.parse(written, mode="eval").body
    if isinstance(node, ast.Constant | ast.UnaryOp):
        raise ValueError(REFUSED["DeltaFunction"])
    if not isinstance(node, ast.Call):
        raise ValueError(f"got {written}; wanted such as Uniform(minimum=0, maximum=1)")
    kind = ast.unparse(node.func).split(".")[-1]
    if kind in REFUSED:
        raise ValueError(f"{kind}: {REFUSED[kind]}")
    if kind not in FAMILIES:
        raise ValueError(f"{kind} is not known here; known are {', '.join(FAMILIES)}")
    family, texts = FAMILIES[kind], dict[str, str]()
    given = dict(zip(family.arguments, map(_number, node.args), strict=False))
    for each in node.keywords:
        key = str(each.arg)
        if key in TEXTS:
            texts[key] = ast.literal_eval(each.value)
        elif key in family.arguments:
            given[key] = _number(each.value)
        else:
            raise ValueError(f"{kind} takes {', '.join(family.arguments)}; got {key}")
    whole = {**{key: each for key, each in family.arguments.items() if each is not None}, **given}
    if missing := [key for key in family.arguments if key not in whole]:
        raise ValueError(f"{kind} wants {missing[0]}")
    entry = family.entry(whole)
    if texts.get("boundary") == "periodic":
        entry["periodic"] = True
    return entry | {TEXTS[key]: each for key, each in texts.items() if TEXTS[key] and each}


def _number(node: ast.expr) -> float:
    """Return a number, or arithmetic of numbers and pi."""
    text = ast.unparse(node).replace("np.pi", "pi").replace("math.pi", "pi")
    expression = Expression(text)
    if expression.names:
        raise ValueError(f"got {ast.unparse(node)}; wanted a number")
    return float(expression({}))

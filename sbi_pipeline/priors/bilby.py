"""Prior files of bilby: a line for each parameter, ``name = Uniform(minimum=0, maximum=1)``.

Read without bilby, whose classes stand in `FAMILIES`; `exports.bilby` writes by the same table.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..expressions import Expression

Entry = dict[str, Any]


@dataclass(frozen=True)
class BilbyFamily:
    """A class of bilby.

    Attributes:
        type: What it is here.
        arguments: Its arguments in order, each with ours that it is; empty for one that must have
            its default.
        defaults: Of those that may be left out.
    """

    type: str
    arguments: Mapping[str, str]
    defaults: Mapping[str, float] = field(default_factory=dict)

    def entry(self, given: Mapping[str, float]) -> Entry:
        """Return what a prior is here, from all its arguments by name.

        Raises:
            ValueError: One that must have its default has another.
        """
        for key, value in self.defaults.items():
            if not self.arguments[key] and given[key] != value:
                raise ValueError(
                    f"{key} of a {self.type} prior is {value:g} here; scale it in the simulator"
                )
        ours = {self.arguments[key]: value for key, value in given.items() if self.arguments[key]}
        return {"type": self.type, **ours}


ENDS = {"minimum": "min", "maximum": "max"}
MOMENTS = {"mu": "mean", "sigma": "sd"}
NORMAL, LOGNORMAL = BilbyFamily("normal", MOMENTS), BilbyFamily("lognormal", MOMENTS)
HALF_NORMAL = BilbyFamily("halfnormal", {"sigma": "sd"})
TRUNCATED = BilbyFamily("truncnormal", {**MOMENTS, **ENDS})
FAMILIES: dict[str, BilbyFamily] = {
    "Uniform": BilbyFamily("uniform", ENDS),
    "LogUniform": BilbyFamily("loguniform", ENDS),
    "PowerLaw": BilbyFamily("powerlaw", {"alpha": "exponent", **ENDS}),
    "Sine": BilbyFamily("sine", ENDS, {"minimum": 0.0, "maximum": math.pi}),
    "Cosine": BilbyFamily("cosine", ENDS, {"minimum": -math.pi / 2, "maximum": math.pi / 2}),
    "Gaussian": NORMAL,
    "Normal": NORMAL,
    "TruncatedGaussian": TRUNCATED,
    "TruncatedNormal": TRUNCATED,
    "HalfGaussian": HALF_NORMAL,
    "HalfNormal": HALF_NORMAL,
    "LogNormal": LOGNORMAL,
    "LogGaussian": LOGNORMAL,
    "Exponential": BilbyFamily("exponential", {"mu": "scale"}),
    "StudentT": BilbyFamily(
        "student", {"df": "df", "mu": "location", "scale": "scale"}, {"mu": 0.0, "scale": 1.0}
    ),
    "Cauchy": BilbyFamily("cauchy", {"alpha": "location", "beta": "scale"}),
    "Logistic": BilbyFamily("logistic", {"mu": "mean", "scale": "scale"}),
    "Gamma": BilbyFamily("gamma", {"k": "shape", "theta": "scale"}, {"theta": 1.0}),
    "Beta": BilbyFamily(
        "beta",
        {"alpha": "a", "beta": "b", "minimum": "", "maximum": ""},
        {"minimum": 0.0, "maximum": 1.0},
    ),
    "Triangular": BilbyFamily("triangular", {"mode": "mode", **ENDS}),
}
"""Classes by name; of two names of one type the first is written."""
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
    whole = {**family.defaults, **given}
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

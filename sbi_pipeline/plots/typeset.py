"""Numbers and labels as a reader wants them: rounded to their errors, LaTeX as outlines."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path
from matplotlib.textpath import TextPath

STYLES = r"\\(?:mathrm|mathit|mathbf|mathcal|text|rm|left|right)\b|\\[,;:! ]|[${}]"
"""What in LaTeX is seen, and not said."""
UNITS = 1000  # of the size of type, in which outlines are told
MINUS, DASH = "\u2212", "\u2013"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """Return a number to so many significant digits, whole numbers whole; a dash for NaN."""
    if math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if 10**digits <= abs(value) < 1e6 or (value == round(value) and abs(value) < 1e6):
        return f"{round(value)}".replace("-", MINUS)
    mantissa, _, exponent = f"{value:#.{digits}g}".partition("e")
    shown = mantissa.rstrip(".").replace("-", MINUS)
    return f"{shown} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}" if exponent else shown


def measured(value: float, error: float) -> str:
    """Return ``1.664 ± 0.041``: the error to two significant digits, the value as far."""
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return number(value)
    return _rounded((value, error), error, " ± ")


def interval(low: float, high: float, error: float) -> str:
    """Return ``1.60 … 1.73``, rounded like a value with this error."""
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(error) and error > 0):
        return f"{number(low)} … {number(high)}"
    return _rounded((low, high), error, " … ")


def asymmetric(low: float, middle: float, high: float) -> str:
    """Return ``1.660^{+0.050}_{-0.040}`` as mathtext, errors to two significant digits."""
    errors = [error for error in (high - middle, middle - low) if error > 0]
    if not errors:
        return f"${middle:.3g}$"
    texts, power = _scaled((middle, high - middle, middle - low), min(errors))
    value = rf"{texts[0]}^{{+{texts[1]}}}_{{-{texts[2]}}}"
    return rf"$({value})\,10^{{{power}}}$" if power else f"${value}$"


def tidy(text: str) -> str:
    """Set the numbers of a sentence: true minus signs, powers of ten, unbroken per cent."""
    text = re.sub(r"(?<=\d)e([-+]?)0*(\d+)\b", _power_of_ten, text.replace(" %", "\u00a0%"))
    return re.sub(r"(?<![\w.])-(?=\d)", MINUS, text)


@dataclass(frozen=True)
class Formula:
    """A label with LaTeX as one path of SVG, in units of a thousandth of the size of its type.

    Attributes:
        path: Its outlines; y points down, from the line that the text stands on.
        width: Of the label.
        height: From the line to its top.
        depth: From the line to its bottom.
    """

    path: str
    width: int
    height: int
    depth: int


@functools.lru_cache(maxsize=512)
def formula(text: str) -> Formula | None:
    """Return a label with ``$…$`` as outlines, since a page has no LaTeX; None for nonsense."""
    with mpl.rc_context({"mathtext.fontset": "cm"}):
        try:
            size = FontProperties(size=UNITS)
            width, height, depth, _, _ = MathTextParser("path").parse(text, 72, size)
        except ValueError:
            return None
        drawn = TextPath((0, 0), text, size=UNITS)
    return Formula(_outlines(drawn), *(math.ceil(each) for each in (width, height - depth, depth)))


def spoken(text: str) -> str:
    r"""Return a label for those who hear a page: ``$\theta_{1}$`` is theta 1."""
    plain = re.sub(STYLES, "", text).replace("^", " to the ")
    return " ".join(re.sub(r"[\\_]", " ", plain).split())


def _outlines(path: Path) -> str:
    """Return a path as SVG writes it."""
    commands = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}
    return "".join(
        "Z"
        if code == Path.CLOSEPOLY
        else commands[code] + " ".join(f"{x:.0f} {-y:.0f}" for x, y in points.reshape(-1, 2))
        for points, code in path.iter_segments(simplify=False, curves=True)
    )


def _power_of_ten(found: re.Match[str]) -> str:
    sign = "-" if found[1] == "-" else ""
    return f" × 10{(sign + found[2]).translate(SUPERSCRIPTS)}"


def _rounded(values: tuple[float, float], error: float, between: str) -> str:
    """Round two values to two digits of the error, with a common power of ten where it helps."""
    texts, power = _scaled(values, error)
    both = between.join(texts).replace("-", MINUS)
    return f"({both}) × 10{str(power).translate(SUPERSCRIPTS)}" if power else both


def _scaled(values: Sequence[float], error: float) -> tuple[list[str], int]:
    """Return values as far as two digits of the error, and the power of ten taken out."""
    size = max(map(abs, values))
    power = math.floor(math.log10(size)) if size >= 1e5 or size < 1e-3 else 0
    leading = math.floor(math.log10(float(f"{error:.1e}")))  # of 0.0996, which is 0.10, it is -1
    digits = 1 - leading + power
    # Adding 0.0 turns a rounded minus zero into zero.
    rounded = [round(value / 10**power, digits) + 0.0 for value in values]
    return [f"{value:.{max(0, digits)}f}" for value in rounded], power

"""Labels and units in the LaTeX that other programs read."""

from __future__ import annotations

from .draws import DescribedColumn

SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
ESCAPED = "#%&_{}$"


def as_text(written: str) -> str:
    """Return a label for running text: what stands between dollars as it is, the rest escaped."""
    parts = _parts(written)
    return "".join(f"${part}$" if is_math else _escaped(part) for part, is_math in parts)


def as_math(written: str) -> str:
    """Return a label for a formula, without dollars: text in roman letters."""
    parts = _parts(written)
    return "".join(
        part if is_math else rf"\mathrm{{{_escaped(part).replace(' ', '~')}}}"
        for part, is_math in parts
    )


def math_with_unit(name: str, column: DescribedColumn) -> str:
    """Return the label of a parameter for a formula, its unit in brackets."""
    unit = rf"\;[{as_math(column.unit)}]" if column.unit else ""
    return as_math(column.label or name) + unit


def text_with_unit(name: str, column: DescribedColumn) -> str:
    """Return the label of a parameter as it was written, its unit in brackets."""
    return (column.label or name) + (f" [{column.unit}]" if column.unit else "")


def _parts(written: str) -> list[tuple[str, bool]]:
    """Return the parts of a label, each with whether it stands between dollars."""
    parts = written.split("$")
    if len(parts) % 2 == 0:  # a dollar without another
        return [(written, False)]
    return [(part, bool(place % 2)) for place, part in enumerate(parts) if part]


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(each, f"\\{each}" if each in ESCAPED else each) for each in text)

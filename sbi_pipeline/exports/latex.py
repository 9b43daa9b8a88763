"""A LaTeX table: medians with the distances to the 16 and 84 % quantiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..plots.typeset import asymmetric
from ..priors.circles import circular_mean, unrolled
from ..types import Array
from .draws import DescribedColumn, ExportedPosterior
from .labels import as_text

LEVELS = (0.16, 0.5, 0.84)


def write_latex(posterior: ExportedPosterior, out: Path) -> list[str]:
    """Write a ``tabular`` that needs no package; return sentences on what it holds."""
    with_units = any(column.unit for column in posterior.columns.values())
    head = ["Parameter", *(["Unit"] if with_units else []), "Posterior"]
    rows = [" & ".join(head)]
    for name, values in posterior.repeated().items():
        column = posterior.columns[name]
        unit = [as_text(column.unit)] if with_units else []
        rows.append(" & ".join([as_text(column.label or name), *unit, _value(values, column)]))
    body = " \\\\\n".join(rows[1:])
    said = f"% {posterior.title}: medians, and distances to the 16 and 84 % quantiles"
    out.write_text(
        f"{said}\n\\begin{{tabular}}{{{'l' * len(head)}}}\n\\hline\n{rows[0]} \\\\\n\\hline\n"
        f"{body} \\\\\n\\hline\n\\end{{tabular}}\n"
    )
    return []


def _value(values: Array, column: DescribedColumn) -> str:
    """Return a median with its errors; of a discrete parameter the most probable value."""
    if column.probabilities:
        value, probability = max(column.probabilities.items(), key=lambda pair: pair[1])
        return f"${value:g}$ ($P = {probability:.2g}$)"
    if column.period is not None:  # the circle is cut opposite to the mean
        values = unrolled(values, column.period, circular_mean(values, column.period))
    low, middle, high = np.quantile(values, LEVELS)
    return asymmetric(low, middle, high)

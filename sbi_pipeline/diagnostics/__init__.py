"""From results to checks: what is measured, when it passes, how it is drawn, what is said of it.

A diagnostic is one file: its measure, its judgement with the thresholds as keyword arguments, its
figures, and the record `Diagnostic` that holds them together; ``registry.DIAGNOSTICS`` has a line
for each, in the order of the page. Measures come with what chance would give.

A check fails on what is both beyond chance and large enough to matter, and warns on what is either
suspicious or small: with enough simulations every estimator differs from the truth, and with few
a bad one hides. P-values are corrected for the number of parameters looked at, and share one page's
chance of a false alarm (`diagnostic.WARNED`).

Not diagnostics but what they stand on: `diagnostic` and `check`, the records; `ranks`, `scores`,
`evidence` and `steps`, made in `calibrate`; `convergence`, the summary made in `diagnose`;
`uniform` and `typicality`, the tests that several share, and `visible`, what they can see; `fits`,
the numbers of a sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import registry
from .diagnostic import Diagnostic


def registered() -> dict[str, Diagnostic[Any, Any]]:
    """Return every diagnostic by name, in the order in which they are asked and shown."""
    return {name: registry.load_part(name, registry.DIAGNOSTICS) for name in registry.DIAGNOSTICS}


def thresholds() -> dict[str, Callable[..., Any]]:
    """Return the functions whose keyword arguments are thresholds, by the name of the diagnostic.

    What has nothing to set is left out.
    """
    return {name: each.judge for name, each in registered().items() if each.thresholds}

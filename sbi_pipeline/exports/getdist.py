"""Chains as GetDist and CosmoMC read them: ``root.txt``, ``.paramnames``, ``.ranges``.

A row has its weight, minus the log posterior, and the parameters. `getdist.loadMCSamples(root)`
reads them. The file ``root.properties.ini`` says that burn-in is removed, and of independent draws
that they are no chain, so that GetDist estimates no autocorrelation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .draws import ExportedPosterior
from .labels import math_with_unit


def write_getdist(posterior: ExportedPosterior, root: Path) -> list[str]:
    """Write the four files; return sentences on what they hold.

    Args:
        posterior: The posterior.
        root: Their path without the endings; ``.txt`` may stand there.
    """
    root = root.with_suffix("") if root.suffix == ".txt" else root
    known = posterior.log_posterior
    density = np.zeros(len(posterior.weight)) if known is None else known
    table = np.column_stack([posterior.weight, -density, *posterior.draws.values()])
    with _place(root, ".txt").open("w") as file:
        np.savetxt(file, table, fmt="%.17g")
    names = [
        f"{name}{'*' if column.derived else ''}\t{math_with_unit(name, column)}\n"
        for name, column in posterior.columns.items()
    ]
    _place(root, ".paramnames").write_text("".join(names))
    _place(root, ".ranges").write_text("".join(_ranges(posterior)))
    kind = "uncorrelated" if posterior.independent else "mcmc"
    label = posterior.title
    told = f"sampler = {kind}\nburn_removed = True\nlabel = {label}\n"
    _place(root, ".properties.ini").write_text(told)
    said = ["read them with getdist.loadMCSamples(root)"]
    if known is None:
        said.append("the method knows no density: minus log posterior is 0 in every row")
    return said


def _place(root: Path, ending: str) -> Path:
    return root.with_name(root.name + ending)


def _ranges(posterior: ExportedPosterior) -> list[str]:
    """Return a line for each parameter whose prior has an end; N stands for none."""
    lines = []
    for name, prior in posterior.priors.items():
        ends = [float(end) for end in prior.given({}).support()]
        if np.isfinite(ends).any():
            low, high = (f"{end:.17g}" if np.isfinite(end) else "N" for end in ends)
            lines.append(f"{name}\t{low}\t{high}\n")
    return lines

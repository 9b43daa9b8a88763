"""What a bundle tells of itself: README, versions, and what to cite."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from .. import __version__, provenance, shipped, sidecars
from ..reports import citation

VERSIONS = "versions.json"
"""The file of a bundle that `other_versions` reads."""


def versions_file() -> str:
    """Return the versions of what results are made with, and commits, as JSON."""
    told = {"versions": provenance.versions(), "commits": provenance.commits()}
    return json.dumps(told, indent=1) + "\n"


def constraints() -> str:
    """Return a line ``name==version`` for this package and all that it needs, as pip reads them."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [Requirement(provenance.PACKAGE)]
    while waiting:
        asked = waiting.pop()
        if str(asked) in seen:
            continue
        seen.add(str(asked))
        try:
            there = importlib.metadata.distribution(asked.name)
        except importlib.metadata.PackageNotFoundError:  # installed by hand; pip finds one
            continue
        name = canonicalize_name(asked.name)
        found[name] = f"{name}=={Version(there.version).public}"
        needed = map(Requirement, there.requires or [])
        waiting += [each for each in needed if _is_needed(each, asked.extras)]
    return "".join(f"{line}\n" for _, line in sorted(found.items()))


def _is_needed(each: Requirement, extras: Iterable[str]) -> bool:
    """Say whether a requirement of a distribution holds on this system, with some of its extras."""
    marker = each.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def other_versions(made_with: dict[str, Any]) -> list[str]:
    """Return, in words, which versions are others here than those a bundle was made with.

    Args:
        made_with: The content of its ``versions.json``.
    """
    then, now = made_with.get("versions", {}), provenance.versions()
    return [
        f"{name}: {then.get(name, 'not told')} when it was made, {now.get(name, 'none')} here"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def methods(campaigns: Sequence[str]) -> dict[str, str]:
    """Return ``methods.txt`` and ``references.bib`` of campaigns, from what their verdicts tell."""
    told = [sidecars.read_if_whole(Path("results", name, "verdict.json")) for name in campaigns]
    written = [each["methods"]["paragraph"] for each in told if each and each.get("methods")]
    if not written:
        return {}
    plain = "\n\n".join(map(citation.in_plain_text, written))
    works = citation.bibtex("\n".join(written), __version__)
    return {"methods.txt": f"{plain}\n", "references.bib": works}


def citation_file() -> str:
    """Return ``CITATION.cff`` of this package."""
    return shipped.CITATION.read_text()


def readme(
    campaigns: Sequence[str],
    with_simulations: bool,
    elsewhere: Sequence[str],
    buckets: Sequence[str],
) -> str:
    """Return the README of a bundle.

    Args:
        campaigns: Their names.
        with_simulations: Whether simulations are in it.
        elsewhere: Packages that the code of the study needs, and that are not in it.
        buckets: Addresses of arrays that lie in object stores.
    """
    pages = "\n".join(f"* `results/{name}/report.html`" for name in campaigns)
    beside = " ".join(elsewhere)
    rows = "Simulations are in it." if with_simulations else WITHOUT_SIMULATIONS
    lines = [
        f"# {', '.join(campaigns)}: a study made with sbi_pipeline {__version__}\n",
        f"The pages, which begin with the verdict:\n\n{pages}\n",
        INSTALL,
        *([f"The code of the study needs these packages, too: `{beside}`\n"] if beside else []),
        *([f"Arrays of simulations lie in {', '.join(buckets)}.\n"] if buckets else []),
        f"{rows}\n",
        CONTENTS,
    ]
    return "\n".join(lines)


INSTALL = """## To go on with it

    pip install -c constraints.txt torch
    pip install -c constraints.txt sbi-pipeline
    snakemake            # makes nothing anew but results/index.html, if that
    sbi-pipeline why     # after a change: what would be made anew, and why

The versions it was made with stand in `constraints.txt` and `versions.json`. The code that lies
here is run by `snakemake`.
"""
WITHOUT_SIMULATIONS = """Simulations are not in it. Where something is to be made anew,
a new observation for instance, snakemake first makes them again, the same rows from the same
seeds, and says that it is to be called once more. To make all anew, `rm -r results` first."""
ROWS_LEFT_OUT = """The rows of these simulations were left out of a bundle.
snakemake makes them again before anything is made of them.
"""
CONTENTS = """## What is here

| | |
|---|---|
| `config.yaml`, `Snakefile`, `profiles/` | the study; `snakemake` reads them |
| `*.py` and data files | the simulator, and what the configuration names |
| `results/` | posteriors, estimators, verdict and page, each with its specification |
| `methods.txt`, `references.bib` | how it was done, for a paper |
| `CITATION.cff` | how to cite the software |
| `SHA256SUMS` | checksums: `sha256sum --check SHA256SUMS` |
"""

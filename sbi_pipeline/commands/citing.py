"""`sbi-pipeline cite`: how a campaign was done, for a paper."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_cite(commands: Any) -> None:
    """Add the command to those of a parser."""
    command = commands.add_parser("cite", help="print a methods paragraph and its BibTeX")
    command.set_defaults(run=_cite)
    command.add_argument("folder", type=Path, help="of a campaign or a comparison, results/NAME")
    command.add_argument("--latex", action="store_true", help="the paragraph with \\citep")
    command.add_argument("--bibtex", action="store_true", help="the BibTeX alone")


def _cite(chosen: argparse.Namespace) -> None:
    from .. import sidecars  # noqa: PLC0415 - seconds that other commands need not wait for
    from ..reports import citation  # noqa: PLC0415 - as above

    verdict = chosen.folder / "verdict.json"
    told = sidecars.read_if_whole(verdict)
    if told is None:
        raise ValueError(f"{verdict} is not there; name the folder of a finished campaign")
    methods = told.get("methods")
    if not methods:
        raise ValueError(
            f"{verdict} was written by an earlier version of sbi_pipeline and does not tell of "
            "methods; run snakemake, which makes the page anew"
        )
    text = methods["paragraph"]
    if not chosen.bibtex:
        shown = citation.in_latex(text) if chosen.latex else citation.in_plain_text(text)
        sys.stdout.write(f"{shown}\n\n")
    sys.stdout.write(citation.bibtex(text, methods["version"]))

"""Posteriors in the files of other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .bilby import write_bilby
from .draws import ExportedPosterior, read_posterior
from .getdist import write_getdist
from .latex import write_latex
from .tables import write_chainconsumer, write_csv, write_parquet


@dataclass(frozen=True)
class Format:
    """A format of another program.

    Attributes:
        write: Writes a posterior to a path and returns sentences on what it holds.
        ending: Of the name of the file, where none is given.
        weighs: Whether rows have weights.
    """

    write: Callable[[ExportedPosterior, Path], list[str]]
    ending: str
    weighs: bool = True


FORMATS = {
    "getdist": Format(write_getdist, ""),
    "chainconsumer": Format(write_chainconsumer, "-chainconsumer.csv"),
    "bilby": Format(write_bilby, "_result.json", weighs=False),
    "csv": Format(write_csv, ".csv"),
    "parquet": Format(write_parquet, ".parquet"),
    "latex": Format(write_latex, ".tex", weighs=False),
}


def export(path: Path, to: str, out: Path | None = None) -> Iterator[str]:
    """Write a posterior in another format, and yield sentences on what was written.

    Args:
        path: A ``posterior.nc`` of this package.
        to: One of `FORMATS`.
        out: Where; of GetDist the path without endings. By default a name made of campaign,
            estimator and observation, in the working folder.

    Raises:
        ValueError: The file is no posterior, or would be overwritten.
    """
    posterior, form = read_posterior(path), FORMATS[to]
    place = out or Path("-".join(posterior.names.values()) + form.ending)
    if place.resolve() == path.resolve():
        raise ValueError(f"{place} is the posterior itself; name another file with --out")
    if not place.parent.is_dir():
        raise ValueError(f"{place.parent}: no such folder")
    said = form.write(posterior, place)
    yield f"{place}: {posterior.weight.sum()} draws of {posterior.title}"
    if posterior.is_weighted and form.weighs:
        yield (
            f"they were resampled by weight: {len(posterior.weight)} different ones, each with the "
            "number of its copies as weight"
        )
    yield from said

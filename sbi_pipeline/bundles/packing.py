"""A finished campaign in one archive."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import shipped, study
from ..study.places import LEFT_OUT
from . import archives, configured, made, texts
from .archives import Content

SUMS = "SHA256SUMS"
"""The file with checksums, first in an archive."""


def pack(
    folders: Sequence[Path],
    out: Path,
    files: Sequence[str],
    overrides: Mapping[str, Any],
    *,
    with_simulations: bool = False,
) -> Iterator[str]:
    """Put campaigns into one archive, and yield sentences on it.

    Args:
        folders: Those of the campaigns, ``results/NAME``, in the working folder.
        out: The archive; its ending says which format.
        files: The configuration, each file over those before it.
        overrides: What ``snakemake --config`` was given.
        with_simulations: Whether simulations are packed, too.

    Raises:
        ValueError: A campaign is not finished; or something that it names lies outside the folder.
    """
    archives.check_ending(out)
    names = made.campaigns_in(folders)
    text = configured.configuration_of(names, files, overrides)
    plan = _plan(text)
    made.check_finished(plan, with_simulations)
    code, elsewhere = configured.code_of(plan)
    buckets = made.in_buckets(plan) if with_simulations else []
    contents: dict[str, Content] = {**code}
    for path in configured.named_files(text, plan, with_simulations):
        contents |= {each.as_posix(): each for each in _below(path)}
    contents |= {path.as_posix(): path for path in made.results_of(plan, with_simulations)}
    if not with_simulations:
        rows_left_out = texts.ROWS_LEFT_OUT.encode()
        contents |= {
            f"{each.folder}/{LEFT_OUT}": rows_left_out for each in plan.simulations.values()
        }
    written = {
        "config.yaml": text,
        "README.md": texts.readme(plan.reported, with_simulations, elsewhere, buckets),
        "CITATION.cff": texts.citation_file(),
        texts.VERSIONS: texts.versions_file(),
        "constraints.txt": texts.constraints(),
        **texts.methods(plan.reported),
    }
    contents |= {name: each.encode() for name, each in written.items()}
    contents |= _workflow()
    top = "-".join(names)
    archives.write_archive(out, {f"{top}/{name}": each for name, each in _summed(contents).items()})
    yield f"{out}: {len(contents) + 1} files, {out.stat().st_size / 1e6:.3g} MB"
    if not with_simulations:
        yield "simulations are not in it; --simulations packs them"
    if elsewhere:
        yield f"not in it are the packages that the code needs beside: {', '.join(elsewhere)}"
    if buckets:
        yield f"not in it are arrays in {', '.join(buckets)}"


def _plan(text: str) -> study.Plan:
    """Return the plan of a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yaml")
        file.write_text(text)
        return study.Plan(study.load_configuration([file])).current()


def _below(path: Path) -> list[Path]:
    """Return a file, or the files below a folder, such as a Zarr store."""
    if not path.is_dir():
        return [path]
    return sorted(each for each in path.rglob("*") if each.is_file())


def _workflow() -> dict[str, Content]:
    """Return the files that make a folder one in which snakemake runs."""
    profile = Path("profiles/default")
    home = profile if profile.is_dir() else shipped.PROFILES / "default"
    found: dict[str, Content] = {
        (profile / each.relative_to(home)).as_posix(): each for each in _below(home)
    }
    return {**found, "Snakefile": shipped.EXAMPLES / "every_study/Snakefile"}


def _summed(contents: Mapping[str, Content]) -> dict[str, Content]:
    """Return files in the order of their names, their checksums before them."""
    ordered = dict(sorted(contents.items()))
    lines = (f"{archives.sha256(each)}  {name}\n" for name, each in ordered.items())
    return {SUMS: "".join(lines).encode(), **ordered}

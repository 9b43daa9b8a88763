"""The command `sbi-pipeline init`: a folder with a small study, to be changed into one's own.

What it is made of lies in `examples`: what is peculiar to each example in its folder, what all of
them have in `every_study`.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from . import shipped

KINDS = {
    "on_off": "two counts, and a background that is not known",
    "series": "a time series",
    "image": "an image",
    "sets": "a set whose order means nothing",
    "catalogue": "two hundred objects at once",
    "program": "a simulator in C, or any other language",
    "rounds": "a posterior that is a speck in its prior",
    "which_model": "a spectrum with or without a line, two models of the same data",
}
"""Examples, and what the data of each are."""
MADE = {"results", ".snakemake", "__pycache__", ".pytest_cache"}
"""What running an example leaves in its folder."""
SCHEMA = "config.schema.yaml"


def begin(folder: Path, example: str = "on_off") -> str:
    """Make a folder with an example study, and return what to do next, in three lines.

    Args:
        folder: To be made; if it is there, it must be empty.
        example: One of `KINDS`.

    Raises:
        ValueError: There is something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{folder} is there already, and nothing is overwritten; name a new folder"
        )
    template, common = shipped.EXAMPLES / example, shipped.EXAMPLES / "every_study"
    for source, name in _files(common, template, shipped.PROFILES):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    shutil.copyfile(shipped.SCHEMA, folder / SCHEMA)
    readme = (template / "README.md").read_text() + (common / "README.md").read_text()
    (folder / "README.md").write_text(readme)
    config = folder / "config.yaml"
    from_example = f"../../{shipped.SCHEMA.relative_to(shipped.HOME).as_posix()}"
    config.write_text(config.read_text().replace(from_example, SCHEMA, 1))
    return (
        f"cd {shlex.quote(str(folder))}\n"
        "snakemake             # makes results/index.html: open it in a browser\n"
        "$EDITOR config.yaml   # then make it yours; README.md tells how\n"
    )


def _files(common: Path, template: Path, profiles: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the files of a study, each with its name there; later ones take the place of others."""
    for home, below in ((common, "."), (template, "."), (profiles, "profiles")):
        for path in sorted(home.rglob("*")):
            name = path.relative_to(home)
            if path.is_file() and not MADE.intersection(name.parts):
                yield path, below / name

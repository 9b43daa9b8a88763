"""Tables in files: their columns, as the header tells of them, and slices of their values.

What opens a table reads its header; values are read where they are asked for, and no file stays
open. A format is a class in a file of its own, and a line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .arrays import NumpyTable
from .columns import (
    INDEX,
    Column,
    Table,
    check_real,
    first_names,
    float_type,
    instead_of,
    naming,
    no_number,
)
from .fits import FitsTable
from .hdf5 import Hdf5Table
from .parquet import ParquetTable
from .placeholders import placeholder_in
from .text import TextTable, has_names, names_in_comment

__all__ = [
    "FORMATS",
    "INDEX",
    "Column",
    "Table",
    "TextTable",
    "check_real",
    "first_names",
    "float_type",
    "has_names",
    "instead_of",
    "names_in_comment",
    "naming",
    "no_number",
    "open_table",
    "placeholder_in",
]

FORMATS: dict[str, Callable[[Path], Table]] = {
    ".csv": TextTable,
    ".txt": TextTable,
    ".tsv": TextTable,
    ".parquet": ParquetTable,
    ".h5": Hdf5Table,
    ".hdf5": Hdf5Table,
    ".fits": FitsTable,
    ".fit": FitsTable,
    ".npy": NumpyTable,
    ".npz": NumpyTable,
}
"""What reads a table, by extension."""


def open_table(path: Path) -> Table:
    """Open a table by its extension.

    Raises:
        ValueError: No such file, unknown extension, or a header that makes no sense.
    """
    if not path.is_file():
        raise ValueError(f"no such file (looked in {Path.cwd()})")
    if path.suffix.lower() not in FORMATS:
        got = f"extension {path.suffix}" if path.suffix else "no extension"
        raise ValueError(f"got {got}; wanted one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()](path)

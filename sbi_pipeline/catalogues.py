"""Catalogues: tables of many observed objects, with their names and what is known of them.

While planning, `shape_of` asks the header alone; `open_catalogue` reads names and truths, and data
come in slices, so that a catalogue may be larger than the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .conditions import Conditions
from .objects import InColumns, InFiles, Layout, Origin, matching, table_of, within
from .priors.supports import outside
from .storage.missing_elements import TO_DECLARE
from .tables import Table, instead_of, naming
from .types import Array, Prior


@dataclass(frozen=True)
class Catalogue:
    """Observed objects.

    Attributes:
        table: Where they come from, for messages.
        names: Of the objects.
        truths: True parameters, each ``(objects,)``; NaN where nobody knows them.
        known: Known conditions, each ``(objects,)``.
        origin: Where the data come from.
    """

    table: str
    names: list[str]
    truths: dict[str, Array]
    known: dict[str, Array]
    origin: Origin

    def __len__(self) -> int:
        return len(self.names)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the data of one object."""
        return self.origin.x_shape

    def data(self, first: int, last: int, gaps: bool = False) -> Array:
        """Return the data of some objects, ``(last - first, *x_shape)``.

        Args:
            first: The first of them.
            last: The one after the last.
            gaps: Whether elements may be missing, NaN; all of an object never are.

        Raises:
            ValueError: Some could not be read, have another shape, or are NaN or infinite.
        """
        with naming(self.table):
            x = self.origin.read(first, last)
            bad = np.argwhere(np.isinf(x) if gaps else ~np.isfinite(x))
            if len(bad):
                row, *index = map(int, bad[0])
                advice = "" if gaps else f"; where elements can be missing, {TO_DECLARE}"
                raise ValueError(
                    f"{self.called(first + row)}: {self.origin.part(tuple(index))} is empty, NaN "
                    f"or infinite; leave out this object, or this part of the data{advice}"
                )
            nothing = np.isnan(x).all(axis=tuple(range(1, x.ndim)))
            if nothing.any():
                row = first + int(nothing.argmax())
                raise ValueError(f"{self.called(row)} has no data at all; leave it out")
        return x

    def called(self, row: int) -> str:
        """Return an object's name and place, for messages."""
        return f"object {self.names[row]!r} ({self.origin.place(row)})"


def shape_of(layout: Layout) -> tuple[int, ...]:
    """Return the number of objects and the shape of one's data, as far as the header tells.

    Raises:
        ValueError: There is no such table, it lacks columns, or it holds nothing.
    """
    with naming(layout.table):
        origin = _origin(layout)
        return (len(origin), *origin.x_shape)


def files_of(layout: Layout) -> list[Path]:
    """Return all files that objects are read from: the table, and those it names or stands for."""
    with naming(layout.table):
        origin = _origin(layout)
        named = origin.paths if isinstance(origin, InFiles) else ()
        return [Path(each) for each in (*([] if layout.several else [layout.table]), *named)]


def _origin(layout: Layout) -> InColumns | InFiles:
    return matching(layout) if layout.several else within(layout, table_of(layout))


def open_catalogue(layout: Layout) -> Catalogue:
    """Open a catalogue and read names and truths.

    Raises:
        ValueError: As `shape_of`, or a truth is no number.
    """
    with naming(layout.table):
        if layout.several:
            files = matching(layout)
            stems = [Path(each).stem for each in files.paths]
            return Catalogue(layout.table, stems, {}, _known(layout, {}, len(stems)), files)
        table = table_of(layout)
        origin = within(layout, table)
        n = len(origin)
        names = [str(row) for row in range(n)]
        if layout.name is not None:
            names = table.texts(layout.name, 0, n)
        truths = _numbers(layout.truth, table, n)
        known = _known(layout, _numbers(layout.known_columns, table, n), n)
        return Catalogue(layout.table, names, truths, known, origin)


def _numbers(columns: Mapping[str, str], table: Table, n: int) -> dict[str, Array]:
    """Return columns of one number an object, each ``(n,)``, by what they are of."""
    if not columns:
        return {}
    values = table.numbers(list(columns.values()), 0, n).astype(float)
    return dict(zip(columns, values.T, strict=True))


def _known(layout: Layout, columns: Mapping[str, Array], n: int) -> dict[str, Array]:
    """Return known conditions, those that are the same for all objects repeated."""
    return {
        name: columns[name] if name in columns else np.full(n, float(value))
        for name, value in layout.known.items()
    }


def check_objects(catalogue: Catalogue) -> None:
    """Refuse names that are empty or given twice, infinite truths, and files that are not there.

    Raises:
        ValueError: With the first of them.
    """
    with naming(catalogue.table):
        _check_names(catalogue)
        for parameter, values in catalogue.truths.items():
            if np.isinf(values).any():
                raise ValueError(
                    f"{catalogue.called(int(np.isinf(values).argmax()))}: truth of {parameter!r} "
                    "is infinite; wanted a number, or none where nobody knows it"
                )
        catalogue.origin.check()


def _check_names(catalogue: Catalogue) -> None:
    names, place = catalogue.names, catalogue.origin.place
    if "" in names:
        raise ValueError(f"{place(names.index(''))}: object without a name; wanted one for each")
    repeated = len(names) - len(set(names))
    if repeated:
        seen: dict[str, int] = {}
        row = next(row for row, name in enumerate(names) if seen.setdefault(name, row) != row)
        raise ValueError(
            f"two objects are called {names[row]!r} ({place(seen[names[row]])}, {place(row)}), and "
            f"{repeated} of {len(names)} names repeat another; wanted names that differ"
        )


def check_against_prior(catalogue: Catalogue, prior: Prior) -> None:
    """Refuse truths that the prior excludes, as far as that can be told.

    Raises:
        ValueError: With the first object, and how many there are.
    """
    with naming(catalogue.table):
        for parameter in catalogue.truths:
            if parameter not in prior.names:
                guess = instead_of(parameter, prior.names)
                raise ValueError(f"truth of {parameter!r}: no such parameter{guess}")
        excluded = outside(catalogue.truths, prior)
        bad = np.any([np.zeros(len(catalogue), bool), *excluded.values()], axis=0)
        if bad.any():
            row = int(bad.argmax())
            found = {name: catalogue.truths[name][row] for name in excluded if excluded[name][row]}
            said = ", ".join(f"{name} = {value:g}" for name, value in found.items())
            raise ValueError(
                f"{catalogue.called(row)}: truth {said} lies outside the prior, which excludes "
                f"{bad.sum()} of {len(bad)} objects; widen it, or leave such truths empty"
            )


def check_conditions(catalogue: Catalogue, conditions: Conditions) -> None:
    """Refuse objects some of whose known conditions are not given, or excluded by their prior.

    Raises:
        ValueError: With the first object.
    """
    with naming(catalogue.table):
        conditions.check_names(catalogue.known)
        if conditions.prior is None:
            return
        for name, values in catalogue.known.items():
            if (bad := ~np.isfinite(values)).any():
                row = int(bad.argmax())
                text = f"known {name} is empty, NaN or infinite; wanted a number for each object"
                raise ValueError(f"{catalogue.called(row)}: {text}")
        for name, excluded in outside(catalogue.known, conditions.prior).items():
            if excluded.any():
                row = int(excluded.argmax())
                raise ValueError(
                    f"{catalogue.called(row)}: known {name} = {catalogue.known[name][row]:g} lies "
                    f"outside its prior, which excludes {excluded.sum()} of {len(excluded)} "
                    "objects; widen it, or leave them out"
                )

"""Where the parameters of a campaign come from: the prior, a box of it, or a table of the user's.

`sample_prior` asks a source for the rows of each shard and writes them to a store; `simulate` reads
that store and never asks where they came from. Another source is one more record with the methods
of `ParameterSource` and a line in `source_of`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .. import streams
from ..priors import NamedPrior
from ..priors.boxes import BoxedPrior, Faces
from ..priors.supports import outside
from ..tables import Table, check_real, instead_of, naming, open_table
from ..types import Array, Prior

NUMBERS = 10_000_000
"""Numbers of a table that are looked at at once: eighty megabytes."""


class ParameterSource(Protocol):
    """Gives the parameters of a campaign, row by row."""

    def draw(self, prior: Prior, *, seed: int, start: int, rows: int) -> Array:
        """Return the parameters of the rows from ``start`` on, ``(rows, dim)``.

        Any split into calls gives the same rows.

        Args:
            prior: Of all parameters; those that the source does not know are drawn from it.
            seed: Of the campaign.
            start: Index of the first row in the campaign.
            rows: How many.
        """


@dataclass(frozen=True)
class PriorSource:
    """The prior itself."""

    def draw(self, prior: Prior, *, seed: int, start: int, rows: int) -> Array:
        """Draw from the prior."""
        return prior.from_uniform(_uniforms(prior, seed, start, rows))


@dataclass(frozen=True)
class BoxSource:
    """A box of the prior, for a round of simulations where a posterior is.

    Attributes:
        box: Its faces.
        hole: Faces of a smaller box within it where rows are there already; None for none.
        share: How dense rows are in the hole, over those around it.
    """

    box: Faces
    hole: Faces | None = None
    share: float = 1.0

    def draw(self, prior: Prior, *, seed: int, start: int, rows: int) -> Array:
        """Draw from the prior within the box; what falls into the hole is drawn again, or kept."""
        boxed = BoxedPrior.of(prior, self.box)
        drawn = boxed.from_uniform(_uniforms(prior, seed, start, rows))
        if self.hole is None:
            return drawn
        hole, again, attempt = BoxedPrior.of(prior, self.hole), np.arange(rows), 0
        while True:
            chance = streams.uniforms(seed, f"kept {attempt}", start, rows, 1)[again, 0]
            again = again[hole.contains(drawn[again]) & (chance >= self.share)]
            if not again.size:
                return drawn
            u = streams.uniforms(seed, f"prior {attempt}", start, rows, len(prior.names))
            drawn[again] = boxed.from_uniform(u[again])
            attempt += 1


@dataclass(frozen=True)
class TableSource:
    """A table, whose row i is row i of the campaign.

    Attributes:
        table: Its path.
        columns: Columns of parameters that are called otherwise, by parameter.
    """

    table: str
    columns: Mapping[str, str] = field(default_factory=dict)

    def draw(self, prior: Prior, *, seed: int, start: int, rows: int) -> Array:
        """Take rows of the table, and draw what it lacks from the prior, given what it has.

        Rows beyond its end, which fill up the last block and are never read, repeat earlier ones.
        """
        with naming(self.table):
            columns = self._open(prior)
            known = columns.values(start, min(start + rows, columns.rows))
        whole = {name: np.resize(values, rows) for name, values in known.items()}
        return prior.complete(whole, _uniforms(prior, seed, start, rows))

    def look(self, prior: Prior) -> tuple[tuple[str, ...], int]:
        """Return which parameters it has and how many rows, as far as the header tells.

        Raises:
            ValueError: It has no parameters, lacks columns, or holds what is no number a row.
        """
        with naming(self.table):
            columns = self._open(prior)
            return tuple(columns.names), columns.rows

    def check(self, prior: Prior, rows: int, most: int) -> dict[str, Array]:
        """Refuse a table with values that are NaN, infinite or outside the prior.

        Args:
            prior: Of all parameters.
            rows: How many a campaign uses, the first ones; all are looked at.
            most: How many to return.

        Returns:
            Values of some of the rows that it uses, evenly spread, by parameter, each ``(k,)``.

        Raises:
            ValueError: With the first row that makes no sense.
        """
        with naming(self.table):
            columns = self._open(prior)
            some = np.unique(np.linspace(0, rows - 1, most).astype(int))
            size = max(1, NUMBERS // len(prior.names))
            found: list[dict[str, Array]] = []
            for first in range(0, columns.rows, size):
                known = columns.values(first, min(first + size, columns.rows))
                _check_finite(columns, known, first)
                _check_inside(columns, known, first, prior)
                here = some[(first <= some) & (some < first + size)] - first
                found.append({name: values[here] for name, values in known.items()})
        return {name: np.concatenate([each[name] for each in found]) for name in columns.names}

    def _open(self, prior: Prior) -> Columns:
        table = open_table(Path(self.table))
        for name in self.columns:
            if name not in prior.names:
                raise ValueError(f"no such parameter {name!r}{instead_of(name, prior.names)}")
        columns = Columns(table, _names_of(table, self.columns, prior.names))
        _check_parents(columns.names, prior)
        return columns


def source_of(entry: Mapping[str, Any] | None) -> ParameterSource:
    """Return the source that a campaign's entry stands for; None is the prior."""
    if entry is None:
        return PriorSource()
    return BoxSource(**entry) if "box" in entry else TableSource(**entry)


@dataclass(frozen=True)
class Columns:
    """Columns of a table that hold parameters.

    Attributes:
        table: The table.
        names: Column by parameter; the empty name is an array, whose columns are all parameters.
    """

    table: Table
    names: Mapping[str, str]

    @property
    def rows(self) -> int:
        """How many rows they have."""
        return self.table.columns[next(iter(self.names.values()))].rows

    def values(self, first: int, last: int) -> dict[str, Array]:
        """Return the values of some rows by parameter, each ``(last - first,)``."""
        columns = tuple(dict.fromkeys(self.names.values()))
        numbers = self.table.numbers(columns, first, last).astype(float)
        if columns == ("",):
            return dict(zip(self.names, numbers[:, 0].T, strict=True))
        return {name: numbers[:, columns.index(each)] for name, each in self.names.items()}

    def place(self, row: int, name: str) -> str:
        """Return where the value of a parameter stands, in words."""
        column = self.names[name]
        return self.table.place(row) + (f", column {column!r}" if column else f", {name!r}")


def _names_of(table: Table, renamed: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return which column holds each parameter, of those that are there."""
    if set(table.columns) == {""}:
        return _of_array(table, renamed, names)
    wanted = {name: renamed.get(name, name) for name in names}
    for name, column in renamed.items():
        if column not in table.columns:
            raise ValueError(
                f"no column {column!r} (of {name!r}){instead_of(column, table.columns)}"
            )
    found = {name: column for name, column in wanted.items() if column in table.columns}
    if not found:
        there, known = ", ".join(table.columns), ", ".join(names)
        raise ValueError(f"no column is called like a parameter ({known}); there are {there}")
    if twice := [column for column in found.values() if list(found.values()).count(column) > 1]:
        both = [name for name, column in found.items() if column == twice[0]]
        text = f"column {twice[0]!r} would be both {both[0]!r} and {both[1]!r}"
        raise ValueError(f"{text}; name another column for one of them")
    rows = {column: table.columns[column].rows for column in found.values()}
    for column, count in rows.items():
        check_real(column, table.columns[column])
        if shape := table.columns[column].shape:
            text = f"column {column!r} holds arrays of shape {shape}"
            raise ValueError(f"{text}; wanted one number a row")
        if count != (first := next(iter(rows.values()))):
            raise ValueError(f"{column!r} has {count} rows, {next(iter(rows))!r} {first}")
    return _not_empty(found, min(rows.values()))


def _of_array(table: Table, renamed: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the same of an array, which has a column for every parameter, in order."""
    held = table.columns[""]
    if renamed:
        raise ValueError("it holds an array without names of columns; leave 'columns' out")
    check_real("", held)
    if held.shape != (len(names),):
        wanted = f"({held.rows}, {len(names)}), the parameters {', '.join(names)} in this order"
        raise ValueError(f"it has shape {(held.rows, *held.shape)}; wanted {wanted}")
    return _not_empty(dict.fromkeys(names, ""), held.rows)


def _not_empty(found: dict[str, str], rows: int) -> dict[str, str]:
    if not rows:
        raise ValueError("it holds no row")
    return found


def _check_parents(known: Mapping[str, str], prior: Prior) -> None:
    """Refuse a parameter whose parent would be drawn as if it were not known."""
    if not isinstance(prior, NamedPrior):
        return
    for each in prior.parameters:
        missing = [parent for parent in each.parents if parent not in known]
        if each.name in known and missing:
            raise ValueError(
                f"it has {each.name!r}, whose prior depends on {missing[0]!r}, and lacks "
                f"{missing[0]!r}; add that column"
            )


def _check_finite(columns: Columns, known: Mapping[str, Array], first: int) -> None:
    for name, values in known.items():
        bad = ~np.isfinite(values)
        if bad.any():
            place = columns.place(first + int(bad.argmax()), name)
            raise ValueError(f"{place}: it is empty, NaN or infinite; leave out this row")


def _check_inside(columns: Columns, known: Mapping[str, Array], first: int, prior: Prior) -> None:
    for name, excluded in outside(known, prior).items():
        if excluded.any():
            row = int(excluded.argmax())
            place = columns.place(first + row, name)
            raise ValueError(
                f"{place}: {name} = {known[name][row]:g} lies outside the prior; widen the prior, "
                "or leave out such rows"
            )


def _uniforms(prior: Prior, seed: int, start: int, rows: int) -> Array:
    return streams.uniforms(seed, "prior", start, rows, len(prior.names))

"""Catalogues that can be judged: what is said of thousands of objects, as loaded records.

A `Population` is what one estimator says of all objects of a catalogue: one row an object. Like
the subjects of `subjects`, it knows no paths.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from .sampled_posteriors import QUANTILES
from .types import Array

P_VALUES = ("in_distribution_p", "predictive_p")
FLAGS = {
    "unlike simulations": "in_distribution_p",
    "misfit": "predictive_p",
    "edge": "at_edge",
    "not converged": "converged",
}
"""Flags, and the column that each is made from."""
MAX_LISTED = 20
"""Objects that a page names."""
OF_DRAWS = ("mean", "sd", *QUANTILES)
"""Columns of each parameter that are of its draws alone."""
KNOWN_VALUE = "_known"
"""What columns of known conditions end with, after their names."""
EDGE = 0.5
"""Fraction of draws outside the central 99 % of the prior, above which an object is at its edge: of
objects drawn from the prior at most one in fifty for each parameter, whatever their data say."""


@dataclass(frozen=True)
class CatalogueParameter:
    """A parameter of every object.

    Attributes:
        label: LaTeX between dollars, or text; the name if empty.
        unit: May be empty.
        prior_mean: Mean of its prior; NaN where there is none.
        prior_sd: Standard deviation of its prior.
        derived: Whether it is a function of others.
        period: Length of its range where it is periodic; NaN where it is not.
    """

    label: str = ""
    unit: str = ""
    prior_mean: float = float("nan")
    prior_sd: float = float("nan")
    derived: bool = False
    period: float = float("nan")


@dataclass(frozen=True)
class Population:
    """What one estimator says of the objects of a catalogue.

    Attributes:
        name: Of the estimator, as in the configuration.
        catalogue: Its name.
        table: ``objects.csv``, a row an object.
        parameters: By name, in the order of the configuration.
        draws: Of each posterior.
        level: P-value up to which an object is flagged.
        reference: Simulations that all objects are ranked among; None where that is not known.
        least_p: The least p-value that an object can have among them; None where not known.
        worst: Data, and quantiles of predictions, of flagged objects; None without predictions.
        seconds: Of work.
        notes: Sentences for the page.
    """

    kind: ClassVar[str] = "catalogue, estimator"

    name: str
    catalogue: str
    table: pd.DataFrame
    parameters: Mapping[str, CatalogueParameter]
    draws: int
    level: float = 0.01
    reference: int | None = None
    least_p: float | None = None
    worst: xr.Dataset | None = None
    seconds: float = float("nan")
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Complain of columns that are not there."""
        wanted = [f"{name}_{what}" for name in self.parameters for what in OF_DRAWS]
        wanted += ["object", "at_edge", "flags"]
        missing = [name for name in wanted if name not in self.table]
        if missing:
            raise ValueError(
                f"the table of objects of {self.title} lacks {', '.join(missing[:5])}; delete it "
                "and run snakemake again"
            )

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return f"{self.name}, {self.catalogue}"

    @property
    def names(self) -> Mapping[str, str]:
        """Names of the estimator and of the catalogue."""
        return {"estimator": self.name, "catalogue": self.catalogue}

    @property
    def inferred(self) -> list[str]:
        """Names of the parameters that are no function of others."""
        return [name for name, each in self.parameters.items() if not each.derived]

    @cached_property
    def known(self) -> list[str]:
        """Inferred parameters whose true values are known of some objects."""
        return [name for name in self.inferred if self.column(f"{name}_rank").size]

    @cached_property
    def flagged(self) -> Array:
        """Whether each object has a flag, ``(n,)``."""
        return np.asarray(self.table["flags"] != "")

    @cached_property
    def having(self) -> dict[str, Array]:
        """Which objects have a flag, ``(n,)``, by flag, of the flags that could have been set."""
        flags = self.table["flags"]
        return {
            flag: flags.str.contains(flag, regex=False).to_numpy()
            for flag, column in FLAGS.items()
            if self.column(column).size
        }

    @property
    def flag_counts(self) -> dict[str, int]:
        """Number of objects by flag, of the flags that could have been set."""
        return {flag: int(has.sum()) for flag, has in self.having.items()}

    @cached_property
    def smallest_p(self) -> pd.Series:
        """The smallest p-value of each object; 1 where there is none."""
        return self.table.reindex(columns=P_VALUES).min(axis=1).fillna(1.0)

    @property
    def listed(self) -> list[dict[str, Any]]:
        """Flagged objects, those with the smallest p-values first: at most `MAX_LISTED`."""
        order = self.smallest_p[self.flagged].sort_values(kind="stable").index[:MAX_LISTED]
        columns = ["object", *(f"{name}{KNOWN_VALUE}" for name in self.conditions), *FLAGS.values()]
        rows = self.table.loc[order].reindex(columns=[*columns, "flags"])
        return rows.to_dict("records")

    @cached_property
    def conditions(self) -> dict[str, tuple[float, float]]:
        """Least and largest value of each known condition, by name."""
        columns = [each for each in self.table if str(each).endswith(KNOWN_VALUE)]
        ends = ((self.table[each].min(), self.table[each].max()) for each in columns)
        names = (str(each).removesuffix(KNOWN_VALUE) for each in columns)
        return {
            name: (float(low), float(high)) for name, (low, high) in zip(names, ends, strict=True)
        }

    @cached_property
    def shown(self) -> list[CataloguedObject]:
        """Objects whose data can be drawn over what is predicted."""
        if self.worst is None:
            return []
        rows = self.table.set_index("object")
        return [
            CataloguedObject(
                self.name, self.catalogue, name, place, self.worst.isel(object=place),
                _said_of(rows.loc[name]),
            )
            for place, name in enumerate(map(str, self.worst["object"].values))
        ]  # fmt: skip

    @property
    def figures(self) -> dict[str, str]:
        """Stems of the figures of `shown` by object."""
        return {each.name: each.names["stem"] for each in self.shown}

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The population by parameter: medians over objects, scatter of means, pulls."""
        return {
            name: {"parameter": name, "label": each.label, "unit": each.unit} | self._in_short(name)
            for name, each in self.parameters.items()
        }

    @property
    def remarks(self) -> list[str]:
        """Sentences: how it was made, and whether data could be predicted."""
        predicted = self.column("predictive_p").size
        if not predicted:
            return [*self.notes, "No data were predicted."]
        missed = len(self.table) - predicted
        said = f"For {counted(missed)} objects no data, or too few, could be predicted."
        return [*self.notes, said] if missed else list(self.notes)

    def column(self, name: str) -> Array:
        """Return the values of a column that are known; none without such a column."""
        if name not in self.table:
            return np.empty(0)
        values = self.table[name].to_numpy(dtype=float)
        return values[np.isfinite(values)]

    def ranks(self, parameter: str) -> Array:
        """Return the rank of each known truth among draws, integers in 0..draws."""
        return np.rint(self.column(f"{parameter}_rank") * self.draws).astype(int)

    def pulls(self, parameter: str) -> Array:
        """Return posterior mean minus truth in posterior sds, where the truth is known.

        Objects with the p-value of a misfit are left out: the model has not made them, and a
        single one can lie a thousand sds off.
        """
        sound = self.table[self.smallest_p > self.level]
        columns = (f"{parameter}_{what}" for what in ("mean", "truth", "sd"))
        mean, truth, sd = (sound[each].to_numpy(dtype=float) for each in columns)
        away, period = mean - truth, self.parameters[parameter].period
        if np.isfinite(period):
            away = (away + period / 2) % period - period / 2
        pulls = away[sd > 0] / sd[sd > 0]
        return np.asarray(pulls[np.isfinite(pulls)])

    def _in_short(self, name: str) -> dict[str, float]:
        mean, sd = (self.table[f"{name}_{what}"].to_numpy(dtype=float) for what in ("mean", "sd"))
        low, middle, high = np.nanquantile(mean, [0.16, 0.5, 0.84])
        pulls = self.pulls(name) if self.column(f"{name}_truth").size else np.empty(0)
        return {
            "mean": float(middle),
            "scatter": float(high - low) / 2,
            "sd": float(np.nanmedian(sd)),
            "sd_ratio": float(np.nanmedian(sd)) / self.parameters[name].prior_sd,
            "pull": float(pulls.mean()) if pulls.size else float("nan"),
            "pull_sd": float(pulls.std(ddof=1)) if pulls.size > 1 else float("nan"),
        }


@dataclass(frozen=True)
class CataloguedObject:
    """One object, with its data and what its posterior predicts.

    Attributes:
        estimator: Whose posterior.
        catalogue: Name of its catalogue.
        name: Of the object.
        place: Among those that are shown, from 0.
        data: ``x``, and ``predicted``, quantiles by ``level``.
        said: What the table says of it, in words.
    """

    kind: ClassVar[str] = "object"

    estimator: str
    catalogue: str
    name: str
    place: int
    data: xr.Dataset
    said: str

    @property
    def title(self) -> str:
        """How it is called."""
        return f"{self.estimator}, {self.catalogue}, {self.name}"

    @property
    def names(self) -> Mapping[str, str]:
        """Names of all it belongs to, and a stem for files, whatever stands in its name."""
        safe = re.sub(r"[^\w.-]+", "-", self.name)[:60]
        return {
            "estimator": self.estimator,
            "catalogue": self.catalogue,
            "object": self.name,
            "stem": f"object-{self.estimator}-{self.catalogue}-{self.place + 1}-{safe}",
        }


@dataclass(frozen=True)
class PopulationPair:
    """What two estimators say of one catalogue.

    Attributes:
        one: A population.
        other: Another one, the reference for widths.
    """

    kind: ClassVar[str] = "catalogue, pair of estimators"

    one: Population
    other: Population

    @property
    def pair(self) -> str:
        """The names of both."""
        return f"{self.one.name} and {self.other.name}"

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return f"{self.pair}, {self.one.catalogue}"

    @property
    def names(self) -> Mapping[str, str]:
        """Names of both and of the catalogue."""
        return {"pair": self.pair, "catalogue": self.one.catalogue}


@dataclass(frozen=True)
class ObservedCatalogue:
    """A catalogue, and what estimators say of its objects.

    Attributes:
        name: As in the configuration.
        source: Where it came from, in words.
        populations: By estimator, in the order of the configuration.
    """

    kind: ClassVar[str] = "catalogue"

    name: str
    source: str
    populations: Mapping[str, Population]

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return self.name

    @property
    def names(self) -> Mapping[str, str]:
        """Its name."""
        return {"catalogue": self.name}

    @property
    def size(self) -> int:
        """Number of objects."""
        return max(len(each.table) for each in self.populations.values())

    @property
    def pairs(self) -> list[PopulationPair]:
        """Pairs of estimators."""
        found = itertools.combinations(self.populations.values(), 2)
        return [PopulationPair(one, other) for one, other in found]

    @property
    def known(self) -> bool:
        """Whether truths are known."""
        return any(each.known for each in self.populations.values())

    @property
    def conditions(self) -> dict[str, tuple[float, float]]:
        """Least and largest value of each known condition of the objects, by name."""
        return next((each.conditions for each in self.populations.values()), {})

    @property
    def rows(self) -> list[dict[str, dict[str, Any]]]:
        """The populations in short: for every parameter a row an estimator, by its name."""
        rows = {name: each.rows for name, each in self.populations.items()}
        parameters = dict.fromkeys(name for each in rows.values() for name in each)
        return [
            {who: each[name] for who, each in rows.items() if name in each} for name in parameters
        ]

    @property
    def flags(self) -> list[str]:
        """Flags that an object may have, of any estimator."""
        populations = self.populations.values()
        return [flag for flag in FLAGS if any(flag in each.having for each in populations)]

    def by_chance(self, flag: str) -> str:
        """Return how many objects have a flag if nothing is wrong, in words."""
        first = next(iter(self.populations.values()))
        level, least = first.level, first.least_p or 0.0
        expected = f"{counted(level * self.size)} of {counted(self.size)} with p ≤ {level:g}"
        too_few = f"simulations are too few to tell: p ≥ {least:.2g}"
        return {
            "unlike simulations": too_few if least > level else expected,
            "misfit": f"at most {expected}",
            "edge": "at most 2 % a parameter",
            "not converged": "0",
        }[flag]


def _said_of(row: pd.Series) -> str:
    """Say what is remarkable of an object: its p-values and flags."""
    among = zip(P_VALUES, ("simulations", "predictions"), strict=True)
    told = [f"{row[name]:.2g} among {whom}" for name, whom in among if name in row]
    return f"p = {', '.join(told)}: {row['flags'].replace(';', ',')}."


def counted(n: float) -> str:
    """Return a number of objects as text, with narrow spaces between thousands."""
    return f"{n:,.0f}".replace(",", "\u202f")

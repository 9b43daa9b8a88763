"""Catalogues: tables of many objects, and the jobs that draw for parts of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..catalogues import Layout, files_of, shape_of
from ..fingerprint import of_files
from .data import layout_of
from .schema import Config, Configuration, Observation
from .signatures import stated
from .specification import Makers, Specification, stage

BLOCK = 1000
"""Objects that are drawn for and committed at once, at most."""
NUMBERS = 4_000_000
"""Draws of all parameters of such a block, at most: thirty megabytes."""


@dataclass(frozen=True)
class PlannedCatalogue:
    """A catalogue of a campaign.

    Attributes:
        layout: How its table holds the objects.
        objects: How many.
        draws: Of each.
        per_job: Objects of one job, at most.
    """

    layout: Layout
    objects: int
    draws: int
    per_job: int

    @classmethod
    def of(cls, entry: Config, campaign: Config, config: Config) -> PlannedCatalogue:
        """Return the catalogue of an entry of ``observations``; looks into its table."""
        layout = layout_of(entry, campaign)
        draws = stated(Observation, entry, "draws")
        per_job = stated(Configuration, config, "objects_per_job")
        return cls(layout, shape_of(layout)[0], draws, per_job)

    @property
    def parts(self) -> int:
        """How many jobs draw for its objects."""
        return -(-self.objects // self.per_job)

    def block(self, parameters: int) -> int:
        """Return how many objects are drawn for at once: a part is whole blocks but for its end."""
        most = max(1, min(BLOCK, NUMBERS // (self.draws * parameters)))
        return next(
            size for size in range(min(most, self.per_job), 0, -1) if not self.per_job % size
        )

    def collect(
        self,
        model: Mapping[str, Any],
        known: Mapping[str, Any],
        makers: Makers,
        x_shape: tuple[int, ...] | None,
        missing: Mapping[str, Any],
    ) -> Specification:
        """Return what reads the table and holds it against simulations.

        Args:
            model: The simulator.
            known: What the stage is told of known parameters.
            makers: What takes part.
            x_shape: Shape of the data of simulations, if known.
            missing: What the stage is told of missing elements.
        """
        table = Makers({}, {f"table {self.layout.table}": of_files(files_of(self.layout))})
        told = asdict(self.layout)
        if not self.layout.declared:
            del told["declared"]
        if not known:  # keys of catalogues without known parameters are what they were
            del told["known"]
        arguments: dict[str, Any] = {"model": model, "layout": told, **known, **missing}
        arguments |= {} if x_shape is None else {"x_shape": list(x_shape)}
        return Specification("collect", arguments, makers=stage("collect") | makers | table)

    def infer(
        self,
        part: int,
        arguments: Mapping[str, Any],
        inputs: Mapping[str, str],
        catalogue: str,
        makers: Makers,
        follows: tuple[str, ...],
    ) -> Specification:
        """Return what draws for the objects of one part.

        Args:
            part: Its number.
            arguments: Of the stage, which are the same for all parts.
            inputs: Keys of what it is made of, but for the catalogue's.
            catalogue: Key of the catalogue.
            makers: What takes part.
            follows: Specifications of inputs that may come out otherwise.
        """
        made = stage("infer") | makers
        recipe = Specification("infer", arguments, inputs, made).key  # of draws of any objects
        first = part * self.per_job
        own = {
            "recipe": recipe,
            "first": first,
            "last": min(first + self.per_job, self.objects),
            "objects": self.objects,
        }
        return Specification(
            "infer", {**arguments, **own}, {**inputs, "catalogue": catalogue}, made, follows
        )
